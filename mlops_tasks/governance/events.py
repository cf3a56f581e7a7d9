"""What the ledger says, and how one entry hangs on the one before it. Pure.

An entry is one line of canonical JSON (RFC 8785) that holds the event, its number, its time and the
hash of its predecessor; its own hash is the SHA-256 of that line. Nothing here stores anything.

Guarantees: an event carries names, digests and short reasons, never payloads (a value longer than
`LONGEST` is refused) and never a secret of the environment (it is masked before it is hashed).
"""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from mlops_tasks.errors import LedgerError

if TYPE_CHECKING:
    from pydantic_core import SchemaValidator

START = "0" * 64
LONGEST = 4000
MASK = "[secret]"
SHORTEST_SECRET = 6
_SECRET_NAME = re.compile(
    r"SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIAL|AUTH_STRING|_KEY$", re.IGNORECASE
)
_USERINFO = re.compile(r"(?<=://)[^/@\s]+@")
# Of an address: after `user:` a password may hold `/`, `@` and blanks.
_USER_PART = re.compile(r"(?<=://)(?:[^/@:\s]*:.*|[^/?#\s]*)(?=@)")
_QUERY_PART = re.compile(r"(?<=[?&;])([^=&;\s]+)=([^&;\s]*)")
_QUERY_SECRET = re.compile(r"PASS|PWD|SECRET|TOKEN|CRED|KEY|SIG|AUTH", re.IGNORECASE)


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


def said_by(line: str) -> dict[str, Any]:
    """What an entry's line says; `ValueError` or `TypeError` if it is not one."""
    said: dict[str, Any] = _shape().validate_json(line)
    return said


def entry_of(row: Row) -> Entry:
    """The entry that a row holds.

    Raises
    ------
    LedgerError
        If it holds none: somebody changed it.
    """
    try:
        raw = said_by(row.line if isinstance(row.line, str) else "")
        if raw["seq"] != row.seq:
            raise ValueError("another entry's line")
    except (ValueError, TypeError) as error:
        number = f"entry {row.seq}" if isinstance(row.seq, int) else "an entry without a number"
        raise LedgerError(
            f"{number} of the ledger cannot be read: its content was changed",
            where=number,
            next_step="run `mlops audit verify`, and restore the ledger from a backup",
        ) from error
    return Entry(raw["seq"], raw["at"], raw["prev"], row.hash, Event(**raw["event"]))


def masked(address: str, text: str | None = None) -> str:
    """An address without its secrets; or a text about it, which may repeat them."""
    passwords = [part.partition(":")[2] for part in _USER_PART.findall(address)]
    secrets = {*passwords, *(piece for password in passwords for piece in password.split("@"))}
    secrets |= {
        value for name, value in _QUERY_PART.findall(address) if _QUERY_SECRET.search(unquote(name))
    }
    said = _USER_PART.sub(MASK, address if text is None else text)
    for secret in sorted({*secrets, *map(unquote, secrets)} - {""}, key=len, reverse=True):
        said = said.replace(secret, MASK)
    return said


@cache
def _shape() -> "SchemaValidator":
    """What `link` writes: these names and no others, and text in all places but one."""
    from pydantic_core import SchemaValidator
    from pydantic_core import core_schema as schema

    def exactly(**kinds: schema.CoreSchema) -> schema.CoreSchema:
        inner = {name: schema.typed_dict_field(kind) for name, kind in kinds.items()}
        return schema.typed_dict_schema(inner, extra_behavior="forbid", strict=True)

    text = schema.str_schema(strict=True)
    flat = schema.dict_schema(text, text, strict=True)
    named = {each.name: text for each in fields(Event)} | {"digests": flat, "facts": flat}
    number = schema.int_schema(strict=True)
    return SchemaValidator(exactly(at=text, event=exactly(**named), prev=text, seq=number))


@cache
def _names_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


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
            if len(text) >= SHORTEST_SECRET and _names_secret(name)
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
