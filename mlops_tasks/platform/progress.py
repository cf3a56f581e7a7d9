"""What a person watching a flow sees: each step, how long it took, or that it was cached.

Prefect's own log says the same to machines; under a worker nobody listens here and nothing is said.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

if TYPE_CHECKING:
    from mlops_tasks.tuning.standing import Standing


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


def follow(task: Any, future: Any) -> None:
    """Show a step that runs in another process, where the hooks of this one are not called."""
    if _screen is None:
        return
    screen, run_id = _screen, str(future.task_run_id)
    screen.running(task.name, run_id)

    def ended(done: Any) -> None:
        state = done.state
        if state.is_completed():
            screen.done(task.name, run_id, state.name == "Cached")

    future.add_done_callback(ended)


def say(standing: "Standing") -> None:
    """Show how a study stands, while it runs."""
    if _screen is None:
        return
    _screen.status.update(_of_study(standing))


def _of_study(now: "Standing") -> Table:
    table = Table.grid(padding=(0, 2))
    counts = [f"{now.counts.get(name, 0)} {name}" for name in ("complete", "pruned", "failed")]
    done = now.wanted - now.left
    table.add_row(f"[bold]{done} of {now.wanted}[/] trials", ", ".join(counts))
    if now.best is not None and now.best.value is not None:
        params = ", ".join(f"{name}={value:.5g}" if isinstance(value, float) else f"{name}={value}"
                           for name, value in now.best.params.items())  # fmt: skip
        table.add_row(f"best {now.metric} [bold]{now.best.value:.4f}[/]", escape(params))
    for worker, place in sorted(now.running.items()):
        table.add_row(f"[dim]{escape(worker)}[/]", f"[dim]trial {place}[/]")
    return table


def _label(task: Any, run: Any) -> str:
    return str(run.name if task.task_run_name else task.name)
