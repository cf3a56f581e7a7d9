"""Models that take long, off the thread that answers: each with a deadline.

A thread cannot be killed, so a scoring that is given up goes on. Its place goes to the next one, as
long as there are few of them.

Guarantees, each held by a test: after its deadline nobody waits for a scoring; of those that were
given up no more than `MOST_GIVEN_UP` go on at once, and while there are so many the next one is
refused without being begun; once one of them ends, scoring goes on.
"""

import asyncio
import contextlib
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from mlops_tasks.inference.features import Row
from mlops_tasks.inference.predictors import Predictor
from mlops_tasks.serving.online.problems import RequestRefused

MOST_GIVEN_UP = 4
TOO_SLOW = "the answer took too long"
STUCK = "too many answers that took too long are still being computed"


class Scoring:
    """Threads that score; used from one event loop.

    Parameters
    ----------
    seconds
        How long one request may take, waiting for a thread included.
    """

    def __init__(self, seconds: float) -> None:
        cores = os.cpu_count() or 1
        self._seconds = seconds
        self._places = asyncio.Semaphore(cores)
        self._given_up = 0
        self._pool = ThreadPoolExecutor(cores + MOST_GIVEN_UP, thread_name_prefix="scores")

    async def scores(self, predictor: Predictor, rows: Sequence[Row]) -> list[float]:
        """The model's scores.

        Raises
        ------
        RequestRefused
            If they took too long, or too many did before.
        """
        if self._given_up >= MOST_GIVEN_UP:
            raise RequestRefused(503, "too_slow", STUCK)
        try:
            async with asyncio.timeout(self._seconds), self._places:
                if self._given_up >= MOST_GIVEN_UP:
                    raise RequestRefused(503, "too_slow", STUCK)
                work = self._pool.submit(predictor.scores, rows)
                try:
                    return await asyncio.wrap_future(work)
                except asyncio.CancelledError:
                    self._give_up(work)
                    raise
        except TimeoutError as error:
            raise RequestRefused(503, "too_slow", TOO_SLOW) from error

    def close(self) -> None:
        """Give up what is still being scored."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _give_up(self, work: "Future[list[float]]") -> None:
        if work.cancel():
            return
        loop = asyncio.get_running_loop()
        self._given_up += 1

        def ended(_: "Future[list[float]]") -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended before
                loop.call_soon_threadsafe(self._back)

        work.add_done_callback(ended)

    def _back(self) -> None:
        self._given_up -= 1
