"""A study conducted: workers started and watched, each trial a run in MLflow once."""

import contextvars
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from mlops_tasks.errors import SettingsError, TrainingError
from mlops_tasks.governance import residency
from mlops_tasks.platform.tuning import Tuned, search
from mlops_tasks.registry.leaderboard import leaderboard
from mlops_tasks.registry.trials import Trial, record_trials
from mlops_tasks.settings import Settings
from mlops_tasks.tuning.study import WORKER, Search, open_study
from tests.tuning.world import World


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(residency.OBSERVED, raising=False)


def conducted(found: Search, trials: int, workers: int = 2) -> Tuned:
    def run() -> Tuned:
        residency.enter(found.settings)
        words: dict[str, Any] = {"trials": trials, "workers": workers}
        return search(found.settings, found.split, found.models, None, **words)

    return contextvars.copy_context().run(run)


def runs(settings: Settings) -> dict[str, Any]:
    uri = settings.stack.tracking_uri
    client = MlflowClient(uri, registry_uri=uri)
    experiment = client.get_experiment_by_name(settings.project)
    found = client.search_runs([experiment.experiment_id], max_results=1000)
    places = [run.data.tags["mlops.trial"] for run in found]
    assert len(places) == len(set(places)), "no trial twice"
    return dict(zip(places, found, strict=True))


def trial(place: int, state: str = "complete", value: float | None = 0.75) -> Trial:
    return Trial(place, state, {"C": 0.1}, {0: 0.7, 1: 0.75}, value, 1000, 2000, "here/1/0")


def test_a_trial_is_one_run_however_often_it_is_recorded(tmp_path: Path) -> None:
    settings = World(tmp_path).settings()
    parent, known = record_trials(settings, "study", [trial(0), trial(1, "pruned", None)])
    assert known == {0, 1}
    again, _ = record_trials(settings, "study", [trial(0), trial(1, "pruned", None), trial(2)])
    assert again == parent
    record_trials(settings, "study", [trial(2)], frozenset())
    found = runs(settings)
    assert set(found) == {"all", "0", "1", "2"}
    assert {found[name].data.tags["mlflow.parentRunId"] for name in "012"} == {parent}
    assert found["all"].info.run_id == parent
    assert found["0"].data.params == {"C": "0.1"}
    assert found["0"].data.metrics == {"roc_auc": 0.75, "roc_auc_so_far": 0.75}
    assert (found["0"].info.start_time, found["0"].info.end_time) == (1000, 2000)
    assert [found[name].info.status for name in "01"] == ["FINISHED", "KILLED"]
    assert leaderboard(settings) == (), "the gate has not judged them"


def test_a_run_that_was_half_written_is_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = World(tmp_path).settings()
    real = MlflowClient.set_terminated
    monkeypatch.setattr(MlflowClient, "set_terminated", killed)
    with pytest.raises(KeyboardInterrupt):
        record_trials(settings, "study", [trial(0)])
    monkeypatch.setattr(MlflowClient, "set_terminated", real)
    assert runs(settings)["0"].info.status == "RUNNING"
    record_trials(settings, "study", [replace(trial(0), worker="another")])
    whole = runs(settings)["0"]
    assert whole.info.status == "FINISHED"
    uri = settings.stack.tracking_uri
    history = MlflowClient(uri).get_metric_history(whole.info.run_id, "roc_auc_so_far")
    assert [(each.step, each.value) for each in history] == [(0, 0.7), (1, 0.75)]


def killed(*words: Any, **named: Any) -> None:
    raise KeyboardInterrupt


def test_what_cannot_be_searched_starts_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    with pytest.raises(SettingsError, match="no parameter 'Q'"):
        conducted(world.search(spaces={"straight": {"Q": {"low": 1, "high": 2}}}), 2)
    assert not (tmp_path / "tuning.db").exists()
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.slow
def test_two_processes_one_killed_and_every_trial_a_run_once(tmp_path: Path) -> None:
    found = World(tmp_path).search(nap=0.1)
    victims: list[int] = []
    over = threading.Event()
    killer = threading.Thread(target=kill_one, args=(found, victims, over))
    killer.start()
    try:
        result = conducted(found, 12)
    finally:
        over.set()
        killer.join()
    assert victims, "one was killed in the midst of a trial"
    assert result.trials == 12
    assert result.complete + result.pruned == 12
    recorded = runs(found.settings)
    assert set(recorded) == {"all", *map(str, range(12))}
    best = max(
        run.data.metrics.get("roc_auc", 0) for name, run in recorded.items() if name != "all"
    )
    assert recorded["all"].data.metrics["roc_auc"] == best == result.value
    assert recorded["all"].info.status == "FINISHED"

    more = conducted(found, 14, workers=1)
    assert (more.trials, more.run_id) == (14, result.run_id)
    assert set(runs(found.settings)) == {"all", *map(str, range(14))}
    assert more.value >= result.value


def kill_one(found: Search, victims: list[int], over: threading.Event) -> None:
    """Kill a worker while it is in its second trial or a later one."""
    study = open_study(found)
    while not over.is_set():
        running = study.get_trials(deepcopy=False)
        busy = [each for each in running if each.state.name == "RUNNING" and each.number > 1]
        for each in busy:
            if WORKER in each.user_attrs:
                victims.append(int(each.user_attrs[WORKER].split("/")[-2]))
                os.kill(victims[0], signal.SIGKILL)
                return
        time.sleep(0.02)


@pytest.mark.slow
def test_when_nothing_comes_out_it_says_why(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no trial came to a result: .*'C' parameter"):
        conducted(World(tmp_path).search(model="broken"), 2)
