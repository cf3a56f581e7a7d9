"""Whatever is done to a genuine record is found, and the first bad entry is named."""

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_tasks.governance.chain import Verdict, verify
from mlops_tasks.governance.checkpoints import Checkpoint
from mlops_tasks.governance.events import START, Event, Row, hash_of, link
from mlops_tasks.governance.ledger import Ledger

LENGTH = 12
SEEN = (4, 8, 12)  # lengths at which a checkpoint was taken


def genuine(length: int = LENGTH, actor: str = "ada") -> list[Row]:
    rows: list[Row] = []
    for number in range(1, length + 1):
        prev = rows[-1].hash if rows else START
        event = Event(actor, "promotion", "m", "done", facts={"version": str(number)})
        at = f"2026-03-03T12:00:{number:02d}.000000+00:00"
        rows.append(link(event, seq=number, at=at, prev=prev))
    return rows


ROWS = genuine()
CHECKPOINTS = tuple(Checkpoint(length, ROWS[length - 1].hash, "t") for length in SEEN)


def check(rows: Sequence[Row]) -> Verdict:
    return verify(rows, CHECKPOINTS)


def edited(row: Row, **changes: Any) -> Row:
    return row._replace(**changes)


def relinked(rows: Sequence[Row], start: int) -> list[Row]:
    """What a careful forger does: all hashes and links from `start` (0-based) on made anew."""
    out = list(rows[:start])
    for number, row in enumerate(rows[start:], start=start + 1):
        raw = json.loads(row.line)
        prev = out[-1].hash if out else START
        out.append(link(Event(**raw["event"]), seq=number, at=raw["at"], prev=prev))
    return out


def test_a_genuine_record_is_true() -> None:
    assert check(ROWS) == Verdict(True, LENGTH, LENGTH)
    assert verify(genuine(14), CHECKPOINTS) == Verdict(True, 14, LENGTH)
    assert verify([], []) == Verdict(True, 0, 0)


CASES: dict[str, tuple[list[Row], int, str]] = {
    "an edited field": (
        [*ROWS[:4], edited(ROWS[4], line=ROWS[4].line.replace("ada", "eve")), *ROWS[5:]],
        5,
        "edited",
    ),
    "an edited column": ([*ROWS[:6], edited(ROWS[6], actor="eve"), *ROWS[7:]], 7, "column"),
    "a deleted row": ([*ROWS[:2], *ROWS[3:]], 3, "missing"),
    "a deleted first row": (ROWS[1:], 1, "missing"),
    "a deleted row, renumbered": (relinked([*ROWS[:2], *ROWS[3:]], 2), 1, "written anew"),
    "swapped rows": ([*ROWS[:5], ROWS[6], ROWS[5], *ROWS[7:]], 6, "missing"),
    "swapped contents": (
        [
            *ROWS[:5],
            edited(ROWS[6], seq=6),
            edited(ROWS[5], seq=7),
            *ROWS[7:],
        ],
        6,
        "does not follow",
    ),
    "a cut tail": (ROWS[:9], 10, "tail is cut"),
    "nothing left": ([], 1, "tail is cut"),
    "a fully rewritten chain": (genuine(LENGTH, actor="eve"), 1, "written anew"),
    "a rewritten end": (relinked([*ROWS[:9], *genuine(LENGTH, "eve")[9:]], 9), 9, "written anew"),
}


@pytest.mark.parametrize("case", CASES)
def test_it_names_the_first_bad_entry(case: str) -> None:
    rows, first_bad, reason = CASES[case]
    found = check(rows)
    assert not found.true
    assert found.first_bad == first_bad
    assert reason in found.reason


def test_without_a_checkpoint_nothing_is_true() -> None:
    assert verify(ROWS, []) == Verdict(
        False, LENGTH, 0, 1, "no checkpoint outside the database vouches for it"
    )


def test_a_forged_checkpoint_is_named() -> None:
    found = verify(ROWS, CHECKPOINTS, ["the signature of that of length 8 is not the ledger's"])
    assert not found.true
    assert "length 8" in found.reason


