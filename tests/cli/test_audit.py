"""`mlops audit`: what an auditor types, and what a script would read."""

import json
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlops_tasks.cli.options import app
from mlops_tasks.governance.anchors import read_anchor
from mlops_tasks.governance.events import Event
from mlops_tasks.governance.record import ledger_of, record, witness
from mlops_tasks.settings import Settings
from tests.registry.life import Life

import mlops_tasks.cli as cli  # isort: skip  (registers the commands)

assert cli.main


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A project's settings, which the command line is made to find."""
    from mlops_tasks.project import running
    from mlops_tasks.project.locate import Project

    found = Life(tmp_path).settings()
    monkeypatch.setattr(running, "find", lambda folder: Project(tmp_path, "none"))
    monkeypatch.setattr(running, "settings_of", lambda project, overrides: found)
    for actor, action, outcome in (
        ("ada", "registration", "accepted"),
        ("ada", "promotion", "done"),
        ("bob", "rollback", "done"),
    ):
        record(found.stack, Event(actor, action, "demo", outcome, facts={"version": "1"}))
    return found


def run(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["audit", *words])
    return done.exit_code, done.stdout, done.stderr


def test_the_log_is_a_table_or_json_lines(settings: Settings) -> None:
    code, out, _ = run("log")
    assert code == 0
    assert out.index("registration") < out.index("promotion") < out.index("rollback")

    code, out, _ = run("log", "--json", "--actor", "ada", "--action", "promotion")
    [line] = [json.loads(line) for line in out.splitlines()]
    assert (line["seq"], line["event"]["outcome"]) == (2, "done")
    assert len(line["hash"]) == 64

    _, out, _ = run("log", "--json", "--limit", "1")
    assert json.loads(out)["event"]["action"] == "rollback"


def test_times(settings: Settings) -> None:
    today = ledger_of(settings.stack).entries()[0].at[:10]
    assert len(run("log", "--json", "--since", today, "--until", today)[1].splitlines()) == 3
    assert run("log", "--json", "--until", "2001-01-01")[1] == ""
    assert run("log", "--json", "--since", "2999-01-01T00:00+02:00")[1] == ""


def test_verify_says_true_or_where_it_is_not(settings: Settings, tmp_path: Path) -> None:
    code, _, _ = run("verify")
    assert code == 3, "nobody outside the database vouches for it yet"
    assert run("checkpoint")[0] == 0
    [checkpoint], _ = read_anchor(settings.stack.anchor)
    assert checkpoint.length == 3
    code, out, _ = run("verify", "--json")
    assert (code, json.loads(out)["true"], json.loads(out)["vouched"]) == (0, True, 3)

    raw = sqlite3.connect(tmp_path / "ledger.db")
    raw.execute("DROP TRIGGER ledger_keeps_rows")
    raw.execute("UPDATE ledger SET actor = 'eve' WHERE seq = 2")
    raw.commit()
    raw.close()
    code, out, _ = run("verify", "--json")
    assert code == 3
    assert json.loads(out)["first_bad"] == 2


def test_an_auditor_brings_the_public_key(settings: Settings, tmp_path: Path) -> None:
    from mlops_tasks.governance.keys import key_pair
    from mlops_tasks.governance.record import ledger_key

    witness(settings.stack)
    own = str(ledger_key(settings.stack).public)
    other = str(key_pair(tmp_path, "other", "ed25519").public)
    assert run("verify", "--key", own)[0] == 0
    assert run("verify", "--key", other)[0] == 3
