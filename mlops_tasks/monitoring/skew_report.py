"""What a look for training-serving skew has shown: how many rows differ, where, and how.

Guarantees, each held by a test: "no skew" is said only where everything was checked; every kind of
difference has its sentence. How differences are found is the affair of `skew`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["model", "type", "missing", "value", "refused", "score", "label"]
Verdict = Literal["skew", "no skew", "not checked"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where serving and training disagree; `column` is empty where it is all of a row."""

    kind: Kind
    column: str
    request_id: str
    row: int
    served: str
    trained: str


@dataclass(frozen=True, slots=True)
class SkewReport:
    """What the sample showed.

    `sampled` of `rows` logged rows were looked at. `counts` holds how many of them differ, by kind
    and column; `differences` are up to 20 of them, at most 5 of a kind and column. `largest_gap` is
    that of two scores, None where none were compared. `unchecked` says what could not be, and why.
    """

    rows: int
    sampled: int
    counts: tuple[tuple[Kind, str, int], ...] = ()
    differences: tuple[Difference, ...] = ()
    largest_gap: float | None = None
    unchecked: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Skew where anything differs; "no skew" only where everything was checked."""
        if self.counts:
            return "skew"
        return "no skew" if self.sampled and not self.unchecked else "not checked"

    @property
    def reasons(self) -> tuple[str, ...]:
        """What differs and what was not checked, in sentences."""
        if not self.sampled:
            return ("there are no logged rows", *self.unchecked)
        found = [
            f"{_TOLD[kind]}{f' in {column}' if column else ''}: {rows:,} of {self.sampled:,} rows"
            for kind, column, rows in self.counts
        ]
        return (*found, *self.unchecked)


_TOLD: Mapping[Kind, str] = {
    "model": "answered by another model file",
    "type": "another type than in training",
    "missing": "missing where training had no missing values",
    "value": "a value that the type of training cannot hold",
    "refused": "the model refuses the rows",
    "score": "another score than the model file gives",
    "label": "another label than the model file gives",
}
