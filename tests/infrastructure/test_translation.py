"""No resource is dropped on the way to a platform, and all problems are told at once."""

from typing import Any

import pytest
from hypothesis import given

from mlops_tasks.environment import TELEMETRY_OFF
from mlops_tasks.errors import SettingsError
from mlops_tasks.infrastructure.translation import (
    as_work_pool,
    job_variables,
    problems,
)
from mlops_tasks.settings.infrastructure import ComputeTarget, Kind, Resources
from tests.infrastructure.workers import KINDS, REGION, RESOURCES, target


@pytest.mark.parametrize("kind", KINDS)
@given(resources=RESOURCES)
def test_every_resource_is_rendered_or_a_problem(kind: Kind, resources: Resources) -> None:
    asked = target(kind, resources)
    found = problems(asked)
    if found:
        assert all(each.key.startswith("stack.compute.") and each.what for each in found)
        with pytest.raises(SettingsError) as caught:
            job_variables(asked, {})
        assert all(each.key in caught.value.what for each in found)
        return
    variables = job_variables(asked, {})
    assert variables == job_variables(asked, {})
    for name in resources.model_fields_set:
        unset = Resources.model_fields[name].default
        if getattr(resources, name) == unset:
            continue
        without = target(kind, resources.model_copy(update={name: unset}))
        if not problems(without):
            larger = kind == "vertex-ai" and name in ("cpu_cores", "memory_gib")
            assert larger or job_variables(without, {}) != variables, name


def test_only_a_platform_that_is_told_the_region_says_it_to_the_job() -> None:
    """Elsewhere a configuration would vouch for itself: the work pool's maker says it there."""
    says = {kind: job_variables(target(kind), {})["env"].get("MLOPS_REGION") for kind in KINDS}
    told = {"ecs", "cloud-run-v2", "vertex-ai"}
    assert says == {kind: REGION[kind] if kind in told else None for kind in KINDS}
    assert as_work_pool(target("process", region="eu"))["env"] == {}, "it inherits its worker's"
    for kind in KINDS[1:]:
        pool = as_work_pool(target(kind))
        assert pool == {"name": "pool", "type": kind, "env": {"MLOPS_REGION": REGION[kind]}}


@pytest.mark.parametrize("kind", KINDS)
def test_extra_is_merged_and_its_mistakes_are_problems(kind: Kind) -> None:
    own = target(kind).extra
    job = job_variables(
        target(kind, extra=own | {"labels": {"team": "air"}, "env": {"A": "b"}}), {}
    )
    assert job["labels"] == {"team": "air"}
    assert job["env"]["A"] == "b"
    assert TELEMETRY_OFF.items() <= job["env"].items()
    for extra, key in (
        ({"memroy": 1}, "memroy"),
        ({"env": ["A=b"]}, "env"),
        ({"env": {"MLFLOW_TRACKING_PASSWORD": "canary"}}, "env.MLFLOW_TRACKING_PASSWORD"),
        ({"env": {"URL": "https://ada:canary@example.org"}}, "env.URL"),
    ):
        [found] = problems(target(kind, extra=own | extra))
        assert found.key == f"stack.compute.extra.{key}"
        assert "canary" not in found.what
        with pytest.raises(SettingsError) as caught:
            job_variables(target(kind, extra=own | extra), {})
        assert "canary" not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_no_configuration_says_where_its_jobs_are(kind: Kind) -> None:
    own = target(kind).extra
    [found] = problems(target(kind, extra=own | {"env": {"MLOPS_REGION": "eu"}}))
    assert found.key == "stack.compute.extra.env.MLOPS_REGION"
    with pytest.raises(SettingsError, match="vouch for itself"):
        job_variables(target(kind), {"MLOPS_REGION": "eu"})


def test_mappings_are_put_together() -> None:
    resources = Resources(cpu_cores=2)
    more = {"container_create_kwargs": {"shm_size": "1g"}}
    variables = job_variables(target("docker", resources, extra=more), {})
    assert variables["container_create_kwargs"] == {"nano_cpus": 2 * 10**9, "shm_size": "1g"}
    more = {"container_create_kwargs": {"nano_cpus": 1}}
    [found] = problems(target("docker", resources, extra=more))
    assert found.key == "stack.compute.extra.container_create_kwargs"


def test_instances_of_ones_own_have_sizes_that_fargate_has_not() -> None:
    odd = Resources(cpu_cores=3, memory_gib=5)
    own = target("ecs").extra
    assert problems(target("ecs", odd))
    for more in (
        {"launch_type": "EC2"},
        {"capacity_provider_strategy": [{"capacityProvider": "mine", "weight": 1}]},
    ):
        assert problems(target("ecs", odd, extra=own | more)) == ()
    spot = {"capacity_provider_strategy": [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]}
    assert problems(target("ecs", odd, extra=own | spot))
    small = Resources(cpu_cores=0.01, memory_gib=0.001)
    found = problems(target("ecs", small, extra=own | {"launch_type": "EC2"}))
    assert [each.key for each in found] == [
        "stack.compute.resources.cpu_cores",
        "stack.compute.resources.memory_gib",
    ]


def test_a_task_definition_of_ones_own_takes_no_sizes() -> None:
    own = target("ecs").extra | {"task_definition_arn": "arn:aws:ecs:eu:1:task-definition/x:1"}
    found = problems(target("ecs", Resources(cpu_cores=1, memory_gib=2), extra=own))
    assert {each.key for each in found} == {"stack.compute.extra.task_definition_arn"}
    assert problems(target("ecs", extra=own, image="")) == ()


def test_what_is_said_twice_is_a_problem() -> None:
    asked = target("kubernetes", Resources(cpu_cores=2), extra={"cpu_limit": "4", "image": "i"})
    assert {each.key for each in problems(asked)} == {
        "stack.compute.extra.cpu_limit",
        "stack.compute.extra.image",
    }


def test_all_problems_are_told_at_once() -> None:
    everything = Resources(cpu_cores=3, memory_gib=1, gpu_count=1, gpu_kind="L4", max_hours=0.5)
    bad: dict[str, Any] = {"image": "", "region": "", "extra": {"nope": 1}}
    found = {each.key for each in problems(target("ecs", everything, **bad))}
    assert found == {
        f"stack.compute.{name}"
        for name in (
            "image",
            "region",
            "extra.nope",
            "resources.cpu_cores",
            "resources.gpu_count",
            "resources.gpu_kind",
            "resources.max_hours",
        )
    }


def test_the_local_default_has_no_problem() -> None:
    assert problems(ComputeTarget()) == ()
    assert job_variables(ComputeTarget(), {}) == {"env": TELEMETRY_OFF}


@pytest.mark.parametrize("kind", ["cloud-run-v2", "vertex-ai", "ecs"])
@pytest.mark.parametrize("region", ["", "local", "eu-central-1", "europe-west3-a"])
def test_a_region_that_the_platform_does_not_have_is_a_problem(kind: Kind, region: str) -> None:
    keys = {each.key for each in problems(target(kind, region=region))}
    assert keys == {"stack.compute.region"}


def test_a_cluster_that_does_not_say_where_it_is_is_a_problem() -> None:
    for cluster in ("mlops", "", "arn:aws:s3:::flights"):
        found = problems(target("ecs", extra={"cluster": cluster}))
        assert {each.key for each in found} == {"stack.compute.extra.cluster"}
