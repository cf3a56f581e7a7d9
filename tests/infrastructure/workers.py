"""The real workers of the installed integrations: their variables, and what becomes of them."""

import asyncio
import importlib
import json
from functools import cache
from typing import Any, get_args

import jsonschema
from hypothesis import strategies as st

from mlops_tasks.settings.infrastructure import ComputeTarget, Kind, Resources

KINDS: tuple[Kind, ...] = get_args(Kind)
WORKERS = {
    "process": ("prefect.workers.process", "ProcessWorker"),
    "docker": ("prefect_docker.worker", "DockerWorker"),
    "kubernetes": ("prefect_kubernetes.worker", "KubernetesWorker"),
    "ecs": ("prefect_aws.workers.ecs_worker", "ECSWorker"),
    "cloud-run-v2": ("prefect_gcp.workers.cloud_run_v2", "CloudRunWorkerV2"),
    "vertex-ai": ("prefect_gcp.workers.vertex", "VertexAIWorker"),
    "azure-container-instance": (
        "prefect_azure.workers.container_instance",
        "AzureContainerWorker",
    ),
}
GOOGLE = "europe-west3"
REGION: dict[str, str] = dict.fromkeys(KINDS, "eu") | {
    "process": "",
    "cloud-run-v2": GOOGLE,
    "vertex-ai": GOOGLE,
}
ECS_CLUSTER = "arn:aws:ecs:eu:123456789012:cluster/mlops"
# what each platform needs besides resources
EXTRA: dict[str, dict[str, Any]] = {
    "ecs": {"cluster": ECS_CLUSTER},
    "azure-container-instance": {"resource_group_name": "mlops", "subscription_id": "0" * 8},
    "vertex-ai": {"service_account_name": "mlops@example.iam.gserviceaccount.com"},
}

CORES = st.one_of(
    st.sampled_from([0.25, 0.5, 1, 2, 4, 6, 8, 16]),
    st.floats(0.001, 400, allow_nan=False),
)
MEMORY = st.one_of(
    st.sampled_from([0.5, 1, 2, 4, 8, 12, 16, 30]), st.floats(0.0001, 900, allow_nan=False)
)
RESOURCES = st.builds(
    Resources,
    cpu_cores=st.none() | CORES,
    memory_gib=st.none() | MEMORY,
    gpu_count=st.integers(0, 9),
    gpu_kind=st.sampled_from(["", "", "NVIDIA_TESLA_T4", "NVIDIA_L4"]),
    max_hours=st.none() | st.sampled_from([1, 2.0, 24]) | st.floats(1e-6, 400, allow_nan=False),
)


def worker(kind: str) -> Any:
    module, name = WORKERS[kind]
    return getattr(importlib.import_module(module), name)


@cache
def template(kind: str) -> dict[str, Any]:
    return json.loads(json.dumps(worker(kind).get_default_base_job_template()))


@cache
def strict_schema(kind: str) -> jsonschema.protocols.Validator:
    """The schema of a worker's variables; a name that it does not know is an error."""
    schema = template(kind)["variables"] | {"additionalProperties": False}
    return jsonschema.Draft202012Validator(schema)


def valid(kind: str, variables: dict[str, Any]) -> None:
    strict_schema(kind).validate(json.loads(json.dumps(variables)))


def configured(kind: str, variables: dict[str, Any]) -> Any:
    """What the worker itself makes of the variables."""
    configuration = worker(kind).job_configuration
    values = json.loads(json.dumps(variables))
    return asyncio.run(configuration.from_template_and_values(template(kind), values))


def target(kind: Kind, resources: Resources | None = None, **more: Any) -> ComputeTarget:
    """A target that has everything besides resources that its platform needs."""
    given: dict[str, Any] = {
        "kind": kind,
        "work_pool": "pool",
        "region": REGION[kind],
        "image": "" if kind == "process" else "registry.example/flight-delay:1",
        "resources": resources or Resources(),
        "extra": EXTRA.get(kind, {}),
    }
    return ComputeTarget(**given | more)
