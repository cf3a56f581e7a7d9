"""Checkpoints are signed, kept outside the database, and a forged one is found."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_tasks.errors import LedgerError
from mlops_tasks.governance import record
from mlops_tasks.governance.anchors import read_anchor, write_anchor
from mlops_tasks.governance.checkpoints import Checkpoint, as_text, from_text, is_genuine, sign
from mlops_tasks.governance.events import Event
from mlops_tasks.governance.keys import key_pair
from mlops_tasks.settings.schema import StackSettings

HEAD = "a" * 64


def test_only_the_ledgers_key_vouches(tmp_path: Path) -> None:
    own, other = (key_pair(tmp_path, name, "ed25519") for name in ("own", "other"))
    checkpoint = sign(7, HEAD, "2026-03-03", own.private)
    assert is_genuine(checkpoint, own.public)
    assert not is_genuine(checkpoint, other.public)
    assert not is_genuine(dataclasses.replace(checkpoint, signature=""), own.public)
    assert not is_genuine(dataclasses.replace(checkpoint, signature="not base64"), own.public)


@given(data=st.data())
def test_a_changed_checkpoint_is_not_genuine(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pair = key_pair(tmp_path_factory.getbasetemp() / "keys", "ledger", "ed25519")
    checkpoint = sign(7, HEAD, "2026-03-03", pair.private)
    name = data.draw(st.sampled_from(["length", "head", "at", "signature"]))
    old = getattr(checkpoint, name)
    values = st.integers(1, 99) if name == "length" else st.text(max_size=90)
    new: Any = data.draw(values.filter(lambda value: value != old))
    assert not is_genuine(dataclasses.replace(checkpoint, **{name: new}), pair.public)


def said(**changes: Any) -> str:
    plain: dict[str, Any] = {"length": 1, "head": HEAD, "at": "t", "signature": "s"}
    return json.dumps(plain | changes)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "7",
        '{"length": 1}',
        as_text(Checkpoint(0, HEAD, "t")),
        "\x00",
        "[" * 100_000,
        said(length=10**400),
        said(length=2**53),
        f'{{"length": 1{"0" * 5000}, "head": "", "at": "", "signature": ""}}',
        said(length=1.0),
        said(length=True),
        said(length=float("nan")),
        said(length="1"),
        said(length=[[1]]),
        said(head=None),
        said(head="\ud800"),
        said(at="\udfff"),
        said(more="x"),
    ],
    ids=range(20),
)
def test_other_text_is_no_checkpoint(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        from_text(text)


def test_a_wrong_key_is_said(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("nonsense")
    wrong = key_pair(tmp_path, "models", "p256")
    for private in (tmp_path / "bad.pem", tmp_path / "none.pem", wrong.private):
        with pytest.raises(LedgerError, match="not the ledger's"):
            sign(1, HEAD, "t", private)
    for public in (tmp_path / "bad.pem", tmp_path / "none.pem", wrong.public):
        with pytest.raises(LedgerError, match="not the ledger's"):
            is_genuine(Checkpoint(1, HEAD, "t", "AAAA"), public)


def repository(folder: Path) -> str:
    for words in (
        ["init", "-q"],
        ["-c", "user.name=a", "-c", "user.email=a@x", "commit", "-q", "--allow-empty", "-m", "x"],
        ["config", "user.name", "a"],
        ["config", "user.email", "a@x"],
    ):
        subprocess.run(["git", "-C", str(folder), *words], check=True)
    return f"git:{folder}"


@pytest.mark.parametrize("kind", ["folder", "uri", "git"])
def test_what_is_anchored_is_read_back(kind: str, tmp_path: Path) -> None:
    anchor = {
        "folder": lambda: str(tmp_path / "anchor"),
        "uri": lambda: f"memory://{tmp_path.name}/anchor",
        "git": lambda: repository(tmp_path),
    }[kind]()
    assert read_anchor(anchor) == ([], [])
    wanted = [Checkpoint(length, HEAD, "t", "s") for length in (1, 2, 30)]
    for checkpoint in wanted:
        write_anchor(anchor, checkpoint)
    found, unreadable = read_anchor(anchor)
    assert sorted(found, key=lambda each: each.length) == wanted
    assert unreadable == []


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_who_is_killed_while_writing_a_checkpoint_leaves_no_forgery(
    tmp_path: Path, scheme: str
) -> None:
    """Killed when all is written and nothing is in its place; the next one is not in its way."""
    anchor = f"{scheme}{tmp_path}/anchor"
    write_anchor(anchor, Checkpoint(1, HEAD, "t"))
    lines = (
        "import os, signal, sys",
        "from mlops_tasks.governance.anchors import write_anchor",
        "from mlops_tasks.governance.checkpoints import Checkpoint",
        "def kill(event, arguments):",
        "    if event == 'os.rename': os.kill(os.getpid(), signal.SIGKILL)",
        "sys.addaudithook(kill)",
        f"write_anchor({anchor!r}, Checkpoint(2, {HEAD!r}, 't'))",
    )
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)])

    assert done.returncode == -signal.SIGKILL
    assert read_anchor(anchor) == ([Checkpoint(1, HEAD, "t")], [])
    write_anchor(anchor, Checkpoint(2, HEAD, "t"))
    found, unreadable = read_anchor(anchor)
    assert ([each.length for each in found], unreadable) == ([1, 2], [])


def test_an_anchor_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for anchor in (f"git:{tmp_path}", str(tmp_path / "file" / "below")):
        with pytest.raises(LedgerError, match="anchor") as raised:
            write_anchor(anchor, Checkpoint(1, HEAD, "t"))
        assert "stack.anchor" in raised.value.next_step


@pytest.fixture
def stack(tmp_path: Path) -> StackSettings:
    return StackSettings.model_construct(
        ledger=f"sqlite:///{tmp_path}/ledger.db",
        anchor=str(tmp_path / "anchor"),
        key_folder=str(tmp_path / "keys"),
    )


def test_an_audit_believes_what_was_witnessed(stack: StackSettings, tmp_path: Path) -> None:
    for number in range(3):
        record.record(stack, Event("ada", "promotion", "m", "done", reason=str(number)))
        record.witness(stack)
    assert record.audit(stack).true

    auditor = tmp_path / "auditor.pem"
    auditor.write_bytes(record.ledger_key(stack).public.read_bytes())
    assert record.audit(stack, auditor).true
    other = key_pair(tmp_path, "other", "ed25519").public
    assert "is not the ledger's" in record.audit(stack, other).reason


@pytest.mark.parametrize("forge", ["signature", "head", "garbage"])
def test_a_forged_anchor_is_found(stack: StackSettings, tmp_path: Path, forge: str) -> None:
    for _ in range(2):
        record.record(stack, Event("ada", "promotion", "m", "done"))
        record.witness(stack)
    last = sorted((tmp_path / "anchor").iterdir())[-1]
    checkpoint = from_text(last.read_text())
    changes = {"signature": {"signature": "AAAA"}, "head": {"head": "f" * 64}}
    forged = dataclasses.replace(checkpoint, **changes.get(forge, {}))
    last.write_text("garbage" if forge == "garbage" else as_text(forged))
    found = record.audit(stack)
    assert not found.true
    assert found.first_bad == 2


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_lost_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def a_name_that_is_no_text(path: Path) -> None:
    path.rename(os.fsdecode(os.fsencode(path.parent) + b"/\xff\x1b[2J.json"))


ANCHORS: dict[str, Any] = {
    "a folder": a_folder,
    "a pipe": a_pipe,
    "a lost link": a_lost_link,
    "not UTF-8": lambda path: path.write_bytes(b"\xff\xfe\x00"),
    "empty": lambda path: path.write_bytes(b""),
    "not JSON": lambda path: path.write_text("garbage"),
    "too deep": lambda path: path.write_text("[" * 100_000),
    "a huge length": lambda path: path.write_text(said(length=10**400)),
    "a length as text": lambda path: path.write_text(said(length="2")),
    "not a number": lambda path: path.write_text(said(length=float("nan"))),
    "a lone surrogate": lambda path: path.write_text(said(signature="\ud800")),
    "a signature that is not ASCII": lambda path: path.write_text(said(signature="é")),
}


@pytest.mark.parametrize("case", [*ANCHORS, "a name that is no text"])
def test_whatever_lies_in_the_anchor_there_is_a_verdict(
    stack: StackSettings, tmp_path: Path, case: str
) -> None:
    for _ in range(2):
        record.record(stack, Event("ada", "promotion", "m", "done"))
        record.witness(stack)
    last = sorted((tmp_path / "anchor").iterdir())[-1]
    if case in ANCHORS:
        ANCHORS[case](last)
    else:
        last.write_text("")
        a_name_that_is_no_text(last)
    found = record.audit(stack)
    assert (found.true, found.first_bad) == (False, 2)
    assert found.reason.isprintable()


def test_a_note_that_is_no_text_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    anchor = repository(tmp_path)
    write_anchor(anchor, Checkpoint(1, HEAD, "t", "s"))
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\n")
    words = ["notes", "--ref=mlops-ledger", "append", "-F", str(tmp_path / "bytes"), "HEAD"]
    subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    found, unreadable = read_anchor(anchor)
    assert found == [Checkpoint(1, HEAD, "t", "s")]
    assert len(unreadable) == 1


def test_a_lost_note_is_named(tmp_path: Path) -> None:
    anchor = repository(tmp_path)
    write_anchor(anchor, Checkpoint(1, HEAD, "t", "s"))
    words = ["git", "-C", str(tmp_path), "notes", "--ref=mlops-ledger", "list"]
    [note, _] = subprocess.check_output(words, text=True).split()
    (tmp_path / ".git" / "objects" / note[:2] / note[2:]).unlink()
    assert read_anchor(anchor) == ([], [note])


@pytest.mark.parametrize(
    "anchor",
    [
        "ftp://ada:canary@127.0.0.1:1/anchor",
        "ftp://ada:can/canary@127.0.0.1:1/anchor",
        "http://127.0.0.1:1/anchor?x=1&password=canary",
        "nothing://ada:canary@host/anchor?password=canary",
        "nothing://host/anchor?X-Amz-Signature=can%2Fcanary;access_key=canary",
        "git:https://ada:canary@127.0.0.1:1/anchor.git",
        "git:/tmp/\x00",
        "/dev/null/\x00/anchor",
    ],
)
def test_an_anchor_is_said_without_its_password(anchor: str) -> None:
    with pytest.raises(LedgerError) as raised:
        write_anchor(anchor, Checkpoint(1, HEAD, "t", "s"))
    assert "canary" not in str(raised.value)
    assert "stack.anchor" in raised.value.next_step
    said_of_reading = ""
    try:
        read_anchor(anchor)
    except LedgerError as error:  # some stores say of an address that they cannot use: not there
        said_of_reading = str(error)
    assert "canary" not in said_of_reading
