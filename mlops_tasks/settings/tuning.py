"""The shape of a search for better parameters: how long, judged how, and between which ends.

What a study makes of it is `tuning`'s affair.
"""

from pydantic import BaseModel, ConfigDict, Field, model_validator

Number = int | float


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Dimension(_Frozen):
    """What one parameter may be: a number from `low` to `high`, both included, or one of `choices`.

    Whole numbers if both ends are written as whole numbers (`1`, not `1.0`). `log` spreads the
    trials over orders of magnitude; `step` keeps to multiples above `low`.
    """

    low: Number | None = None
    high: Number | None = None
    log: bool = False
    step: Number | None = Field(default=None, gt=0)
    choices: tuple[bool | int | float | str | None, ...] = ()

    @model_validator(mode="after")
    def _one_kind(self) -> "Dimension":
        if self.choices:
            if self.low is not None or self.high is not None or self.log or self.step:
                raise ValueError("either `choices`, or `low` and `high`")
            return self
        if self.low is None or self.high is None:
            raise ValueError("needs `low` and `high`, or `choices`")
        if self.low >= self.high:
            raise ValueError("`low` must be below `high`")
        if self.log and self.low <= 0:
            raise ValueError("`log` needs a `low` above 0")
        if self.log and self.step:
            raise ValueError("`log` and `step` do not go together")
        if self.whole and isinstance(self.step, float) and not self.step.is_integer():
            raise ValueError("whole numbers need a whole `step`")
        return self

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def first(self) -> bool | Number | str | None:
        """One value that is allowed."""
        return self.choices[0] if self.choices else self.low


class TuningSettings(_Frozen):
    """How parameters are looked for.

    `trials` is how many sets of parameters are tried, `folds` in how many parts of the training
    rows each is judged. A trial whose process has given no sign of life for `grace_seconds` is done
    again by another. `spaces` has, for each model, the parameters that are varied.
    """

    trials: int = Field(default=32, ge=1, le=100_000)
    folds: int = Field(default=3, ge=1, le=50)
    grace_seconds: int = Field(default=60, ge=2)
    spaces: dict[str, dict[str, Dimension]] = {}
