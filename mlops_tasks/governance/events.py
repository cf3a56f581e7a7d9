"""What the ledger says, and how one entry hangs on the one before it. Pure.

An entry is one line of canonical JSON (RFC 8785) that holds the event, its number, its time and the
hash of its predecessor; its own hash is the SHA-256 of that line. Nothing here stores anything.

Guarantees: an event carries names, digests and short reasons, never payloads (a value longer than
`LONGEST` is refused) and never a secret of the environment (it is masked before it is hashed).
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from mlops_tasks.errors import LedgerError

START = "0" * 64
LONGEST = 4000
MASK = "[secret]"
SHORTEST_SECRET = 6
_SECRET_NAME = re.compile(
    r"SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIAL|AUTH_STRING|_KEY$", re.IGNORECASE
)
_USERINFO = re.compile(r"(?<=://)[^/@\s]+@")


@dataclass(frozen=True, slots=True)
class Event:
    """Who did what to what, how it ended, and why.

    `digests` and `facts` are flat: name to hexadecimal digest, name to short text. An event with a
    key in `once` is recorded once, however often it is written.
    """

    actor: str
    action: str
    subject: str
    outcome: str
    reason: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    once: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """An event in its place. `at` is UTC, never earlier than that of the entry before."""

    seq: int
    at: str
    prev: str
    hash: str
    event: Event


class Row(NamedTuple):
    """An entry as it lies in the database: the line that is hashed, and copies to search by.

    A tuple, because verifying makes a million of them.
    """

    seq: int
    at: str
    actor: str
    action: str
    subject: str
    outcome: str
    once: str | None
    hash: str
    line: str


def hash_of(line: str) -> str:
    """SHA-256 (hexadecimal) of an entry's line."""
    return hashlib.sha256(line.encode()).hexdigest()


def link(event: Event, *, seq: int, at: str, prev: str) -> Row:
    """The row that puts an event at place `seq`, after the entry whose hash is `prev`.

    Raises
    ------
    LedgerError
        If the event holds a value that is too long or not text.
    """
    import rfc8785

    plain = _without_secrets(_checked(asdict(event)))
    line = rfc8785.dumps({"at": at, "event": plain, "prev": prev, "seq": seq}).decode()
    columns = {name: plain[name] for name in ("actor", "action", "subject", "outcome")}
    return Row(seq=seq, at=at, once=plain["once"] or None, hash=hash_of(line), line=line, **columns)


def entry_of(row: Row) -> Entry:
    """The entry that a row holds."""
    raw = json.loads(row.line)
    return Entry(raw["seq"], raw["at"], raw["prev"], row.hash, Event(**raw["event"]))


def _checked(event: dict[str, Any]) -> dict[str, Any]:
    for name in ("actor", "action", "subject", "outcome"):
        if not event[name]:
            raise LedgerError(f"an event needs its {name}", where=str(event["action"]))
    texts = {name: text for name, text in event.items() if name not in ("digests", "facts")}
    for group in ("digests", "facts"):
        texts |= {f"{group}.{name}": text for name, text in event[group].items()}
    for name, text in texts.items():
        if not isinstance(text, str):
            raise LedgerError(f"{name} is not text", where=str(event["action"]))
        if len(text) > LONGEST:
            raise LedgerError(
                f"{name} is {len(text)} characters long: an event is no place for a payload",
                where=str(event["action"]),
                next_step="record its digest",
            )
    return event | {group: dict(event[group]) for group in ("digests", "facts")}


def _without_secrets(value: Any) -> Any:
    """The same with the environment's secrets and the user part of addresses masked."""
    secrets = sorted(
        (
            text
            for name, text in os.environ.items()
            if _SECRET_NAME.search(name) and len(text) >= SHORTEST_SECRET
        ),
        key=len,
        reverse=True,
    )

    def clean(item: Any) -> Any:
        if isinstance(item, dict):
            return {name: clean(inner) for name, inner in item.items()}
        for secret in secrets:
            item = item.replace(secret, MASK)
        return _USERINFO.sub(f"{MASK}@", item)

    return clean(value)
