"""How a stack, and what is wrong with it, is told to a person."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mlops_tasks.project.words import console

if TYPE_CHECKING:
    from mlops_tasks.project.stack_check import Finding


def findings(stack: str, found: "Sequence[Finding]") -> None:
    """List all that is to be put right, or say that nothing is."""
    if not found:
        console.print(f"[bold green]stack {escape(stack)}: nothing to put right[/]")
        return
    table = Table(box=None, header_style="bold")
    table.add_column("kind")
    table.add_column("key", overflow="fold")
    table.add_column("what", overflow="fold")
    for each in found:
        table.add_row(each.kind, escape(each.key), escape(each.what))
    Console().print(table)
    number = f"{len(found)} problem{'s' if len(found) > 1 else ''}"
    console.print(f"[bold red]stack {escape(stack)}: {number}[/]")


def as_yaml(document: dict[str, Any]) -> str:
    """Plain data as YAML, in its own order."""
    import yaml

    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
