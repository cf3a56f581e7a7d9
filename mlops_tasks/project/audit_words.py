"""How the ledger and its verdict are told to a person."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mlops_tasks.governance.events import masked
from mlops_tasks.project.words import console

if TYPE_CHECKING:
    from mlops_tasks.governance.chain import Verdict
    from mlops_tasks.governance.events import Entry

SHORT = 12
SECONDS = 19  # characters of an ISO time


def log(entries: "Sequence[Entry]") -> None:
    """List events, oldest first."""
    if not entries:
        console.print("no event fits")
        return
    table = Table(box=None, header_style="bold")
    for name in ("seq", "at (UTC)", "actor", "action", "subject", "outcome"):
        table.add_column(name, no_wrap=name not in ("actor", "subject"), overflow="fold")
    table.add_column("what", overflow="fold")
    for entry in entries:
        event = entry.event
        version = f"version {event.facts['version']}" if event.facts.get("version") else ""
        what = "; ".join(part for part in (version, event.reason) if part)
        cells = (event.actor, event.action, event.subject, event.outcome, what)
        table.add_row(str(entry.seq), entry.at[:SECONDS], *(escape(cell) for cell in cells))
    Console().print(table)


def witnessed(anchor: str) -> None:
    """Say where a checkpoint was put."""
    console.print(f"witnessed in {escape(masked(anchor))}", highlight=False, soft_wrap=True)


def verdict(found: "Verdict", ledger: str, anchor: str) -> None:
    """Say whether the record is true, and if not where it begins not to be."""
    where = f"{masked(ledger)}, checkpoints in {masked(anchor)}"
    if found.true:
        later = found.entries - found.vouched
        note = f"; {later} later ones hang together" if later else ""
        vouched = f"{found.vouched} of {found.entries} entries are vouched for{note}"
        console.print(f"[bold green]true[/] {vouched}", highlight=False)
    else:
        bad = f"entry {found.first_bad} is the first that cannot be trusted"
        console.print(f"[bold red]not true[/] {bad}: {escape(found.reason)}", highlight=False)
    console.print(f"  ledger: {escape(where)}", highlight=False, soft_wrap=True)