def test_checkpoints_that_disagree_are_found() -> None:
    found = verify(ROWS, [*CHECKPOINTS, Checkpoint(8, "f" * 64, "t")])
    assert (found.true, found.first_bad) == (False, 8)


COLUMNS = Row._fields
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["seq", "at", "prev", "event", "once"]), inner)
    ),
    max_leaves=8,
).map(json.dumps)


@st.composite
def mutations(draw: st.DrawFn) -> tuple[list[Row], int]:
    """A record that was changed, and the 1-based number of the first entry that differs."""
    rows, at = list(ROWS), draw(st.integers(0, LENGTH - 1))
    kind = draw(st.sampled_from(["edit", "rehash", "delete", "swap", "cut", "repeat", "relink"]))
    if kind == "edit":
        name = draw(st.sampled_from(COLUMNS))
        old = getattr(rows[at], name)
        new = (
            old + 1 if name == "seq" else draw(st.text(max_size=9).filter(lambda text: text != old))
        )
        rows[at] = edited(rows[at], **{name: new})
    elif kind == "rehash":
        reason = draw(st.text(st.characters(codec="utf-8"), min_size=1, max_size=9))
        said = json.loads(rows[at].line)
        rows[at] = link(
            Event(**(said["event"] | {"reason": reason})),
            seq=at + 1,
            at=said["at"],
            prev=said["prev"],
        )
    elif kind == "delete":
        del rows[at]
    elif kind == "swap":
        other = draw(st.integers(0, LENGTH - 1).filter(lambda number: number != at))
        rows[at], rows[other] = rows[other], rows[at]
        at = min(at, other)
    elif kind == "cut":
        rows = rows[:at]
    elif kind == "repeat":
        rows.insert(at, rows[at])
        at += 1
    else:
        raw = json.loads(rows[at].line)["event"] | {"reason": draw(st.text(min_size=1, max_size=9))}
        line = json.dumps({"event": raw, "at": rows[at].at, "prev": "", "seq": 0})
        rows[at] = edited(rows[at], line=line)
        rows = relinked(rows, at)
    return rows, at + 1


@settings(max_examples=400, deadline=None)
@given(mutations())
def test_every_mutation_is_found_at_or_before_its_first_entry(
    mutation: tuple[list[Row], int],
) -> None:
    rows, first = mutation
    found = check(rows)
    assert not found.true
    assert found.first_bad is not None
    assert found.first_bad <= first
    unseen = max((length for length in SEEN if length < first), default=0)
    assert found.first_bad > unseen, "what a checkpoint saw before it is still trusted"


def by_hand(rows: Sequence[Row]) -> bool:
    """The slow obvious check of the chain alone."""
    lines = [json.loads(row.line) for row in rows]
    numbers = list(range(1, len(rows) + 1))
    numbered = [row.seq for row in rows] == [line["seq"] for line in lines] == numbers
    hashed = all(hash_of(row.line) == row.hash for row in rows)
    linked = [line["prev"] for line in lines] == [START, *(row.hash for row in rows)][: len(rows)]
    return numbered and hashed and linked


@given(st.lists(st.integers(0, LENGTH - 1), max_size=LENGTH))
def test_any_arrangement_of_genuine_rows_against_the_slow_reference(order: list[int]) -> None:
    rows = [ROWS[number] for number in order]
    head = [Checkpoint(len(rows), rows[-1].hash, "t")] if rows else []
    assert verify(rows, head).true == by_hand(rows)


FORGERIES = [
    ("edit", "UPDATE ledger SET actor='eve' WHERE seq=3", 3),
    ("delete", "DELETE FROM ledger WHERE seq=2", 2),
    ("cut", "DELETE FROM ledger WHERE seq>4", 5),
]


def filled(path: Path) -> tuple[Ledger, Checkpoint]:
    ledger = Ledger(f"sqlite:///{path}")
    for number in range(6):
        ledger.append(Event("ada", "promotion", "m", "done", facts={"version": str(number)}))
    return ledger, Checkpoint(*ledger.head())


