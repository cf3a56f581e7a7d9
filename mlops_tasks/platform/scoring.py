"""Batch scoring by partition: ranges of parts are handed to the stack's runner, and joined here.

Guarantees, each held by a test: the bytes of the result are the same with one process or many; a
part of a process that was killed is in the result once. Threads share one processor's worth of
Python, so there the whole is one partition.
"""

import functools
from collections.abc import Callable
from typing import Any

from mlops_tasks.artifacts import Champion, Dataset
from mlops_tasks.platform.runners import chosen_here, finished
from mlops_tasks.serving import batch

PARTITIONS = 4  # for each worker: the slowest has little left to do alone


def spread_over(score_parts: Any) -> Callable[..., Dataset]:
    """`serving.batch.score_batch`, its parts scored by the task `score_parts`."""

    @functools.wraps(batch.score_batch)
    def score_batch(champion: Champion, rows: Dataset, *, store: str) -> Dataset:
        runner, parts = chosen_here(), batch.parts_of(rows)
        if runner.kind == "threads" or parts < 2:
            return batch.score_batch(champion, rows, store=store)
        size = max(1, parts // (runner.workers * PARTITIONS))
        done = finished(
            score_parts.submit(champion, rows, first, min(first + size, parts), store=store)
            for first in range(0, parts, size)
        )
        joined = [part for each in done for part in each]
        return batch.join_parts(champion, rows, joined, store=store)

    return score_batch
