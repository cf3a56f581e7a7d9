"""A refusal is recorded even where the primary metric could not be measured."""

from dataclasses import replace
from pathlib import Path

import polars as pl

from mlops_tasks.artifacts import Columns, Lineage, Split
from mlops_tasks.data.frames import write_frame
from mlops_tasks.evaluation.evaluate import evaluate
from mlops_tasks.evaluation.gate import judge
from mlops_tasks.project.words import registration
from mlops_tasks.references import code
from mlops_tasks.registry.register import register
from mlops_tasks.settings import ModelSettings, Settings
from mlops_tasks.training import baselines
from mlops_tasks.training.fit import fit


def test_an_undefined_primary_metric_is_a_recorded_refusal(tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    rows = pl.DataFrame({"id": range(100), "x": [i / 100 for i in range(100)]})
    rows = rows.with_columns(late=(pl.col("id") % 2))
    part = write_frame(rows, store, regions=("local",))
    split = Split(part, part, Columns(("id",), "late", ("x",), ()), "random")
    settings = Settings.model_validate(
        {
            "project": "demo",
            "seed": 1,
            "data": {
                "path": "x.parquet", "target": "late",
                "split": {"kind": "random"},
            },
            "model": {"name": "trivial"},
            "stack": {
                "store": store,
                "predictions": str(tmp_path / "predictions"),
                "tracking_uri": f"sqlite:///{tmp_path}/mlflow.db",
                "artifact_root": str(tmp_path / "artifacts"),
                "ledger": f"sqlite:///{tmp_path}/ledger.db",
                "anchor": str(tmp_path / "anchor"),
                "key_folder": str(tmp_path / "keys"),
            },
        }
    )  # fmt: skip
    table = code(baselines.REFERENCE)
    candidate = fit(split, table, ModelSettings(name="trivial"), 1, store=store)
    evaluation = replace(evaluate(candidate, part, settings.evaluation, store=store), metrics={})
    decision = judge(candidate, evaluation, [], settings.policy, champion_digest=None)
    lineage = Lineage("none", True, "", part.digest, "c", "e", table.digest, "0", 1, "local")

    result = register(settings, candidate, evaluation, [], decision, lineage)

    assert (result.accepted, result.version, result.score) == (False, None, None)
    assert "roc_auc is missing" in result.reasons
    registration(result)
