"""How far two samples of scores are apart, and how much better one model does on its own rows.

The paired case (same rows for both models) is `evaluation.bootstrap`'s; here the samples are
independent of one another, as those of a canary and a champion are. Pure.
"""

import numpy as np

from mlops_tasks.artifacts import Interval
from mlops_tasks.evaluation.metrics import METRICS, Array, point

BATCH_CELLS = 4_000_000
MINIMUM_DEFINED = 0.9


def shift(own: Array, rival: Array) -> float:
    """Chance that one of `own` lies above one of `rival`, minus the chance that it lies below.

    Cliff (1993), doi:10.1037/0033-2909.114.3.494: in [-1, 1], 0 where neither lies higher.

    Parameters
    ----------
    own, rival
        Shapes `(rows,)` and `(other rows,)`, neither empty.

    Examples
    --------
    >>> shift(np.array([1.0, 2.0]), np.array([0.0, 1.0]))
    0.75
    """
    ordered = np.sort(rival)
    below = np.searchsorted(ordered, own, "left")
    above = len(rival) - np.searchsorted(ordered, own, "right")
    return float((below - above).sum() / (len(own) * len(rival)))


def distance(own: Array, rival: Array) -> float:
    """Largest difference between the two empirical distribution functions, in [0, 1].

    The statistic of Smirnov (1948), doi:10.1214/aoms/1177730256; it also sees what moves nothing
    but spreads.

    Parameters
    ----------
    own, rival
        Shapes `(rows,)` and `(other rows,)`, neither empty.

    Examples
    --------
    >>> distance(np.array([0.0, 3.0]), np.array([1.0, 2.0]))
    0.5
    """
    values = np.concatenate([own, rival])
    first = np.searchsorted(np.sort(own), values, "right") / len(own)
    second = np.searchsorted(np.sort(rival), values, "right") / len(rival)
    return float(np.abs(first - second).max())


def independent_gain(
    name: str,
    own: tuple[Array, Array],
    rival: tuple[Array, Array],
    *,
    samples: int,
    confidence: float,
    seed: int,
) -> Interval | None:
    """A metric on one's own rows minus the rival's on theirs; positive means better.

    Both samples are drawn again independently (Efron and Tibshirani 1993, ch. 16.2); the interval
    is that of percentiles.

    Parameters
    ----------
    name
        Of `METRICS`.
    own, rival
        Target (0 or 1) and score of each row, each of shape `(rows,)`.
    samples
        Number of resamples.
    confidence
        Between 0 and 1.
    seed
        Of the resampling.

    Returns
    -------
    Interval or None
        None where the metric is not defined.
    """
    sign = 1.0 if METRICS[name].higher_is_better else -1.0
    value = sign * (point(name, *own) - point(name, *rival))
    draws = sign * (_draws(name, own, samples, (seed, 0)) - _draws(name, rival, samples, (seed, 1)))
    defined = draws[~np.isnan(draws)]
    if np.isnan(value) or len(defined) < MINIMUM_DEFINED * samples:
        return None
    tail = (1 - confidence) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Interval(value, float(low), float(high))


def _draws(name: str, sample: tuple[Array, Array], samples: int, seed: tuple[int, int]) -> Array:
    """The metric in each resample of one sample, shape `(samples,)`."""
    rows = len(sample[0])
    generator = np.random.default_rng(seed)
    batch = max(1, BATCH_CELLS // rows)
    found = []
    for start in range(0, samples, batch):
        drawn = [
            np.bincount(generator.integers(0, rows, rows), minlength=rows)
            for _ in range(min(batch, samples - start))
        ]
        found.append(METRICS[name].compute(*sample, np.stack(drawn).astype(np.float64)))
    return np.concatenate(found)
