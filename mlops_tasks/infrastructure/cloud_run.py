"""Google Cloud Run jobs. Pure.

Units: cores as a Kubernetes quantity, memory in MiB, time in seconds. Cloud Run has whole numbers
of cores, and bounds the memory by them.
"""

from mlops_tasks.infrastructure.google import google_region
from mlops_tasks.infrastructure.problem import (
    CPU,
    GPU,
    GPU_KIND,
    HOURS,
    MEMORY,
    Problem,
    Translation,
    without_variable,
)
from mlops_tasks.infrastructure.quantities import (
    MIB_IN_GIB,
    binary_memory,
    kubernetes_cpu,
    scaled_up,
    whole_seconds,
)
from mlops_tasks.settings.infrastructure import ComputeTarget

VARIABLES = frozenset(
    {
        "credentials", "region", "image", "args", "env_from_secrets", "prefect_api_key_secret",
        "prefect_api_auth_string_secret", "cloudsql_instances", "keep_job", "launch_stage",
        "max_retries", "cpu", "memory", "timeout", "vpc_connector_name", "service_account_name",
    }
)  # fmt: skip
# cores: the least and the most memory in MiB with them
SIZES = {
    1: (512, 4 * MIB_IN_GIB),
    2: (512, 8 * MIB_IN_GIB),
    4: (2 * MIB_IN_GIB, 16 * MIB_IN_GIB),
    6: (4 * MIB_IN_GIB, 24 * MIB_IN_GIB),
    8: (4 * MIB_IN_GIB, 32 * MIB_IN_GIB),
}
WORKERS_CORES, WORKERS_MEMORY = 1, 512
LONGEST_SECONDS = 7 * 24 * 3600


def translate(target: ComputeTarget) -> Translation:
    """Cores, memory, time and region; the worker has no variable for GPUs."""
    asked = target.resources
    variables, in_region = google_region(target.region, "the worker would take us-central1")
    problems = without_variable("Cloud Run", asked, GPU, GPU_KIND) + in_region
    if asked.cpu_cores is not None:
        variables["cpu"] = kubernetes_cpu(asked.cpu_cores)
    if asked.memory_gib is not None:
        variables["memory"] = binary_memory(asked.memory_gib)
    if asked.max_hours is not None:
        seconds = whole_seconds(asked.max_hours)
        variables["timeout"] = seconds
        if not 1 <= seconds <= LONGEST_SECONDS:
            problems.append(Problem(HOURS, "Cloud Run takes from one second to 168 hours"))
    problems += _size_problems(asked.cpu_cores, asked.memory_gib)
    return Translation(variables, tuple(problems), target.region)


def _size_problems(cores: float | None, memory_gib: float | None) -> list[Problem]:
    if cores is None and memory_gib is None:
        return []
    number = WORKERS_CORES if cores is None else cores
    if number not in SIZES:
        sizes = ", ".join(map(str, SIZES))
        return [Problem(CPU, f"jobs of Cloud Run have {sizes} cores and nothing between")]
    memory = WORKERS_MEMORY if memory_gib is None else scaled_up(memory_gib, MIB_IN_GIB)
    least, most = SIZES[int(number)]
    if least <= memory <= most:
        return []
    bounds = f"{least / MIB_IN_GIB:g} to {most / MIB_IN_GIB:g} GiB with {number:g} cores"
    return [Problem(MEMORY, f"Cloud Run has {bounds}, and this is {memory / MIB_IN_GIB:g}")]
