"""How well is a model doing before the labels come? Estimated from its own scores.

Confidence-based performance estimation: scores are calibrated on the comparison set, where labels
are known; a row with a calibrated score of 0.3 then counts as 0.3 of a positive row and 0.7 of a
negative one, and every metric is computed on these shares (Guo et al. 2017, arXiv:1706.04599, on
what calibration means; Garg et al. 2022, arXiv:2201.04234, on estimates from confidence). This
holds under one assumption: a score means on live rows what it meant on the comparison set. Other
rows than before (covariate shift) are allowed; that the same rows now end otherwise (concept drift)
is not, and no score can tell: only labels can, so realised figures always go first. Seasons are
such a drift: an estimate in winter from a comparison set in spring may be off by more than its
interval.

Guarantees, each held by a test: the estimate is the mean over labels drawn from the calibrated
scores; on real rows without concept drift the interval holds the realised figure about as often as
it says; a wrong calibration of the model is put right; the same seed gives the same estimate.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from mlops_tasks.artifacts import Interval
from mlops_tasks.errors import DataError
from mlops_tasks.evaluation.bootstrap import BATCH_CELLS, MINIMUM_DEFINED
from mlops_tasks.evaluation.evaluate import as_arrays
from mlops_tasks.evaluation.metrics import METRICS, Array
from mlops_tasks.settings.schema import EvaluationSettings

ESTIMABLE = ("roc_auc", "average_precision", "accuracy", "log_loss", "brier_score")
MOST_BINS, LEAST_PER_BIN = 20, 50
LEAST_REFERENCE = 200
CERTAIN = 0.01
MOST_ROWS = 50_000


@dataclass(frozen=True, slots=True)
class Calibration:
    """What scores meant on the comparison set, in bins of about as many rows each.

    `centres` are mean scores, ascending; shape `(bins,)` all. Between centres, the difference of
    observed rate and score is interpolated; beyond the first and last it stays the same.
    """

    centres: tuple[float, ...]
    rows: tuple[int, ...]
    positives: tuple[int, ...]
    low: float
    high: float

    @property
    def offsets(self) -> Array:
        """Observed rate minus mean score of each bin, shape `(bins,)`."""
        found: Array = np.array(self.positives) / np.array(self.rows) - np.array(self.centres)
        return found

    def probabilities(self, score: Array, offsets: Array) -> Array:
        """Chance of a positive label for each score, shape `(rows,)`, for given offsets."""
        return np.clip(score + np.interp(score, self.centres, offsets), 0.0, 1.0)

    def drawn_offsets(self, generator: np.random.Generator) -> Array:
        """Offsets as they might have come out: rates drawn from their posterior in each bin.

        A beta posterior whose prior has weight one and the mean score for its mean, kept off 0 and
        1: a bin in which nothing happened is not taken for one in which nothing can.
        """
        rows, positives, centres = (np.array(x) for x in (self.rows, self.positives, self.centres))
        prior = np.clip(centres, CERTAIN, 1 - CERTAIN)
        rates = generator.beta(positives + prior, rows - positives + (1 - prior))
        return np.asarray(rates - centres, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a window's metrics are expected to be.

    `rows` were predicted, `measured` were used. `positive_rate` is the expected share of positive
    labels. `outside` is the share of rows with a score that the comparison set never had: there,
    the calibration is a guess.
    """

    window: str
    rows: int
    measured: int
    reference_rows: int
    primary: str
    positive_rate: Interval | None = None
    outside: float = 0.0
    metrics: tuple[tuple[str, Interval], ...] = ()

    def metric(self, name: str) -> Interval | None:
        """One metric with its interval; None where it cannot be estimated."""
        return dict(self.metrics).get(name)


