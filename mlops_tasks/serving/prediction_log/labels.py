"""What turned out to be true, joined to what was predicted by request and row.

Labels come late, out of order and more than once. Guarantees, each held by a test: of several for
one row the one that arrived last counts, whatever time it speaks of; a label of an unknown request
is kept, for its prediction may be on its way; joining neither loses nor doubles a prediction.
"""

import secrets
from datetime import UTC, datetime, timedelta

import polars as pl

from mlops_tasks.errors import DataError, StorageError
from mlops_tasks.serving.prediction_log.places import LABELS, OURS, Place, place_of, publish
from mlops_tasks.serving.prediction_log.reader import read_parquet
from mlops_tasks.serving.prediction_log.records import LABEL, MOMENT
from mlops_tasks.serving.prediction_log.sealing import as_parquet
from mlops_tasks.settings.schema import Settings

JOINED_BY = ["request_id", "row"]
STAMP = "%Y%m%dT%H%M%S%f"
COLUMNS: dict[str, pl.DataType] = {
    "request_id": pl.String(),
    "row": pl.Int32(),
    LABEL: pl.Int64(),
    "time": MOMENT,
    "arrived": MOMENT,
}
_FORM = "columns are request_id, row (if not 0), label (0 or 1) and time (if known)"


def add_labels(settings: Settings, model: str, frame: pl.DataFrame) -> int:
    """Keep labels; of several for one row in `frame` the last one counts.

    Parameters
    ----------
    settings
        Name the folder of the log.
    model
        The registered name.
    frame
        `request_id`, `label` (0, 1 or boolean), `row` (0 where it is not given) and `time`
        (when it was known; that of its arrival where it is not given).

    Returns
    -------
    int
        How many rows have a label by this.

    Raises
    ------
    DataError
        If a column or a value is missing or of another kind; nothing is kept then.
    StorageError
        If the labels cannot be written.
    """
    kept = _checked(frame)
    if kept.is_empty():
        return 0
    from filelock import FileLock

    place = place_of(settings.stack, model)
    try:
        place.journal.mkdir(parents=True, exist_ok=True, mode=0o700)
        with FileLock(place.journal / "labels.lock"):
            arrived = _after_all_others(place)
            name = f"{arrived.strftime(STAMP)}-{secrets.token_hex(8)}.parquet"
            rows = kept.with_columns(pl.lit(arrived).cast(MOMENT).alias("arrived")).select(*COLUMNS)
            publish(place.day(arrived.date(), LABELS) / name, as_parquet(rows))
    except OSError as error:
        raise StorageError(
            f"labels cannot be written: {error.strerror or error}",
            where=str(place.folder / LABELS),
            next_step="free space, or check `stack.predictions`",
        ) from error
    return rows.height


def read_labels(settings: Settings, model: str) -> pl.DataFrame:
    """The label that counts of each row that has one: `COLUMNS`, ordered by request and row.

    Raises
    ------
    StorageError
        If a file cannot be read.
    """
    place = place_of(settings.stack, model)
    frames = [pl.DataFrame(schema=COLUMNS)]
    for day in place.days(LABELS):
        for file in place.files(day, LABELS):
            try:
                frames.append(read_parquet(file))
            except FileNotFoundError:  # its time was over
                continue
    return _latest(pl.concat(frames))


def labelled(predictions: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """Predictions with `label` and `label_time`, missing where no label has come.

    Parameters
    ----------
    predictions
        Rows of the log.
    labels
        As `read_labels` gives them; or not yet reduced to the latest, in order of arrival.
    """
    time = pl.coalesce("time", "arrived").alias("label_time")
    last = _latest(labels).select(*JOINED_BY, LABEL, time)
    return predictions.join(last, on=JOINED_BY, how="left", maintain_order="left")


def without_prediction(predictions: pl.DataFrame, labels: pl.DataFrame) -> int:
    """How many rows have a label, but are not among these predictions."""
    return _latest(labels).join(predictions, on=JOINED_BY, how="anti").height


def _latest(labels: pl.DataFrame) -> pl.DataFrame:
    ordered = labels.sort("arrived", maintain_order=True)
    return ordered.unique(JOINED_BY, keep="last", maintain_order=True).sort(JOINED_BY)


def _after_all_others(place: Place) -> datetime:
    """Now, unless a clock that went back would put these labels before older ones."""
    now = datetime.now(UTC)
    if days := place.days(LABELS):
        names = [file.name for file in place.files(days[-1], LABELS)]
        if names and OURS.fullmatch(names[-1]):
            last = datetime.strptime(names[-1].partition("-")[0], STAMP).replace(tzinfo=UTC)
            return max(now, last + timedelta(microseconds=1))
    return now


def _checked(frame: pl.DataFrame) -> pl.DataFrame:
    for name in ("request_id", LABEL):
        if name not in frame.columns:
            raise DataError("labels need a column more", where=name, next_step=_FORM)
    given = frame.with_columns(
        pl.col("row") if "row" in frame.columns else pl.lit(0).alias("row"),
        pl.col("time") if "time" in frame.columns else pl.lit(None).alias("time"),
    )
    try:
        kept = given.select(
            pl.col("request_id").cast(pl.String),
            pl.col("row").cast(pl.Int32),
            pl.col(LABEL).cast(pl.Int64),
            _moment(given.schema["time"]),
        )
    except pl.exceptions.PolarsError as error:
        raise DataError(
            "labels are not of the kind they should be",
            where=", ".join(f"{name}: {dtype}" for name, dtype in frame.schema.items())[:300],
            next_step=_FORM,
        ) from error
    missing = kept.select(pl.any_horizontal(pl.col(*JOINED_BY, LABEL).is_null())).to_series()
    bad = missing | ~kept[LABEL].is_in([0, 1]) | (kept["row"] < 0)
    for name in ("row", LABEL):
        if given[name].dtype.is_float():
            bad |= given[name] != kept[name]
    if count := int(bad.sum()):
        raise DataError(
            f"{count} of {kept.height} labels lack a value or a row, or are neither 0 nor 1",
            where=f"the first is row {bad.arg_true()[0]}",
            next_step=_FORM,
        )
    return kept.unique(JOINED_BY, keep="last", maintain_order=True)


def _moment(dtype: pl.DataType) -> pl.Expr:
    time = pl.col("time")
    if dtype == pl.String:
        return time.str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=True)
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is None:
        return time.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return time.cast(MOMENT)
