"""The shape of a project's configuration: every key, its type, its range and its default.

Frozen pydantic models that refuse unknown keys. How YAML files become these is `compose`'s affair.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mlops_tasks.settings.approval import ApprovalSettings, Stage
from mlops_tasks.settings.infrastructure import ComputeTarget, RunnerSettings, Storage, Tracking
from mlops_tasks.settings.monitoring import MonitoringSettings
from mlops_tasks.settings.residency import (
    Regions,
    ResidencyRule,
    allowed_regions,
    violations,
)
from mlops_tasks.settings.serving import ServingSettings
from mlops_tasks.settings.tuning import TuningSettings

Fraction = Annotated[float, Field(gt=0.0, lt=1.0)]
PRIMARY_METRICS = Literal["roc_auc", "average_precision", "log_loss", "brier_score", "accuracy"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SplitSettings(_Frozen):
    """How rows are divided into training and comparison set.

    `time` holds back the latest rows; `random` and `grouped` decide by a hash of the key or group,
    so a row stays on its side when data is added; `stratified` keeps the share of each class.
    """

    kind: Literal["time", "random", "stratified", "grouped"] = "time"
    comparison_fraction: Fraction = 0.25


class Window(_Frozen):
    """Rows with `start <= time < end`; an open end has no limit."""

    start: datetime | None = None
    end: datetime | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "Window":
        if self.start and self.end and self.start >= self.end:
            raise ValueError("start must be before end")
        return self


class DataSettings(_Frozen):
    """Where the rows are, what the columns mean, and where they may be processed.

    `classification` names the rule of `policy.residency` that holds for them. `max_bad_fraction` is
    the largest share of the window's rows that may break the contract; they are put aside.
    """

    path: str = Field(min_length=1)
    target: str = Field(min_length=1)
    time: str | None = None
    group: str | None = None
    exclude: tuple[str, ...] = ()
    classification: str = ""
    regions: tuple[str, ...] = ()
    window: Window = Window()
    split: SplitSettings = SplitSettings()
    max_bad_fraction: float = Field(default=0.0, ge=0.0, lt=1.0)

    @model_validator(mode="after")
    def _split_has_its_column(self) -> "DataSettings":
        if self.split.kind == "time" and self.time is None:
            raise ValueError("split.kind=time needs the name of the time column in `time`")
        if self.split.kind == "grouped" and self.group is None:
            raise ValueError("split.kind=grouped needs the name of the group column in `group`")
        if (self.window.start or self.window.end) and self.time is None:
            raise ValueError("a window needs the name of the time column in `time`")
        return self


class ModelSettings(_Frozen):
    """A name in the project's table of models, and that function's own parameters."""

    name: str = Field(min_length=1)
    params: dict[str, Any] = {}


class StackSettings(_Frozen):
    """Where work is tracked and results are kept. Any fsspec URI will do for store and predictions.

    `predictions` is where served models log their answers. `ledger` is the SQLAlchemy URL of the
    record of events, `anchor` where its checkpoints are kept (see `governance.anchors`),
    `key_folder` has the keys that sign models and checkpoints.
    """

    name: str = "local"
    stage: Stage = "dev"
    regions: Regions = Regions()
    compute: ComputeTarget = ComputeTarget()
    runner: RunnerSettings = RunnerSettings()
    tracking_uri: str = Field(min_length=1)
    artifact_root: str = Field(min_length=1)
    store: str = Field(min_length=1)
    predictions: str = Field(min_length=1)
    ledger: str = Field(min_length=1)
    anchor: str = Field(min_length=1)
    key_folder: str = Field(min_length=1)

    @property
    def storage(self) -> Storage:
        """Where data, models and predictions are kept."""
        return Storage(self.store, self.predictions, self.artifact_root)

    @property
    def tracking(self) -> Tracking:
        """Where runs and events are kept."""
        return Tracking(self.tracking_uri, self.ledger, self.anchor)

    @property
    def places(self) -> dict[str, str]:
        """Where data, models and scores are kept; ledger and anchor hold digests only."""
        names = ("tracking_uri", "artifact_root", "store", "predictions")
        return {f"stack.{name}": getattr(self, name) for name in names}


class EvaluationSettings(_Frozen):
    """What is measured, and how finely."""

    primary: PRIMARY_METRICS = "roc_auc"
    slices: tuple[str, ...] = ()
    bootstrap_samples: int = Field(default=500, ge=100, le=100_000)
    confidence: Fraction = 0.95
    calibration_bins: int = Field(default=10, ge=2, le=100)
    importance_repeats: int = Field(default=5, ge=2, le=100)


class PolicySettings(_Frozen):
    """What the gate asks of a candidate. Every limit that is set must be met.

    `thresholds` maps a metric to the worst value allowed (its better end of the interval does not
    count: the point estimate must meet it). `margin` is how much worse than the champion, in the
    primary metric, the lower end of the interval of the difference may be. `environment` says what
    becomes of a run in another environment than the locked one. `residency` says for each
    classification of data where it may be, see `settings.residency`.
    """

    minimum_rows: int = Field(default=1000, ge=1)
    minimum_positives: int = Field(default=50, ge=1)
    thresholds: dict[str, float] = {}
    slice_floor: float | None = None
    slice_minimum_rows: int = Field(default=200, ge=1)
    margin: float = Field(default=0.005, ge=0.0)
    maximum_latency_ms: float | None = Field(default=None, gt=0.0)
    maximum_size_mib: float | None = Field(default=None, gt=0.0)
    environment: Literal["warn", "refuse", "ignore"] = "warn"
    approval: ApprovalSettings = ApprovalSettings()
    residency: dict[str, ResidencyRule] = {}


class CardSettings(_Frozen):
    """What only people can say about a model; the card says where they have not said it."""

    intended_use: str = ""
    limits: str = ""
    owner: str = ""


class Settings(_Frozen):
    """One project's whole configuration, resolved."""

    project: str = Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$")
    seed: int = Field(ge=0, lt=2**32)
    data: DataSettings
    model: ModelSettings
    stack: StackSettings
    policy: PolicySettings = PolicySettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    serving: ServingSettings = ServingSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    tuning: TuningSettings = TuningSettings()
    card: CardSettings = CardSettings()

    @property
    def residency(self) -> ResidencyRule:
        """Where this project's data may be: its own declaration and the rule for it, together."""
        rule = self.policy.residency.get(self.data.classification, ResidencyRule())
        regions = allowed_regions(self.data, self.policy.residency)
        return rule.model_copy(update={"regions": regions})

    @property
    def misplaced(self) -> tuple[str, ...]:
        """All that the rules of residency forbid about this configuration, in sentences."""
        return violations(self.data, self.stack.regions, self.stack.places, self.policy.residency)

    @property
    def registered_model(self) -> str:
        """The name of this project's model in the registry, for the stage of its stack."""
        return registered_name(self.project, self.stack.stage)


def registered_name(project: str, stage: Stage) -> str:
    """`flight-delay` where it is developed, `flight-delay.prod` where it answers customers."""
    return project if stage == "dev" else f"{project}.{stage}"
