"""What a person watching a flow sees: each step, how long it took, or that it was cached.

Prefect's own log says the same to machines; under a worker nobody listens here and nothing is said.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.status import Status


class _Screen:
    """The steps of one flow run, written as they happen."""

    def __init__(self, console: Console, status: Status) -> None:
        self.console = console
        self.status = status
        self.started: dict[str, float] = {}

    def running(self, name: str, run_id: str) -> None:
        self.started[run_id] = time.perf_counter()
        self.status.update(f"[bold]{name}[/]")

    def done(self, name: str, run_id: str, cached: bool) -> None:
        began = self.started.pop(run_id, None)
        took = f"{time.perf_counter() - began:5.1f} s" if began else "       "
        how = "[dim]cached[/]" if cached else took
        self.console.print(f"  [green]✓[/] {name:<14} {how}", highlight=False)


_screen: _Screen | None = None


@contextmanager
def shown(console: Console, what: str) -> Iterator[None]:
    """Show the steps that run inside the block."""
    global _screen
    with console.status(what) as status:
        _screen = _Screen(console, status)
        try:
            yield
        finally:
            _screen = None


def on_running(task: Any, run: Any, state: Any) -> None:
    """Prefect hook: a step has begun."""
    if _screen is not None:
        _screen.running(_label(task, run), str(run.id))


def on_completion(task: Any, run: Any, state: Any) -> None:
    """Prefect hook: a step has ended well, or was found in the cache."""
    if _screen is not None:
        _screen.done(_label(task, run), str(run.id), state.name == "Cached")


def _label(task: Any, run: Any) -> str:
    return str(run.name if task.task_run_name else task.name)
