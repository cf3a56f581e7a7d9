"""Parts of a dataset worked on two at a time, so that no core waits while one is read or kept.

A model with threads of its own has half of the cores for each part. It is asked from two threads
at once: scikit-learn's estimators, and whatever else changes nothing in itself when it predicts,
allow that.

Guarantees, each held by a test: results are in the order of the parts; at most four parts are in
memory, however many there are; a part that fails ends the work with its own error.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")

AT_ONCE = 2


def side_by_side(work: Callable[[Part], Result], parts: Iterable[Part]) -> Iterator[Result]:
    """What `work` gives for each part, as soon as it and those before it are done.

    Parameters
    ----------
    work
        Called in threads of its own, each of which has one BLAS thread: how many add up a sum
        decides its last bits.
    parts
        Read in this thread, one more than are worked on.

    Raises
    ------
    Exception
        That of the first part which failed; those after it may have been worked on.
    """
    from threadpoolctl import threadpool_limits

    waiting: deque[Future[Result]] = deque()
    with (
        threadpool_limits(limits=1, user_api="blas"),
        ThreadPoolExecutor(AT_ONCE, "parts", initializer=_half_of_the_cores) as pool,
    ):
        try:
            for part in parts:
                waiting.append(pool.submit(work, part))
                if len(waiting) > AT_ONCE:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _half_of_the_cores() -> None:
    """OpenMP counts for each thread that asks it, and for good: the thread ends with the work."""
    from threadpoolctl import ThreadpoolController

    openmp = ThreadpoolController().select(user_api="openmp")
    if threads := [library["num_threads"] for library in openmp.info()]:
        openmp.limit(limits=max(1, min(threads) // AT_ONCE))
