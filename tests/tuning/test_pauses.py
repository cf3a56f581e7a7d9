"""A worker that stood still for too long: others do its trial, and its result is late."""

import os
import signal
from pathlib import Path

import pytest
from optuna.trial import TrialState

from mlops_tasks.tuning.study import WORKER, open_study, read, unsettled
from tests.tuning.test_study import counts, run, stopped_in_the_midst
from tests.tuning.world import World

PLACES = 8


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_worker_that_stood_still_finds_its_trial_done_by_others(tmp_path: Path) -> None:
    world = World(tmp_path)
    search = world.search(nap=0.5)
    worker = world.worker(PLACES, nap=0.5)
    try:
        stopped_in_the_midst(search, [worker])
        settled = PLACES - len(unsettled(read(open_study(search)), PLACES))
        assert run(search, PLACES) == PLACES - settled
        os.kill(worker.pid, signal.SIGCONT)
        said, _ = worker.communicate(timeout=120)
    finally:
        worker.kill()
    assert (worker.returncode, int(said)) == (0, settled + 1)
    assert counts(search) == dict.fromkeys(range(PLACES), 1)
    failed = [each for each in read(open_study(search)) if each.state == TrialState.FAIL]
    assert [str(worker.pid) in each.user_attrs[WORKER] for each in failed] == [True]
