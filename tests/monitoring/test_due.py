"""Windows that nobody judged are due, on a real tracking store."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlops_tasks.monitoring.due import windows_due
from mlops_tasks.monitoring.window import MOST_WINDOWS, Window, window_of
from mlops_tasks.registry.windows import log_window
from mlops_tasks.settings import Settings
from tests.serving.prediction_log.answers import MODEL, settings_in

NOW = datetime(2026, 3, 10, 9, tzinfo=UTC)
DAY = timedelta(days=1)
LAST = window_of(24, now=NOW)


@pytest.fixture
def here(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


def report(here: Settings, window: Window, *, killed: bool = False) -> None:
    log_window(
        here,
        window=window.name,
        end=window.end.isoformat(),
        version=1,
        metrics={} if killed else {"drift_rows": 0.0},
        files={},
        tags={"mlops.model": MODEL},
    )


def ago(days: int) -> Window:
    return Window(LAST.start - days * DAY, LAST.end - days * DAY)


def test_at_first_only_the_last_window_is_due(here: Settings) -> None:
    assert windows_due(here, now=NOW) == [LAST]


@pytest.mark.parametrize("days", [0, 1, 2, 5, 29, 30, 31, 400])
def test_all_since_the_newest_report_are_due_in_their_order(here: Settings, days: int) -> None:
    report(here, ago(days + 3))
    report(here, ago(days))
    expected = [ago(each) for each in range(days - 1, -1, -1)] or [LAST]
    assert windows_due(here, now=NOW) == expected[-MOST_WINDOWS:]


def test_a_report_that_was_not_finished_is_none(here: Settings) -> None:
    report(here, ago(3))
    report(here, ago(1), killed=True)
    assert windows_due(here, now=NOW) == [ago(2), ago(1), LAST]


def test_a_window_that_overlaps_one_with_a_report_is_not_made_up_for(here: Settings) -> None:
    report(here, Window(LAST.start - 3 * DAY, LAST.start - 1.5 * DAY))
    assert windows_due(here, now=NOW) == [ago(1), LAST]


def test_a_window_that_is_named_is_judged_alone(here: Settings) -> None:
    report(here, ago(5))
    start, end = (each.isoformat() for each in (LAST.start, LAST.end))
    assert windows_due(here, start, end, NOW) == [LAST]
    assert windows_due(here, start, None, NOW) == [LAST]
    assert windows_due(here, None, end, NOW) == [LAST]
