"""`mlops deploy` against a real server: stages apart, told before done, pruned only when asked."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import Generated
from tests.deployments.conftest import asked, automations, deployments

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
PROD = "stack.stage=prod"
NAMES = [f"{name}/flight-delay" for name in ("monitor", "retire", "score", "train")]


@pytest.fixture
def here(ours: Generated) -> str:
    """The override that names the pool of these tests."""
    return f"stack.compute.work_pool={ours.environment['POOL']}"


def deploy(ours: Generated, *words: str) -> dict[str, object]:
    done: dict[str, object] = json.loads(ours.run("mlops", "deploy", *words, "--json").stdout)
    return done


def names(found: object) -> list[str]:
    return [each["name"] for each in found]  # type: ignore[attr-defined]


def test_each_stage_has_deployments_and_parameters_of_its_own(ours: Generated, here: str) -> None:
    assert names(deploy(ours, here)["deployments"]) == NAMES
    dev = deployments(ours)
    done = deploy(ours, here, PROD)
    assert names(done["deployments"]) == [f"{name}.prod" for name in NAMES]
    assert deployments(ours) == dev, "dev is left as it is"
    prod = deployments(ours, "prod")
    for each in prod.values():
        assert each["parameters"]["overrides"] == [here, PROD]
        assert each["job_variables"]["env"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "60"
    assert {"flight-delay-retrain", "flight-delay-retrain.prod"} <= set(automations(ours))

    deploy(ours, here, PROD)
    assert {name: each["id"] for name, each in deployments(ours, "prod").items()} == {
        name: each["id"] for name, each in prod.items()
    }


def test_a_missing_pool_is_made(ours: Generated) -> None:
    pool = f"{ours.environment['POOL']}-new"
    deploy(ours, f"stack.compute.work_pool={pool}", "stack.stage=staging")
    found = asked(ours, f"work_pools/{pool}")
    assert found["type"] == "process"


def test_a_dry_run_changes_nothing(ours: Generated, here: str) -> None:
    before = asked(ours, "deployments/filter", limit=200), automations(ours)
    pool = f"{ours.environment['POOL']}-never"
    said = ours.run("mlops", "deploy", f"stack.compute.work_pool={pool}", PROD, "--dry-run")
    assert "name: flight-delay.prod" in said.stdout
    assert (asked(ours, "deployments/filter", limit=200), automations(ours)) == before
    found = asked(ours, "work_pools/filter", limit=200)
    assert pool not in [each["name"] for each in found]


def test_problems_are_told_before_anything_is_submitted(ours: Generated, here: str) -> None:
    before = asked(ours, "deployments/filter", limit=200)
    wrong = ("stack.compute.resources.gpu_count=1", "stack.compute.resources.memory_gib=8")
    said = ours.run("mlops", "deploy", here, *wrong, check=False)
    assert said.returncode == 1
    assert "gpu_count" in said.stderr
    assert "memory_gib" in said.stderr
    elsewhere = ours.run("mlops", "deploy", here, "stack.regions.storage=mars", check=False)
    assert elsewhere.returncode == 1
    assert "mars" in elsewhere.stderr
    assert asked(ours, "deployments/filter", limit=200) == before


def test_what_is_gone_is_pruned_only_when_asked(ours: Generated, here: str) -> None:
    file = ours.root / "prefect.yaml"
    text = file.read_text()
    deploy(ours, here, PROD)
    try:
        start, _, rest = text.partition(
            "  - <<: *each\n    entrypoint: src/flight_delay/flows.py:train"
        )
        score = rest.index("  - <<: *each")
        file.write_text(start + rest[score:])
        done = deploy(ours, here, PROD)
        assert names(done["orphans"]) == ["train/flight-delay.prod"]
        assert not done["pruned"]
        assert "train/flight-delay.prod" in deployments(ours, "prod")
        assert "--prune" in ours.run("mlops", "deploy", here, PROD, "--dry-run").stderr

        done = deploy(ours, here, PROD, "--prune")
        assert done["pruned"]
        assert sorted(deployments(ours, "prod")) == [
            "monitor/flight-delay.prod",
            "retire/flight-delay.prod",
            "score/flight-delay.prod",
        ]
        assert "flight-delay-retrain.prod" not in automations(ours)
        assert sorted(deployments(ours)) == NAMES, "another stage is not touched"
    finally:
        file.write_text(text)


def test_another_project_is_neither_taken_over_nor_pruned(
    ours: Generated, here: str, tmp_path: Path
) -> None:
    deploy(ours, here)
    other = replace(ours, root=Path(shutil.copytree(ours.root, tmp_path / "other")))
    config = other.root / "conf" / "config.yaml"
    config.write_text(config.read_text().replace("project: flight-delay", "project: other"))
    said = other.run("mlops", "deploy", here, check=False)
    assert said.returncode == 1
    assert "belongs to 'flight-delay'" in said.stderr
    file = other.root / "prefect.yaml"
    file.write_text(file.read_text().replace("name: flight-delay #", "name: other #"))
    done = deploy(other, here, "--prune")
    assert names(done["deployments"]) == [each.replace("flight-delay", "other") for each in NAMES]
    assert done["orphans"] == []
    assert sorted(deployments(ours)) == NAMES


def test_without_a_server_it_says_so(ours: Generated) -> None:
    said = ours.run("mlops", "deploy", check=False, PREFECT_API_URL="")
    assert said.returncode == 1
    assert "mlops up" in said.stderr
