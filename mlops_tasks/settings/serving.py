"""The shape of what a served model keeps of its answers, and for how long."""

from pydantic import BaseModel, ConfigDict, Field


class LogSettings(BaseModel):
    """The prediction log.

    An answer is given only after its record was handed to the operating system, so a killed server
    loses none; `sync_seconds` is how much a machine that loses its power may lose (0: nothing, each
    answer waits for the disk). Every `roll_seconds` the journal becomes Parquet. Features in `drop`
    are not kept, those in `hashed` only as keyed digests. `retention_days` is what
    `mlops log retire` deletes by; null keeps everything.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    sync_seconds: float = Field(default=1.0, ge=0.0, le=3600.0)
    roll_seconds: float = Field(default=60.0, gt=0.0, le=86_400.0)
    roll_rows: int = Field(default=100_000, ge=1)
    drop: tuple[str, ...] = ()
    hashed: tuple[str, ...] = ()
    retention_days: float | None = Field(default=None, gt=0.0)


class ServingSettings(BaseModel):
    """What a server of this project does beyond answering."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    log: LogSettings = LogSettings()
