"""What is asked of one column: is the change of its values, or of its missing share, a drift?

Each question carries an effect, a limit and a p-value, and the p-values of all questions of a
window are adjusted together. A question that cannot be answered has no p-value and says why. What
the answers mean for a column and a window is the affair of `drift`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mlops_tasks.drift import distances as distance
from mlops_tasks.drift import significance as chance
from mlops_tasks.drift.bins import Array, Bins, Tally
from mlops_tasks.drift.cells import cells
from mlops_tasks.drift.domain import DomainDrift
from mlops_tasks.settings.monitoring import DriftRules

_PRESENT_OR_MISSING = Bins("", "category", levels=("present",))


@dataclass(frozen=True, slots=True)
class Question:
    """An effect with its limit and p-value; no p-value where it cannot be answered."""

    text: str
    effect: float = 0.0
    limit: float = 0.0
    p_value: float | None = None
    adjusted_p: float | None = None

    @property
    def answered(self) -> bool:
        """Whether there was enough to go by."""
        return self.p_value is not None

    @property
    def answer(self) -> str:
        """The figures in words, or why there are none."""
        if self.adjusted_p is None:
            return self.text
        return (
            f"{self.text} {self.effect:.3f}, limit {self.limit:g}, adjusted p {self.adjusted_p:.2g}"
        )

    def drifted(self, significance: float) -> bool:
        """Significant, and larger than the limit."""
        return (
            self.adjusted_p is not None
            and self.adjusted_p <= significance
            and abs(self.effect) > self.limit
        )


def effects_of(bins: Bins, old: Tally, new: Tally) -> dict[str, float]:
    """All effect sizes for a column of this kind; none for a time or where a side has no values.

    PSI, Jensen-Shannon and Cramer's V have their expectation under no drift subtracted;
    Wasserstein is in standard deviations of the reference.
    """
    if bins.kind == "time" or not old.present or not new.present:
        return {}
    joined = cells(bins, old.counts, new.counts).both
    found = {
        "psi": distance.psi(*joined, corrected=True),
        "jensen_shannon": distance.jensen_shannon(*joined, corrected=True),
    }
    if not bins.ordered:
        return found | {"cramers_v": distance.cramers_v(*joined, corrected=True)}
    a, b = _array(old), _array(new)
    extremes = [x for x in (old.low, old.high, new.low, new.high) if x is not None]
    moved = distance.wasserstein(bins.edges, a, b, low=min(extremes), high=max(extremes)).value
    width = distance.spread(bins.edges, a, low=old.low or 0.0, high=old.high or 0.0)
    return found | {
        "kolmogorov_smirnov": distance.kolmogorov_smirnov(a, b).value,
        "wasserstein": moved / width,
    }


def about_values(
    bins: Bins, old: Tally, new: Tally, effects: dict[str, float], rules: DriftRules
) -> Question:
    """Have the values that are present changed? Times are not asked: they move on by themselves."""
    if bins.kind == "time":
        return Question("its values are not judged, a time moves on by itself")
    if min(old.present, new.present) < rules.minimum_rows:
        return Question(
            f"not enough rows: {new.present} values against {old.present} in the reference, "
            f"the rules ask for {rules.minimum_rows}"
        )
    if not bins.ordered and not bins.levels:
        return Question("not enough rows: the reference has too few of each level")
    tests = [chance.homogeneity_p(cells(bins, old.counts, new.counts))]
    if bins.ordered:
        largest = effects["kolmogorov_smirnov"]
        tests.append(chance.kolmogorov_p(largest, old.present, new.present))
    name = rules.number_effect if bins.ordered else rules.category_effect
    limit = rules.number_limit if bins.ordered else rules.category_limit
    return Question(name, effects[name], limit, chance.smallest(tests))


def about_missing(old: Tally, new: Tally, rules: DriftRules) -> Question:
    """Has the share of missing values changed? The effect is the difference of the shares."""
    change = missing_share(new) - missing_share(old)
    sides = [(each.present, each.missing) for each in (old, new)]
    if min(map(sum, sides)) < rules.minimum_rows:
        return Question(f"not enough rows: the rules ask for {rules.minimum_rows}", change)
    p_value = chance.homogeneity_p(cells(_PRESENT_OR_MISSING, *sides))
    return Question("missing share changed by", change, rules.missing_limit, p_value)


def about_all(domain: DomainDrift | None, rules: DriftRules) -> Question:
    """Can a classifier tell the window from the reference?"""
    if domain is None:
        return Question("no classifier was asked")
    rows = min(domain.reference_rows, domain.window_rows)
    if rows < rules.minimum_rows:
        return Question(f"not enough rows for the classifier: {rows}", domain.auc.value)
    text = "AUC of a classifier of window against reference"
    return Question(text, domain.auc.value, rules.auc_limit, domain.p_value)


def adjust(questions: Sequence[Question]) -> list[Question]:
    """Adjust the p-values of all that could be answered, together."""
    raw = [each.p_value for each in questions if each.p_value is not None]
    adjusted = iter(chance.adjusted(raw))
    return [
        replace(each, adjusted_p=next(adjusted)) if each.answered else each for each in questions
    ]


def missing_share(counted: Tally) -> float:
    """Of all rows; zero where there are none."""
    rows = counted.present + counted.missing
    return counted.missing / rows if rows else 0.0


def _array(counted: Tally) -> Array:
    return np.array(counted.counts, np.float64)
