"""Rendered variables fit the schemas of the installed integrations, jobs those of Kubernetes."""

import uuid
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
from hypothesis import given
from hypothesis import settings as effort

from mlops_tasks.infrastructure.job_manifest import job_manifest
from mlops_tasks.infrastructure.translation import COMMON, PLATFORMS, job_variables, problems
from mlops_tasks.settings.infrastructure import Kind, Resources
from tests.infrastructure.workers import KINDS, RESOURCES, configured, target, template, valid

pytestmark = pytest.mark.slow
KUBERNETES = ("1.33", "1.37")


@pytest.mark.parametrize("kind", KINDS)
def test_the_names_of_variables_are_those_of_the_installed_worker(kind: Kind) -> None:
    assert set(template(kind)["variables"]["properties"]) == COMMON | PLATFORMS[kind].VARIABLES


@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_would_find_a_mistake(kind: Kind) -> None:
    variables = job_variables(target(kind), {})
    valid(kind, variables)
    for mistake in ({"memroy": 1}, {"env": {"A": 1}}, {"name": 7}):
        with pytest.raises(jsonschema.ValidationError):
            valid(kind, variables | mistake)


@pytest.mark.parametrize("kind", KINDS)
@given(resources=RESOURCES)
@effort(max_examples=60)
def test_what_is_no_problem_is_valid(kind: Kind, resources: Resources) -> None:
    asked = target(kind, resources)
    if not problems(asked):
        valid(kind, job_variables(asked, {"MLOPS_BUCKET": "s3://flights"}))


FULL = {
    "namespace": "flights",
    "service_account_name": "flights",
    "finished_job_ttl": 600,
    "labels": {"team": "air"},
    "annotations": {"note": "a job"},
}


def submitted(variables: dict[str, Any]) -> dict[str, Any]:
    """The job of Prefect's worker for one flow run."""
    from prefect.client.schemas.objects import FlowRun

    job = configured("kubernetes", variables)
    job.prepare_for_flow_run(FlowRun(id=uuid.uuid4(), flow_id=uuid.uuid4(), name="run"))
    return dict(job.job_manifest)


@given(resources=RESOURCES)
@effort(max_examples=40)
def test_jobs_fit_the_schemas_of_kubernetes(resources: Resources) -> None:
    asked = target("kubernetes", resources, extra=FULL)
    if problems(asked):
        return
    manifest = job_manifest(job_variables(asked, {"MLOPS_BUCKET": "s3://flights"}), "train")
    for version in KUBERNETES:
        kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize(
    ("resources", "extra"),
    [(Resources(), {}), (Resources(memory_gib=0.5), {}), (Resources(cpu_cores=2), FULL)],
)
def test_the_job_that_is_shown_is_the_one_that_the_worker_submits(
    resources: Resources, extra: dict[str, Any]
) -> None:
    asked = target("kubernetes", resources, extra=extra)
    variables = job_variables(asked, {"MLOPS_BUCKET": "s3://flights"})
    shown, real = job_manifest(variables, "run"), submitted(variables)
    ours, theirs = shown["spec"]["template"]["spec"], real["spec"]["template"]["spec"]
    # Prefect's template has these two in the pod, where Kubernetes knows no such keys.
    assert (theirs.pop("completions"), theirs.pop("parallelism")) == (1, 1)
    kubernetes_validate.validate(real, KUBERNETES[-1], strict=True)
    [container], [its] = ours.pop("containers"), theirs.pop("containers")
    env, its_env = container.pop("env"), its.pop("env")
    assert all(each in its_env for each in env)
    assert (container, ours) == (its, theirs)
    for key in ("backoffLimit", "ttlSecondsAfterFinished"):
        assert shown["spec"].get(key) == real["spec"].get(key)
    assert shown["metadata"]["namespace"] == real["metadata"]["namespace"]
    assert shown["metadata"]["annotations"] == real["metadata"].get("annotations", {})
    assert shown["metadata"]["labels"].items() <= real["metadata"]["labels"].items()


def test_kubernetes_would_find_a_mistake() -> None:
    manifest = job_manifest(job_variables(target("kubernetes"), {}), "train")
    manifest["spec"]["template"]["spec"]["completions"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, KUBERNETES[-1], strict=True)
