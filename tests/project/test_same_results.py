"""The same words give the same training: alone or in a sweep, typed or called."""

import json
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
