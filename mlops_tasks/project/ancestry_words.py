"""How lineage, descendants and reproductions are told to a person."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from mlops_tasks.project.words import console

if TYPE_CHECKING:
    from mlops_tasks.project.reproduce import Reproduction
    from mlops_tasks.registry.ancestry import Ancestry, Step
    from mlops_tasks.registry.descendants import Descendant

SHORT = 12
DIGEST = 64
LONG_NUMBER = re.compile(r"\d+\.\d{6,}(e-?\d+)?")
SECONDS = 19  # characters of an ISO time


def lineage(found: "Ancestry") -> None:
    """Draw a version's ancestors, each under what was made from it, and its life."""
    top = Tree(f"[bold]{escape(found.model)} version {found.version}[/]")
    trained = "" if found.trained_as == found.model else f", trained as {escape(found.trained_as)}"
    run = top.add(f"run {found.run_id}{trained}")
    rows = "" if found.train_rows is None else f"  {found.train_rows} rows"
    made = run.add(f"candidate {_short(found.candidate)}")
    learnt = made.add(f"training rows {_short(found.train)}{rows}")
    learnt.add(
        f"snapshot {_short(found.data)}  DVC {found.dvc_rev or 'none'}  "
        f"region {escape(found.region)}"
    )
    dirty = {True: "  [yellow]with uncommitted changes[/]", False: "", None: ""}[found.dirty]
    run.add(f"git commit {found.git_commit[:SHORT]}{dirty}")
    for name in ("code", "config"):
        run.add(f"{name} {_short(getattr(found, name))}")
    state = f"  {escape(found.environment_state)}" if found.environment_state else ""
    run.add(f"environment {_short(found.environment)}{state}")
    run.add(f"library mlops-tasks {found.library or 'unknown'}  seed {found.seed}")
    broken = "" if found.sealed else "  [bold red]what the run has now is not what is on record[/]"
    run.add(f"evidence {_short(found.evidence)}  judged by policy {_short(found.policy)}{broken}")
    life = top.add("on record")
    for step in found.events:
        life.add(_step(step))
    Console().print(top, highlight=False)


def descendants(digest: str, found: "Sequence[Descendant]") -> None:
    """List the models that saw some data."""
    if not found:
        console.print(f"no registered model and no refused candidate saw {escape(digest)}")
        return
    table = Table(box=None, header_style="bold")
    for name in ("model", "version", "registered", "by its", "candidate"):
        table.add_column(name, no_wrap=True)
    table.add_column("champion", overflow="fold")
    for each in found:
        reigned = "; ".join(
            f"{name} version {reign.version}, {reign.since[:SECONDS]} to "
            f"{reign.until[:SECONDS] or 'now'}"
            for name, reign in each.reigns
        )
        table.add_row(
            escape(each.model),
            str(each.version) if each.version else escape(each.outcome),
            each.at[:SECONDS],
            each.matched,
            each.candidate[:SHORT],
            escape(reigned or "never"),
        )
    Console().print(table)


def reproduction(found: "Reproduction") -> None:
    """Say what came out the same and what did not."""
    table = Table(box=None, header_style="bold")
    for name in ("what", "recorded", "reproduced", "agrees"):
        table.add_column(name, overflow="fold")
    for each in found.findings:
        colour, word = ("green", "yes") if each.agrees else ("red", "no")
        if not each.decides:
            colour, word = "dim", f"{word} (for information)"
        cells = (each.what, *_readable(each.recorded, each.reproduced))
        table.add_row(*map(escape, cells), f"[{colour}]{word}[/]")
    Console().print(table)
    colour = "green" if found.agrees else "red"
    what = f"{found.model} version {found.version} {found.outcome}"
    console.print(f"[bold {colour}]{escape(what)}[/] in {found.seconds:.0f} s", highlight=False)


def _readable(*values: str) -> Sequence[str]:
    """Short digests and numbers, as long as that does not make different values look the same."""
    short = [
        each[:SHORT] if len(each) == DIGEST else LONG_NUMBER.sub(_rounded, each) for each in values
    ]
    return short if len(set(short)) == len(set(values)) else values


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.6g}"


def _short(digest: str) -> str:
    return digest[:SHORT] or "none"


def _step(step: "Step") -> str:
    why = f": {escape(step.reason)}" if step.reason else ""
    what = f"{step.action} {step.outcome}, {escape(step.subject)}"
    return f"{step.at[:SECONDS]}  {what}, by {escape(step.actor)}{why}"
