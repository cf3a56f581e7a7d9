"""The log of a model as one frame: Parquet files, and what this machine's journals still hold.

Guarantees, each held by a test: a record whose `append` returned before the reading began is there
exactly once, whether it was sealed before, meanwhile or not yet; only the files of the days that
are asked for are read. What servers on other machines have not sealed yet is not there: that takes
`roll_seconds`. An empty log is a frame without rows.
"""

import io
import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from mlops_tasks.errors import StorageError
from mlops_tasks.serving.prediction_log.journal import day_of, joined, read_segment, segments
from mlops_tasks.serving.prediction_log.places import Place, place_of
from mlops_tasks.serving.prediction_log.records import Role
from mlops_tasks.serving.prediction_log.sealing import parquet_of, seal
from mlops_tasks.settings.schema import Settings, StackSettings
from mlops_tasks.storage.transfer import read

if TYPE_CHECKING:
    from upath import UPath

EVER = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
_log = logging.getLogger(__name__)


def predictions(
    where: Settings | StackSettings,
    model: str,
    start: datetime,
    end: datetime,
    *,
    version: int | None = None,
    role: Role | None = "champion",
    columns: Sequence[str] | None = None,
) -> pl.DataFrame:
    """What a model answered in a span of time, ordered by time, request and row.

    Parameters
    ----------
    where
        The configuration, or its stack.
    model
        The registered name.
    start, end
        `start <= time < end`; without a zone in UTC.
    version
        Only this version's answers.
    role
        Only answers given in this role; None for all.
    columns
        Only these columns, where they exist; all if not given.

    Returns
    -------
    polars.DataFrame
        One row for each scored row: `records.COLUMNS`, and `feature.<name>` for each feature that
        a model of the span had; missing where another did not have it.

    Raises
    ------
    StorageError
        If a file of the log cannot be read.
    """
    stack = where.stack if isinstance(where, Settings) else where
    since, until = _in_utc(start), _in_utc(end)
    wanted = (pl.col("time") >= since) & (pl.col("time") < until)
    if version is not None:
        wanted &= pl.col("version") == version
    if role is not None:
        wanted &= pl.col("role") == role
    last = max(since, until - timedelta(microseconds=1))
    place = place_of(stack, model)
    frames = [frame.filter(wanted) for frame in _frames(place, since.date(), last.date())]
    found = joined(frames).sort("time", "request_id", "row")
    return found if columns is None else found.select(c for c in columns if c in found.columns)


def read_parquet(file: "UPath") -> pl.DataFrame:
    """A file of the log.

    Raises
    ------
    StorageError
        If it is not what the log wrote.
    FileNotFoundError
        If it is gone.
    """
    try:
        return pl.read_parquet(io.BytesIO(read(file)))
    except FileNotFoundError:
        raise
    except (OSError, pl.exceptions.PolarsError) as error:
        raise StorageError(
            f"a file of the prediction log cannot be read: {type(error).__name__}",
            where=str(file),
            next_step="restore it from a backup, or move it out of the folder",
        ) from error


def _frames(place: Place, first: date, last: date) -> Iterator[pl.DataFrame]:
    _seal_what_is_left(place)
    # Journals before Parquet: what is sealed in between is then seen twice, and told by its name.
    live: dict[str, pl.DataFrame] = {}
    for path in segments(place.journal):
        if first <= day_of(path) <= last:
            try:
                live[parquet_of(place, path).name] = read_segment(path).frame
            except FileNotFoundError:  # sealed meanwhile
                continue
    for day in place.days():
        if first <= day <= last:
            for file in place.files(day):
                live.pop(file.name, None)
                try:
                    yield read_parquet(file)
                except FileNotFoundError:  # its time was over
                    continue
    yield from live.values()


def _seal_what_is_left(place: Place) -> None:
    try:
        seal(place)
    except StorageError as error:  # who may not write can read all the same
        _log.info("%s", error)


def _in_utc(moment: datetime) -> datetime:
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return zoned.astimezone(UTC)
