"""`prefect deploy --all`, and a real worker in another process that runs what was deployed."""

import json
import subprocess
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.conftest import Generated

pytestmark = pytest.mark.slow


def test_a_worker_runs_the_deployment_with_the_same_result(
    project: Generated, tmp_path: Path
) -> None:
    ours = project.with_home(tmp_path / "home")
    pool = ("prefect", "work-pool", "create", "local", "--type", "process", "--overwrite")
    ours.run(*pool)
    ours.run("prefect", "--no-prompt", "deploy", "--all", PROJECT_ROOT=str(project.root))
    listed = ours.run("prefect", "deployment", "ls").stdout
    assert "train/flight-delay" in listed
    assert "score/flight-delay" in listed

    worker = subprocess.Popen(
        [str(project.programs / "prefect"), "worker", "start", "--pool", "local"],
        cwd=tmp_path,
        env=ours.environment,
        stdout=(tmp_path / "worker.log").open("w"),
        stderr=subprocess.STDOUT,
    )
    try:
        ours.run(
            "prefect",
            "deployment",
            "run",
            "train/flight-delay",
            "--param",
            'overrides=["model=linear"]',
            "--watch",
        )
    finally:
        worker.terminate()
        worker.wait(60)
    uri = f"sqlite:///{tmp_path}/home/mlflow.db"
    client = MlflowClient(uri, registry_uri=uri)
    champion = client.get_model_version_by_alias("flight-delay", "champion")

    typed = ours.run("mlops", "train", "model=linear", "--json")
    result = json.loads(typed.stdout)
    assert result["repeated"], "the command line must find what the worker recorded"
    assert champion.tags["mlops.candidate_digest"] == result["candidate_digest"]
    assert any((tmp_path / "home" / "results").iterdir()), "each home has results of its own"
    assert time.time() - champion.creation_timestamp / 1000 < 600
