"""A generated project says when it runs in another environment than its lock file's."""

import re
from pathlib import Path

import pytest

from tests.conftest import Generated

pytestmark = pytest.mark.slow

NOWHERE = "data.path=data/nowhere.parquet"  # ends a flow soon after its beginning
NOTE = "the environment is not the locked one: differs: alembic"


@pytest.fixture
def spoiled(project: Generated, tmp_path: Path) -> Generated:
    """A copy whose lock names another version than the one that is installed."""
    copied = project.copy(tmp_path)
    lock = copied.root / "uv.lock"
    text, changed = re.subn(
        r'(name = "alembic"\nversion = )"[^"]+"', r'\1"0.0.1"', lock.read_text(), count=1
    )
    assert changed
    lock.write_text(text)
    return copied


def test_what_uv_sync_made_is_as_locked(project: Generated) -> None:
    done = project.run("mlops", "train", NOWHERE, "policy.environment=refuse", check=False)
    assert "cannot be read" in done.stderr or "nowhere" in done.stderr
    assert "the environment is not" not in done.stderr


def test_another_version_is_told_and_the_run_goes_on(spoiled: Generated) -> None:
    done = spoiled.run("mlops", "train", NOWHERE, check=False)
    assert NOTE in done.stderr
    assert "(lock: 0.0.1)" in done.stderr
    assert "`uv sync --frozen`" in done.stderr
    assert "nowhere" in done.stderr, "it went on, to where it had to end"


def test_by_policy_nothing_begins(spoiled: Generated) -> None:
    done = spoiled.run("mlops", "train", "policy.environment=refuse", check=False)
    assert done.returncode == 1
    assert NOTE in done.stderr
    assert "uv sync --frozen" in done.stderr
    assert "✓" not in done.stderr, "no step was taken"
    shown = spoiled.run("mlops", "audit", "log", "--json").stdout
    assert '"environment"' in shown


def test_the_log_of_a_flow_run_says_it_too(spoiled: Generated) -> None:
    """A worker's runs do not come through the command."""
    code = f"from flight_delay.flows import train; train(['{NOWHERE}'])"
    done = spoiled.run("python", "-c", code, check=False, PREFECT_LOGGING_LEVEL="WARNING")
    said = done.stderr + done.stdout
    assert re.search(rf"WARNING.*Flow run.*{NOTE}", said), said[-3000:]
