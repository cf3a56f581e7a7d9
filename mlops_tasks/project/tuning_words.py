"""How a study and a backtest are told to a person, and how what was found becomes an experiment."""

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mlops_tasks.errors import ProjectError
from mlops_tasks.project.words import console

if TYPE_CHECKING:
    from mlops_tasks.evaluation.backtest import Backtest
    from mlops_tasks.platform.tuning import Tuned

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


def tuned(result: "Tuned") -> None:
    """The best parameters, what they are worth, and the command that trains with them."""
    table = Table("parameter", "best", box=None, header_style="bold")
    for name, value in result.params.items():
        table.add_row(escape(name), escape(str(value)))
    Console().print(table)
    counts = f"{result.complete} complete, {result.pruned} pruned, {result.failed} failed"
    console.print(
        f"[bold green]{result.metric} {result.value:.4f}[/]  mean over the folds of the training "
        f"rows; {result.trials} trials: {counts}",
        highlight=False,
    )
    console.print(f"  next: {escape(command(result))}", highlight=False, soft_wrap=True)


def command(result: "Tuned") -> str:
    """What trains with the best parameters."""
    words = [f"model.params.{name}={value}" for name, value in result.params.items()]
    return " ".join(["mlops train", f"model={result.model}", *map(shlex.quote, words)])


def refuse_name(name: str) -> None:
    """Refuse a name that is not one of a file, before a study is run for it.

    Raises
    ------
    ProjectError
        If it is not made of letters, digits, `-` and `_`.
    """
    if not NAME.fullmatch(name):
        raise ProjectError(
            f"{name!r} is no name for an experiment",
            where="--write",
            next_step="use letters, digits, - and _, for example `--write tuned`",
        )


def written(result: "Tuned", root: Path, name: str) -> None:
    """Keep the best parameters as `conf/experiment/NAME.yaml`."""
    content = {
        "defaults": [{"override /model": result.model}],
        "model": {"params": result.params},
    }
    lines = [
        "# @package _global_",
        f"# Found by `mlops tune`: study {result.study}, {result.trials} trials,",
        f"# {result.metric} {result.value:.4f} on the folds of the training rows.",
        yaml.safe_dump(content, sort_keys=False),
    ]
    file = root / "conf" / "experiment" / f"{name}.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text("\n".join(lines), encoding="utf-8")
    console.print(f"  kept: {escape(str(file))}", highlight=False, soft_wrap=True)
    console.print(f"  next: mlops train experiment={name}", highlight=False)


def backtested(result: "Backtest") -> None:
    """A line for each window, and where the page is."""
    table = Table("window", "learned from", "rows", result.primary, box=None, header_style="bold")
    for window in result.windows:
        score = window.metrics.get(result.primary)
        told = "not defined"
        if score:
            told = f"{score.value:.4f} [{score.low:.4f}, {score.high:.4f}]"
        days = f"{window.start[:10]} to {window.end[:10]}"
        table.add_row(days, f"{window.train_rows:,}", f"{window.rows:,}", escape(told))
    Console().print(table)
    console.print(f"  report: {escape(result.report_uri)}", highlight=False, soft_wrap=True)
