"""Each model learns, learns the same thing twice, and does not look at the answer."""

from pathlib import Path

import polars as pl
import pytest
from mlops_tasks.artifacts import Split
from mlops_tasks.data.frames import read_frame
from mlops_tasks.evaluation.evaluate import as_arrays
from mlops_tasks.evaluation.metrics import point
from mlops_tasks.references import code
from mlops_tasks.settings import Settings
from mlops_tasks.settings.compose import compose, options
from mlops_tasks.training.fit import fit, scores_of
from mlops_tasks.training.model_files import read_model

from {{ cookiecutter.__package_name }}.model import MODELS

ROOT = Path(__file__).parents[1]
TABLE = code("{{ cookiecutter.__package_name }}.model:MODELS")
CHOICES = options(ROOT)["model"]


def test_every_model_can_be_chosen() -> None:
    assert sorted(MODELS) == CHOICES


@pytest.mark.parametrize("name", CHOICES)
def test_model(name: str, parts: Split, settings: Settings, tmp_path: Path) -> None:
    chosen, store = compose(ROOT, [f"model={name}"]).model, str(tmp_path)
    candidate = fit(parts, TABLE, chosen, settings.seed, store=store)
    again = fit(parts, TABLE, chosen, settings.seed, store=store)
    assert candidate.digest == again.digest, "the same seed must give the same model"

    estimator = read_model(candidate.model_uri, candidate.digest)
    rows = read_frame(parts.comparison)
    scores = scores_of(estimator, rows, parts.columns)
    assert point("roc_auc", *as_arrays(scores, parts.columns.target)) > 0.85

    flipped = rows.with_columns(1 - pl.col(parts.columns.target))
    assert scores_of(estimator, flipped, parts.columns)["score"].equals(scores["score"])
