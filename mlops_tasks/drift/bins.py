"""One column, counted: bins that a reference fixes once, and what falls into them.

Two tallies in the same bins add up to the tally of both together, exactly. How bins are fixed and
rows are counted is the affair of `counting`.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Kind = Literal["number", "category", "boolean", "time"]

MAX_OTHERS = 256


@dataclass(frozen=True, slots=True)
class Bins:
    """Where the values of one column are counted.

    Bin `i` of a number or time holds `edges[i - 1] < value <= edges[i]`, the first and last are
    open; times are microseconds since 1970. Bin `i` of a category holds `levels[i]`, the last all
    others.
    """

    name: str
    kind: Kind
    edges: tuple[float, ...] = ()
    levels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not all(low < high for low, high in pairwise((-np.inf, *self.edges, np.inf))):
            raise ValueError(f"the edges of {self.name} do not ascend")
        if len(set(self.levels)) < len(self.levels):
            raise ValueError(f"a level of {self.name} is named twice")

    @property
    def ordered(self) -> bool:
        """Whether neighbouring bins hold neighbouring values."""
        return self.kind in ("number", "time")

    @property
    def size(self) -> int:
        """How many bins there are."""
        return 1 + len(self.edges if self.ordered else self.levels)


@dataclass(frozen=True, slots=True)
class Tally:
    """What was found in one column: rows per bin, rows without a value, extremes.

    `others` names levels that have no bin, with their rows: the first 256 of them by name.
    """

    missing: int
    counts: tuple[int, ...]
    low: float | None = None
    high: float | None = None
    others: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        if min(self.missing, *self.counts) < 0:
            raise ValueError("there cannot be fewer than no rows")

    @property
    def present(self) -> int:
        """Rows with a value."""
        return sum(self.counts)

    @property
    def rows(self) -> int:
        """All rows, with a value or without."""
        return self.missing + self.present

    def __add__(self, other: "Tally") -> "Tally":
        lows = [low for low in (self.low, other.low) if low is not None]
        highs = [high for high in (self.high, other.high) if high is not None]
        named = dict(self.others)
        for name, rows in other.others:
            named[name] = named.get(name, 0) + rows
        return Tally(
            self.missing + other.missing,
            tuple(a + b for a, b in zip(self.counts, other.counts, strict=True)),
            min(lows, default=None),
            max(highs, default=None),
            tuple(sorted(named.items())[:MAX_OTHERS]),
        )
