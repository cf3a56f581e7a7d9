"""The segments of a folder, read back as frames; `segment` says what is in them.

Guarantees, each held by a test: what was appended is what is read, also while more is appended;
only an unfinished record at the end is passed over in silence: nobody was told that it is there.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl

from mlops_tasks.serving.prediction_log.framing import pieces
from mlops_tasks.serving.prediction_log.records import COLUMNS, FEATURE, MOMENT
from mlops_tasks.serving.prediction_log.segment import SUFFIX, Context

Record = tuple[int, str, int, float | None, list[tuple[Any, ...]], list[float | None], list[int]]


@dataclass(frozen=True, slots=True)
class Read:
    """What a segment says. `damaged` counts the stretches that say nothing."""

    frame: pl.DataFrame
    damaged: int


def day_of(path: Path) -> date:
    """The day whose records a segment holds; `ValueError` if it is none."""
    return date.fromisoformat(path.name.partition(".")[0])


def segments(folder: Path) -> list[Path]:
    """The segments of a folder, oldest first."""
    return sorted(path for path in folder.glob(f"*{SUFFIX}") if _is_segment(path))


def read_segment(path: Path) -> Read:
    """The finished records of a segment, also while it is being written.

    Raises
    ------
    OSError
        If it is gone or cannot be read.
    """
    contexts: dict[int, Context] = {}
    found: dict[Context, list[Record]] = defaultdict(list)
    damaged = 0
    for said in _said(path.read_bytes()):
        try:
            if isinstance(said, dict):
                number = said.pop("context")
                contexts[number] = Context(**said | {"columns": tuple(said["columns"])})
            else:
                context = contexts[said[0]]
                _require_record(said, len(context.columns))
                found[context].append(said)
        except (KeyError, TypeError, ValueError):
            damaged += 1
    frames = [_frame(context, records) for context, records in found.items()]
    return Read(joined(frames), damaged)


def joined(frames: list[pl.DataFrame]) -> pl.DataFrame:
    """Frames of different models as one; what one does not have is missing in it."""
    return pl.concat([pl.DataFrame(schema=COLUMNS), *frames], how="diagonal_relaxed")


def _said(content: bytes) -> Iterator[Any]:
    import msgspec

    decode = msgspec.msgpack.Decoder(dict[str, Any] | Record).decode
    for piece in pieces(content):
        try:
            yield None if piece is None else decode(piece)
        except (msgspec.DecodeError, UnicodeDecodeError):
            yield None


def _require_record(said: Record, width: int) -> None:
    _, _, _, _, rows, scores, predictions = said
    fits = 0 < len(rows) == len(scores) == len(predictions)
    if not (fits and all(len(row) == width for row in rows)):
        raise ValueError("not a record")


def _frame(context: Context, records: list[Record]) -> pl.DataFrame:
    lengths = [len(record[4]) for record in records]
    each = pl.DataFrame(
        {
            "request_id": [record[1] for record in records],
            "time": pl.Series([record[2] for record in records], dtype=pl.Int64).cast(MOMENT),
            "latency_ms": pl.Series([record[3] for record in records], dtype=pl.Float64),
        }
    )
    times = pl.Series(lengths, dtype=pl.UInt32)
    repeated = each.select(pl.all().repeat_by(times).explode())
    rows = chain.from_iterable(record[4] for record in records)
    scores = [score for record in records for score in record[5]]
    predictions = [prediction for record in records for prediction in record[6]]
    features = [
        _finite(pl.Series(f"{FEATURE}{name}", values, strict=False))
        for name, values in zip(context.columns, zip(*rows, strict=True), strict=True)
    ]
    return repeated.with_columns(
        pl.Series("row", [row for length in lengths for row in range(length)], dtype=pl.Int32),
        *(pl.lit(getattr(context, name)).alias(name) for name in Context._fields[:-1]),
        _finite(pl.Series("score", scores, dtype=pl.Float64)),
        pl.Series("prediction", predictions, dtype=pl.Int64),
        *features,
    ).select(*COLUMNS, *(each.name for each in features))


def _finite(values: pl.Series) -> pl.Series:
    """What is not a number is missing."""
    if not values.dtype.is_float():
        return values
    return values.zip_with(
        values.is_finite().fill_null(True), pl.Series([None], dtype=values.dtype)
    )


def _is_segment(path: Path) -> bool:
    try:
        day_of(path)
    except ValueError:
        return False
    return True
