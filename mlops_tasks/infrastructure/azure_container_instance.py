"""Azure Container Instances. Pure.

Units: cores to a tenth, memory in GB (10**9 bytes) to a tenth, both rounded up. The region is that
of the resource group: no variable says it, the work pool does.
"""

from decimal import ROUND_CEILING, Decimal
from typing import Any

from mlops_tasks.infrastructure.problem import (
    EXTRA,
    GPU,
    GPU_KIND,
    HOURS,
    Problem,
    Translation,
)  # fmt: skip
from mlops_tasks.infrastructure.quantities import decimal_gigabytes, exact
from mlops_tasks.settings.infrastructure import ComputeTarget

VARIABLES = frozenset(
    {
        "image", "resource_group_name", "subscription_id", "identities", "entrypoint",
        "image_registry", "cpu", "gpu_count", "gpu_sku", "memory", "subnet_ids", "dns_servers",
        "aci_credentials", "stream_output", "task_start_timeout_seconds",
        "task_watch_poll_interval", "keep_container_group",
    }
)  # fmt: skip
REQUIRED = ("resource_group_name", "subscription_id")
NOT_USED = "the worker takes the variable and puts it nowhere in the container group"


def translate(target: ComputeTarget) -> Translation:
    """Cores and memory. The worker's variables for GPUs have no effect; there is none for time."""
    asked = target.resources
    variables: dict[str, Any] = {}
    problems = []
    if asked.cpu_cores is not None:
        variables["cpu"] = float(exact(asked.cpu_cores).quantize(Decimal("0.1"), ROUND_CEILING))
    if asked.memory_gib is not None:
        variables["memory"] = decimal_gigabytes(asked.memory_gib)
    if asked.gpu_count:
        problems.append(Problem(GPU, NOT_USED))
    if asked.gpu_kind:
        problems.append(Problem(GPU_KIND, NOT_USED))
    problems += [
        Problem(f"{EXTRA}.{name}", NOT_USED) for name in ("gpu_count", "gpu_sku")
        if name in target.extra
    ]  # fmt: skip
    if asked.max_hours is not None:
        problems.append(Problem(HOURS, "the worker has no limit of time"))
    problems += [
        Problem(f"{EXTRA}.{name}", "missing: the worker asks for it")
        for name in REQUIRED
        if not target.extra.get(name)
    ]
    return Translation(variables, tuple(problems))
