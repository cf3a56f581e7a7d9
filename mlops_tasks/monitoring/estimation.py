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

On a slice it is assumed, too, that a score means there what it means on all rows: a model that is
too sure of itself on one level only is not found out before the labels come.

Guarantees, each held by a test: the estimate is the mean over labels drawn from the calibrated
scores; on real rows without concept drift the interval holds the realised figure about as often as
it says; a wrong calibration of the model is put right; the same seed gives the same estimate; a
slice of fewer than `LEAST_SLICE` rows is named, without a figure.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from mlops_tasks.artifacts import Interval, SliceScore
from mlops_tasks.errors import DataError
from mlops_tasks.evaluation.bootstrap import BATCH_CELLS, MINIMUM_DEFINED
from mlops_tasks.evaluation.metrics import METRICS, Array
from mlops_tasks.evaluation.slices import SLICE_SAMPLES, slices_of
from mlops_tasks.monitoring.calibration import Calibration
from mlops_tasks.settings.schema import EvaluationSettings

ESTIMABLE = ("roc_auc", "average_precision", "accuracy", "log_loss", "brier_score")
MOST_ROWS = 50_000
LEAST_SLICE = 50


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a window's metrics are expected to be.

    `rows` were predicted, `measured` were used. `positive_rate` is the expected share of positive
    labels. `outside` is the share of rows with a score that the comparison set never had: there,
    the calibration is a guess. `slices` have the primary metric, and expected positives.
    """

    window: str
    rows: int
    measured: int
    reference_rows: int
    primary: str
    positive_rate: Interval | None = None
    outside: float = 0.0
    metrics: tuple[tuple[str, Interval], ...] = ()
    slices: tuple[SliceScore, ...] = ()

    def metric(self, name: str) -> Interval | None:
        """One metric with its interval; None where it cannot be estimated."""
        return dict(self.metrics).get(name)


def estimate(
    calibration: Calibration,
    scores: pl.Series,
    settings: EvaluationSettings,
    *,
    seed: int,
    window: str = "",
    sliced: pl.DataFrame | None = None,
    cuts: Mapping[str, tuple[float, ...]] | None = None,
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
        Number of resamples and confidence, primary metric.
    seed
        Of the resampling.
    window
        What the window is called.
    sliced
        The columns to slice by, row by row as `scores`; none if not given.
    cuts
        Where slices cut numbers, see `slices.cuts_of`.

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
    rows, parts = len(score), pl.DataFrame() if sliced is None else sliced
    if rows > MOST_ROWS:
        used = np.random.default_rng(seed).choice(rows, MOST_ROWS, replace=False)
        score, parts = score[used], parts[used] if parts.width else parts
    if not rows:
        return Estimate(window, 0, 0, sum(calibration.rows), settings.primary)
    samples, tails = settings.bootstrap_samples, _tails(settings)
    chance = calibration.probabilities(score, calibration.offsets)
    draws = _draws(calibration, score, ESTIMABLE, samples=samples, seed=seed)
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
        slices=_sliced(calibration, score, parts, cuts, settings, seed),
    )


def _sliced(
    calibration: Calibration,
    score: Array,
    parts: pl.DataFrame,
    cuts: Mapping[str, tuple[float, ...]] | None,
    settings: EvaluationSettings,
    seed: int,
) -> tuple[SliceScore, ...]:
    """The primary metric on each slice; no figure where it cannot be estimated."""
    name, found = settings.primary, []
    for column, level, member in slices_of(parts, tuple(parts.columns), cuts):
        own, expected = score[member], None
        chance = calibration.probabilities(own, calibration.offsets)
        if name in ESTIMABLE and len(own) >= LEAST_SLICE:
            draws = _draws(calibration, own, (name,), samples=SLICE_SAMPLES, seed=seed)
            expected = _interval(_expected(name, own, chance), draws[name], _tails(settings))
        found.append(SliceScore(column, level, len(own), round(float(chance.sum())), expected))
    return tuple(found)


def _tails(settings: EvaluationSettings) -> tuple[float, float]:
    return (1 - settings.confidence) / 2, (1 + settings.confidence) / 2


def _expected(name: str, score: Array, chance: Array) -> float:
    """The metric with each row as `chance` of a positive and the rest of a negative one."""
    return float(_on_counts(name, score, chance[None], (1 - chance)[None])[0])


def _draws(
    calibration: Calibration, score: Array, names: tuple[str, ...], *, samples: int, seed: int
) -> dict[str, Array]:
    """Each metric and the positive rate in each resample, shape `(samples,)`."""
    found: dict[str, list[Array]] = {name: [] for name in (*names, "positive_rate")}
    batch = max(1, BATCH_CELLS // len(score))
    for start in range(0, samples, batch):
        pairs = [
            _labels(calibration, score, np.random.default_rng((seed, index)))
            for index in range(start, min(start + batch, samples))
        ]
        positive, negative = (np.stack(side) for side in zip(*pairs, strict=True))
        for name in names:
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
