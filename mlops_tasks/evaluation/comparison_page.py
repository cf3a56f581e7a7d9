"""The page of `mlops compare`: recorded runs side by side.

It shows what the runs recorded. It does not say which is better: runs may have been measured on
different rows, and only the gate compares on the same ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mlops_tasks.artifacts import Interval
from mlops_tasks.evaluation.charts import interval_chart, interval_text, number
from mlops_tasks.evaluation.page import Html, code, element, note, render_page, section, table

SHORT_ID = 8
ABSENT = "–"


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """What is shown of one run; `score` is its primary metric, None where it recorded none."""

    run_id: str
    model: str
    version: int | None
    decision: str
    started: str
    score: Interval | None
    metrics: dict[str, float]
    overrides: tuple[str, ...]


def render_comparison(rows: Sequence[ComparedRun], primary: str) -> str:
    """Write one self-contained HTML page, without script or network.

    Parameters
    ----------
    rows
        The runs, in the order in which to show them.
    primary
        Name of the metric that `ComparedRun.score` holds.
    """
    heading = element("header", element("h1", "Compared runs"), element("p", _count(rows)))
    if not rows:
        return render_page("Compared runs", heading)
    chart = interval_chart(
        f"{primary} of {len(rows)} runs, with its interval",
        [(f"{run.model} {run.run_id[:SHORT_ID]}", run.score) for run in rows],
    )
    return render_page(
        "Compared runs",
        heading,
        section(primary, chart),
        section("Runs", _runs(rows, primary)),
        section("Metrics", _metrics(rows, primary)),
        kind="wide",
    )


def _count(rows: Sequence[ComparedRun]) -> str:
    if not rows:
        return "There are no runs to compare."
    return "1 run." if len(rows) == 1 else f"{len(rows)} runs."


def _runs(rows: Sequence[ComparedRun], primary: str) -> Html:
    header = ("Run", "Model", "Version", "Decision", "Started", primary, "Overrides")
    return table(
        header,
        [
            (
                element("span", code(run.run_id[:SHORT_ID]), kind="whole"),
                run.model,
                ABSENT if run.version is None else run.version,
                run.decision or ABSENT,
                element("span", run.started, kind="whole"),
                element("span", interval_text(run.score), kind="whole"),
                _lines(run.overrides),
            )
            for run in rows
        ],
    )


def _lines(overrides: Sequence[str]) -> Html:
    lines = [element("div", code(override), kind="whole") for override in overrides]
    return element("div", *lines) if lines else Html(ABSENT)


def _metrics(rows: Sequence[ComparedRun], primary: str) -> Html:
    names = sorted({name for run in rows for name in run.metrics} - {primary})
    if not names:
        return note("The runs recorded no other metrics.")
    return table(
        ("Run", *names),
        [
            (
                code(run.run_id[:SHORT_ID]),
                *(number(run.metrics[name]) if name in run.metrics else ABSENT for name in names),
            )
            for run in rows
        ],
        numbers=names,
    )
