"""How results are told to a person: the tables and sentences of the command line.

Nothing here computes anything that is not on the screen. Progress and tables go to standard error
or output as `cli` promises: JSON alone goes to standard output when it is asked for.
"""

import contextlib
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from mlops_tasks.artifacts import Dataset, Registration
    from mlops_tasks.evaluation.comparison_page import ComparedRun

console = Console(stderr=True)
HEAD_ROWS = 5


def heading(text: str) -> None:
    """Announce a command, without what stands before the `@` of an address."""
    shown = re.sub(r"(?<=://)[^/@\s]*@", "", text)
    console.print(f"[bold]{escape(shown)}[/]")


def waiting(what: str) -> contextlib.AbstractContextManager[Any]:
    """A spinner while the block runs."""
    return console.status(what)


def registration(result: "Registration") -> None:
    """Say how a training ended."""
    score = f"{result.primary} is not defined"
    if found := result.score:
        score = f"{result.primary} {found.value:.4f} [{found.low:.4f}, {found.high:.4f}]"
    if not result.accepted:
        console.print(f"[bold red]refused[/]  {escape(score)}")
        for reason in result.reasons:
            console.print(f"  [red]·[/] {escape(reason)}", highlight=False)
    else:
        what = f"{result.model} version {result.version} is {result.standing}"
        again = "  [dim](nothing changed since it was registered)[/]" if result.repeated else ""
        console.print(f"[bold green]accepted[/] {escape(score)}  {escape(what)}{again}")
        if result.standing != "champion":
            console.print(f"  {escape(result.note)}", highlight=False, soft_wrap=True)
        if result.standing == "waiting":
            console.print("  next: `mlops approve` by a person whom the policy names")
    console.print(f"  report: {escape(result.report_uri)}", highlight=False, soft_wrap=True)


def scores(result: "Dataset", target: str, primary: str, out: Path | None) -> None:
    """Show the first scores, how good they are where labels are known, and where all are."""
    import polars as pl

    from mlops_tasks.data.frames import read_frame
    from mlops_tasks.evaluation.evaluate import as_arrays
    from mlops_tasks.evaluation.metrics import point

    frame = read_frame(result)
    if out is not None:
        frame.write_parquet(out)
    shown = frame.drop("model_digest").head(HEAD_ROWS)
    table = Table(*shown.columns, box=None, header_style="bold")
    for row in shown.iter_rows():
        table.add_row(*(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row))
    console.print(table)
    line = f"{frame.height} rows scored by version {frame['model_version'][0]}"
    if target in frame.columns and (labelled := frame.drop_nulls(target)).height:
        value = point(primary, *as_arrays(labelled, target))
        told = "is not defined" if math.isnan(value) else f"{value:.4f}"
        line += f"; {labelled.height} have a label: {primary} {told}, "
        rates = labelled.select(pl.col(target).mean(), pl.col("score").mean()).row(0)
        line += "positive {:.1%}, predicted {:.1%}".format(*rates)
    console.print(line, highlight=False)
    console.print(f"  scores: {escape(str(out or result.uri))}", highlight=False, soft_wrap=True)


def leaderboard(rows: "Sequence[ComparedRun]", primary: str, folder: Path) -> None:
    """Print the runs as a table and write them as a page."""
    from mlops_tasks.evaluation.comparison_page import render_comparison

    if not rows:
        console.print("no runs yet: `mlops train` makes the first")
        return
    table = Table(box=None, header_style="bold")
    for name in ("run", "model", primary, "interval", "log_loss", "decision", "version"):
        table.add_column(name)
    table.add_column("overrides", overflow="fold")
    for row in rows:
        low_high = f"[{row.score.low:.4f}, {row.score.high:.4f}]" if row.score else ""
        colour = "green" if row.decision == "accepted" else "red"
        table.add_row(
            row.run_id[:8],
            escape(row.model),
            f"{row.score.value:.4f}" if row.score else "",
            escape(low_high),
            f"{row.metrics['log_loss']:.4f}" if "log_loss" in row.metrics else "",
            f"[{colour}]{escape(row.decision)}[/]",
            "" if row.version is None else str(row.version),
            escape(" ".join(row.overrides)),
        )
    Console().print(table)
    folder.mkdir(exist_ok=True)
    page = folder / "compare.html"
    page.write_text(render_comparison(rows, primary), encoding="utf-8")
    console.print(f"  plot: {escape(str(page))}", highlight=False, soft_wrap=True)


def as_json(value: object) -> None:
    """Print dataclasses and plain values as JSON."""
    from pydantic_core import to_json

    print(to_json(value, indent=2).decode())
