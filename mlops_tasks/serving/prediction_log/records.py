"""One answered request, and the columns that a log of them has.

Features stand as `feature.<name>`, so that no feature can hide a column of the log. Where and how
records are kept is not known here.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import polars as pl

Role = Literal["champion", "canary", "shadow"]
FEATURE = "feature."
LABEL = "label"  # of a row that was joined to what turned out to be true
MOMENT = pl.Datetime("us", "UTC")
COLUMNS: dict[str, pl.DataType] = {
    "request_id": pl.String(),
    "row": pl.Int32(),
    "time": MOMENT,
    "model": pl.String(),
    "version": pl.Int64(),
    "digest": pl.String(),
    "region": pl.String(),
    "role": pl.String(),
    "latency_ms": pl.Float64(),
    "score": pl.Float64(),
    "prediction": pl.Int64(),
}


@dataclass(frozen=True, slots=True)
class Answered:
    """What one request asked and got: `rows`, `scores` and `predictions` are equally long.

    `time` is when the answer was made, with a zone; `names` are the columns of each row, whose
    values are plain: bool, int, float, str or None. What is not a number is logged as missing.
    `request_id` is what labels are joined by, so it should be the log's own and not a client's.
    """

    request_id: str
    time: datetime
    model: str
    version: int
    digest: str
    region: str
    role: Role
    latency_ms: float
    names: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    scores: list[float]
    predictions: list[int]
