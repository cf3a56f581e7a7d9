"""What the installed workers themselves make of rendered variables: the job that would start."""

import uuid
from typing import Any

import pytest

from mlops_tasks.environment import TELEMETRY_OFF
from mlops_tasks.infrastructure.translation import job_variables
from mlops_tasks.settings.infrastructure import Kind, Resources
from tests.infrastructure.workers import GOOGLE, KINDS, configured, target, worker

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("google")]
MIDDLE = Resources(cpu_cores=2, memory_gib=4)
ENVIRONMENT = {"MLOPS_BUCKET": "s3://flights"}


def flow_run() -> Any:
    from prefect.client.schemas.objects import FlowRun

    return FlowRun(id=uuid.uuid4(), flow_id=uuid.uuid4(), name="run")


def prepared(kind: Kind, resources: Resources = MIDDLE, **more: Any) -> Any:
    """A worker's configuration, prepared for a flow run."""
    job = configured(kind, job_variables(target(kind, resources, **more), ENVIRONMENT))
    job.prepare_for_flow_run(flow_run())
    return job


def test_docker_gives_the_engine_cores_memory_and_gpus() -> None:
    from docker.types import HostConfig

    resources = Resources(cpu_cores=1.5, memory_gib=0.5, gpu_count=2)
    job = prepared("docker", resources)
    arguments = job.container_create_kwargs
    host = HostConfig(version="1.47", mem_limit=job.mem_limit, **arguments)
    assert host["Memory"] == 512 * 2**20
    assert host["NanoCpus"] == 1_500_000_000
    [request] = host["DeviceRequests"]
    assert (request["Count"], request["Capabilities"]) == (2, [["gpu"]])


def test_ecs_places_the_size_in_the_task_definition() -> None:
    job = prepared("ecs")
    assert job.task_definition["cpu"] == 2048
    assert job.task_definition["memory"] == 4096
    assert job.task_definition["containerDefinitions"][0]["image"].endswith("flight-delay:1")
    assert job.cluster.split(":")[3] == "eu"
    registered = worker("ecs")("pool")._prepare_task_definition(
        job, region="eu", flow_run=flow_run()
    )
    assert (registered["cpu"], registered["memory"]) == ("2048", "4096")
    assert registered["requiresCompatibilities"] == ["FARGATE"]


def test_cloud_run_places_size_time_and_region_in_the_job_body() -> None:
    job = prepared("cloud-run-v2", Resources(cpu_cores=2, memory_gib=1.5, max_hours=0.25))
    task = job.job_body["template"]["template"]
    [container] = task["containers"]
    assert container["resources"]["limits"] == {"cpu": "2", "memory": "1536Mi"}
    assert task["timeout"] == "900s"
    assert job.region == GOOGLE
    assert {"name": "MLOPS_REGION", "value": GOOGLE} in container["env"]


def test_vertex_places_machine_accelerator_and_time_in_the_job_spec() -> None:
    resources = Resources(
        cpu_cores=5, memory_gib=40, gpu_count=2, gpu_kind="NVIDIA_TESLA_T4", max_hours=3
    )
    job = prepared("vertex-ai", resources)
    [pool] = job.job_spec["worker_pool_specs"]
    assert pool["machine_spec"] == {
        "machine_type": "n1-highmem-8",
        "accelerator_type": "NVIDIA_TESLA_T4",
        "accelerator_count": 2,
    }
    assert job.job_spec["maximum_run_time_hours"] == 3
    assert job.region == GOOGLE
    assert {"name": "MLOPS_REGION", "value": GOOGLE} in pool["container_spec"]["env"]


def test_azure_places_the_size_in_the_container_group() -> None:
    job = prepared("azure-container-instance", Resources(cpu_cores=1.25, memory_gib=4))
    [group] = job.arm_template["resources"]
    [container] = group["properties"]["containers"]
    requests = container["properties"]["resources"]["requests"]
    assert requests == {"cpu": 1.3, "memoryInGB": 4.3}


def test_azure_has_variables_for_gpus_and_uses_them_nowhere() -> None:
    """Why a GPU is a problem there. If this fails, the integration has learnt it: render it."""
    extra = target("azure-container-instance").extra
    variables = job_variables(target("azure-container-instance", extra=extra), {})
    job = configured("azure-container-instance", variables | {"gpu_count": 1, "gpu_sku": "V100"})
    assert "V100" not in str(job.arm_template)
    assert "gpu" not in str(job.arm_template).lower()


def test_a_process_gets_the_environment_and_nothing_else() -> None:
    job = configured("process", job_variables(target("process"), ENVIRONMENT))
    assert ENVIRONMENT.items() <= job.env.items()
    assert "MLOPS_REGION" not in job.env, "the worker's own environment says it"


@pytest.mark.parametrize("kind", KINDS)
def test_image_and_environment_reach_the_job(kind: Kind) -> None:
    asked = target(kind)
    job = configured(kind, job_variables(asked, ENVIRONMENT))
    assert (TELEMETRY_OFF | ENVIRONMENT).items() <= job.env.items()
    assert asked.image in str(job)
