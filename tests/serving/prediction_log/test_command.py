"""`mlops log`: what was answered, what turned out to be true, and what went."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlops_tasks.cli.options import app
from mlops_tasks.project import running
from mlops_tasks.project.locate import Project
from mlops_tasks.serving.prediction_log.writer import open_log
from mlops_tasks.settings import Settings
from tests.serving.prediction_log.answers import answered, ids

import mlops_tasks.cli as cli  # isort: skip  (registers the commands)

assert cli.main


@pytest.fixture
def here(
    settings: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """A log with one old answer and one of today, which the command line is made to find."""
    found = settings(retention_days=30)
    monkeypatch.setattr(running, "find", lambda folder: Project(tmp_path, "none"))
    monkeypatch.setattr(running, "settings_of", lambda project, overrides: found)
    log = open_log(found)
    log.append(answered("old"))
    log.append(answered("new", time=datetime.now(UTC), rows=[(1.0, "a"), (2.0, "b")]))
    log.close()
    return found


def run(*words: str) -> tuple[str, str]:
    done = CliRunner().invoke(app, ["log", *words], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    return done.stdout, done.stderr


@pytest.mark.usefixtures("here")
def test_labels_are_shown_beside_what_was_answered(tmp_path: Path) -> None:
    arrived = tmp_path / "arrived.csv"
    arrived.write_text("request_id,row,label\nnew,1,1\nold,0,0\nnobody,0,1\n")
    out, told = run("label", str(arrived), "--json")
    assert json.loads(out) == {"model": "demo", "kept": 3, "without_prediction": 1}
    assert "1 of all labels are of requests that are not in the log" in told
    lines = [json.loads(line) for line in run("show", "--json")[0].splitlines()]
    assert [(each["request_id"], each["row"], each["label"]) for each in lines] == [
        ("new", 0, None),
        ("new", 1, 1),
    ]
    table, told = run("show", "--day", "2026-03-01")
    assert "old" in table
    assert "1 of 1 rows of 2026-03-01" in told
    assert "answered nothing on 2026-02-01" in run("show", "--day", "2026-02-01")[1]


def test_old_days_go(here: Settings) -> None:
    out, told = run("retire", "--json")
    old = (datetime.now(UTC) - datetime(2026, 3, 2, tzinfo=UTC)).days > 30
    assert json.loads(out)["rows"] == (1 if old else 0)
    assert f"{1 if old else 0} days with" in told
    assert set(ids(here)) == ({"new"} if old else {"new", "old"})
