"""What `mlops deploy` refuses before it asks any server."""

import re
from pathlib import Path

import pytest

from mlops_tasks.errors import PlatformError, ResidencyRefused, SettingsError
from mlops_tasks.platform.deployments.deploying import deploy
from tests.deployments.conftest import render

FLOWS = """
from prefect import flow

@flow(name="train")
def train(): ...

@flow
def score(): ...

@flow
def retire(): ...

@flow(name="monitor")
def monitor(): ...
"""


@pytest.fixture
def project(
    root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Configuration, deployments and flows; there is no server."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    (root / "prefect.yaml").write_text(render(tmp_path_factory.mktemp("file"), ""))
    package = root / "src" / "flight_delay"
    package.mkdir(parents=True, exist_ok=True)
    (package / "flows.py").write_text(FLOWS)
    return root


def test_no_server(project: Path) -> None:
    with pytest.raises(PlatformError, match="no Prefect server") as caught:
        deploy(project, [])
    assert "mlops up" in caught.value.next_step


@pytest.mark.parametrize("text", ["", "deployments: 3", "a: [", "[1]"])
def test_a_file_without_deployments(project: Path, text: str) -> None:
    (project / "prefect.yaml").write_text(text)
    with pytest.raises(SettingsError, match="cannot be read") as caught:
        deploy(project, [])
    assert caught.value.where.endswith("prefect.yaml")


def test_a_flow_that_is_not_there(project: Path) -> None:
    file = project / "prefect.yaml"
    file.write_text(file.read_text().replace("flows.py:score", "flows.py:scores"))
    with pytest.raises(SettingsError, match="no flow to deploy") as caught:
        deploy(project, [])
    assert "flows.py:scores" in caught.value.where


def test_two_deployments_of_one_name(project: Path) -> None:
    file = project / "prefect.yaml"
    file.write_text(file.read_text().replace("flows.py:monitor", "flows.py:train"))
    with pytest.raises(SettingsError, match="written twice: train/flight-delay"):
        deploy(project, [])


def test_every_problem_of_the_stack_at_once(project: Path) -> None:
    wrong = ["stack.compute.resources.gpu_count=1", "stack.compute.resources.memory_gib=8"]
    with pytest.raises(SettingsError) as caught:
        deploy(project, wrong)
    assert "gpu_count" in caught.value.what
    assert "memory_gib" in caught.value.what


def test_data_where_they_may_not_be(project: Path) -> None:
    with pytest.raises(ResidencyRefused, match="mars"):
        deploy(project, ["stack.regions.storage=mars"])


def test_all_addresses_that_are_not_set(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (project / "conf" / "stack" / "team.yaml").read_text()
    names = set(re.findall(r"oc\.env:(\w+)\}", text)) - {"MLOPS_HOME"}
    assert len(names) > 2
    for name in names:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SettingsError) as caught:
        deploy(project, ["stack=team"])
    assert {name for name in names if f"{name} is not set" in caught.value.what} == names
