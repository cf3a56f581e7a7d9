"""Clocks of hosts are hours apart: what is dead is given up all the same, what lives is not."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from mlops_tasks.tuning.study import SLOT, open_study, tidy
from tests.tuning.world import World

AHEAD, BEHIND = "EAST-5", "WEST+7"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    yield monkeypatch
    monkeypatch.undo()
    time.tzset()


def taken(study: Study) -> FrozenTrial:
    """A trial that a process has taken; it has not come to say anything yet."""
    number = study._pop_waiting_trial_id()
    assert number is not None
    return study._storage.get_trial(number)


@pytest.mark.slow
@pytest.mark.parametrize(("theirs", "ours"), [(AHEAD, BEHIND), (BEHIND, AHEAD)])
def test_a_trial_that_was_just_begun_is_judged_by_no_clock(
    tmp_path: Path, clock: pytest.MonkeyPatch, theirs: str, ours: str
) -> None:
    search = World(tmp_path).search()
    study = open_study(search)
    tidy(study, search, 1)
    clock.setenv("TZ", theirs)
    time.tzset()
    begun = taken(study)
    clock.setenv("TZ", ours)
    time.tzset()
    tidy(study, search, 1)
    assert [trial.state for trial in study.trials] == [TrialState.RUNNING], "it may be alive"
    time.sleep(search.settings.tuning.grace_seconds + 1)
    for _ in range(3):
        tidy(study, search, 1)
    assert [trial.state for trial in study.trials] == [TrialState.FAIL, TrialState.WAITING]
    assert {trial.user_attrs[SLOT] for trial in study.trials} == {begun.user_attrs[SLOT]}
