"""The clock of a host is an hour off: what is dead is given up all the same, what lives is not."""

import time
from pathlib import Path

import pytest
from optuna.trial import TrialState
from sqlalchemy import text

from mlops_tasks.tuning.storage import open_storage
from mlops_tasks.tuning.study import open_study, tidy
from tests.tuning.world import World

SAYS = text("UPDATE trials SET datetime_start = datetime(datetime_start, :off)")


@pytest.mark.slow
@pytest.mark.parametrize("off", ["+1 hour", "-1 hour"])
def test_a_trial_that_was_just_begun_is_judged_by_no_clock(tmp_path: Path, off: str) -> None:
    search = World(tmp_path).search()
    study, grace = open_study(search), search.settings.tuning.grace_seconds
    tidy(study, search, 1)
    study._pop_waiting_trial_id()  # begun by a process that has not come to say anything yet
    with open_storage(search.settings.stack, grace).engine.begin() as connection:
        connection.execute(SAYS, {"off": off})  # as its host writes it
    tidy(study, search, 1)
    assert [trial.state for trial in study.trials] == [TrialState.RUNNING], "it may be alive"
    time.sleep(grace + 1)
    for _ in range(3):
        tidy(study, search, 1)
    assert [trial.state for trial in study.trials] == [TrialState.FAIL, TrialState.WAITING]
