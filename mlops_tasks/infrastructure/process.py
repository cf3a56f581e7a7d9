"""A plain process: the machine's cores and memory are everybody's. Pure."""

from mlops_tasks.infrastructure.problem import (
    CPU,
    GPU,
    GPU_KIND,
    HOURS,
    MEMORY,
    Problem,
    Translation,
)
from mlops_tasks.settings.infrastructure import ComputeTarget

VARIABLES = frozenset({"stream_output", "working_dir"})


def translate(target: ComputeTarget) -> Translation:
    """No resource can be given to a process or kept from it: each that is asked is a problem."""
    asked = target.resources
    wanted = (
        (CPU, asked.cpu_cores, "its share of the cores"),
        (MEMORY, asked.memory_gib, "its memory"),
        (GPU, asked.gpu_count, "a GPU"),
        (GPU_KIND, asked.gpu_kind, "a kind of GPU"),
        (HOURS, asked.max_hours, "its time"),
    )
    return Translation(
        problems=tuple(
            Problem(key, f"a process worker cannot give or limit {what}; take a container platform")
            for key, value, what in wanted
            if value
        )
    )
