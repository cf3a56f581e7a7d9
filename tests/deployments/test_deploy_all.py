"""`prefect deploy --all` on a real server, and a real worker that clones the repository."""

from pathlib import Path

import pytest

from tests.conftest import Generated
from tests.deployments.conftest import (
    asked,
    automations,
    deployments,
    publish,
    recorded,
    reigns,
    start,
    state,
    until,
    worker,
)
from tests.monitoring import answering

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
AUGUST = ["data.window.start=2013-07-01", "data.window.end=2013-08-01"]
LONG_AGO = "2020-01-01T00:00:00+00:00"
DEPLOY = ("prefect", "--no-prompt", "deploy", "--all")


def test_deploying_twice_changes_nothing(ours: Generated) -> None:
    ours.run(*DEPLOY)
    first, watched = deployments(ours), automations(ours)
    assert sorted(first) == [
        "monitor/flight-delay",
        "retire/flight-delay",
        "score/flight-delay",
        "train/flight-delay",
    ]
    assert sorted(watched) == [
        "flight-delay-retrain",
        "flight-delay: a cancelled run without a worker is cancelled",
        "flight-delay: a crashed run begins again",
        "flight-delay: a run that never began begins again",
        "flight-delay: a run that never begins is crashed",
        "flight-delay: a silent run is crashed",
    ]
    limits = {
        name: (each["global_concurrency_limit"] or {}).get("limit") for name, each in first.items()
    }
    assert limits == {
        "train/flight-delay": 1,
        "monitor/flight-delay": 1,
        "score/flight-delay": None,
        "retire/flight-delay": None,
    }
    assert all(len(each["schedules"]) == 1 for each in first.values())

    ours.run(*DEPLOY)
    again = deployments(ours)
    assert {name: each["id"] for name, each in again.items()} == {
        name: each["id"] for name, each in first.items()
    }
    for name, each in again.items():
        schedules = [schedule["id"] for schedule in each["schedules"]]
        assert schedules == [schedule["id"] for schedule in first[name]["schedules"]]
    kept = automations(ours)
    del watched["flight-delay-retrain"], kept["flight-delay-retrain"]  # Prefect makes it anew
    assert kept == watched


def test_a_paused_automation_stays_paused(ours: Generated) -> None:
    ours.run(*DEPLOY)
    name = "flight-delay: a crashed run begins again"
    ours.run("prefect", "automation", "pause", name)
    file = ours.root / "prefect.yaml"
    text = file.read_text()
    try:
        file.write_text(text.replace("restarts: 2", "restarts: 3"))
        ours.run(*DEPLOY)
        found = asked(ours, f"automations/{automations(ours)[name]}")
        assert found["trigger"]["match"]["prefect.run-count"] == ["1", "2", "3"]
        assert not found["enabled"]
    finally:
        file.write_text(text)
        ours.run("prefect", "automation", "resume", name)
        ours.run(*DEPLOY)


def test_a_worker_runs_the_commit_that_it_cloned(ours: Generated, tmp_path: Path) -> None:
    """The worker's environment still has the package as it was when that was installed."""
    ours.run(*DEPLOY)
    model = next((ours.root / "src").glob("*/model.py"))
    model.write_text(model.read_text() + "\n# another commit\n")
    publish(ours, ours.root.parent / "origin.git")
    head = ours.run("git", "rev-parse", "HEAD").stdout.strip()
    with worker(ours, ours.environment["POOL"], tmp_path / "worker.log"):
        run = start(ours, "train/flight-delay", ["model=linear"])
        until("the training does not end", lambda: state(ours, run) in ("Completed", "Failed"))
        log = (tmp_path / "worker.log").read_text()
        assert state(ours, run) == "Completed", log[-3000:]
        scores = start(ours, "score/flight-delay", AUGUST)
        monitors = start(ours, "monitor/flight-delay", [])
        ours.run("python", answering.__file__, str(ours.root), LONG_AGO, "50", "0")
        retires = start(ours, "retire/flight-delay", ["serving.log.retention_days=30"])
        for each in (scores, monitors, retires):
            until("does not end", lambda each=each: state(ours, each) in ("Completed", "Failed"))
            assert state(ours, each) == "Completed", (tmp_path / "worker.log").read_text()[-3000:]
    assert recorded(ours, "retention") == ["intent", "done"], "days that are too old are gone"
    [reign] = reigns(ours)
    from mlflow import MlflowClient

    address = f"sqlite:///{ours.environment['MLOPS_HOME']}/mlflow.db"
    version = MlflowClient(address, registry_uri=address).get_model_version(
        "flight-delay", str(reign["version"])
    )
    assert version.tags["mlops.git_commit"] == head
    typed = ours.run("mlops", "train", "model=linear", "--json").stdout
    assert '"repeated": true' in typed, "the code of the clone was trained, not that of the worker"
