"""What the services said: the end of their logs, and what is added.

Nothing is taken out of a log here; what must not stand in one, the services do not write.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from mlops_tasks.errors import PlatformError
from mlops_tasks.platform.services import embedded
from mlops_tasks.platform.services.record import Record, load

POLL_SECONDS = 0.3
READ_AT_MOST = 2_000_000  # bytes from the end of a log


def log_files(home: Path, service: str | None) -> dict[str, Path]:
    """The logs of the services of a home, by name.

    Raises
    ------
    PlatformError
        If there is no such service, or nothing was ever started.
    """
    folder = home / "platform"
    found = {file.stem: file for file in sorted(folder.glob("*.log"))}
    record = load(home) or Record()
    if (database := record.service(embedded.NAME)) is not None:
        found[embedded.NAME] = Path(database.log)
    if not found:
        raise PlatformError("nothing was started here yet", where=str(folder), next_step="mlops up")
    if service is None:
        return found
    if service not in found:
        raise PlatformError(
            f"there is no log of {service!r}",
            where=str(folder),
            next_step=f"choose from {', '.join(found)}",
        )
    return {service: found[service]}


def ends(files: Sequence[Path]) -> dict[Path, int]:
    """How long each log is now, in bytes: what is before is `last_lines`', the rest is new."""
    return {file: file.stat().st_size if file.exists() else 0 for file in files}


def last_lines(file: Path, number: int, end: int) -> list[str]:
    """The last lines of a log before a place in it."""
    if not number or not file.exists():
        return []
    start = max(0, end - READ_AT_MOST)
    with file.open("rb") as stream:
        stream.seek(start)
        text = stream.read(end - start).decode("utf-8", errors="replace")
    return text.splitlines()[-number:]


def added_lines(places: dict[Path, int]) -> Iterator[tuple[Path, str]]:
    """The lines that are added to logs after a place in each, until the caller stops asking."""
    places = dict(places)
    while True:
        for file in list(places):
            size = file.stat().st_size if file.exists() else 0
            start = places.get(file, 0)
            if size < start:  # put aside, and begun anew
                start = 0
            if size > start:
                with file.open("rb") as stream:
                    stream.seek(start)
                    piece = stream.read(size - start)
                whole = piece[: piece.rfind(b"\n") + 1]
                places[file] = start + len(whole)
                for line in whole.decode("utf-8", errors="replace").splitlines():
                    yield file, line
            else:
                places[file] = start
        time.sleep(POLL_SECONDS)
