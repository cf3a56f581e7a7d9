"""The same words give the same training: alone or in a sweep, typed or called, two at a time."""

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.conftest import Generated

pytestmark = pytest.mark.slow
WORDS = ("model=linear", "experiment=quick")
MEASURED_IN_TIME = {"latency_ms", "fit_seconds"}


@pytest.fixture
def homes(project: Generated, tmp_path: Path) -> dict[str, Generated]:
    """The project with homes of their own, so that nothing is found that was computed before."""
    return {name: project.with_home(tmp_path / name) for name in ("one", "sweep", "python")}


def client_of(project: Generated) -> MlflowClient:
    uri = f"sqlite:///{project.environment['MLOPS_HOME']}/mlflow.db"
    return MlflowClient(uri, registry_uri=uri)


def recorded(project: Generated, run_id: str) -> dict[str, Any]:
    """All that a run says but for times, addresses and what MLflow adds."""
    data = client_of(project).get_run(run_id).data
    return {
        "metrics": {k: v for k, v in data.metrics.items() if k not in MEASURED_IN_TIME},
        "params": {k: v for k, v in data.params.items() if not k.startswith("stack.")},
        "tags": {
            k: v for k, v in data.tags.items() if k.startswith("mlops.") and k != "mlops.attempt"
        },
    }


def test_a_run_of_a_sweep_and_one_from_python_are_as_one_that_is_typed(
    homes: dict[str, Generated],
) -> None:
    typed = json.loads(homes["one"].run("mlops", "train", *WORDS, "seed=2", "--json").stdout)
    one = recorded(homes["one"], typed["run_id"])
    assert one["metrics"]["roc_auc"] == typed["score"]["value"]
    assert one["params"]["seed"] == one["tags"]["mlops.seed"] == "2"
    assert len(one["tags"]["mlops.config_digest"]) == 64

    sweep = homes["sweep"].run("mlops", "train", "-m", *WORDS, "seed=2,3", "--json")
    results = json.loads(sweep.stdout)
    assert recorded(homes["sweep"], results[0]["run_id"]) == one
    other = recorded(homes["sweep"], results[1]["run_id"])
    for digest in ("mlops.config_digest", "mlops.candidate_digest"):
        assert other["tags"][digest] != one["tags"][digest]

    code = f"from flight_delay.flows import train; print(train({[*WORDS, 'seed=2']}).run_id)"
    called = homes["python"].run("python", "-c", code).stdout.split()[-1]
    assert recorded(homes["python"], called) == one


def test_two_trainings_at_once_where_nothing_is_yet_and_no_server_runs(
    project: Generated, tmp_path: Path
) -> None:
    """Each starts a Prefect of its own on one new database, beside new stores for all the rest."""
    home = project.with_home(tmp_path / "home")
    alone = {k: v for k, v in home.environment.items() if not k.startswith("PREFECT_")}
    fresh = replace(home, environment=alone)

    def train(seed: int) -> dict[str, Any]:
        done = fresh.run("mlops", "train", *WORDS, f"seed={seed}", "--json")
        assert "✗" not in done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(train, (2, 3)))

    assert sorted(each["version"] for each in found) == [1, 2]
    assert len({each["candidate_digest"] for each in found}) == 2
    client = client_of(fresh)
    for each in found:
        assert client.get_run(each["run_id"]).info.status == "FINISHED"
    champion = client.get_model_version_by_alias("flight-delay", "champion")
    assert champion.run_id in {each["run_id"] for each in found}
    fresh.run("mlops", "audit", "verify")
    flows = "select count(*) from flow_run where state_type = 'COMPLETED'"
    with sqlite3.connect(tmp_path / "home" / "prefect" / "prefect.db") as database:
        assert database.execute(flows).fetchone() == (2,)
