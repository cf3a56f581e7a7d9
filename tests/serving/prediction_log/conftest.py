"""Settings of a project whose log is in a temporary folder; no model is needed to log answers."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_tasks.settings import Settings
from tests.serving.prediction_log.answers import settings_in


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    return lambda **log: settings_in(tmp_path, **log)
