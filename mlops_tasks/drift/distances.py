"""How far apart two samples are, from their rows per bin: effect sizes, which know no significance.

Shares are compared, so neither sample's size changes an effect's scale. Two samples of the same
population differ a little all the same, the more the smaller they are. Under no drift
Σ (p - q)² / p over `k` cells has the mean (k - 1) (1/n + 1/m), and PSI, Jensen-Shannon divergence
and squared Cramer's V are that times 1, 1/8 (nats) and 1/4 to first order (for PSI: Yurdakul and
Naranjo 2020, The Journal of Risk Model Validation 14(4); Taylor expansion for the others). With
`corrected=True` this mean is subtracted, and what falls below zero is zero.

Kolmogorov-Smirnov and Wasserstein come from binned counts: at the edges both distributions are
known exactly, inside a bin they are not. Both are given with bounds, and the value of the unbinned
samples lies within them.
"""

from dataclasses import dataclass

import numpy as np

from mlops_tasks.drift.bins import Array

NORMAL_QUARTILES = 1.3489795003921634


@dataclass(frozen=True, slots=True)
class Bounded:
    """A value from binned counts; that of the unbinned samples is in [`low`, `high`]."""

    value: float
    low: float
    high: float


def sampling_error(reference: Array, window: Array) -> float:
    """Mean of Σ (p - q)² / p between two samples of one population: (k - 1) (1/n + 1/m)."""
    occupied = np.count_nonzero(reference + window)
    return float((occupied - 1) * (1 / reference.sum() + 1 / window.sum()))


def psi(reference: Array, window: Array, *, corrected: bool = False) -> float:
    """Population stability index, Σ (q - p) ln(q / p); zero where nothing changed, no upper bound.

    Siddiqi (2006), Credit Risk Scorecards. The symmetrised divergence of Jeffreys (1946),
    doi:10.1098/rspa.1946.0056. A cell that is empty in one sample counts as half a row there.

    Parameters
    ----------
    reference, window
        Rows per cell, shape `(cells,)`.
    corrected
        Subtract what is expected of two samples of one population.
    """
    p, q = _shares(reference, window, least=0.5)
    value = float(np.sum((q - p) * np.log(q / p)))
    return _less(value, sampling_error(reference, window), corrected)


def jensen_shannon(reference: Array, window: Array, *, corrected: bool = False) -> float:
    """Jensen-Shannon distance, the square root of the divergence in bits; in [0, 1].

    Lin (1991), doi:10.1109/18.61115; Endres and Schindelin (2003), doi:10.1109/TIT.2003.813506.
    Parameters as for `psi`.
    """
    p, q = _shares(reference, window)
    middle = (p + q) / 2
    divergence = (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2
    error = sampling_error(reference, window) / (8 * np.log(2))
    return float(np.sqrt(_less(divergence, error, corrected)))


def cramers_v(reference: Array, window: Array, *, corrected: bool = False) -> float:
    """Cramer's V of sample against cell, both samples weighing the same; in [0, 1].

    Cramér (1946), Mathematical Methods of Statistics, ch. 21; the correction is in the spirit of
    Bergsma (2013), doi:10.1016/j.jkss.2012.10.002. Unweighted, V would vanish for a small window
    against a large reference, whatever happened. Parameters as for `psi`.
    """
    p, q = _shares(reference, window)
    squared = float(np.sum((p - q) ** 2 / (p + q)) / 2)
    return float(np.sqrt(_less(squared, sampling_error(reference, window) / 4, corrected)))


def kolmogorov_smirnov(reference: Array, window: Array) -> Bounded:
    """Largest difference of the two cumulative distributions, at the edges; in [0, 1].

    Smirnov (1948), doi:10.1214/aoms/1177730256. Inside a bin the difference is at most that of one
    distribution at its upper edge and the other at its lower edge.

    Parameters
    ----------
    reference, window
        Rows per bin in the order of the values, shape `(bins,)`.
    """
    old, new = _cumulative(reference), _cumulative(window)
    value = float(np.max(np.abs(old - new)))
    inside = np.maximum(np.abs(old[1:] - new[:-1]), np.abs(new[1:] - old[:-1]))
    return Bounded(value, value, max(value, float(np.max(inside))))


def wasserstein(
    edges: tuple[float, ...], reference: Array, window: Array, *, low: float, high: float
) -> Bounded:
    """Earth mover's distance, the area between the two cumulative distributions, in the unit of x.

    Vallender (1974), doi:10.1137/1118101. Inside a bin both distributions are taken as straight
    lines; the bounds hold for any others.

    Parameters
    ----------
    edges
        Between the bins, shape `(bins - 1,)`.
    reference, window
        Rows per bin, shape `(bins,)`.
    low, high
        Smallest and largest value in either sample.
    """
    width = np.maximum(np.diff(np.array([low, *edges, high])), 0.0)
    old, new = _cumulative(reference), _cumulative(window)
    start, end = (old - new)[:-1], (old - new)[1:]
    crossing = np.abs(start) + np.abs(end)
    area = np.divide(
        start**2 + end**2, 2 * crossing, out=np.zeros_like(crossing), where=crossing > 0
    )
    height = np.where(start * end < 0, area, crossing / 2)
    apart = np.maximum(np.maximum(old[:-1] - new[1:], new[:-1] - old[1:]), 0.0)
    most = np.maximum(np.abs(old[1:] - new[:-1]), np.abs(new[1:] - old[:-1]))
    value, least, largest = (float(np.sum(width * each)) for each in (height, apart, most))
    return Bounded(value, least, largest)


def spread(edges: tuple[float, ...], reference: Array, *, low: float, high: float) -> float:
    """A standard deviation that outliers do not move: interquartile range / 1.349.

    The range where half of the values are alike, and 1 where all are.
    """
    points = np.array([low, *edges, high])
    first, third = np.interp([0.25, 0.75], _cumulative(reference), points)
    for width in ((third - first) / NORMAL_QUARTILES, high - low):
        if width > np.spacing(max(abs(low), abs(high))):
            return float(width)
    return 1.0


def _shares(reference: Array, window: Array, least: float = 0.0) -> tuple[Array, Array]:
    held = reference + window > 0
    old, new = reference[held], window[held]
    return np.maximum(old, least) / old.sum(), np.maximum(new, least) / new.sum()


def _relative_entropy(p: Array, middle: Array) -> float:
    held = p > 0
    return float(np.sum(p[held] * np.log2(p[held] / middle[held])))


def _less(value: float, error: float, corrected: bool) -> float:
    # Rounding can leave a divergence of equal samples just below zero.
    return max(0.0, value - error if corrected else value)


def _cumulative(counts: Array) -> Array:
    return np.append(0.0, np.cumsum(counts) / counts.sum())
