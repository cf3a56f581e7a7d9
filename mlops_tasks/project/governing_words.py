"""How requests, promotions and history are told to a person."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mlops_tasks.project.words import console

if TYPE_CHECKING:
    from mlops_tasks.governance.approvals import Request, Standing
    from mlops_tasks.registry.history import Reign
    from mlops_tasks.registry.proposals import Proposal

SHORT = 12


def request(asked: "Request") -> None:
    """Show what is about to be signed."""
    table = Table(box=None, show_header=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    champion = asked.champion if asked.champion == "none" else asked.champion[:SHORT]
    for name, value in (
        ("request", asked.id[:SHORT]),
        ("model", f"{asked.model} (version {asked.version} of {asked.source})"),
        ("candidate", asked.candidate[:SHORT]),
        ("evidence", asked.evidence[:SHORT]),
        ("policy", asked.policy[:SHORT]),
        ("replaces", champion),
        ("authors", ", ".join(asked.authors)),
        ("until", asked.expires),
    ):
        table.add_row(name, escape(value))
    console.print(table)


def standing(found: "Standing", model: str) -> None:
    """Say how the votes stand now."""
    colour = {"approved": "green", "waiting": "yellow"}.get(found.state, "red")
    console.print(f"[bold {colour}]{found.state}[/] {escape(model)}: {escape(found.summary)}")
    if found.approved:
        console.print("  next: `mlops promote` uses the approval")


def proposal(found: "Proposal") -> None:
    """Say how far a promotion came."""
    colour = "green" if found.standing == "champion" else "yellow"
    what = f"{found.model} version {found.version}: {found.standing}"
    console.print(f"[bold {colour}]{escape(what)}[/]  {escape(found.note)}", highlight=False)
    if found.standing == "waiting":
        console.print(
            f"  next: `mlops approve {escape(found.model)}`, by a person the policy names"
        )


def history(model: str, reigns: "Sequence[Reign]", now: int | None) -> None:
    """List the champions, newest last, and say so where the registry disagrees with the record."""
    if not reigns:
        console.print(f"{escape(model)} had no champion yet")
    table = Table(box=None, header_style="bold")
    for name in ("version", "since", "until", "by", "approved by", "candidate"):
        table.add_column(name)
    for each in reigns:
        table.add_row(
            str(each.version),
            each.since[:19],
            each.until[:19] or "now",
            f"{each.kind}, {escape(each.actor)}",
            escape(", ".join(each.approved_by)),
            each.candidate[:SHORT],
        )
    if reigns:
        Console().print(table)
    recorded = reigns[-1].version if reigns else None
    if now != recorded:
        console.print(
            f"[bold red]the registry has version {now} as champion, "
            f"the ledger version {recorded}[/]: somebody moved the alias without a record"
        )
