"""Whether a difference between two samples may be chance: p-values, which know no effect size.

Every p-value here is valid or errs on the side of no drift, given rows that are independent: where
rows come in clusters, chance differences are larger than these tests expect. Of several tests of
one question the smallest p-value counts, multiplied by their number (Bonferroni); over the columns
of a window the false discovery rate is controlled (`adjusted`).
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import bdtr, bdtrc, chdtrc, kolmogorov

from mlops_tasks.drift.bins import Array
from mlops_tasks.drift.cells import LEAST_EXPECTED, Cells


def chi_square_p(reference: Array, window: Array) -> float:
    """Pearson's chi-square test of homogeneity; 1 where fewer than two cells are occupied.

    Pearson (1900), doi:10.1080/14786440009463897.

    Parameters
    ----------
    reference, window
        Rows per cell, shape `(cells,)`; sparse cells have been joined.
    """
    held = reference + window > 0
    old, new = reference[held], window[held]
    if len(old) < 2 or not old.sum() or not new.sum():
        return 1.0
    n, m = old.sum(), new.sum()
    statistic = np.sum((old * np.sqrt(m / n) - new * np.sqrt(n / m)) ** 2 / (old + new))
    return float(chdtrc(len(old) - 1, statistic))


def kolmogorov_p(largest: float, reference_rows: int, window_rows: int) -> float:
    """Two-sample Kolmogorov-Smirnov test, from the largest difference.

    Smirnov (1948), doi:10.1214/aoms/1177730256, asymptotic. From binned counts, or with ties, the
    difference is not overstated and the p-value not understated.
    """
    scale = np.sqrt(reference_rows / (reference_rows + window_rows) * window_rows)
    return float(kolmogorov(scale * largest))


def exact_p(found: float, of: float, share: float) -> float:
    """Two-sided binomial test that `found` of `of` rows of a rare cell lie in the window.

    Twice the smaller tail. `share` is the window's share of all rows.
    """
    if not of:
        return 1.0
    below = bdtr(found, round(of), share)
    above = bdtrc(found - 1, round(of), share) if found else 1.0
    return float(min(1.0, 2 * min(below, above)))


def homogeneity_p(found: Cells) -> float:
    """Chi-square over the cells that are not sparse, and a binomial test of the rare cell."""
    old, new = found.both
    share = float(new.sum() / (old.sum() + new.sum()))
    rare = found.rare_reference + found.rare_window
    if rare * min(share, 1 - share) >= LEAST_EXPECTED:
        return chi_square_p(old, new)
    tests = [chi_square_p(found.reference, found.window)] if len(found.reference) > 1 else []
    if rare:
        tests.append(exact_p(found.rare_window, rare, share))
    return smallest(tests)


def smallest(p_values: Sequence[float]) -> float:
    """Bonferroni: the smallest of several p-values, paid for with their number; 1 where none."""
    return min(1.0, max(1, len(p_values)) * min(p_values, default=1.0))


def adjusted(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjusted p-values: at most a share `q` of those up to `q` is expected to be chance.

    Benjamini and Hochberg (1995), doi:10.1111/j.2517-6161.1995.tb02031.x; it holds for columns that
    are independent or depend positively (Benjamini and Yekutieli 2001, doi:10.1214/aos/1013699998).
    """
    order = np.argsort(p_values, kind="stable")
    found = np.empty(len(order))
    running = 1.0
    for rank, index in zip(range(len(order), 0, -1), order[::-1], strict=True):
        running = min(running, p_values[index] * len(order) / rank)
        found[index] = running
    return tuple(float(each) for each in found)
