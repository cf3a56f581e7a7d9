"""Tasks on Amazon ECS. Pure.

Units: cores in 1024ths (`cpu`), memory in MiB. On Fargate only certain pairs exist; what is missing
in a pair is what the worker takes for it. The region is that of the cluster's ARN: the worker has
no variable for it, and its credentials may say another.
"""

from typing import Any

from mlops_tasks.infrastructure.problem import (
    CPU,
    EXTRA,
    GPU,
    GPU_KIND,
    HOURS,
    MEMORY,
    REGION,
    Problem,
    Translation,
    without_variable,
)
from mlops_tasks.infrastructure.quantities import MIB_IN_GIB, scaled_up
from mlops_tasks.settings.infrastructure import ComputeTarget

VARIABLES = frozenset(
    {
        "task_definition_arn", "aws_credentials", "cluster", "family", "launch_type",
        "capacity_provider_strategy", "image", "cpu", "memory", "container_name",
        "prefect_api_key_secret_arn", "prefect_api_auth_string_secret_arn", "task_role_arn",
        "execution_role_arn", "vpc_id", "configure_cloudwatch_logs", "cloudwatch_logs_options",
        "cloudwatch_logs_prefix", "network_configuration", "auto_deregister_task_definition",
        "match_latest_revision_in_family",
    }
)  # fmt: skip
UNITS = 1024
GIB = 1024
# cpu units: the memory in MiB that Fargate has with them
FARGATE: dict[int, tuple[int, ...]] = {
    256: (512, 1024, 2048),
    512: tuple(range(1 * GIB, 4 * GIB + 1, GIB)),
    1024: tuple(range(2 * GIB, 8 * GIB + 1, GIB)),
    2048: tuple(range(4 * GIB, 16 * GIB + 1, GIB)),
    4096: tuple(range(8 * GIB, 30 * GIB + 1, GIB)),
    8192: tuple(range(16 * GIB, 60 * GIB + 1, 4 * GIB)),
    16384: tuple(range(32 * GIB, 120 * GIB + 1, 8 * GIB)),
}
WORKERS_CPU, WORKERS_MEMORY = 1024, 2048
LEAST_CPU, LEAST_MEMORY = 128, 6  # on instances of one's own


def translate(target: ComputeTarget) -> Translation:
    """Cores and memory; GPUs and a limit of time have no variable."""
    asked = target.resources
    variables: dict[str, Any] = {}
    if asked.cpu_cores is not None:
        variables["cpu"] = scaled_up(asked.cpu_cores, UNITS)
    if asked.memory_gib is not None:
        variables["memory"] = scaled_up(asked.memory_gib, MIB_IN_GIB)
    problems = without_variable("ECS", asked, GPU, GPU_KIND, HOURS)
    problems += _size_problems(target, variables) + _ignored(target, variables)
    where, region_problems = _region(target)
    return Translation(variables, (*problems, *region_problems), where)


def _size_problems(target: ComputeTarget, variables: dict[str, Any]) -> list[Problem]:
    if not variables:
        return []
    if not _on_fargate(target):
        found = []
        if variables.get("cpu", LEAST_CPU) < LEAST_CPU:
            found.append(Problem(CPU, "ECS refuses less than 0.125 cores"))
        if variables.get("memory", LEAST_MEMORY) < LEAST_MEMORY:
            found.append(Problem(MEMORY, "ECS refuses less than 6 MiB"))
        return found
    cpu, memory = variables.get("cpu", WORKERS_CPU), variables.get("memory", WORKERS_MEMORY)
    if cpu not in FARGATE:
        sizes = ", ".join(f"{each / UNITS:g}" for each in FARGATE)
        return [Problem(CPU, f"Fargate has {sizes} cores and nothing between")]
    if memory not in FARGATE[cpu]:
        sizes = ", ".join(f"{each / MIB_IN_GIB:g}" for each in FARGATE[cpu])
        with_cores = f"with {cpu / UNITS:g} cores, and this is {memory / MIB_IN_GIB:g}"
        return [Problem(MEMORY, f"Fargate has {sizes} GiB {with_cores}")]
    return []


def _ignored(target: ComputeTarget, variables: dict[str, Any]) -> list[Problem]:
    if not target.extra.get("task_definition_arn"):
        return []
    key = f"{EXTRA}.task_definition_arn"
    return [
        Problem(key, f"a task definition of one's own is taken as it is: {name} would be ignored")
        for name in (*variables, *(["image"] if target.image else []))
    ]


def _on_fargate(target: ComputeTarget) -> bool:
    """A strategy of capacity providers, where there is one, takes the place of the launch type."""
    strategy = target.extra.get("capacity_provider_strategy") or ()
    names = [str(each.get("capacityProvider", "")) for each in strategy if isinstance(each, dict)]
    names = names or [str(target.extra.get("launch_type", "FARGATE"))]
    return any(name.startswith("FARGATE") for name in names)


def _region(target: ComputeTarget) -> tuple[str, list[Problem]]:
    if not target.region:
        return "", [Problem(REGION, "empty: nobody has said where the tasks run")]
    cluster = str(target.extra.get("cluster", ""))
    parts = cluster.split(":")
    if len(parts) < 6 or parts[0] != "arn" or parts[2] != "ecs":
        return "", [
            Problem(
                f"{EXTRA}.cluster",
                "not an ARN: only arn:aws:ecs:REGION:ACCOUNT:cluster/NAME says where it is",
            )
        ]
    if parts[3] != target.region:
        return "", [Problem(REGION, f"{target.region!r}, and the cluster is in {parts[3]!r}")]
    return target.region, []
