"""Which bins of a reference and a window may be compared: sparse ones are joined first.

A chi-square statistic is trusted where each cell expects at least five rows in the smaller sample
(Cochran 1954, doi:10.2307/3001616). How bins are joined depends on the sum of both samples only,
so that it favours neither: neighbours for numbers, the rarest levels for categories. What still
expects fewer than five is kept apart as the rare cell.

Where a sample of the reference is small, values it has not met are no drift yet: in place of the
zero rows that it has there, the rare cell counts what it has met only once (Good 1953,
doi:10.1093/biomet/40.3-4.237).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlops_tasks.drift.bins import Array, Bins

LEAST_EXPECTED = 5.0


@dataclass(frozen=True, slots=True)
class Cells:
    """Rows per cell in both samples, and those of the rare cell."""

    reference: Array
    window: Array
    rare_reference: float
    rare_window: float

    @property
    def both(self) -> tuple[Array, Array]:
        """Reference and window with the rare cell as one more."""
        return (
            np.append(self.reference, self.rare_reference),
            np.append(self.window, self.rare_window),
        )


def cells(bins: Bins, reference: Sequence[int], window: Sequence[int]) -> Cells:
    """Join the sparse bins of one column.

    Parameters
    ----------
    bins
        Of the column.
    reference, window
        Rows per bin, shape `(bins,)`; each has at least one row.
    """
    old, new = np.asarray(reference, np.float64), np.asarray(window, np.float64)
    total = old + new
    expected = total * min(old.sum(), new.sum()) / total.sum()
    if bins.ordered:
        # Joined with a neighbour, what lies where the reference has nothing would not be seen.
        empty = old == 0
        order = np.flatnonzero(~empty)
        single = max(1.0, float(np.sum(old == 1)))
    else:
        empty = np.zeros(len(old), np.bool_)
        empty[-1] = old[-1] == 0
        order = np.flatnonzero(~empty)
        order = order[np.argsort(-total[order], kind="stable")]
        single = float(np.sum(old == 1))
    groups, rest = _groups(order, expected)
    if bins.ordered and rest:
        groups, rest = [*groups[:-1], [*(groups[-1] if groups else []), *rest]], []
    rare = [*rest, *np.flatnonzero(empty)]
    lent = single if new[empty].sum() > 0 else 0.0
    return Cells(
        np.array([old[group].sum() for group in groups]),
        np.array([new[group].sum() for group in groups]),
        float(old[rare].sum()) + lent,
        float(new[rare].sum()),
    )


def _groups(order: NDArray[np.int64], expected: Array) -> tuple[list[list[int]], list[int]]:
    """Consecutive bins until each group expects enough, and what is left over."""
    groups: list[list[int]] = []
    current: list[int] = []
    held = 0.0
    for index in order.tolist():
        current.append(index)
        held += expected[index]
        if held >= LEAST_EXPECTED:
            groups.append(current)
            current, held = [], 0.0
    return groups, current