def calibrate(reference: pl.DataFrame, target: str) -> Calibration:
    """Learn what the scores meant on the comparison set.

    Parameters
    ----------
    reference
        The frame of `Evaluation.scores`: one row per comparison row, with target and score.
    target
        Name of the target.

    Raises
    ------
    DataError
        If there are fewer than 200 rows, or one class only.
    """
    outcome, score = as_arrays(reference, target)
    if len(score) < LEAST_REFERENCE or len(np.unique(outcome)) < 2:
        raise DataError(
            f"scores cannot be calibrated on {len(score)} comparison rows with "
            f"{int(outcome.sum())} positives",
            where="Evaluation.scores",
            next_step=f"use a comparison set of at least {LEAST_REFERENCE} rows with both classes",
        )
    order = np.argsort(score, kind="stable")
    ordered = score[order]
    bins = min(MOST_BINS, len(score) // LEAST_PER_BIN)
    places = np.arange(1, bins) * len(score) // bins
    # A score belongs to one bin: rows that tie are not torn apart.
    starts = np.unique(np.r_[0, np.searchsorted(ordered, ordered[places], side="left")])
    rows = np.diff(np.r_[starts, len(score)])
    return Calibration(
        tuple((np.add.reduceat(ordered, starts) / rows).tolist()),
        tuple(rows.tolist()),
        tuple(np.add.reduceat(outcome[order], starts).astype(int).tolist()),
        float(ordered[0]),
        float(ordered[-1]),
    )


def estimate(
    calibration: Calibration,
    scores: pl.Series,
    settings: EvaluationSettings,
    *,
    seed: int,
    window: str = "",
) -> Estimate:
    """Estimate the metrics of a window from its scores.

    The interval comes from resampled rows with drawn labels, each time under offsets drawn anew. As
    the interval of a realised figure, it speaks of the population that the window's rows are from.

    Parameters
    ----------
    calibration
        Of the same model on its comparison set.
    scores
        Of the window's rows, in [0, 1], with or without labels.
    settings
        Number of resamples and confidence.
    seed
        Of the resampling.
    window
        What the window is called.

    Raises
    ------
    DataError
        If a score is no probability.
    """
    score = scores.cast(pl.Float64).to_numpy()
    if not np.all((score >= 0) & (score <= 1)):
        raise DataError(
            "a logged score is no probability",
            where=scores.name,
            next_step="estimate rows of a model that answers with a probability",
        )
    rows = len(score)
    if rows > MOST_ROWS:
        score = np.random.default_rng(seed).choice(score, MOST_ROWS, replace=False)
    if not rows:
        return Estimate(window, 0, 0, sum(calibration.rows), settings.primary)
    chance = calibration.probabilities(score, calibration.offsets)
    draws = _draws(calibration, score, samples=settings.bootstrap_samples, seed=seed)
    tails = ((1 - settings.confidence) / 2, (1 + settings.confidence) / 2)
    expected = {
        name: _interval(_expected(name, score, chance), draws[name], tails) for name in ESTIMABLE
    }
    return Estimate(
        window=window,
        rows=rows,
        measured=len(score),
        reference_rows=sum(calibration.rows),
        primary=settings.primary,
        positive_rate=_interval(float(chance.mean()), draws["positive_rate"], tails),
        outside=float(np.mean((score < calibration.low) | (score > calibration.high))),
        metrics=tuple((name, found) for name, found in expected.items() if found is not None),
    )


def _expected(name: str, score: Array, chance: Array) -> float:
    """The metric with each row as `chance` of a positive and the rest of a negative one."""
    return float(_on_counts(name, score, chance[None], (1 - chance)[None])[0])


def _draws(calibration: Calibration, score: Array, *, samples: int, seed: int) -> dict[str, Array]:
    """Each metric and the positive rate in each resample, shape `(samples,)`."""
    found: dict[str, list[Array]] = {name: [] for name in (*ESTIMABLE, "positive_rate")}
    batch = max(1, BATCH_CELLS // len(score))
    for start in range(0, samples, batch):
        pairs = [
            _labels(calibration, score, np.random.default_rng((seed, index)))
            for index in range(start, min(start + batch, samples))
        ]
        positive, negative = (np.stack(side) for side in zip(*pairs, strict=True))
        for name in ESTIMABLE:
            found[name].append(_on_counts(name, score, positive, negative))
        found["positive_rate"].append(positive.sum(axis=1) / len(score))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _labels(
    calibration: Calibration, score: Array, generator: np.random.Generator
) -> tuple[Array, Array]:
    """How often each row was drawn with a positive and with a negative label, `(rows,)` both."""
    drawn = np.bincount(generator.integers(0, len(score), len(score)), minlength=len(score))
    chance = calibration.probabilities(score, calibration.drawn_offsets(generator))
    positive = generator.binomial(drawn, chance)
    return positive.astype(np.float64), (drawn - positive).astype(np.float64)


def _on_counts(name: str, score: Array, positive: Array, negative: Array) -> Array:
    """A metric on rows that count as positive and negative so often, shapes `(resamples, rows)`."""
    target = np.repeat([1.0, 0.0], len(score))
    weights = np.concatenate([positive, negative], axis=1)
    return METRICS[name].compute(target, np.tile(score, 2), weights)


def _interval(value: float, draws: Array, tails: tuple[float, float]) -> Interval | None:
    defined = draws[~np.isnan(draws)]
    if np.isnan(value) or len(defined) < MINIMUM_DEFINED * len(draws):
        return None
    low, high = np.quantile(defined, tails)
    return Interval(value, float(low), float(high))
