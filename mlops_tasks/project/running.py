"""Run a project's flow in this process, the way the command line does it.

Flows that a worker runs do not come through here: they are the same functions, called by Prefect.
"""

import contextlib
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from rich.markup import escape

from mlops_tasks.environment import complaint, home
from mlops_tasks.errors import Interrupted, PlatformError
from mlops_tasks.governance.locked_environment import require_locked
from mlops_tasks.governance.residency import refuse_misplaced
from mlops_tasks.platform.closed import require_closed_api
from mlops_tasks.project.locate import Project, locate
from mlops_tasks.project.words import console
from mlops_tasks.registry.closed import require_keepable
from mlops_tasks.settings import Settings
from mlops_tasks.settings.compose import compose, expand

IN_PROCESS_SERVER = "starting an in-process Prefect server (about 15 s; `mlops up` saves it)"
UNREACHABLE = "Failed to reach API"  # how Prefect begins that message


def find(folder: Path) -> Project:
    """The project around a folder, see `locate`; says so if a local platform has died."""
    if said := complaint():
        console.print(f"[yellow]{escape(said)}[/]", highlight=False, soft_wrap=True)
    return locate(folder)


def combinations(overrides: Sequence[str], multirun: bool) -> list[list[str]]:
    """One list of overrides for each run that is asked for."""
    return expand(overrides) if multirun else [list(overrides)]


def settings_of(project: Project, overrides: Sequence[str]) -> Settings:
    """The project's configuration with overrides applied, for work that handles no data."""
    return compose(project.root, overrides, placed=False)


def placed_settings_of(project: Project, overrides: Sequence[str]) -> Settings:
    """The same for work on data, or on what was made of it, done in this process.

    Raises
    ------
    ResidencyRefused
        If it may not be done here; that is on record.
    """
    settings = settings_of(project, overrides)
    refuse_misplaced(settings)
    return settings


def run_flow(
    project: Project,
    name: str,
    overrides: Sequence[str],
    *,
    fresh: bool,
    verbose: bool,
    **parameters: Any,
) -> Any:
    """Call a flow of the project, with overrides and its other parameters, and show its steps.

    The configuration is checked first: a typing mistake costs a second, not a server's start. A
    stack that is not local is refused where its services let in anybody.

    Raises
    ------
    MlopsError
        Whatever the flow's steps raise.
    """
    settings = placed_settings_of(project, overrides)
    stack = settings.stack
    require_keepable(stack)
    require_closed_api(stack)
    if note := require_locked(project.root, settings):
        console.print(f"[yellow]note[/] {escape(note)}", highlight=False, soft_wrap=True)
    if not verbose:
        _hush()
    _writable(home())
    waiting = name if os.environ.get("PREFECT_API_URL") else IN_PROCESS_SERVER
    with console.status("loading Prefect"):
        from prefect.settings import PREFECT_TASKS_REFRESH_CACHE, temporary_settings

        from mlops_tasks.platform.progress import shown

        flow = project.flow(name)
    with (
        _interruptible(name),
        temporary_settings({PREFECT_TASKS_REFRESH_CACHE: fresh}),
        shown(console, waiting),
    ):
        try:
            return flow(list(overrides), **parameters)
        except Exception as error:
            if said := _of_the_server(error):
                raise said from error
            raise


def _of_the_server(error: Exception) -> PlatformError | None:
    """What there is to say if Prefect's server failed, and not a step."""
    import httpx
    from prefect.exceptions import PrefectHTTPStatusError

    where = os.environ.get("PREFECT_API_URL", "PREFECT_API_URL")
    if isinstance(error, RuntimeError) and str(error).startswith(UNREACHABLE):
        return PlatformError(
            "no Prefect server answers",
            where=where,
            next_step="start it, or `unset PREFECT_API_URL`",
        )
    if isinstance(error, PrefectHTTPStatusError) and error.response.is_server_error:
        said = f"{error.response.status_code} {error.response.reason_phrase}"
    elif isinstance(error, httpx.TransportError) and str(error.request.url).startswith(where):
        said = type(error).__name__
    else:
        return None
    return PlatformError(
        f"the Prefect server went away in the middle of the run: {said}",
        where=where,
        next_step="see that it and its database run (`mlops status`), and run this again: steps "
        "that are done are found again",
    )


@contextlib.contextmanager
def _interruptible(name: str) -> Iterator[None]:
    """Turn Ctrl-C inside the block into `Interrupted`, whatever Prefect makes of it on the way."""
    pressed = []

    def remember(number: int, frame: FrameType | None) -> None:
        pressed.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, remember)
    try:
        yield
    except BaseException as error:
        if not pressed:
            raise
        raise Interrupted(
            "interrupted: nothing was registered after this point",
            where=f"flow {name!r}",
            next_step="run the same command again; finished steps are not repeated",
        ) from error
    finally:
        signal.signal(signal.SIGINT, before)


def _hush() -> None:
    """Prefect's log is for machines; errors reach the user as one message of ours."""
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
    os.environ.setdefault("PREFECT_LOGGING_SERVER_LEVEL", "CRITICAL")
    if "PREFECT_API_URL" not in os.environ:
        # The in-process server is gone before its clients: sending the log would fail loudly.
        os.environ.setdefault("PREFECT_LOGGING_TO_API_ENABLED", "false")


def _writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PlatformError(
            f"the folder for local state cannot be made: {error.strerror}",
            where=str(folder),
            next_step="set MLOPS_HOME to a folder that you may write to",
        ) from error
