"""Google Vertex AI custom jobs. Pure.

A job gets a machine, not cores and memory: the smallest one of the N1 series that has both, or the
one that `extra.machine_type` names. Units: memory of machines in GB (10**9 bytes), time in hours.
"""

from mlops_tasks.infrastructure.google import google_region
from mlops_tasks.infrastructure.problem import (
    CPU,
    EXTRA,
    GPU,
    GPU_KIND,
    HOURS,
    MEMORY,
    Problem,
    Translation,
)
from mlops_tasks.infrastructure.quantities import BYTES_IN_GIB, exact
from mlops_tasks.settings.infrastructure import ComputeTarget, Resources

VARIABLES = frozenset(
    {
        "region", "image", "credentials", "machine_type", "accelerator_type", "accelerator_count",
        "boot_disk_type", "boot_disk_size_gb", "maximum_run_time_hours", "network",
        "reserved_ip_ranges", "scheduling", "service_account_name", "enable_web_access",
        "enable_dashboard_access", "job_watch_poll_interval",
    }
)  # fmt: skip
# GB per core of a series, and the cores that its machines have
SERIES = {
    "n1-highcpu": (0.9, (16, 32, 64, 96)),
    "n1-standard": (3.75, (4, 8, 16, 32, 64, 96)),
    "n1-highmem": (6.5, (2, 4, 8, 16, 32, 64, 96)),
}
MACHINES = sorted(
    (cores, cores * memory, f"{series}-{cores}")
    for series, (memory, sizes) in SERIES.items()
    for cores in sizes
)
# what can be attached to N1, and how many of it; other GPUs come with a machine type of their own
ATTACHABLE = {
    "NVIDIA_TESLA_P4": (1, 2, 4),
    "NVIDIA_TESLA_P100": (1, 2, 4),
    "NVIDIA_TESLA_T4": (1, 2, 4),
    "NVIDIA_TESLA_V100": (1, 2, 4, 8),
}


def translate(target: ComputeTarget) -> Translation:
    """Machine, accelerators, time and region."""
    asked = target.resources
    variables, problems = google_region(target.region, "Vertex AI has no default region")
    if asked.cpu_cores is not None or asked.memory_gib is not None:
        machine = smallest_machine(asked)
        variables["machine_type"] = machine
        if not machine:
            enough_memory = smallest_machine(Resources(memory_gib=asked.memory_gib))
            what = "no machine of the N1 series has as many cores and as much memory"
            problems.append(Problem(CPU if enough_memory else MEMORY, what))
    if asked.gpu_count:
        variables["accelerator_count"] = asked.gpu_count
    if asked.gpu_kind:
        variables["accelerator_type"] = asked.gpu_kind
    problems += _gpu_problems(asked, named="machine_type" in target.extra)
    if asked.max_hours is not None:
        variables["maximum_run_time_hours"] = int(asked.max_hours)
        if asked.max_hours != int(asked.max_hours):
            problems.append(Problem(HOURS, "the Vertex AI worker counts in whole hours"))
    return Translation(variables, tuple(problems), target.region)


def smallest_machine(asked: Resources) -> str:
    """The machine with the fewest cores, then the least memory, that has enough of both.

    Examples
    --------
    >>> smallest_machine(Resources(cpu_cores=3, memory_gib=20))
    'n1-highmem-4'

    Returns
    -------
    str
        Empty if no machine is large enough.
    """
    cores = asked.cpu_cores or 0
    memory = exact(asked.memory_gib or 0.0) * BYTES_IN_GIB / 10**9
    enough = (name for has, gb, name in MACHINES if has >= cores and exact(gb) >= memory)
    return next(enough, "")


def _gpu_problems(asked: Resources, *, named: bool) -> list[Problem]:
    if not asked.gpu_count and not asked.gpu_kind:
        return []
    if not asked.gpu_kind:
        return [Problem(GPU_KIND, f"empty: Vertex AI asks for one, {', '.join(ATTACHABLE)}, …")]
    if not asked.gpu_count:
        return [Problem(GPU, f"0, and gpu_kind names {asked.gpu_kind}")]
    if named:
        return []
    if asked.gpu_kind not in ATTACHABLE:
        own = f"{asked.gpu_kind} comes with a machine type of its own: name it"
        return [Problem(f"{EXTRA}.machine_type", own)]
    counts = ATTACHABLE[asked.gpu_kind]
    if asked.gpu_count not in counts:
        return [Problem(GPU, f"N1 takes {', '.join(map(str, counts))} of {asked.gpu_kind}")]
    return []
