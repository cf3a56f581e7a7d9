"""Entries are canonical lines; they hold no payload and no secret."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_tasks.errors import LedgerError
from mlops_tasks.governance.events import LONGEST, MASK, START, Event, entry_of, link

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=20)
EVENTS = st.builds(
    Event,
    actor=TEXT,
    action=TEXT,
    subject=TEXT,
    outcome=TEXT,
    reason=TEXT,
    digests=st.dictionaries(TEXT, TEXT, max_size=3),
    facts=st.dictionaries(TEXT, TEXT, max_size=3),
    once=TEXT,
)
AT = "2026-03-03T12:00:00.000000+00:00"


def canonical(value: object) -> str:
    """RFC 8785 for text alone, the slow obvious way: keys in order of their UTF-16 code units."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        inner = ",".join(f"{canonical(key)}:{canonical(value[key])}" for key in keys)
        return "{" + inner + "}"
    return json.dumps(value, ensure_ascii=False)


@given(EVENTS)
def test_a_line_is_canonical_json_and_its_hash_is_sha_256(event: Event) -> None:
    row = link(event, seq=3, at=AT, prev="ab")
    assert row.line == canonical(json.loads(row.line))
    assert row.hash == hashlib.sha256(row.line.encode()).hexdigest()
    entry = entry_of(row)
    assert (entry.seq, entry.at, entry.prev) == (3, AT, "ab")


@given(EVENTS)
def test_nothing_of_an_event_is_lost(event: Event) -> None:
    assert entry_of(link(event, seq=1, at=AT, prev=START)).event == event


def test_a_payload_is_refused() -> None:
    with pytest.raises(LedgerError, match="no place for a payload"):
        link(Event("a", "b", "c", "d", reason="x" * (LONGEST + 1)), seq=1, at=AT, prev=START)


@pytest.mark.parametrize("missing", ["actor", "action", "subject", "outcome"])
def test_who_what_and_how_it_ended_must_be_said(missing: str) -> None:
    said = dict.fromkeys(("actor", "action", "subject", "outcome"), "x") | {missing: ""}
    with pytest.raises(LedgerError, match=f"needs its {missing}"):
        link(Event(**said), seq=1, at=AT, prev=START)


def test_what_is_not_text_is_refused() -> None:
    facts = {"rows": 3}
    with pytest.raises(LedgerError, match=r"facts\.rows is not text"):
        link(Event("a", "b", "c", "d", facts=facts), seq=1, at=AT, prev=START)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD", "GH_TOKEN"])
def test_a_secret_of_the_environment_is_masked(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "canary-93b1")
    event = Event("a", "b", "c", "d", "failed with canary-93b1", facts={"uri": "x?k=canary-93b1"})
    row = link(event, seq=1, at=AT, prev=START)
    assert "canary" not in row.line
    assert row.line.count(MASK) == 2


def test_the_user_part_of_an_address_is_masked() -> None:
    row = link(Event("a", "b", "c", "d", "s3://ada:pw@bucket/x"), seq=1, at=AT, prev=START)
    assert "ada:pw" not in row.line
    assert f"s3://{MASK}@bucket/x" in row.line
