"""The main flow on the real data: what it records, that it is cached, and the four ways to run."""

import json
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from mlops_tasks.encoding import decode
from tests.conftest import Generated

pytestmark = pytest.mark.slow
STEPS = ("snapshot", "validate", "split", "fit forest", "evaluate", "fit trivial", "fit linear")


@pytest.fixture(scope="module")
def trained(project: Generated, tmp_path_factory: pytest.TempPathFactory) -> Generated:
    """The project with a clean commit, a refused tree and an accepted forest."""
    project.run("git", "add", "-A")
    project.run("git", "commit", "-qm", "Lock")
    return project.with_home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def tree(trained: Generated) -> dict[str, Any]:
    done = trained.run("mlops", "train", "model=tree", "--json", check=False)
    assert done.returncode == 3, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def forest(trained: Generated, tree: dict[str, Any]) -> dict[str, Any]:
    return json.loads(trained.run("mlops", "train", "--json").stdout)


@pytest.fixture(scope="module")
def client(trained: Generated, forest: dict[str, Any]) -> MlflowClient:
    uri = f"sqlite:///{trained.environment['MLOPS_HOME']}/mlflow.db"
    return MlflowClient(uri, registry_uri=uri)


def test_the_gate_refuses_a_tree_that_a_straight_line_beats(tree: dict[str, Any]) -> None:
    assert tree["version"] is None
    assert any("gain over logistic regression: -0." in reason for reason in tree["reasons"])


def test_the_forest_becomes_champion(forest: dict[str, Any], client: MlflowClient) -> None:
    assert (forest["accepted"], forest["version"]) == (True, 1)
    champion = client.get_model_version_by_alias("flight-delay", "champion")
    assert (int(champion.version), champion.run_id) == (1, forest["run_id"])
    assert forest["score"]["low"] < forest["score"]["value"] < forest["score"]["high"]
    assert 0.88 < forest["score"]["value"] < 0.95


