"""Signed statements, kept outside the database, of how long the ledger was and what it ended in.

Signed with Ed25519 over the canonical JSON of (length, head, at). Who can write the database but
not sign cannot rewrite what a checkpoint has seen. Where they are kept is the affair of `anchors`.
"""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_tasks.errors import LedgerError


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The ledger had `length` entries, and the last one's hash was `head`."""

    length: int
    head: str
    at: str
    signature: str = ""

    @property
    def statement(self) -> bytes:
        """The bytes that are signed."""
        import rfc8785

        return rfc8785.dumps({"at": self.at, "head": self.head, "length": self.length})


def sign(length: int, head: str, at: str, private_key: Path) -> Checkpoint:
    """A checkpoint with the signature of the ledger's key.

    Raises
    ------
    LedgerError
        If the key cannot be read.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(private_key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise _bad_key(private_key) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _bad_key(private_key)
    statement = Checkpoint(length, head, at).statement
    return Checkpoint(length, head, at, base64.b64encode(key.sign(statement)).decode())


def is_genuine(checkpoint: Checkpoint, public_key: Path) -> bool:
    """Whether the signature is that of the ledger's key.

    Raises
    ------
    LedgerError
        If the public key cannot be read.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(public_key.read_bytes())
    except (OSError, ValueError) as error:
        raise _bad_key(public_key) from error
    if not isinstance(key, Ed25519PublicKey):
        raise _bad_key(public_key)
    try:
        key.verify(base64.b64decode(checkpoint.signature, validate=True), checkpoint.statement)
    except (InvalidSignature, ValueError):  # also what cannot be said in canonical JSON
        return False
    return True


def as_text(checkpoint: Checkpoint) -> str:
    """One line of JSON."""
    plain = json.loads(checkpoint.statement) | {"signature": checkpoint.signature}
    return json.dumps(plain, sort_keys=True)


def from_text(text: str) -> Checkpoint:
    """Read what `as_text` wrote; anything else raises `ValueError`."""
    try:
        raw: Any = json.loads(text)
    except RecursionError as error:
        raise ValueError("not a checkpoint") from error
    kinds = {"length": int, "head": str, "at": str, "signature": str}
    if not isinstance(raw, dict) or set(raw) != set(kinds):
        raise ValueError("not a checkpoint")
    if any(type(raw[name]) is not kind for name, kind in kinds.items()) or raw["length"] < 1:
        raise ValueError("not a checkpoint")
    checkpoint = Checkpoint(**raw)
    _ = checkpoint.statement  # a number or text that JSON cannot carry is a `ValueError` here
    return checkpoint


def _bad_key(path: Path) -> LedgerError:
    return LedgerError(
        "this is not the ledger's Ed25519 key",
        where=str(path),
        next_step="name the right one with --key, or restore it from a backup",
    )
