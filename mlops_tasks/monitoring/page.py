"""The page on one window of live traffic: what happened, how sure that is, and what follows.

A pure function from what was found to one HTML file. It judges nothing itself. Guarantees, each
held by a test: equal inputs give equal bytes; names and values from data stay text; no network, no
script, and less than 1 MB however many columns there are; what was not measured is said.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mlops_tasks.artifacts import Evaluation
from mlops_tasks.drift.profile import Counts, Profile
from mlops_tasks.drift.verdict import DriftReport
from mlops_tasks.evaluation.charts import shorten
from mlops_tasks.evaluation.page import (
    Html,
    code,
    element,
    facts,
    note,
    render_page,
    section,
    table,
)
from mlops_tasks.monitoring.drift_section import drift_sections
from mlops_tasks.monitoring.estimation import Estimate
from mlops_tasks.monitoring.performance import Performance
from mlops_tasks.monitoring.performance_section import performance_sections
from mlops_tasks.monitoring.plots import Moment, over_time
from mlops_tasks.monitoring.skew_report import SkewReport
from mlops_tasks.monitoring.trigger import Decision
from mlops_tasks.settings.monitoring import DriftRules

MOST_REASONS, MOST_WINDOWS = 20, 60
LONGEST_NAME, LONGEST_REASON = 120, 300


@dataclass(frozen=True, slots=True)
class Watched:
    """Everything that is known of a window.

    `profile` and `counts` are what `drift` was reached on. `history` is the primary metric in the
    last windows, oldest first, this one included. `evaluation` is that of the model's comparison
    set. `estimate` is None where there can be none; `unestimated_because` says why.
    """

    model: str
    version: int
    digest: str
    window: str
    drift: DriftReport
    rules: DriftRules
    profile: Profile
    counts: Counts
    performance: Performance
    evaluation: Evaluation
    estimate: Estimate | None = None
    unestimated_because: str = ""
    skew: SkewReport | None = None
    decision: Decision | None = None
    history: tuple[Moment, ...] = ()
    next_step: str = ""


def render_window(watched: Watched) -> str:
    """Write the page as one self-contained HTML file, without script or network."""
    drift = drift_sections(watched.drift, watched.rules, watched.profile, watched.counts)
    performance, *others = performance_sections(
        watched.performance,
        watched.estimate,
        watched.unestimated_because,
        watched.evaluation.metrics,
    )
    return render_page(
        f"{watched.model}, {watched.window}: {_verdict(watched)}",
        _headline(watched),
        section("What follows", *_what_follows(watched)),
        *drift,
        performance,
        section("Recent windows", *_history(watched)),
        *others,
        section("Training-serving skew", *_skew(watched.skew)),
        section("Model", _model(watched)),
        kind="wide",
    )


def _skewed(watched: Watched) -> bool:
    return watched.skew is not None and watched.skew.verdict == "skew"


def _verdict(watched: Watched) -> str:
    return watched.drift.verdict.upper() + (", SKEW" if _skewed(watched) else "")


def _headline(watched: Watched) -> Html:
    kind = {"drift": "refused", "no drift": "accepted"}.get(watched.drift.verdict, "")
    reasons = list(watched.drift.reasons)
    if watched.skew is not None and _skewed(watched):
        kind = "refused"
        reasons += [f"skew: {reason}" for reason in watched.skew.reasons]
    shown = [shorten(reason, LONGEST_REASON) for reason in reasons[:MOST_REASONS]]
    if len(reasons) > MOST_REASONS:
        shown.append(f"and {len(reasons) - MOST_REASONS} more reasons, below")
    summary = f"{watched.drift.rows:,} rows, {watched.window}, version {watched.version}."
    return element(
        "header",
        element("p", _verdict(watched), kind="verdict"),
        element("h1", watched.model),
        element("p", summary),
        element("ul", *(element("li", reason) for reason in shown)),
        kind=kind,
    )


def _what_follows(watched: Watched) -> list[Html]:
    decision = watched.decision
    if decision is None:
        text = "The trigger was not asked."
    elif decision.retrain:
        text = "Alarm: a training is started. The gate and the approval policy decide what follows."
    elif decision.alarm:
        text = "Alarm, but no training is started."
    else:
        text = "No alarm."
    why = decision.reasons if decision is not None else ()
    shown = [element("li", shorten(reason, LONGEST_REASON)) for reason in why[:MOST_REASONS]]
    parts = [element("p", text)]
    if shown:
        parts.append(element("ul", *shown))
    if watched.next_step:
        parts.append(element("p", "Next: ", code(watched.next_step)))
    return parts


def _history(watched: Watched) -> list[Html]:
    if not watched.history:
        return [note("There are no earlier windows.")]
    shown = watched.history[-MOST_WINDOWS:]
    text = (
        "Dots: realised, with intervals. Boxes: estimated. Dashed: the comparison set. A window "
        "without a dot has too few labels yet."
    )
    if cut := len(watched.history) - len(shown):
        text += f" {cut} earlier windows are left out."
    primary = watched.performance.primary
    return [note(text), over_time(primary, shown, watched.evaluation.metrics.get(primary))]


def _skew(skew: SkewReport | None) -> list[Html]:
    if skew is None:
        return [note("It was not looked for.")]
    text = f"{skew.verdict.capitalize()}: {skew.sampled:,} of {skew.rows:,} rows were taken through"
    text += " the training path."
    if skew.largest_gap is not None:
        text += f" The largest gap between two scores is {skew.largest_gap:.2g}."
    parts = [element("p", text)]
    if skew.reasons:
        parts.append(element("ul", *_items(skew.reasons)))
    if skew.differences:
        header = ("Request", "Row", "Column", "What", "Served", "By training")
        rows = [
            (
                code(each.request_id),
                each.row,
                shorten(each.column, LONGEST_NAME) or "(all)",
                each.kind,
                each.served,
                each.trained,
            )
            for each in skew.differences
        ]
        parts.append(table(header, rows, numbers=("Row",)))
    return parts


def _items(reasons: Sequence[str]) -> list[Html]:
    shown = [element("li", shorten(reason, LONGEST_REASON)) for reason in reasons[:MOST_REASONS]]
    if len(reasons) > MOST_REASONS:
        shown.append(element("li", f"and {len(reasons) - MOST_REASONS} more"))
    return shown


def _model(watched: Watched) -> Html:
    return facts(
        ("Model", watched.model),
        ("Version", watched.version),
        ("Digest", code(watched.digest)),
        ("Reference profile", code(watched.drift.reference)),
        ("Comparison set", code(watched.evaluation.comparison.digest)),
    )