def test_a_refused_run_is_recorded_but_not_registered(
    tree: dict[str, Any], client: MlflowClient
) -> None:
    run = client.get_run(tree["run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlops.decision"] == "refused"
    assert "logistic regression" in run.data.tags["mlops.reasons"]
    assert not client.search_model_versions(f"run_id='{tree['run_id']}'")


def test_lineage_leads_back_to_commit_data_config_and_environment(
    trained: Generated, forest: dict[str, Any], client: MlflowClient
) -> None:
    version = client.get_model_version("flight-delay", "1")
    run = client.get_run(forest["run_id"])
    tags = version.tags
    assert tags["mlops.git_commit"] == trained.run("git", "rev-parse", "HEAD").stdout.strip()
    assert tags["mlops.git_dirty"] == "False"
    pointer = (trained.root / "data" / "flights.parquet.dvc").read_text()
    assert tags["mlops.dvc_rev"] in pointer
    for name in ("data_digest", "config_digest", "environment_digest", "code_digest"):
        assert len(tags[f"mlops.{name}"]) == 64
        assert run.data.tags[f"mlops.{name}"] == tags[f"mlops.{name}"]
    assert len(tags["mlops.lock_digest"]) == 64
    assert tags["mlops.environment_state"] == "as locked"
    assert tags["mlops.seed"] == "20130101"
    assert tags["mlops.region"] == "local"
    assert tags["mlops.candidate_digest"] == forest["candidate_digest"]


def test_the_run_holds_report_metrics_configuration_and_the_judged_model(
    forest: dict[str, Any], client: MlflowClient, tmp_path: Path
) -> None:
    run = client.get_run(forest["run_id"])
    metrics = run.data.metrics
    assert metrics["roc_auc_low"] <= metrics["roc_auc"] <= metrics["roc_auc_high"]
    assert metrics["gain_over_trivial"] > 0.3
    assert metrics["gain_over_linear"] >= 0
    assert run.data.params["model.params.trees"] == "100"
    folder = Path(client.download_artifacts(forest["run_id"], "", str(tmp_path)))
    page = (folder / "report.html").read_text(encoding="utf-8")
    evaluation = decode((folder / "package" / "evidence.json").read_bytes()).evaluation
    assert evaluation.useless_features
    for name in evaluation.useless_features:
        assert name in page
    assert {part.column for part in evaluation.slices} == {"carrier", "origin", "distance_miles"}
    import hashlib

    served = (folder / "package" / "model" / "model.skops").read_bytes()
    assert hashlib.sha256(served).hexdigest() == forest["candidate_digest"]


def test_the_registered_model_loads_in_plain_mlflow_and_predicts(
    trained: Generated, forest: dict[str, Any]
) -> None:
    code = """
import os, mlflow, polars as pl, json
mlflow.set_tracking_uri("sqlite:///" + os.environ["MLOPS_HOME"] + "/mlflow.db")
model = mlflow.pyfunc.load_model("models:/flight-delay@champion")
names = model.metadata.signature.inputs.input_names()
rows = pl.read_parquet("tests/flights.parquet").select(names).head(50).to_pandas()
print(json.dumps(model.predict(rows)[:, 1].tolist()))
"""
    scores = json.loads(trained.run("python", "-c", code).stdout.splitlines()[-1])
    assert len(scores) == 50
    assert min(scores) < 0.1 < 0.5 < max(scores)


def test_a_second_run_with_nothing_changed_is_a_cache_hit_before_the_gate(
    trained: Generated, forest: dict[str, Any], client: MlflowClient
) -> None:
    done = trained.run("mlops", "train", "--json")
    again = json.loads(done.stdout)
    for step in STEPS:
        assert any(step in line and "cached" in line for line in done.stderr.splitlines()), step
    assert again == forest | {"repeated": True, "note": "it is champion already"}
    assert len(client.search_model_versions("name='flight-delay'")) == 1


def test_fresh_computes_again_and_finds_the_very_same_model(
    trained: Generated, forest: dict[str, Any]
) -> None:
    done = trained.run("mlops", "train", "--fresh", "--json")
    assert "cached" not in done.stderr
    assert json.loads(done.stdout)["candidate_digest"] == forest["candidate_digest"]


def test_from_python_the_result_is_the_same(trained: Generated, forest: dict[str, Any]) -> None:
    code = "from flight_delay.flows import train; print('digest', train().candidate_digest)"
    lines = trained.run("python", "-c", code).stdout.splitlines()
    assert f"digest {forest['candidate_digest']}" in lines


def test_a_sweep_trains_each_combination_and_compare_shows_all(
    trained: Generated, forest: dict[str, Any], client: MlflowClient
) -> None:
    done = trained.run("mlops", "train", "-m", "model=linear,boosting", "seed=2", "--json")
    results = json.loads(done.stdout)
    assert len(results) == 2
    assert results[0]["candidate_digest"] != results[1]["candidate_digest"]

    rows = json.loads(trained.run("mlops", "compare", "--json").stdout)
    assert {row["model"] for row in rows} == {"tree", "forest", "linear", "boosting"}
    values = [row["score"]["value"] for row in rows]
    assert values == sorted(values, reverse=True)
    assert any("seed=2" in row["overrides"] for row in rows)

    table = trained.run("mlops", "compare").stdout
    assert all(name in table for name in ("tree", "forest", "linear", "boosting"))
    page = (trained.root / "outputs" / "compare.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert all(row["run_id"][:8] in page for row in rows)


def test_the_champion_scores_the_next_month(
    trained: Generated, forest: dict[str, Any], tmp_path: Path
) -> None:
    import polars as pl

    out = tmp_path / "july.parquet"
    july = ["data.window.start=2013-07-01", "data.window.end=2013-08-01"]
    measured = "evaluation.primary=average_precision"
    done = trained.run("mlops", "score", *july, measured, "--out", str(out))
    scored = pl.read_parquet(out)
    assert scored.height == 2080
    assert scored["score"].is_between(0, 1).all()
    assert scored["model_version"].n_unique() == 1
    assert "2080 have a label: average_precision 0." in done.stderr.replace("\n", " ")


def test_every_choice_of_the_configuration_composes(trained: Generated) -> None:
    for choice in ("model=tree", "model=linear", "experiment=quick", "data.split.kind=random"):
        trained.run("mlops", "config", choice)
    plain = json.loads(trained.run("mlops", "config", "experiment=quick", "--json").stdout)
    assert plain["evaluation"]["bootstrap_samples"] == 200
    assert plain["data"]["window"]["start"] == "2013-05-01T00:00:00"
