"""What the tests share: the excerpt, divided as a training would."""

from pathlib import Path

import polars as pl
import pytest
from mlops_tasks.artifacts import Split
from mlops_tasks.data.contracts import validate
from mlops_tasks.data.frames import write_frame
from mlops_tasks.data.splits import split
from mlops_tasks.references import code
from mlops_tasks.settings import Settings
from mlops_tasks.settings.compose import compose

ROOT = Path(__file__).parents[1]
CONTRACT = code("{{ cookiecutter.__package_name }}.schema:Flights")


@pytest.fixture(scope="session")
def excerpt() -> pl.DataFrame:
    """Real flights of January to March."""
    return pl.read_parquet(ROOT / "tests" / "flights.parquet")


@pytest.fixture(scope="session")
def settings() -> Settings:
    """The project's configuration as it stands."""
    return compose(ROOT)


@pytest.fixture(scope="session")
def parts(
    excerpt: pl.DataFrame, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Split:
    """Training and comparison rows of the excerpt."""
    store = str(tmp_path_factory.mktemp("store"))
    raw = write_frame(excerpt, store, regions=settings.residency.regions)
    rows = validate(raw, CONTRACT, settings.data, store=store)
    return split(rows, CONTRACT, settings.data, settings.seed, store=store)
