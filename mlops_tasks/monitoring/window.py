"""A window of live traffic: from when to when, and what it is called.

Pure; which rows fall into it is the affair of `traffic`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mlops_tasks.errors import DataError

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
MOST_WINDOWS = 30  # so far back a monitor makes up for what it missed, and waits for labels
CLOCKS = timedelta(minutes=1)  # may differ by so much


@dataclass(frozen=True, slots=True)
class Window:
    """Requests with `start <= time < end`, both in UTC."""

    start: datetime
    end: datetime

    @property
    def name(self) -> str:
        """Both ends, so that equal windows have equal names."""
        return "/".join(f"{each:%Y-%m-%dT%H:%M:%S.%f}Z" for each in (self.start, self.end))


def window_of(
    hours: float, start: str | None = None, end: str | None = None, now: datetime | None = None
) -> Window:
    """The window from `start` to `end`; the last complete one where neither is given.

    Windows of `hours` follow one another without a gap, whenever they are asked for.

    Parameters
    ----------
    hours
        The length of a window; also the distance to the end that is not given.
    start, end
        ISO times; without a zone in UTC.
    now
        The time that the last complete window ended before; the clock's if not given.

    Raises
    ------
    DataError
        If a time cannot be read, the end is not after the start, or it lies in the future: windows
        are judged in the order of their ends, so all until then would be lost.
    """
    length, today = timedelta(hours=hours), now or datetime.now(UTC)
    if start is None and end is None:
        passed = (today - EPOCH) // length
        return Window(EPOCH + (passed - 1) * length, EPOCH + passed * length)
    if start is None:
        last = _moment(end or "")
        first = last - length
    else:
        first = _moment(start)
        last = first + length if end is None else _moment(end)
    if first >= last:
        raise DataError(
            "a window must end after it starts",
            where=f"{first.isoformat()} to {last.isoformat()}",
            next_step="exchange --start and --end",
        )
    if last > today + CLOCKS:
        raise DataError(
            "a window must have ended before it can be judged",
            where=f"it ends {last.isoformat()}",
            next_step="name an end that has passed with --end",
        )
    return Window(first, last)


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise DataError(
            "this is no time", where=text, next_step="write it as 2026-03-03T14:00:00+00:00"
        ) from error
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
