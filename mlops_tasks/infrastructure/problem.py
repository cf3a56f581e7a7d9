"""What a platform makes of a target: variables, and what it cannot do, each with its key."""

from dataclasses import dataclass, field
from typing import Any

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
