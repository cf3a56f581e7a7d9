"""How the local platform is told to a person. Nothing here starts, stops or asks anything."""

import contextlib
import os
import shlex
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mlops_tasks.local_platform import API, KEY, look
from mlops_tasks.platform.services.logs import added_lines, ends, last_lines, log_files
from mlops_tasks.project.words import console

if TYPE_CHECKING:
    from mlops_tasks.platform.services.status import Status

COLOURS = {"ready": "green", "not answering": "yellow", "dead": "red", "stopped": "dim"}


@contextlib.contextmanager
def progress() -> Iterator[Callable[[str, str], None]]:
    """A line for each service that is ready, and a spinner with what is awaited."""
    began = time.perf_counter()
    with console.status("the local platform") as spinner:

        def tell(service: str, what: str) -> None:
            if what.startswith("ready"):
                took = f"{time.perf_counter() - began:5.1f} s"
                console.print(f"  [green]✓[/] {service:<9} {took}", highlight=False)
            else:
                spinner.update(f"[bold]{escape(service)}[/] {escape(what)}")

        yield tell


def told(found: "Status") -> None:
    """Say where everything is, once it runs."""
    for each in found.services:
        if each.address.startswith("http") and each.service != "worker":
            console.print(f"  {each.service:<9} {escape(each.address)}", highlight=False)
    console.print(f"  state     {escape(_state(found))}", highlight=False, soft_wrap=True)
    if (other := os.environ.get(API)) and not any(
        each.address and other.startswith(each.address) for each in found.services
    ):
        console.print(
            f"[yellow]{API} is set to {escape(other)}[/]: commands use that, not this platform",
            soft_wrap=True,
        )


def stopped(ran: tuple[str, ...]) -> None:
    """Say what was ended."""
    console.print(f"stopped: {', '.join(ran)}" if ran else "nothing was running")


def table(found: "Status") -> None:
    """Show every service."""
    shown = Table(box=None, header_style="bold")
    for name in ("service", "state", "address", "pid", "up since"):
        shown.add_column(name, overflow="fold")
    for each in found.services:
        shown.add_row(
            each.service,
            f"[{COLOURS[each.state]}]{each.state}[/]",
            escape(each.address),
            str(each.pid or ""),
            escape(each.since),
        )
    Console().print(shown)
    console.print(f"state in {escape(_state(found))}", highlight=False, soft_wrap=True)
    for line in found.outdated:
        console.print(f"[yellow]runs {escape(line)}[/]: mlops down && mlops up", highlight=False)
    if not found.ready:
        console.print("next: `mlops up` starts what is missing", highlight=False)


def export(home: Path) -> None:
    """Print what a shell must set so that `prefect` finds the platform. The key is among it."""
    without = {name: value for name, value in os.environ.items() if name not in (API, KEY)}
    for name, value in look(home, without).variables.items():
        print(f"export {name}={shlex.quote(value)}")


def logs(home: Path, service: str | None, lines: int, follow: bool) -> None:
    """Print the ends of logs, and what is added until Ctrl-C."""
    files = log_files(home, service)
    places = ends(list(files.values()))
    for name, file in files.items():
        for line in last_lines(file, lines, places[file]):
            print(line if service else f"{name:<8} | {line}", flush=follow)
    if not follow:
        return
    names = {file: name for name, file in files.items()}
    with contextlib.suppress(KeyboardInterrupt):
        for file, line in added_lines(places):
            print(line if service else f"{names[file]:<8} | {line}", flush=True)


def _state(found: "Status") -> str:
    if found.database == "sqlite":
        return f"{found.home} (SQLite)"
    if found.database == "embedded":
        return f"{found.home} (embedded PostgreSQL; what lay in SQLite stays there)"
    return f"{found.database} (PostgreSQL; what lay in SQLite stays there)"
