"""One alarm, and two events that Prefect takes for different ones: one training works."""

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Generated
from tests.deployments import alarming
from tests.deployments.conftest import (
    asked,
    deployments,
    recorded,
    reigns,
    state,
    states,
    until,
    worker,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ENDED = ("Completed", "Answered", "Failed", "Crashed")


def monitor(ours: Generated, *words: str, **more: str) -> int:
    done = ours.run("python", alarming.__file__, str(ours.root), *words, check=False, **more)
    assert done.returncode in (0, -9), done.stderr
    return done.returncode


def trainings(ours: Generated) -> list[dict[str, Any]]:
    """All flow runs that an alarm has started, in order."""
    flow = {"id": {"any_": [deployments(ours)["train/flight-delay"]["id"]]}}
    found = asked(ours, "flow_runs/filter", deployments=flow, sort="EXPECTED_START_TIME_ASC")
    return [each for each in found if each["parameters"].get("alarm")]


def test_one_training_works_and_the_other_ends(ours: Generated, tmp_path: Path) -> None:
    ours.run("prefect", "--no-prompt", "deploy", "--all")
    assert monitor(ours, MLOPS_CRASH_AT="training called") == -9
    assert recorded(ours, "retraining") == [], "sent, and nobody knows"
    until("no training was started", lambda: len(trainings(ours)) == 1)
    assert monitor(ours, "forgetful") == 0
    until("the second event was not taken", lambda: len(trainings(ours)) == 2)
    with worker(ours, ours.environment["POOL"], tmp_path / "worker.log"):
        for run in trainings(ours):
            until("it does not end", lambda run=run: state(ours, run["id"]) in ENDED)
        log = (tmp_path / "worker.log").read_text()
        ends = sorted(state(ours, run["id"]) for run in trainings(ours))
        assert ends == ["Answered", "Completed"], log[-3000:]
        assert recorded(ours, "registration") == ["accepted"]
        assert sorted(recorded(ours, "retraining")) == ["begun", "called"]
        assert len(reigns(ours)) == 1

        [first] = [run for run in trainings(ours) if run["state"]["name"] == "Completed"]
        crashed = {"type": "CRASHED", "name": "Crashed"}
        asked(ours, f"flow_runs/{first['id']}/set_state", state=crashed, force=True)
        third = asked(
            ours,
            f"deployments/{deployments(ours)['train/flight-delay']['id']}/create_flow_run",
            parameters=first["parameters"],
            state={"type": "SCHEDULED", "name": "Scheduled"},
        )["id"]
        until("it does not end", lambda: state(ours, third) in ENDED)
        assert state(ours, third) == "Completed", "it takes over from the one that crashed"
        # Prefect begins the one that crashed again, which has nothing to do any more.
        until("it does not begin again", lambda: state(ours, first["id"]) == "Answered")
    assert states(ours, first["id"])[-1] == "Answered"
    assert recorded(ours, "retraining").count("begun") == 2
    assert len(reigns(ours)) == 1
    assert monitor(ours, "forgetful") == 0
    assert len(trainings(ours)) == 3, "what is answered is not sent again"
