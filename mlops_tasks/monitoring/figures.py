"""A window in figures, under names that MLflow and Prometheus both take.

    drift_detected, drift_judged, drift_share, drift_rows, drift_auc
    drift_effect_<column>, drift_missing_change_<column>
    label_coverage, labels, realised_<metric>[_low|_high], estimated_<metric>[_low|_high]
    skew_detected, skew_checked, skew_rows, skew_largest_gap

Guarantees, each held by a test: every name is made of letters, digits and underscores and no two
columns share one; what was not measured is absent, never zero; there are at most `MOST_COLUMNS`
columns.
"""

import re
from collections import Counter

import numpy as np

from mlops_tasks.artifacts import Interval
from mlops_tasks.drift.verdict import ColumnDrift, DriftReport
from mlops_tasks.encoding import digest
from mlops_tasks.monitoring.estimation import Estimate
from mlops_tasks.monitoring.performance import Performance
from mlops_tasks.monitoring.skew_report import SkewReport
from mlops_tasks.settings.monitoring import DriftRules

MOST_COLUMNS = 200
ROWS = "drift_rows"  # a report has it once it is complete
LONGEST_NAME = 60


def metrics_of(
    drift: DriftReport,
    rules: DriftRules,
    performance: Performance | None = None,
    estimate: Estimate | None = None,
    skew: SkewReport | None = None,
) -> dict[str, float]:
    """All figures of a window, by name.

    Parameters
    ----------
    drift, rules
        The verdict, and the rules it was reached by: they say which effect is given.
    performance, estimate, skew
        What else is known of the window.
    """
    found = _of_drift(drift, rules)
    if performance is not None:
        found |= {"labels": performance.labelled, "label_coverage": performance.coverage}
        for name, interval in performance.metrics:
            found |= _of_interval(f"realised_{name}", interval)
    if estimate is not None:
        for name, interval in estimate.metrics:
            found |= _of_interval(f"estimated_{name}", interval)
        if estimate.positive_rate is not None:
            found |= _of_interval("estimated_positive_rate", estimate.positive_rate)
    if skew is not None:
        found |= _of_skew(skew)
    return {name: float(value) for name, value in found.items() if np.isfinite(value)}


def effect_of(column: ColumnDrift, rules: DriftRules) -> tuple[str, float | None, float]:
    """The effect that the rules judge a column by: its name, size (None if none) and limit."""
    ordered = column.kind in ("number", "time")
    name = rules.number_effect if ordered else rules.category_effect
    limit = rules.number_limit if ordered else rules.category_limit
    return name, column.effects.get(name), limit


def strength(column: ColumnDrift, rules: DriftRules) -> float:
    """How far a column is from the reference, where 1 is the limit of what is tolerated."""
    _, effect, limit = effect_of(column, rules)
    changes = ((effect or 0.0, limit), (abs(column.missing_change), rules.missing_limit))
    return max(
        change / limit if limit else (np.inf if change else 0.0) for change, limit in changes
    )


def _of_drift(drift: DriftReport, rules: DriftRules) -> dict[str, float]:
    found: dict[str, float] = {
        "drift_detected": drift.drifted,
        "drift_judged": drift.verdict != "not enough rows",
        "drift_share": drift.share_drifted,
        ROWS: drift.rows,
    }
    if drift.domain is not None:
        found["drift_auc"] = drift.domain.auc.value
    columns = sorted(drift.columns, key=lambda each: -strength(each, rules))[:MOST_COLUMNS]
    for name, column in zip(_names(columns), columns, strict=True):
        _, effect, _ = effect_of(column, rules)
        if effect is not None:
            found[f"drift_effect_{name}"] = effect
        if column.missing_p_value is not None:
            found[f"drift_missing_change_{name}"] = column.missing_change
    return found


def _names(columns: list[ColumnDrift]) -> list[str]:
    """A plain name for each column; where it hides something, with a part of the digest."""
    plain = [re.sub(r"[^a-zA-Z0-9_]", "_", each.name)[:LONGEST_NAME] for each in columns]
    # Names that differ only in case are one file on some stores.
    taken = Counter(each.lower() for each in plain)
    return [
        name
        if name == column.name and taken[name.lower()] == 1
        else f"{name}_{digest(column.name)[:8]}"
        for name, column in zip(plain, columns, strict=True)
    ]


def _of_interval(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _of_skew(skew: SkewReport) -> dict[str, float]:
    found: dict[str, float] = {
        "skew_detected": skew.verdict == "skew",
        "skew_checked": skew.verdict != "not checked",
        "skew_rows": skew.sampled,
    }
    if skew.largest_gap is not None:
        found["skew_largest_gap"] = skew.largest_gap
    return found
