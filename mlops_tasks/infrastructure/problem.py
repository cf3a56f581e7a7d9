"""What a platform makes of a target: variables, and what it cannot do, each with its key."""

from dataclasses import dataclass, field
from typing import Any

from mlops_tasks.settings.infrastructure import Resources

COMPUTE = "stack.compute"
RESOURCES = f"{COMPUTE}.resources"
CPU = f"{RESOURCES}.cpu_cores"
MEMORY = f"{RESOURCES}.memory_gib"
GPU = f"{RESOURCES}.gpu_count"
GPU_KIND = f"{RESOURCES}.gpu_kind"
HOURS = f"{RESOURCES}.max_hours"
REGION = f"{COMPUTE}.region"
IMAGE = f"{COMPUTE}.image"
EXTRA = f"{COMPUTE}.extra"
OBSERVED = "MLOPS_REGION"  # what tells a process where it is, see `governance.residency`


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that has to be put right: a key of the configuration and a sentence about it."""

    key: str
    what: str


@dataclass(frozen=True, slots=True)
class Translation:
    """A target in a platform's words.

    `region` is where the platform will run the job because these variables say so; empty where
    they do not decide it.
    """

    variables: dict[str, Any] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    region: str = ""


def without_variable(worker: str, asked: Resources, *keys: str) -> list[Problem]:
    """What is asked for under some keys of a worker that has no variable for it."""
    known = {
        GPU: (asked.gpu_count, "a GPU"),
        GPU_KIND: (asked.gpu_kind, "a kind of GPU"),
        HOURS: (asked.max_hours, "a limit of time"),
    }
    return [
        Problem(key, f"the {worker} worker has no variable for {what}")
        for key, (value, what) in known.items()
        if key in keys and value
    ]
