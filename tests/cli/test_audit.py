"""`mlops audit`: what an auditor types, and what a script would read."""

import hashlib
import json
import sqlite3
from pathlib import Path
from typing import Any

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


def said(**changes: Any) -> str:
    """A line like that of entry 2, but for the changes."""
    event = {
        "action": "promotion",
        "actor": "ada",
        "digests": {},
        "facts": {"version": "1"},
        "once": "",
        "outcome": "done",
        "reason": "",
        "subject": "demo",
    }
    inner = changes.pop("event", {})
    event = event | inner if isinstance(inner, dict) else inner
    plain = {"at": "2026-03-03", "event": event, "prev": "0" * 64, "seq": 2}
    return json.dumps(plain | changes)


LINES: dict[str, str | bytes | int | None] = {
    "empty": "",
    "not JSON": "garbage",
    "a list": "[1]",
    "a number": "7",
    "null": "null",
    "not a number": "NaN",
    "no keys": "{}",
    "no event": '{"seq": 2}',
    "event is a list": said(event=[1]),
    "event is text": said(event="x"),
    "seq is text": said(seq="2"),
    "seq is true": said(seq=True),
    "seq is not whole": said(seq=2.0),
    "seq is huge": said(seq=10**400),
    "seq is beyond huge": said().replace('"seq": 2', '"seq": 2' + "0" * 9000),
    "seq is infinite": said(seq=float("inf")),
    "seq is not a number": said(seq=float("nan")),
    "at is a number": said(at=7),
    "prev is null": said(prev=None),
    "a fact is a list": said(event={"facts": {"version": [[1]]}}),
    "facts are a list": said(event={"facts": [[["x"]]]}),
    "digests are null": said(event={"digests": None}),
    "the actor is a list": said(event={"actor": [[1]]}),
    "the reason is a number": said(event={"reason": 1}),
    "one key too many": said(event={"more": "x"}),
    "a lone surrogate, escaped": said(event={"reason": "\ud800"}),
    "deeply nested": "[" * 100_000,
    "a key twice, the last wrong": said().replace('{"at"', '{"seq": 1, "at"', 1)[:-1]
    + ', "seq": [2]}',
    "a blob": said().encode(),
    "a blob of no text": b"\xff\xfe",
    "NUL": "\x00",
    "a missing value": None,
    "an integer": 7,
}
CHANGES = {name: ("line = ?", value) for name, value in LINES.items()} | {
    "text that is not UTF-8": ("line = CAST(? AS TEXT)", b"\xff\xfe"),
    "a lone surrogate": ("line = CAST(? AS TEXT)", b'{"a": "\xed\xa0\x80"}'),
    "half a letter": ("line = CAST(? AS TEXT)", said().encode() + b"\xc3"),
}
LOOSE = """
    CREATE TABLE loose (seq, at, actor, action, subject, outcome, once, hash, line);
    INSERT INTO loose SELECT * FROM ledger;
    DROP TABLE ledger;
    ALTER TABLE loose RENAME TO ledger;
"""


def damage(path: Path, change: str, *values: object) -> None:
    """As one who owns the file: a table without types, constraints and triggers."""
    raw = sqlite3.connect(path)
    raw.executescript(LOOSE)
    raw.execute(f"UPDATE ledger SET {change} WHERE seq = 2", values)
    raw.commit()
    raw.close()


def main(*words: str) -> int:
    """The exit code as a shell sees it; any other exception is a traceback, and goes through."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["audit", *words])
    return int(ended.value.code or 0)


@pytest.mark.parametrize("hashed", [False, True], ids=["", "hash"])
@pytest.mark.parametrize("case", CHANGES)
def test_whatever_lies_in_a_line_the_answer_names_it(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str, hashed: bool
) -> None:
    witness(settings.stack)
    change, value = CHANGES[case]
    if hashed:
        content = value if isinstance(value, bytes) else str(value).encode()
        change = f"hash = '{hashlib.sha256(content).hexdigest()}', {change}"
    damage(tmp_path / "ledger.db", change, value)
    capsys.readouterr()
    assert main("verify", "--json") == 3
    found = json.loads(capsys.readouterr().out)
    assert (found["true"], found["first_bad"], found["entries"]) == (False, 2, 1)

    for words in (["log"], ["log", "--json"]):
        assert main(*words) == 1
        told = capsys.readouterr().err
        assert "entry 2 of the ledger cannot be read" in told
        assert "mlops audit verify" in told
    assert main("log", "--json", "--limit", "1") == 0, "what is genuine can still be read"


@pytest.mark.parametrize("value", [None, b"\xff", 7, 1.5, "\x1b[2J", float("inf")])
@pytest.mark.parametrize(
    "column", ["seq", "at", "actor", "action", "subject", "outcome", "once", "hash"]
)
def test_whatever_lies_in_a_column_the_answer_names_it(
    settings: Settings,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    column: str,
    value: object,
) -> None:
    witness(settings.stack)
    if (column, value) == ("once", None):
        value = ""
    damage(tmp_path / "ledger.db", f"{column} = ?", value)
    capsys.readouterr()
    assert main("verify", "--json") == 3
    out, told = capsys.readouterr()
    assert json.loads(out)["first_bad"] == 2
    assert "\x1b[2J" not in told
    assert main("log") in (0, 1)


def test_no_address_is_told_with_its_password(capsys: pytest.CaptureFixture[str]) -> None:
    from mlops_tasks.governance.chain import Verdict
    from mlops_tasks.project import audit_words

    addresses = ("postgresql://db/ledger?password=canary", "s3://ada:canary@bucket/anchor")
    audit_words.verdict(Verdict(True, 1, 1), *addresses)
    audit_words.witnessed(addresses[1])
    told = capsys.readouterr().err
    assert "canary" not in told
    assert "db/ledger" in told
    assert told.count("bucket/anchor") == 2
