"""The part of a window's page that is about performance: realised, estimated, and on slices.

Nothing is computed here, and what was not measured is said.
"""

from collections.abc import Mapping

from mlops_tasks.artifacts import Interval, SliceScore
from mlops_tasks.evaluation import charts
from mlops_tasks.evaluation.charts import interval_text, shorten
from mlops_tasks.evaluation.metrics import METRICS
from mlops_tasks.evaluation.page import Html, element, note, section, table
from mlops_tasks.evaluation.report import worst_first
from mlops_tasks.monitoring.estimation import LEAST_SLICE, Estimate
from mlops_tasks.monitoring.performance import Performance

MOST_SLICES = 40
LONGEST_NAME = 120


def performance_sections(
    done: Performance, expected: Estimate | None, why_not: str, trained: Mapping[str, Interval]
) -> list[Html]:
    """Metrics realised and estimated, calibration, and slices.

    Parameters
    ----------
    done, expected
        What was measured and what was estimated.
    why_not
        Why there is no estimate, if there is none.
    trained
        The metrics on the comparison set.
    """
    return [
        section("Performance", *_performance(done, expected, why_not, trained)),
        section("Calibration", *_calibration(done)),
        section("Slices", *_slices(done, expected)),
    ]


def _performance(
    done: Performance, expected: Estimate | None, why_not: str, trained: Mapping[str, Interval]
) -> list[Html]:
    primary = done.primary
    parts: list[Html] = [element("p", _labels(done))]
    sides = [
        ("comparison set", trained.get(primary)),
        ("estimated", expected.metric(primary) if expected else None),
        ("realised", done.metric(primary)),
    ]
    parts.append(charts.interval_chart(f"{primary} of this window", sides))
    names = [name for name in METRICS if name in trained or done.metric(name)]
    names.sort(key=lambda name: name != primary)
    rows = [
        (
            f"{name} (primary)" if name == primary else name,
            _figure(trained.get(name)),
            _figure(expected.metric(name) if expected else None),
            _figure(done.metric(name)),
        )
        for name in names
    ]
    parts.append(table(("Metric", "Comparison set", "Estimated", "Realised"), rows))
    parts.append(note(_estimated(done, expected, why_not)))
    return parts


def _figure(found: Interval | None) -> Html:
    return element("span", "–" if found is None else interval_text(found), kind="whole")


def _labels(done: Performance) -> str:
    text = done.summary[0].upper() + done.summary[1:] + "."
    if done.lag is not None:
        text += (
            f" Half of the labels came within {done.lag.median_hours:.1f} hours, nine in ten "
            f"within {done.lag.ninth_decile_hours:.1f}."
        )
    if done.labelled_mean_score is not None and done.labelled < done.rows:
        text += (
            f" The mean score of labelled rows is {done.labelled_mean_score:.3f}, "
            f"of all rows {done.mean_score:.3f}."
        )
    if done.judged and done.measured < done.labelled:
        text += f" The figures are of {done.measured:,} of them, drawn at random."
    return text


def _estimated(done: Performance, expected: Estimate | None, why_not: str) -> str:
    if expected is None:
        return f"There is no estimate: {why_not or 'it was not asked for'}."
    text = (
        f"Estimated from {expected.rows:,} scores, calibrated on {expected.reference_rows:,} "
        "comparison rows; it holds as long as a score means what it meant there. Where realised "
        "figures differ, believe those."
    )
    if expected.outside:
        text += f" {expected.outside:.1%} of the scores lie where the comparison set has none."
    if apart := _apart(done, expected):
        text += f" They do not meet in {', '.join(apart)}: a score no longer means what it meant."
    return text


def _apart(done: Performance, expected: Estimate) -> list[str]:
    """Metrics whose realised and estimated intervals have nothing in common."""
    pairs = ((name, done.metric(name), each) for name, each in expected.metrics)
    return [
        name
        for name, found, each in pairs
        if found is not None and (found.low > each.high or found.high < each.low)
    ]


def _calibration(done: Performance) -> list[Html]:
    if not done.calibration:
        return [note(f"Calibration was not measured: {done.summary}.")]
    text = "Above the dashed line, events happen more often than the model says; below, less often."
    return [note(text), charts.calibration_chart(done.calibration)]


def _slices(done: Performance, expected: Estimate | None) -> list[Html]:
    parts: list[Html] = []
    if done.slices:
        text = f"{done.primary}, worst first; the dashed line is the score on all labelled rows."
        parts += _chart(text, "realised", done.slices, done.metric(done.primary), done.primary)
    elif not done.judged:
        parts = [note(f"Slices were not measured: {done.summary}.")]
    else:
        parts = [note("No slices were asked for.")]
    if expected is not None and expected.slices:
        text = (
            f"Estimated {done.primary}, worst first, if a score means on a slice what it means on "
            f"all rows; slices of fewer than {LEAST_SLICE} rows have no figure."
        )
        overall = expected.metric(done.primary)
        parts += _chart(text, "estimated", expected.slices, overall, done.primary)
    if done.unmeasured_slices:
        names = ", ".join(shorten(name, LONGEST_NAME) for name in done.unmeasured_slices)
        parts.append(note(f"Not in the log, so not measured: {names}."))
    return parts


def _chart(
    text: str, kind: str, slices: tuple[SliceScore, ...], overall: Interval | None, primary: str
) -> list[Html]:
    ordered = worst_first(slices, primary)
    shown, cut = ordered[:MOST_SLICES], len(ordered) - MOST_SLICES
    text += f" {cut} more slices are left out." if cut > 0 else ""
    rows = [(_slice(item), item.score) for item in shown]
    title = f"{kind} {primary} on {len(shown)} slices, worst first"
    reference = overall.value if overall else None
    return [note(text), charts.interval_chart(title, rows, reference=reference)]


def _slice(item: SliceScore) -> str:
    return shorten(f"{item.column} = {item.level} ({item.rows:,})", LONGEST_NAME)
