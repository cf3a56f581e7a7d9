"""Key pairs as PEM files: the ledger's (Ed25519) and the models' (P-256).

Guarantee: a private key appears complete and readable by its owner alone, or not at all; several
processes that need a new one at once end up with the same; who only verifies needs no private key
and makes none; beside a public key that others have no new private one is made. People's own SSH
keys are not kept here.
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlops_tasks.errors import StorageError

OWNER_ONLY = 0o600


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Where the two halves lie. The public one may be given to anybody."""

    private: Path
    public: Path


def key_pair(folder: Path, name: str, kind: Literal["ed25519", "p256"]) -> KeyPair:
    """The key pair `<name>.pem` and `<name>.pub.pem` of a folder, made on first use.

    Raises
    ------
    StorageError
        If it cannot be written, or only its public half is here.
    """
    pair = _pair(folder, name)
    try:
        # In this order: who makes a pair writes the private half first.
        if pair.public.exists() and not pair.private.exists():
            raise StorageError(
                "only the public half of a key is here: it verifies, and signs nothing",
                where=str(pair.private),
                next_step="do this where the private key is, or restore it from your backup",
            )
        if not pair.private.exists():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _publish_once(_new_private_key(kind), pair.private)
        if not pair.public.exists():
            _publish_once(_public_half(pair.private.read_bytes()), pair.public)
    except OSError as error:
        raise StorageError(
            f"a key cannot be made: {error.strerror or error}",
            where=str(pair.private),
            next_step="set MLOPS_HOME to a folder that you may write to",
        ) from error
    return pair


def public_key(folder: Path, name: str) -> Path:
    """The public half of a key pair, for who only verifies: `<name>.pub.pem`.

    Raises
    ------
    StorageError
        If neither half is here.
    """
    pair = _pair(folder, name)
    try:
        if not pair.public.exists():
            _publish_once(_public_half(pair.private.read_bytes()), pair.public)
    except (OSError, ValueError) as error:
        raise StorageError(
            "there is no key to verify by",
            where=str(pair.public),
            next_step="copy the public key here from where it was signed, or set stack.key_folder",
        ) from error
    return pair.public


def _pair(folder: Path, name: str) -> KeyPair:
    return KeyPair(folder / f"{name}.pem", folder / f"{name}.pub.pem")


def _new_private_key(kind: Literal["ed25519", "p256"]) -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    key = (
        ed25519.Ed25519PrivateKey.generate()
        if kind == "ed25519"
        else ec.generate_private_key(ec.SECP256R1())
    )
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _public_half(private: bytes) -> bytes:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(private, password=None)
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _publish_once(content: bytes, target: Path) -> None:
    """Whoever is first wins; the others leave theirs and use what is there."""
    handle, name = tempfile.mkstemp(dir=target.parent)  # readable by its owner alone
    scratch = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        scratch.chmod(OWNER_ONLY)
        if not target.exists():
            try:
                os.link(scratch, target)
            except FileExistsError:
                return
            except OSError:  # a file system without hard links
                os.replace(scratch, target)
    finally:
        scratch.unlink(missing_ok=True)
