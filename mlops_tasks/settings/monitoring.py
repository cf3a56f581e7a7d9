"""The shape of the rules of monitoring: when a difference is drift, when drift starts a training.

Nothing is computed here.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0.0, le=1.0)]
NumberEffect = Literal["psi", "jensen_shannon", "kolmogorov_smirnov", "wasserstein"]
CategoryEffect = Literal["psi", "jensen_shannon", "cramers_v"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DriftRules(_Frozen):
    """A column has drifted if it is significant and its effect is larger than the limit.

    `significance` is the false discovery rate over all questions asked of one window. Below
    `minimum_rows`, in the window or in the reference, nothing is said. A window has drifted if the
    share of judged columns that have is at least `drifted_share`, or if one of `critical` has, or
    if the domain classifier separates window and reference by more than `auc_limit`.
    """

    significance: float = Field(default=0.05, gt=0.0, lt=1.0)
    minimum_rows: int = Field(default=200, ge=2)
    number_effect: NumberEffect = "psi"
    number_limit: float = Field(default=0.1, ge=0.0)
    category_effect: CategoryEffect = "psi"
    category_limit: float = Field(default=0.1, ge=0.0)
    missing_limit: Share = 0.05
    drifted_share: float = Field(default=0.2, gt=0.0, le=1.0)
    critical: tuple[str, ...] = ()
    auc_limit: float = Field(default=0.6, ge=0.5, le=1.0)


class TriggerRules(_Frozen):
    """Retrain if `drifted_windows` of the last `of_windows`, and the latest, have drifted.

    Not sooner than `cool_down_hours` after the last retraining that was started, and at most
    `budget` in any `budget_days`.
    """

    drifted_windows: int = Field(default=2, ge=1)
    of_windows: int = Field(default=3, ge=1, le=1_000)
    cool_down_hours: float = Field(default=24.0, ge=0.0, le=87_600.0)
    budget: int = Field(default=2, ge=0)
    budget_days: float = Field(default=7.0, gt=0.0, le=3_650.0)

    @model_validator(mode="after")
    def _can_be_met(self) -> "TriggerRules":
        if self.drifted_windows > self.of_windows:
            raise ValueError("drifted_windows cannot be more than of_windows")
        return self


class MonitoringSettings(_Frozen):
    """How live traffic is watched, in windows of `window_hours`.

    A retraining learns from the `retrain_days` before the window that caused it, or from all rows
    where that is null. `minimum_labels` is what a realised figure takes.
    """

    window_hours: float = Field(default=24.0, gt=0.0)
    minimum_labels: int = Field(default=200, ge=2)
    retrain_days: float | None = Field(default=None, gt=0.0)
    drift: DriftRules = DriftRules()
    trigger: TriggerRules = TriggerRules()
