"""What `mlops deploy` makes of `prefect.yaml`, and which automations a project has; no server."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops_tasks.platform.deployments.recovery import automations
from mlops_tasks.platform.deployments.rendering import rendered
from mlops_tasks.settings.compose import compose
from mlops_tasks.settings.infrastructure import ComputeTarget
from mlops_tasks.settings.schema import Settings
from tests.deployments.conftest import render

TIMES = ("silent_seconds", "begin_seconds", "pause_seconds")
PROD = ["stack.stage=prod", "model=linear"]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(render(tmp_path_factory.mktemp("file"), ""))
    return loaded


@pytest.fixture
def prod(root: Path) -> Settings:
    return compose(root, PROD, placed=False)


def test_dev_is_what_prefect_deploy_makes_anyway(written: dict[str, Any], root: Path) -> None:
    settings = compose(root, placed=False)
    made = rendered(written, settings, [], {})
    for before, after in zip(written["deployments"], made["deployments"], strict=True):
        assert after == {**before, "parameters": {"overrides": []}}


def test_a_stage_has_deployments_pool_and_alarm_of_its_own(
    written: dict[str, Any], prod: Settings
) -> None:
    target = ComputeTarget(kind="kubernetes", work_pool="cluster", image="here/it:1")
    stack = prod.stack.model_copy(update={"compute": target})
    before = copy.deepcopy(written)
    variables = {"image": "here/it:1", "env": {"MLOPS_TRACKING_URI": "https://m.example"}}
    made = rendered(written, prod.model_copy(update={"stack": stack}), PROD, variables)
    assert written == before, "the file's content is left alone"
    for each in made["deployments"]:
        assert each["name"] == "flight-delay.prod"
        assert each["tags"] == ["mlops.project:flight-delay", "mlops.stage:prod"]
        assert each["parameters"]["overrides"] == PROD
        assert each["work_pool"]["name"] == "cluster"
        job = each["work_pool"]["job_variables"]
        assert job["image"] == "here/it:1"
        assert job["env"]["MLOPS_TRACKING_URI"] == "https://m.example"
        assert job["env"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "60"
    [trigger] = made["deployments"][0]["triggers"]
    assert trigger["name"] == "flight-delay-retrain.prod"
    assert trigger["match"] == {"prefect.resource.id": ["mlops.model.flight-delay.prod"]}
    assert trigger["parameters"] == written["deployments"][0]["triggers"][0]["parameters"]
    [pull] = made["pull"]
    assert pull["prefect.deployments.steps.set_working_directory"] == {"directory": "/app"}


def test_what_a_project_adds_is_kept(written: dict[str, Any], prod: Settings) -> None:
    more = copy.deepcopy(written)
    more["deployments"][0] |= {"description": "ours", "parameters": {"note": 1}}
    more["deployments"][0]["tags"].append("team:a")
    [made, *_] = rendered(more, prod, PROD, {})["deployments"]
    assert made["description"] == "ours"
    assert made["parameters"] == {"note": 1, "overrides": PROD}
    assert "team:a" in made["tags"]


def test_a_repository_is_cloned(tmp_path: Path) -> None:
    [step] = yaml.safe_load(render(tmp_path, "https://git.example/a.git"))["pull"]
    assert step == {
        "prefect.deployments.steps.git_clone": {
            "repository": "https://git.example/a.git",
            "branch": "main",
        }
    }


def test_silence_is_longer_than_the_time_between_heartbeats(written: dict[str, Any]) -> None:
    [step] = written["build"]
    [given] = step.values()
    for each in written["deployments"]:
        frequency = each["work_pool"]["job_variables"]["env"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"]
        assert given["silent_seconds"] >= 2 * int(frequency)


def test_an_approval_that_is_waited_for_is_not_silence() -> None:
    silent, pending, *_ = automations("here", 180, 900, 2, 60)
    for each in (silent, pending):
        assert "prefect.flow-run.Suspended" in each.trigger.expect
        assert "prefect.flow-run.AwaitingConcurrencySlot" in each.trigger.expect


def test_restarts_are_counted() -> None:
    _, _, _, counted, never_began = automations("here", 180, 900, 3, 60)
    assert counted.trigger.match["prefect.run-count"] == ["1", "2", "3"]
    assert never_began.trigger.match["prefect.run-count"] == ["0"]
    assert len(automations("here", 180, 900, 0, 60)) == 3


def test_only_runs_of_the_project_are_looked_at() -> None:
    for each in automations("here", 180, 900, 2, 60):
        assert each.trigger.match_related["prefect.resource.id"] == [
            "prefect.tag.mlops.project:here"
        ]


@pytest.mark.parametrize(
    "given",
    [{"silent_seconds": 5}, {"restarts": -1}, {"begin_seconds": 1}, {"pause_seconds": 0}],
)
def test_senseless_numbers_are_refused(given: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least"):
        automations("here", **dict.fromkeys(TIMES, 60) | {"restarts": 1} | given)
