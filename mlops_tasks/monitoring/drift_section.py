"""The part of a window's page that is about drift: every column, strongest change first.

Columns that do not fit are counted, never left out in silence. What is drift was judged by
`drift.verdict`; nothing is judged here.
"""

from collections.abc import Sequence

from mlops_tasks.drift.profile import Counts, Profile
from mlops_tasks.drift.verdict import ColumnDrift, DriftReport
from mlops_tasks.evaluation.charts import interval_text, number, shorten
from mlops_tasks.evaluation.page import Html, element, note, section, table
from mlops_tasks.monitoring.figures import effect_of, strength
from mlops_tasks.monitoring.plots import distribution
from mlops_tasks.settings.monitoring import DriftRules
from mlops_tasks.training.fit import SCORE

MOST_COLUMNS = 80
MOST_LEVELS = 5
LONGEST_NAME, LONGEST_REASON = 60, 240
_MARKS = {
    "drift": element("span", "✗ drift", kind="failed"),
    "no drift": element("span", "✓ no drift", kind="passed"),
    "not enough rows": element("span", "– not enough rows", kind="whole"),
}


def drift_sections(
    report: DriftReport, rules: DriftRules, profile: Profile, counts: Counts
) -> list[Html]:
    """The table of columns, and the distribution of scores.

    Parameters
    ----------
    report, rules
        The verdict, and the rules it was reached by.
    profile, counts
        The reference and the window in its bins: what the verdict was reached on.
    """
    drawings = _drawings(profile, counts)
    found = [section("Columns", *_columns(report, rules, drawings))]
    sides = zip(profile.bins, profile.reference.tallies, counts.tallies, strict=True)
    for bins, old, new in sides:
        if bins.name == SCORE:
            text = "Filled: the comparison set. Outlined: this window."
            found.append(section("Scores", note(text), distribution(bins, old, new, large=True)))
    return found


def _drawings(profile: Profile, counts: Counts) -> dict[str, Html]:
    sides = zip(profile.bins, profile.reference.tallies, counts.tallies, strict=True)
    return {bins.name: distribution(bins, old, new) for bins, old, new in sides}


def _columns(report: DriftReport, rules: DriftRules, drawings: dict[str, Html]) -> list[Html]:
    if not report.columns:
        return [note("No columns are watched.")]
    ordered = sorted(report.columns, key=lambda each: (-strength(each, rules), each.name))
    shown, cut = ordered[:MOST_COLUMNS], ordered[MOST_COLUMNS:]
    text = (
        "Strongest change first, in multiples of its limit. Grey: the reference; line: this "
        "window. A column has drifted if its change is significant and beyond the limit."
    )
    parts: list[Html] = [note(text)]
    header = ("Column", "Verdict", "Effect (limit)", "Adjusted p", "Missing", "Distribution")
    rows = [_row(each, rules, drawings) for each in shown]
    parts.append(table(header, rows, numbers=("Adjusted p", "Missing")))
    if cut:
        drifted = sum(each.drifted for each in cut)
        parts.append(note(f"{len(cut)} more columns are left out; {drifted} of them drifted."))
    if report.domain is not None:
        parts.append(element("p", _domain(report)))
    return parts


def _row(column: ColumnDrift, rules: DriftRules, drawings: dict[str, Html]) -> tuple[object, ...]:
    name, effect, limit = effect_of(column, rules)
    size = "–" if effect is None else f"{name} {number(effect)} ({limit:g})"
    chance = "–" if column.adjusted_p is None else f"{column.adjusted_p:.2g}"
    missing = f"{column.missing_change:+.1%}" if column.missing_change else "0.0%"
    label = element("div", shorten(column.name, LONGEST_NAME), *map(note, _remarks(column)))
    return (
        label,
        _MARKS[column.verdict],
        element("span", size, kind="whole"),
        chance,
        missing,
        drawings.get(column.name, ""),
    )


def _remarks(column: ColumnDrift) -> list[str]:
    found = []
    if not column.judged:
        found.append(shorten(column.reason, LONGEST_REASON))
    if column.out_of_range:
        found.append(f"{column.out_of_range:.1%} beyond the range of the reference")
    for text, names in (
        ("new", column.new_categories),
        ("vanished", column.vanished_categories),
    ):
        if names:
            found.append(f"{text}: {_named(names)}")
    return found


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(shorten(name, LONGEST_NAME // 2) for name in names[:MOST_LEVELS])
    return f"{shown} and {len(names) - MOST_LEVELS} more" if len(names) > MOST_LEVELS else shown


def _domain(report: DriftReport) -> str:
    assert report.domain is not None
    text = (
        f"A classifier tells this window from the reference with an AUC of "
        f"{interval_text(report.domain.auc)} (0.5 is guessing)"
    )
    strongest = ", ".join(shorten(name, LONGEST_NAME) for name in report.domain.strongest)
    return f"{text}; most by {strongest}." if strongest else f"{text}."