def forge(path: Path, statement: str, values: Sequence[Any] = ()) -> None:
    """Change the rows as one who may drop the triggers."""
    raw = sqlite3.connect(path)
    for (trigger,) in raw.execute("SELECT name FROM sqlite_master WHERE type='trigger'").fetchall():
        raw.execute(f"DROP TRIGGER {trigger}")
    raw.execute(statement, values)
    raw.commit()
    raw.close()


@pytest.mark.parametrize(("name", "statement", "first_bad"), FORGERIES, ids=lambda each: str(each))
def test_who_drops_the_triggers_is_found(
    tmp_path: Path, name: str, statement: str, first_bad: int
) -> None:
    ledger, checkpoint = filled(tmp_path / "ledger.db")
    forge(tmp_path / "ledger.db", statement)
    found = verify(ledger.rows(), [checkpoint])
    assert (found.true, found.first_bad) == (False, first_bad)


@pytest.mark.parametrize("anew", [False, True], ids=["line", "line-and-hash"])
def test_any_bytes_in_a_line_are_found_where_they_are(tmp_path: Path, anew: bool) -> None:
    """Whoever writes them as text or as a blob, with the hash that was there or with their own."""
    path = tmp_path / "ledger.db"
    ledger, checkpoint = filled(path)
    genuine_rows = list(ledger.rows())
    forge(path, "SELECT 1")
    raw = sqlite3.connect(path, isolation_level=None)

    @settings(max_examples=150, deadline=None)
    @given(
        number=st.integers(1, 6),
        what=st.one_of(st.binary(max_size=40), st.text(st.characters(codec="utf-8")), JSON),
        text=st.booleans(),
    )
    def found_where_it_is(number: int, what: bytes | str, text: bool) -> None:
        row = genuine_rows[number - 1]
        content = what.encode() if isinstance(what, str) else what
        digest = hashlib.sha256(content).hexdigest() if anew else row.hash
        place = "CAST(? AS TEXT)" if text else "?"
        raw.execute(
            f"UPDATE ledger SET line = {place}, hash = ? WHERE seq = ?", (content, digest, number)
        )
        try:
            found = verify(ledger.rows(), [checkpoint])
        finally:
            raw.execute(
                "UPDATE ledger SET line = ?, hash = ? WHERE seq = ?", (row.line, row.hash, number)
            )
        assert (found.true, found.first_bad, found.entries) == (False, number, number - 1)

    found_where_it_is()
    raw.close()
    assert verify(ledger.rows(), [checkpoint]).true


def test_a_page_that_is_destroyed_is_found_where_its_first_entry_was(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = Ledger(f"sqlite:///{path}")
    for number in range(400):
        ledger.append(Event("ada", "promotion", "m", "done", reason=f"{number} " + "x" * 400))
    checkpoint = Checkpoint(*ledger.head())
    ledger.close()
    content = bytearray(path.read_bytes())
    page = 4096 * (content.index(b"200 xxxx") // 4096)
    content[page : page + 4096] = b"\xff" * 4096
    path.write_bytes(content)
    found = verify(Ledger(f"sqlite:///{path}").rows(), [checkpoint])
    assert not found.true
    assert found.first_bad is not None
    assert 190 <= found.first_bad <= 201


def test_a_number_that_is_none_is_missed_where_it_was(tmp_path: Path) -> None:
    for number in (1, 3, 6):
        for new in ("-5", "0", "'x'", "1e30", "9223372036854775807", "x'ff'", "2.5"):
            path = tmp_path / f"{number}-{new}.db"
            ledger, checkpoint = filled(path)
            forge(path, f"UPDATE ledger SET seq = {new} WHERE seq = {number}")
            found = verify(ledger.rows(), [checkpoint])
            assert (found.true, found.first_bad) == (False, number), new
            ledger.close()


def test_a_row_too_many_is_not_true(tmp_path: Path) -> None:
    ledger, checkpoint = filled(tmp_path / "ledger.db")
    forge(
        tmp_path / "ledger.db",
        "INSERT INTO ledger SELECT 0, at, actor, action, subject, outcome, once, hash, line "
        "FROM ledger WHERE seq = 1",
    )
    found = verify(ledger.rows(), [checkpoint])
    assert (found.true, found.entries, found.first_bad) == (False, 6, 7)
