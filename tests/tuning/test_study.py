"""Each place of a study is filled once: by one worker, by many, and after any of them is killed."""

import contextlib
import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from mlops_tasks.errors import SettingsError, TrainingError
from mlops_tasks.tuning.standing import standing
from mlops_tasks.tuning.study import (
    ERROR,
    SLOT,
    WORKER,
    Search,
    open_study,
    places,
    read,
    tidy,
    unsettled,
)
from mlops_tasks.tuning.worker import try_parameters
from tests.tuning.databases import postgres
from tests.tuning.world import TABLE, World

COUNTED = (TrialState.COMPLETE, TrialState.PRUNED)


def run(search: Search, trials: int) -> int:
    return try_parameters(search.settings, search.split, search.models, trials)


def tried(search: Search) -> list[tuple[int, str, dict[str, Any], dict[int, float]]]:
    found = places(read(open_study(search)))
    return [
        (place, trial.state.name, trial.params, trial.intermediate_values)
        for place, trial in sorted(found.items())
    ]


def counts(search: Search) -> Counter[int]:
    """How many trials came to a result, for each place."""
    trials = open_study(search).get_trials(states=COUNTED)
    return Counter(trial.user_attrs[SLOT] for trial in trials)


def test_one_worker_finds_the_same_again_also_when_it_is_resumed(tmp_path: Path) -> None:
    once, resumed = (World(tmp_path / name).search() for name in ("once", "resumed"))
    assert run(once, 11) == 11
    assert [run(resumed, trials) for trials in (3, 9, 11, 11)] == [3, 6, 2, 0]
    assert tried(resumed) == tried(once)
    values = [each[2]["C"] for each in tried(once)]
    assert len(set(values)) == 11, "no draw is repeated"
    assert all(1e-4 <= value <= 10 for value in values)
    states = Counter(each[1] for each in tried(once))
    assert states["COMPLETE"] >= 8
    assert states["COMPLETE"] + states["PRUNED"] == 11


def test_what_else_decides_makes_another_study(tmp_path: Path) -> None:
    world = World(tmp_path)
    search = world.search()
    others = [
        world.search(folds=2),
        world.search(spaces={"straight": {"C": {"low": 1.0, "high": 2.0}}}),
        world.search(nap=0.5),
        Search(search.settings.model_copy(update={"seed": 2}), search.split, TABLE),
        Search(search.settings, world.split(seed=2), TABLE),
    ]
    assert len({search.name, *(each.name for each in others)}) == 6
    assert world.search(trials=5, grace_seconds=9).name == search.name


def test_a_misspelt_parameter_is_one_error_before_anything_runs(tmp_path: Path) -> None:
    space = {"straight": {"Q": {"low": 1, "high": 2}}}
    with pytest.raises(SettingsError, match="straight has no parameter 'Q'") as caught:
        run(World(tmp_path).search(spaces=space), 2)
    assert caught.value.where == "tuning.spaces.straight"
    with pytest.raises(SettingsError, match="which parameters of 'straight'"):
        run(World(tmp_path).search(spaces={}), 2)
    with pytest.raises(TrainingError, match="no model 'none'"):
        run(World(tmp_path).search(model="none", spaces={"none": space["straight"]}), 2)


def test_an_error_of_the_model_settles_the_place(tmp_path: Path) -> None:
    search = World(tmp_path).search(model="broken")
    assert run(search, 3) == 3
    assert run(search, 3) == 0
    found = standing(open_study(search), search, 3)
    assert (found.left, found.best, found.counts) == (0, None, {"failed": 3})
    assert "'C' parameter" in found.trials[0].error


def test_a_place_is_queued_once_however_often_it_is_tidied(tmp_path: Path) -> None:
    search = World(tmp_path).search()
    study = open_study(search)
    for _ in range(3):
        tidy(study, search, 4)
    assert sorted(trial.user_attrs[SLOT] for trial in study.trials) == [0, 1, 2, 3]
    dead = study.ask()
    dead.suggest_float("C", 1e-4, 10, log=True)  # and no sign of life ever
    assert unsettled(read(study), 4) == [0, 1, 2, 3]
    time.sleep(search.settings.tuning.grace_seconds + 1)
    for _ in range(3):
        tidy(study, search, 4)
    again = [trial for trial in study.trials if trial.user_attrs[SLOT] == dead.user_attrs[SLOT]]
    assert [trial.state for trial in again] == [TrialState.FAIL, TrialState.WAITING]
    run(search, 4)
    assert places(read(study))[dead.user_attrs[SLOT]].params == dead.params, "the same parameters"
    assert counts(search) == dict.fromkeys(range(4), 1)


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_workers_as_on_several_hosts_and_one_is_killed(tmp_path: Path, database: str) -> None:
    with contextlib.ExitStack() as stack:
        ledger = stack.enter_context(postgres()) if database == "postgresql" else ""
        world = World(tmp_path / "shared", ledger)
        search = world.search(nap=0.3)
        hosts = [
            world.worker(16, folder=tmp_path / f"host{number}", nap=0.3) for number in range(3)
        ]
        victim = stopped_in_the_midst(search, hosts)
        hosts.remove(victim)
        victim.kill()
        victim.communicate()
        done = [int(host.communicate(timeout=500)[0]) for host in hosts]
        assert [host.returncode for host in hosts] == [0, 0]
        known = read(open_study(search))
        assert unsettled(known, 16) == []
        assert counts(search) == dict.fromkeys(range(16), 1), "no trial twice, none missing"
        assert sum(done) <= 16
        failed = [each for each in known if each.state == TrialState.FAIL]
        assert [each.user_attrs.get(WORKER, "").split("/")[-2] for each in failed] == [
            str(victim.pid)
        ]
        assert ERROR not in failed[0].user_attrs


def stopped_in_the_midst(search: Search, hosts: list[Any]) -> Any:
    """A worker that is in a trial, held there."""
    study = open_study(search)
    while unsettled(read(study), 16):
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            for host in hosts:
                if f"/{host.pid}/" in trial.user_attrs.get(WORKER, ""):
                    os.kill(host.pid, signal.SIGSTOP)
                    if not study.get_trials()[trial.number].state.is_finished():
                        return host
                    os.kill(host.pid, signal.SIGCONT)
        time.sleep(0.02)
    raise AssertionError("all was done before a worker could be held")
