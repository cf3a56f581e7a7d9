"""What one version did, and how far two said the same: figures from rows of the prediction log.

The log holds answers: what was refused or failed is in the server's metrics, not here. Pure.
"""

from dataclasses import dataclass

import polars as pl

from mlops_tasks.evaluation.metrics import Array
from mlops_tasks.serving.prediction_log.records import LABEL

ROW = ["request_id", "row"]


@dataclass(frozen=True, slots=True)
class Side:
    """What one version did. Latencies are of requests, in milliseconds; None without any.

    `errors` counts rows that were answered without a score.
    """

    version: int
    requests: int
    rows: int
    errors: int
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    mean_score: float | None
    predicted_positive: float | None
    labelled: int
    positives: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often a shadow said the same on the same rows, and how far its scores were off."""

    rows: int
    same_prediction: float
    mean_difference: float
    largest_difference: float


def side_of(version: int, rows: pl.DataFrame) -> Side:
    """The figures of one version's rows."""
    kept = scored(rows)
    known = kept.drop_nulls(LABEL)
    latency = rows.unique("request_id")["latency_ms"]
    return Side(
        version=version,
        requests=len(latency),
        rows=rows.height,
        errors=rows.height - kept.height,
        latency_p50_ms=latency.quantile(0.5, "linear"),
        latency_p99_ms=latency.quantile(0.99, "linear"),
        mean_score=_mean(kept["score"]),
        predicted_positive=_mean(kept["prediction"]),
        labelled=known.height,
        positives=int(known[LABEL].cast(pl.Float64).sum()),
    )


def agreement_of(champion: pl.DataFrame, shadow: pl.DataFrame) -> Agreement | None:
    """How far two versions agree on the rows that both scored; None without any."""
    both = scored(champion).join(scored(shadow), on=ROW, suffix="_shadow")
    if both.is_empty():
        return None
    apart = (both["score"] - both["score_shadow"]).abs().to_numpy()
    same = (both["prediction"] == both["prediction_shadow"]).to_numpy()
    return Agreement(both.height, float(same.mean()), float(apart.mean()), float(apart.max()))


def scored(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows that have a score."""
    return rows.filter(pl.col("score").is_finite())


def paired(one: pl.DataFrame, other: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows that both have, in the same order."""
    kept = one.join(other, on=ROW, how="semi").sort(ROW)
    return kept, other.join(kept, on=ROW, how="semi").sort(ROW)


def targets_and_scores(rows: pl.DataFrame) -> tuple[Array, Array]:
    """Label and score of each row, each of shape `(rows,)`."""
    return rows[LABEL].cast(pl.Float64).to_numpy(), rows["score"].cast(pl.Float64).to_numpy()


def _mean(values: pl.Series) -> float | None:
    return float(values.to_numpy().mean()) if len(values) else None
