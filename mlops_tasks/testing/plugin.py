"""The pytest plugin that comes with the library.

Guarantee: tests never touch the user's `MLOPS_HOME`: the whole session works in a temporary one,
set before Prefect is imported.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_tasks.environment import defaults
from mlops_tasks.testing.sandbox import Sandbox

_home = Path(tempfile.mkdtemp(prefix="mlops-test-"))
os.environ["MLOPS_HOME"] = str(_home)
os.environ |= {name: value for name, value in defaults().items() if str(_home) in value}
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
os.environ.setdefault("PREFECT_LOGGING_SERVER_LEVEL", "CRITICAL")


@pytest.fixture(scope="session")
def mlops_home() -> Path:
    """The temporary home of this session."""
    return _home


@pytest.fixture(scope="session")
def prefect_api(mlops_home: Path) -> Iterator[str]:
    """The URL of one Prefect server for the session; flows called in the tests use it."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from mlops_tasks.platform.prefect_server import prefect_server

    with prefect_server(mlops_home / "prefect") as url, temporary_settings({PREFECT_API_URL: url}):
        yield url


@pytest.fixture
def sandbox(prefect_api: str, mlops_home: Path, tmp_path: Path) -> Sandbox:
    """A maker of throwaway copies of a project; registry and results start empty."""
    for name in ("mlflow.db", "artifacts", "store", "results"):
        path = mlops_home / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return Sandbox(tmp_path)


def pytest_unconfigure() -> None:
    """Remove the temporary home."""
    shutil.rmtree(_home, ignore_errors=True)
