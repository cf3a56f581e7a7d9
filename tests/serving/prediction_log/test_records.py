"""What is appended is what is read, whatever it is, in whatever form it lies meanwhile."""

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from mlops_tasks.errors import StorageError
from mlops_tasks.serving.prediction_log import writer
from mlops_tasks.serving.prediction_log.framing import framed
from mlops_tasks.serving.prediction_log.places import place_of
from mlops_tasks.serving.prediction_log.reader import predictions
from mlops_tasks.serving.prediction_log.records import COLUMNS, Answered
from mlops_tasks.serving.prediction_log.sealing import seal
from mlops_tasks.serving.prediction_log.writer import open_log
from mlops_tasks.settings import Settings
from tests.serving.prediction_log.answers import (
    MODEL,
    NOON,
    answered,
    everything,
    ids,
    journals,
    parquet,
    settings_in,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
CELLS = {
    "x": st.none() | st.floats(allow_nan=False, allow_infinity=False),
    "n": st.none() | st.integers(-(2**63), 2**63 - 1),
    "flag": st.none() | st.booleans(),
    "airport": st.none() | TEXT,
}
TYPES = {"x": pl.Float64, "n": pl.Int64, "flag": pl.Boolean, "airport": pl.String}


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    names = tuple(draw(st.permutations(sorted(CELLS)))[: draw(st.integers(0, 4))])
    cells = st.tuples(*(CELLS[name] for name in names))
    rows = draw(st.lists(cells, min_size=1, max_size=3))
    scores = st.lists(st.floats(0, 1), min_size=len(rows), max_size=len(rows))
    return {
        "request_id": draw(TEXT),
        "time": NOON + timedelta(microseconds=draw(st.integers(-(10**11), 10**11))),
        "version": draw(st.integers(1, 3)),
        "role": draw(st.sampled_from(["champion", "canary", "shadow"])),
        "names": names,
        "rows": rows,
        "scores": draw(scores),
    }


# A step is a request, or what may happen between two requests.
STEPS = st.lists(requests() | st.sampled_from(["crash", "roll", "seal", "close"]), max_size=12)


@examples(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
def test_whatever_happens_in_between_the_log_is_what_was_appended(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Any]
) -> None:
    settings = settings_in(tmp_path_factory.mktemp("log"))
    expected: list[dict[str, Any]] = []
    log = open_log(settings)
    for step in steps:
        if isinstance(step, dict):
            log.append(answered(**step))
            expected += as_rows(step)
        elif step == "seal":
            seal(place_of(settings.stack, MODEL))
        else:
            leave(log, step)
            log = open_log(settings)
        assert everything(settings).height == len(expected)
    found = everything(settings)
    log.close()
    for frame in (found, everything(settings)):
        assert sorted(map(repr, as_dicts(frame))) == sorted(map(repr, expected))
    assert journals(settings) == []


def leave(log: writer.PredictionLog, how: str) -> None:
    """End a log: in order; or as a dead process does, whose locks the system opens."""
    if how == "close":
        log.close()
        return
    for segment in log._open.values():
        if how == "crash":
            with segment.path.open("ab") as stream:
                stream.write(framed(b"torn")[:-1])
        segment._lock.release()
    log._open.clear()
    log.close()


def as_rows(request: dict[str, Any]) -> list[dict[str, Any]]:
    """The slow and obvious way from a request to rows of the log."""
    rows = []
    for number, (row, score) in enumerate(zip(request["rows"], request["scores"], strict=True)):
        values = dict(zip(request["names"], row, strict=True))
        base = {name: request[name] for name in ("request_id", "time", "version", "role")}
        rows.append(base | {"row": number, "score": score} | {n: values.get(n) for n in CELLS})
    return rows


def as_dicts(frame: pl.DataFrame) -> list[dict[str, Any]]:
    kept = ["request_id", "time", "version", "role", "row", "score"]
    features = [
        pl.col(f"feature.{name}").cast(kind).alias(name)
        if f"feature.{name}" in frame.columns
        else pl.lit(None, kind).alias(name)
        for name, kind in TYPES.items()
    ]
    return [
        {**row, "time": row["time"].astimezone(UTC).replace(tzinfo=UTC)}
        for row in frame.select(*kept, *features).to_dicts()
    ]


def test_an_empty_log_has_all_columns_and_no_rows(settings: Callable[..., Settings]) -> None:
    found = everything(settings())
    assert found.is_empty()
    assert dict(found.schema) == COLUMNS


def test_every_field_is_in_its_column(settings: Callable[..., Settings]) -> None:
    here = settings()
    log = open_log(here)
    log.append(answered("a", rows=[(1.0, "JFK"), (math.nan, None)], scores=[0.9, math.inf]))
    live = everything(here)
    log.close()
    assert everything(here).equals(live)
    assert [file.parent.name for file in parquet(here)] == ["day=2026-03-01"]
    assert live.row(1, named=True) == {
        "request_id": "a",
        "row": 1,
        "time": NOON,
        "model": MODEL,
        "version": 1,
        "digest": "d" * 64,
        "region": "eu",
        "role": "champion",
        "latency_ms": 1.5,
        "score": None,
        "prediction": 0,
        "feature.x": None,
        "feature.airport": None,
    }


def test_only_what_is_asked_for_is_read(settings: Callable[..., Settings]) -> None:
    here = settings()
    log = open_log(here)
    times = [NOON + timedelta(hours=12 * step) for step in range(4)]
    for number, time in enumerate(times):
        log.append(answered(str(number), time=time, version=number % 2))
    log.append(answered("shadow", time=times[1], role="shadow"))
    zone = timezone(timedelta(hours=-5))
    log.append(answered("elsewhere", time=datetime(2026, 2, 28, 23, tzinfo=zone)))
    log.close()

    def asked(*span: datetime, **wanted: Any) -> list[str]:
        return predictions(here, MODEL, *span, **wanted)["request_id"].to_list()

    assert asked(times[0], times[2]) == ["0", "1"]
    assert asked(times[0], times[2], role=None) == ["0", "1", "shadow"]
    assert asked(times[0], times[3], version=0) == ["0", "2"]
    assert asked(datetime(2026, 3, 1), times[0]) == ["elsewhere"]
    assert predictions(here.stack, MODEL, times[0], times[1], columns=["row"]).columns == ["row"]
    days = {file.parent.name: file for file in parquet(here)}
    assert sorted(days) == ["day=2026-03-01", "day=2026-03-02", "day=2026-03-03"]
    days["day=2026-03-03"].write_bytes(b"not asked for")
    assert asked(times[0], times[3]) == ["0", "1", "2"]
    with pytest.raises(StorageError, match="cannot be read"):
        asked(times[0], times[3] + timedelta(seconds=1))


def test_rows_and_seconds_roll_a_segment_into_parquet(settings: Callable[..., Settings]) -> None:
    for rolled in ({"roll_rows": 3}, {"roll_seconds": 0.05}):
        here = settings(**rolled)
        before = len(parquet(here))
        log = open_log(here)
        for number in range(4):
            log.append(answered(str(number)))
        try:
            waited_for = 200
            while len(parquet(here)) == before:
                waited_for -= 1
                assert waited_for, "nothing was sealed while the log was open"
                log._ended.wait(0.05)
        finally:
            log.close()
    assert len(ids(here)) == 8


def test_many_days_at_once_do_not_keep_many_files_open(settings: Callable[..., Settings]) -> None:
    here = settings()
    log = open_log(here)
    for number in range(40):
        log.append(answered(str(number), time=NOON + timedelta(days=number)))
    assert len(log._open) <= writer.OPEN_DAYS
    log.close()
    assert len(ids(here)) == len(parquet(here)) == 40


def test_what_is_no_answer_of_this_model_is_refused(settings: Callable[..., Settings]) -> None:
    log = open_log(settings())
    bad: list[Answered] = [
        answered("a", time=datetime(2026, 3, 1)),
        answered("a", model="another"),
        answered("a", rows=[(1.0,)]),
        answered("a", rows=[]),
        answered("a", scores=[0.1, 0.2]),
        answered("a", predictions=[]),
    ]
    for each in bad:
        with pytest.raises(ValueError, match=r"zone|another|values|equally"):
            log.append(each)
    log.close()
    with pytest.raises(StorageError, match="closed"):
        log.append(answered("a"))
    assert ids(settings()) == []


def test_an_object_store_gets_the_same_log(
    settings: Callable[..., Settings], tmp_path: Path
) -> None:
    here = settings_in(tmp_path, predictions=f"memory://{tmp_path.name}/predictions")
    log = open_log(here)
    log.append(answered("a"))
    place = place_of(here.stack, MODEL)
    assert place.journal.is_relative_to(tmp_path / "home" / "journal")
    assert ids(here) == ["a"], "this machine's journal"
    log.close()
    assert list(place.journal.glob("*.journal")) == []
    assert [len(place.files(day)) for day in place.days()] == [1]
    assert ids(here) == ["a"]
    assert place.days() == [date(2026, 3, 1)]
