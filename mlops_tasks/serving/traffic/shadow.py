"""Asks a second version the same questions, off the path of the answer, and logs what it says.

One thread, one bounded queue. It shares the processor with the server: a shadow that is slow makes
no caller wait for it, but it does use the machine. A thread cannot be killed: a call that never
comes back leaves the shadow silent (everything is dropped), not the server.

Guarantees, each held by a test: `offer` never waits and never raises; what does not fit the queue,
and what is not answered within the limit, is dropped and counted; every offer is counted once;
after `close` nothing is logged any more; no value of a row reaches this process's own log.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING, Any

from mlops_tasks.evaluation.metrics import THRESHOLD

if TYPE_CHECKING:
    from mlops_tasks.inference.predictors import Predictor
    from mlops_tasks.serving.prediction_log.records import Answered

CLOSE_SECONDS = 5.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the requests that were offered.

    `logged` were answered in time; `full` found no place in the queue; `late` were not answered
    within the limit; `failed` were refused by the model or the log; `closed` came at or after the
    end. They add up to `offered`, but for what still waits.
    """

    offered: int = 0
    logged: int = 0
    full: int = 0
    late: int = 0
    failed: int = 0
    closed: int = 0


class Shadow:
    """A version that is asked and not answered with. Safe to share between threads.

    Parameters
    ----------
    predictor
        Scores rows of the features `names`.
    log
        Called in the shadow's own thread with each answer; an exception of it is counted.
    version, digest
        Of the shadow, for the log.
    names
        Its features in its own order; the champion's rows are put into it by name.
    seconds
        How old a request may be when its answer is there.
    waiting
        How many requests may wait.
    """

    def __init__(
        self,
        predictor: "Predictor",
        log: "Callable[[Answered], None]",
        *,
        version: int,
        digest: str,
        names: Sequence[str],
        seconds: float,
        waiting: int,
    ) -> None:
        self._predictor = predictor
        self._write = log
        self._version = version
        self._digest = digest
        self._names = tuple(names)
        self._seconds = seconds
        self._waiting = waiting
        self._queue: deque[tuple[float, Answered]] = deque()
        self._changed = threading.Condition()
        self._counts = dict.fromkeys(Counts.__dataclass_fields__, 0)
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="shadow", daemon=True)
        self._thread.start()

    @property
    def counts(self) -> Counts:
        """What became of the offers so far."""
        with self._changed:
            return Counts(**self._counts)

    def offer(self, answered: "Answered") -> bool:
        """Let the shadow answer what the champion has answered; False where it will not."""
        with self._changed:
            self._counts["offered"] += 1
            if self._closed:
                self._counts["closed"] += 1
                return False
            if len(self._queue) >= self._waiting:
                self._counts["full"] += 1
                return False
            self._queue.append((time.monotonic(), answered))
            self._changed.notify()
            return True

    def close(self) -> None:
        """End it. What waits is dropped; a call that is under way is not waited for for long."""
        with self._changed:
            self._closed = True
            self._counts["closed"] += len(self._queue)
            self._queue.clear()
            self._changed.notify_all()
        if self._thread is not threading.current_thread():
            self._thread.join(CLOSE_SECONDS)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                since, asked = self._queue.popleft()
            ending = self._ending(since, asked)
            with self._changed:
                self._counts[ending] += 1

    def _ending(self, since: float, asked: "Answered") -> str:
        """Answer one request and say what became of it."""
        if time.monotonic() - since > self._seconds:
            return "late"
        try:
            found = self._answer(asked)
            if time.monotonic() - since > self._seconds:
                return "late"
            with self._changed:
                if self._closed:
                    return "closed"
            self._write(found)
        except Exception as error:  # a model can fail in any way; the champion's answer was given
            if not self._counts["failed"]:  # the first; the rest are counted
                _log.warning("shadow version %s fails: %s", self._version, type(error).__name__)
            return "failed"
        return "logged"

    def _answer(self, asked: "Answered") -> "Answered":
        places = {name: place for place, name in enumerate(asked.names)}
        order = [places[name] for name in self._names]
        rows: list[tuple[Any, ...]] = [tuple(row[place] for place in order) for row in asked.rows]
        began = time.perf_counter()
        scores = self._predictor.scores(rows)
        took = (time.perf_counter() - began) * 1000
        if len(scores) != len(rows) or not all(map(isfinite, scores)):
            raise ValueError("the shadow's scores are not one number for each row")
        return replace(
            asked,
            version=self._version,
            digest=self._digest,
            role="shadow",
            latency_ms=took,
            names=self._names,
            rows=rows,
            scores=scores,
            predictions=[int(score >= THRESHOLD) for score in scores],
        )
