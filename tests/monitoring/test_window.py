"""Windows follow one another, and a time that is no time is refused."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_tasks.errors import DataError
from mlops_tasks.monitoring.window import Window, window_of

TIMES = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))


@given(now=TIMES, hours=st.sampled_from([0.25, 1.0, 24.0, 168.0]))
def test_the_default_is_the_last_complete_window(now: datetime, hours: float) -> None:
    window = window_of(hours, now=now)
    assert window.end - window.start == timedelta(hours=hours)
    assert window.end <= now < window.end + timedelta(hours=hours)
    following = window_of(hours, now=window.end + timedelta(hours=hours))
    assert following.start == window.end, "no gap, no overlap"


def test_one_end_is_enough() -> None:
    day = timedelta(days=1)
    start = datetime(2026, 3, 1, tzinfo=UTC)
    assert window_of(24, start="2026-03-01") == Window(start, start + day)
    assert window_of(24, end="2026-03-02T01:00:00+01:00") == Window(start, start + day)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-03-02", "2026-03-01"),
        ("2026-03-01", "2026-03-01"),
        ("soon", None),
        ("2026-03-01", "2999-01-01"),
    ],
)
def test_no_window(start: str, end: str | None) -> None:
    with pytest.raises(DataError) as raised:
        window_of(24, start, end)
    assert raised.value.next_step


def test_equal_windows_have_equal_names() -> None:
    one = window_of(1, start="2026-03-01T00:00:00")
    other = window_of(24, start="2026-03-01T02:00:00+02:00", end="2026-03-01T01:00:00")
    assert one.name == other.name == "2026-03-01T00:00:00.000000Z/2026-03-01T01:00:00.000000Z"
