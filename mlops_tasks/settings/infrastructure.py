"""Where work runs: what it needs, on which platform, and how a flow spreads its steps.

Written once in `conf/stack/*.yaml`, for every platform in the same words. What each platform makes
of them is `infrastructure`'s affair.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal[
    "process",
    "docker",
    "kubernetes",
    "ecs",
    "cloud-run-v2",
    "vertex-ai",
    "azure-container-instance",
]
Positive = Annotated[float, Field(gt=0.0)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Resources(_Frozen):
    """What one flow run may use. None: whatever the platform gives."""

    cpu_cores: Positive | None = None
    memory_gib: Positive | None = None
    gpu_count: int = Field(default=0, ge=0)
    gpu_kind: str = ""
    max_hours: Positive | None = None


class ComputeTarget(_Frozen):
    """The platform that flow runs are sent to, under the type name of Prefect's worker for it.

    `region` is the platform's own name of it. `extra` holds job variables that only this platform
    has; one that it does not know is an error.
    """

    kind: Kind = "process"
    work_pool: str = Field(default="local", min_length=1)
    region: str = ""
    image: str = ""
    resources: Resources = Resources()
    extra: dict[str, Any] = {}


class RunnerSettings(_Frozen):
    """Who runs the steps of a flow: threads of its process, a Dask cluster or a Ray cluster.

    `address` is that of a running cluster; without one, `workers` processes are started here.
    """

    kind: Literal["threads", "dask", "ray"] = "threads"
    address: str = ""
    workers: int = Field(default=2, ge=1)


@dataclass(frozen=True, slots=True)
class Storage:
    """Where a stack keeps data and what is made of it; any fsspec URI."""

    store: str
    predictions: str
    artifact_root: str


@dataclass(frozen=True, slots=True)
class Tracking:
    """Where a stack keeps its runs, its models' names and the record of who did what."""

    uri: str
    ledger: str
    anchor: str
