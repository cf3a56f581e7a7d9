"""A shadow is never felt: full, late, failing or stuck, and every offer is counted once."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from mlops_tasks.serving.prediction_log.records import Answered
from mlops_tasks.serving.traffic.shadow import Counts, Shadow

PATIENCE = 30.0
ASKED = Answered(
    request_id="r",
    time=datetime(2026, 3, 3, tzinfo=UTC),
    model="demo",
    version=1,
    digest="one",
    region="local",
    role="champion",
    latency_ms=0.1,
    names=("x", "y"),
    rows=[(1.0, 10.0), (2.0, 20.0)],
    scores=[0.5, 0.5],
    predictions=[1, 1],
)


class Echo:
    """Answers with the first feature over a hundred, when it is let."""

    kind = "native"

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.asked: list[Any] = []

    def scores(self, rows: Sequence[tuple[Any, ...]]) -> list[float]:
        self.asked.append(list(rows))
        assert self.open.wait(PATIENCE)
        return [row[0] / 100 for row in rows]

    def at_once(self, rows: Sequence[tuple[Any, ...]]) -> list[float]:
        return self.scores(rows)


@contextmanager
def shadowing(
    predictor: Any,
    log: Callable[[Answered], None],
    *,
    names: tuple[str, ...] = ("y", "x"),
    seconds: float = PATIENCE,
    waiting: int = 10,
) -> Iterator[Shadow]:
    shadow = Shadow(
        predictor, log, version=2, digest="two", names=names, seconds=seconds, waiting=waiting
    )
    try:
        yield shadow
    finally:
        getattr(predictor, "open", threading.Event()).set()
        shadow.close()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def settled(shadow: Shadow) -> Counts:
    def done() -> bool:
        found = shadow.counts
        ended = found.logged + found.full + found.late + found.failed + found.closed
        return ended == found.offered

    until(done)
    return shadow.counts


def test_it_answers_the_same_request_as_itself() -> None:
    echo, logged = Echo(), list[Answered]()
    with shadowing(echo, logged.append) as shadow:
        assert shadow.offer(ASKED)
        assert settled(shadow) == Counts(offered=1, logged=1)
    assert echo.asked == [[(10.0, 1.0), (20.0, 2.0)]], "its own order of the columns"
    [found] = logged
    assert (found.request_id, found.time, found.model) == ("r", ASKED.time, "demo")
    assert (found.role, found.version, found.digest) == ("shadow", 2, "two")
    assert (found.names, found.rows) == (("y", "x"), [(10.0, 1.0), (20.0, 2.0)])
    assert (found.scores, found.predictions) == ([0.1, 0.2], [0, 0])
    assert found.latency_ms > 0
    assert found.latency_ms != ASKED.latency_ms


def test_a_stuck_shadow_is_not_felt_and_the_queue_is_bounded() -> None:
    echo, logged = Echo(), list[Answered]()
    with shadowing(echo, logged.append, waiting=3) as shadow:
        echo.open.clear()
        assert shadow.offer(ASKED)
        until(lambda: len(echo.asked) == 1)
        taken = [shadow.offer(replace(ASKED, request_id=str(n))) for n in range(10)]
        assert taken == [True] * 3 + [False] * 7, "offers came back while the predictor was stuck"
        assert shadow.counts == Counts(offered=11, full=7)
        echo.open.set()
        assert settled(shadow) == Counts(offered=11, logged=4, full=7)
    assert [each.request_id for each in logged] == ["r", "0", "1", "2"]


def test_what_is_late_is_dropped_and_not_logged() -> None:
    echo, logged = Echo(), list[Answered]()
    with shadowing(echo, logged.append, seconds=0.5) as shadow:
        echo.open.clear()
        shadow.offer(ASKED)
        until(lambda: len(echo.asked) == 1)
        shadow.offer(ASKED)
        time.sleep(0.6)
        echo.open.set()
        assert settled(shadow) == Counts(offered=2, late=2)
        assert len(echo.asked) == 1, "the one that had waited too long is not even asked"
    assert logged == []


@pytest.mark.parametrize("broken", ["raises", "short", "nan", "column", "log"])
def test_a_shadow_that_fails_goes_on(broken: str, caplog: pytest.LogCaptureFixture) -> None:
    echo, logged, fails = Echo(), list[Answered](), [True]

    def log(answered: Answered) -> None:
        if broken == "log" and fails[0]:
            raise OSError("secret 10.0")
        logged.append(answered)

    def scores(rows: Sequence[tuple[Any, ...]]) -> list[float]:
        if fails[0] and broken == "raises":
            raise ValueError("secret 10.0")
        found = [0.5] * len(rows)
        if fails[0] and broken == "short":
            return found[1:]
        return [float("nan"), *found[1:]] if fails[0] and broken == "nan" else found

    echo.scores = scores  # type: ignore[method-assign]
    lacking = replace(ASKED, names=("x", "z")) if broken == "column" else ASKED
    with shadowing(echo, log) as shadow:
        assert shadow.offer(lacking)
        assert shadow.offer(lacking)
        assert settled(shadow) == Counts(offered=2, failed=2)
        fails[0] = False
        assert shadow.offer(ASKED)
        assert settled(shadow) == Counts(offered=3, failed=2, logged=1)
    assert len(logged) == 1
    assert "secret" not in caplog.text
    assert len(caplog.records) == 1, "said once, counted then"


def test_after_the_end_nothing_is_logged() -> None:
    echo, logged = Echo(), list[Answered]()
    with shadowing(echo, logged.append) as shadow:
        echo.open.clear()
        for _ in range(4):
            shadow.offer(ASKED)
        until(lambda: len(echo.asked) == 1)
        closing = threading.Thread(target=shadow.close)
        closing.start()
        until(lambda: shadow.counts.closed == 3)
        echo.open.set()
        closing.join(PATIENCE)
        assert not shadow.offer(ASKED)
        assert settled(shadow) == Counts(offered=5, closed=5)
        shadow.close()
    assert logged == []


def test_many_threads_and_each_offer_is_counted_once() -> None:
    logged = list[Answered]()
    accepted = [0] * 8

    def ask(place: int, shadow: Shadow) -> None:
        for n in range(300):
            accepted[place] += shadow.offer(replace(ASKED, request_id=f"{place}-{n}"))

    with shadowing(Echo(), logged.append, waiting=20) as shadow:
        threads = [threading.Thread(target=ask, args=(n, shadow)) for n in range(len(accepted))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = settled(shadow)
    assert found.offered == 2400
    assert found.logged == sum(accepted) == len(logged)
    assert found.full == 2400 - found.logged
    assert len({each.request_id for each in logged}) == len(logged)
