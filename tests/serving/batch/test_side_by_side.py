"""Parts two at a time: in order, few in memory, and the first failure is what is told."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from mlops_tasks.serving.side_by_side import AT_ONCE, side_by_side


def test_two_are_worked_on_at_once_and_results_are_in_order() -> None:
    both = threading.Barrier(AT_ONCE, timeout=10)

    def work(part: int) -> int:
        if part < AT_ONCE:
            both.wait()  # nobody passes alone
        time.sleep(0.02 * (part % 3))
        return part * part

    assert list(side_by_side(work, range(20))) == [part * part for part in range(20)]


def test_few_parts_are_in_memory() -> None:
    read, done, most = 0, 0, 0
    lock = threading.Lock()

    def parts() -> Iterator[int]:
        nonlocal read, most
        for part in range(50):
            with lock:
                read += 1
                most = max(most, read - done)
            yield part

    def work(part: int) -> int:
        nonlocal done
        time.sleep(0.002)
        with lock:
            done += 1
        return part

    assert len(list(side_by_side(work, parts()))) == 50
    assert AT_ONCE < most <= AT_ONCE + 2


def test_a_result_is_there_before_the_last_part_is_read() -> None:
    read: list[int] = []

    def parts() -> Iterator[int]:
        for part in range(30):
            read.append(part)
            yield part

    found = side_by_side(lambda part: part, parts())
    assert next(found) == 0
    assert len(read) < 30
    found.close()


def test_a_failure_is_told_and_the_rest_is_left() -> None:
    worked = []

    def work(part: int) -> int:
        worked.append(part)
        if part == 3:
            raise ValueError("part 3")
        return part

    with pytest.raises(ValueError, match="part 3"):
        list(side_by_side(work, range(100)))
    assert len(worked) < 10


def test_each_thread_has_its_share_of_the_cores_and_nothing_is_left_behind() -> None:
    import sklearn.ensemble  # noqa: F401  (loads OpenMP)

    np.dot(np.ones((2, 2)), np.ones((2, 2)))

    def threads(kind: str) -> list[int]:
        return [each["num_threads"] for each in threadpool_info() if each["user_api"] == kind]

    before = {kind: threads(kind) for kind in ("blas", "openmp")}
    assert all(before.values())
    inside = list(side_by_side(lambda _: {k: threads(k) for k in before}, range(4)))
    for each in inside:
        assert set(each["blas"]) == {1}
        assert each["openmp"] == [max(1, min(before["openmp"]) // AT_ONCE)] * len(each["openmp"])
    assert {kind: threads(kind) for kind in before} == before
