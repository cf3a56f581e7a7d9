"""Docker containers: cores and memory are limits, GPUs are device requests. Pure.

Units: cores in billionths (`nano_cpus`), memory in bytes.
"""

from typing import Any

from mlops_tasks.infrastructure.problem import GPU_KIND, HOURS, MEMORY, Problem, Translation
from mlops_tasks.infrastructure.quantities import BYTES_IN_GIB, scaled_up
from mlops_tasks.settings.infrastructure import ComputeTarget

VARIABLES = frozenset(
    {
        "image", "registry_credentials", "image_pull_policy", "networks", "network_mode",
        "auto_remove", "volumes", "stream_output", "mem_limit", "memswap_limit", "privileged",
        "container_create_kwargs",
    }
)  # fmt: skip
LEAST_BYTES = 6 << 20  # what dockerd asks for


def translate(target: ComputeTarget) -> Translation:
    """Cores and GPUs have no variable of their own: they are arguments of the container."""
    asked = target.resources
    variables: dict[str, Any] = {}
    arguments: dict[str, Any] = {}
    problems = []
    if asked.cpu_cores is not None:
        arguments["nano_cpus"] = scaled_up(asked.cpu_cores, 10**9)
    if asked.memory_gib is not None:
        size = scaled_up(asked.memory_gib, BYTES_IN_GIB)
        variables["mem_limit"] = f"{size}b"
        if size < LEAST_BYTES:
            problems.append(Problem(MEMORY, "Docker refuses less than 6 MiB"))
    if asked.gpu_count:
        arguments["device_requests"] = [{"count": asked.gpu_count, "capabilities": [["gpu"]]}]
    if asked.gpu_kind:
        problems.append(Problem(GPU_KIND, "Docker counts GPUs and does not choose among kinds"))
    if asked.max_hours is not None:
        problems.append(Problem(HOURS, "the Docker worker has no limit of time"))
    if arguments:
        variables["container_create_kwargs"] = arguments
    return Translation(variables, tuple(problems))
