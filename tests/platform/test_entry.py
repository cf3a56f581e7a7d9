"""How a flow begins: nothing is asked of data before everything is shut and in place."""

import contextvars
from pathlib import Path

import pytest

from mlops_tasks.errors import MlopsError, PlatformError, RegistryError, ResidencyRefused
from mlops_tasks.governance.ledger import Ledger, Wanted
from mlops_tasks.platform.entry import enter

SERVER = ["stack.tracking_uri=http://127.0.0.1:9", "stack.name=team"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_USERNAME", "MLOPS_REGION"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def decisions(home: Path) -> list[str]:
    ledger = Ledger(f"sqlite:///{home}/ledger.db")
    return [each.event.outcome for each in ledger.entries(Wanted(action=("residency",)))]


def begin(root: Path, *overrides: str) -> None:
    contextvars.copy_context().run(enter, root, overrides)


def test_a_run_in_its_place_begins_and_that_is_on_record(root: Path, home: Path) -> None:
    settings = contextvars.copy_context().run(enter, root, ["model=linear"])
    assert settings.model.name == "linear"
    assert decisions(home) == ["allowed"]


@pytest.mark.parametrize(
    ("overrides", "kind", "said"),
    [
        (SERVER, PlatformError, "needs a Prefect server"),
        (["stack.name=team"], PlatformError, "needs a Prefect server"),
        (SERVER[:1], RegistryError, "does not answer"),
        (["stack.store=s3://ann:pw@lake/x"], RegistryError, "must not carry"),
        (["stack.regions.compute=us"], ResidencyRefused, "may only be in local"),
    ],
)
def test_it_does_not_begin_elsewhere_or_with_an_open_door(
    root: Path, home: Path, overrides: list[str], kind: type[MlopsError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        begin(root, *overrides)
    assert "allowed" not in decisions(home)


def test_a_worker_elsewhere_is_refused(
    root: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_REGION", "us-east-1")
    with pytest.raises(ResidencyRefused, match="this process is in 'us-east-1'"):
        begin(root)
    assert decisions(home) == ["refused"]
