"""Labels late, out of order, twice, of nobody: the last to arrive counts, and no row is lost."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from mlops_tasks.errors import DataError
from mlops_tasks.serving.prediction_log import labels as module
from mlops_tasks.serving.prediction_log.labels import (
    COLUMNS,
    add_labels,
    labelled,
    read_labels,
    without_prediction,
)
from mlops_tasks.serving.prediction_log.writer import open_log
from mlops_tasks.settings import Settings
from tests.serving.prediction_log.answers import (
    MODEL,
    NOON,
    answered,
    everything,
    settings_in,
)

ARRIVALS = st.lists(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.integers(0, 2), st.integers(0, 1)),
        min_size=1,
        max_size=4,
    ),
    max_size=5,
)


def frame(rows: list[tuple[Any, ...]], *names: str) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=list(names), orient="row")


@examples(max_examples=30, deadline=None)
@given(arrivals=ARRIVALS)
def test_the_label_that_arrived_last_counts(
    tmp_path_factory: pytest.TempPathFactory, arrivals: list[list[tuple[str, int, int]]]
) -> None:
    settings = settings_in(tmp_path_factory.mktemp("log"))
    expected: dict[tuple[str, int], int] = {}
    for rows in arrivals:
        once = {(request, row) for request, row, _ in rows}
        assert add_labels(settings, MODEL, frame(rows, "request_id", "row", "label")) == len(once)
        expected |= {(request, row): label for request, row, label in rows}
    found = read_labels(settings, MODEL)
    assert dict(found.schema) == COLUMNS
    kept = found.select("request_id", "row", "label").rows()
    assert kept == [(*key, label) for key, label in sorted(expected.items())]


def test_a_clock_that_goes_back_does_not_bring_an_old_label_back(
    settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, clock = settings(), [NOON, NOON - timedelta(days=2), NOON]

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return clock.pop(0)

    monkeypatch.setattr(module, "datetime", Clock)
    for label in (1, 1, 0):
        add_labels(here, MODEL, frame([("a", label)], "request_id", "label"))
    assert read_labels(here, MODEL)["label"].to_list() == [0]


def test_predictions_keep_their_rows_and_order_whatever_labels_come(
    settings: Callable[..., Settings],
) -> None:
    here = settings()
    log = open_log(here)
    log.append(answered("b", rows=[(1.0, "x"), (2.0, "y")]))
    log.append(answered("a", time=NOON + timedelta(seconds=1)))
    log.append(answered("a", time=NOON + timedelta(seconds=2), role="shadow"))
    log.append(answered("none", time=NOON + timedelta(seconds=3)))
    log.close()
    known = NOON + timedelta(days=3)
    first = frame([("a", 0, known), ("b", 0, known)], "request_id", "label", "time")
    late = frame([("b", 1, 1), ("nobody", 0, 1)], "request_id", "row", "label")
    add_labels(here, MODEL, late)
    add_labels(here, MODEL, first)
    add_labels(here, MODEL, frame([("a", True)], "request_id", "label"))
    found = labelled(everything(here), read_labels(here, MODEL))
    assert found.select("request_id", "row", "role", "label").rows() == [
        ("b", 0, "champion", 0),
        ("b", 1, "champion", 1),
        ("a", 0, "champion", 1),
        ("a", 0, "shadow", 1),
        ("none", 0, "champion", None),
    ]
    assert found["label_time"][0] == known
    assert abs(found["label_time"][2] - datetime.now(UTC)) < timedelta(hours=1), "its arrival"
    assert without_prediction(everything(here), read_labels(here, MODEL)) == 1


def test_labels_of_an_empty_log_and_a_log_without_labels(settings: Callable[..., Settings]) -> None:
    here = settings()
    empty = labelled(everything(here), read_labels(here, MODEL))
    assert empty.is_empty()
    assert empty.columns[-2:] == ["label", "label_time"]


def test_labels_that_were_not_reduced_are_joined_by_the_latest(tmp_path: Path) -> None:
    raw = pl.DataFrame(
        [("a", 0, 1, None, NOON), ("a", 0, 0, None, NOON - timedelta(days=1))],
        schema=COLUMNS,
        orient="row",
    )
    rows = pl.DataFrame({"request_id": ["a"], "row": pl.Series([0], dtype=pl.Int32)})
    assert labelled(rows, raw)["label"].to_list() == [1]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"label": [1]}, "request_id"),
        ({"request_id": ["a"]}, "label"),
        ({"request_id": ["a", None], "label": [1, 1]}, "1 of 2"),
        ({"request_id": ["a", "b"], "label": [1, None]}, "the first is row 1"),
        ({"request_id": ["a"], "label": [0.5]}, "neither 0 nor 1"),
        ({"request_id": ["a", "b"], "label": [1, 2]}, "the first is row 1"),
        ({"request_id": ["a"], "label": [-1]}, "neither 0 nor 1"),
        ({"request_id": ["a", "b"], "label": [0.0, float("nan")]}, "kind"),
        ({"request_id": ["a"], "label": ["late"]}, "kind"),
        ({"request_id": ["a", "b"], "label": ["1", "2"]}, "the first is row 1"),
        ({"request_id": ["a"], "label": [1], "row": [1.9]}, "1 of 1"),
        ({"request_id": ["a"], "label": [1], "row": [-1]}, "1 of 1"),
        ({"request_id": ["a"], "label": [1], "row": [None]}, "1 of 1"),
        ({"request_id": ["a"], "label": [1], "time": ["yesterday"]}, "kind"),
    ],
)
def test_bad_labels_are_refused_as_a_whole(
    settings: Callable[..., Settings], bad: dict[str, Any], said: str
) -> None:
    here = settings()
    with pytest.raises(DataError) as caught:
        add_labels(here, MODEL, pl.DataFrame(bad))
    assert said in str(caught.value)
    assert "request_id" in caught.value.next_step
    assert read_labels(here, MODEL).is_empty()
