"""The page of a backtest: the primary metric from window to window, and all metrics in a table."""

from mlops_tasks.evaluation.backtest import Backtest, Window
from mlops_tasks.evaluation.charts import interval_chart, interval_text
from mlops_tasks.evaluation.page import Html, element, note, render_page, section, table


def render_backtest(backtest: Backtest) -> str:
    """Write one self-contained HTML page, without script or network; equal inputs, equal bytes."""
    how = "the stretch just before" if backtest.sliding else "all that came before"
    count, primary = len(backtest.windows), backtest.primary
    heading = element(
        "header",
        element("h1", f"{backtest.model}: {count} windows"),
        note(f"Each model learned from {how} its window. Intervals are of the rows in the window."),
    )
    chart = interval_chart(
        f"{primary} in {count} windows of time, with its interval",
        [(label(window), window.metrics.get(primary)) for window in backtest.windows],
    )
    return render_page(
        f"{backtest.model}: backtest",
        heading,
        section(primary, chart),
        section("Metrics", _metrics(backtest)),
        kind="wide",
    )


def label(window: Window) -> str:
    """The days of a window."""
    return f"{window.start[:10]} to {window.end[:10]}"


def _metrics(backtest: Backtest) -> Html:
    known = {name for window in backtest.windows for name in window.metrics}
    names = sorted(known, key=lambda name: (name != backtest.primary, name))
    header = ["window", "learned from", "rows", "positives", *names]
    rows = [
        [
            label(window),
            f"{window.train_rows:,}",
            f"{window.rows:,}",
            f"{window.positives:,}",
            *(interval_text(window.metrics.get(name)) for name in names),
        ]
        for window in backtest.windows
    ]
    return table(header, rows, numbers=header[1:])
