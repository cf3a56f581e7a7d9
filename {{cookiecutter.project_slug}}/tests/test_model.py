"""Each model learns, learns the same thing twice, and is not told the answer."""

from pathlib import Path

import pytest
from mlops_tasks.artifacts import Candidate, Split
from mlops_tasks.data.frames import read_frame
from mlops_tasks.evaluation.evaluate import as_arrays
from mlops_tasks.evaluation.metrics import point
from mlops_tasks.references import code
from mlops_tasks.settings.compose import compose, options
from mlops_tasks.training.fit import fit, scores_of
from mlops_tasks.training.model_files import read_model

from {{ cookiecutter.__package_name }}.model import MODELS

ROOT = Path(__file__).parents[1]
CHOICES = options(ROOT)["model"]


def test_every_model_can_be_chosen() -> None:
    assert sorted(MODELS) == CHOICES


def train(name: str, parts: Split, store: Path) -> Candidate:
    settings = compose(ROOT, [f"model={name}"])
    table = code("{{ cookiecutter.__package_name }}.model:MODELS")
    return fit(parts, table, settings.model, settings.seed, store=str(store))


@pytest.fixture(scope="module", params=CHOICES)
def trained(
    request: pytest.FixtureRequest, parts: Split, tmp_path_factory: pytest.TempPathFactory
) -> Candidate:
    return train(request.param, parts, tmp_path_factory.mktemp("store"))


def roc_auc(trained: Candidate, parts: Split) -> float:
    estimator = read_model(trained.model_uri, trained.digest)
    scores = scores_of(estimator, read_frame(parts.comparison), parts.columns)
    return point("roc_auc", *as_arrays(scores, parts.columns.target))


def test_it_learns(trained: Candidate, parts: Split) -> None:
    assert roc_auc(trained, parts) > 0.85


def test_it_is_not_told_the_answer(trained: Candidate, parts: Split) -> None:
    assert roc_auc(trained, parts) < 0.99, "is a column known only afterwards?"


def test_the_same_seed_gives_the_same_model(
    trained: Candidate, parts: Split, tmp_path: Path
) -> None:
    assert train(trained.name, parts, tmp_path).digest == trained.digest
