"""The OMS signature of a model folder (OpenSSF Model Signing), with a key of this stack.

`seal` signs with the library `model-signing`. `check_seal` reads the format itself, because the
library takes a second to import whatever part of it is wanted and a champion is loaded in every
command; and it is stricter: no file is ignored, no earlier format is accepted. What it accepts, the
library accepts too, and `python -m model_signing verify key` checks our seals without this code.

Guarantee: where `check_seal` returns, the folder holds the very files that were sealed with that
key, no more and no fewer, and no symbolic link. Empty folders and file modes are not sealed.
Nothing is published and nothing is fetched.
"""

import base64
import errno
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.alias_generators import to_camel

from mlops_tasks.errors import AlteredObject, StorageError
from mlops_tasks.governance.keys import KeyPair
from mlops_tasks.storage import file_digest

NEXT_STEP = "do not use it: fetch it again, or train again"


def seal(folder: Path, signature: Path, key: KeyPair) -> None:
    """Sign every file of a folder.

    Parameters
    ----------
    folder
        The model, with regular files and folders only.
    signature
        The file to write, outside of the folder.
    key
        A P-256 pair; see `keys.key_pair`.

    Raises
    ------
    StorageError
        If the folder holds no file or something that is not one, or if a file or the key cannot be
        read, or the signature not be written.
    """
    from model_signing.hashing import Config as Hashing
    from model_signing.signing import Config as Signing

    try:
        if not any(_files(folder)):
            raise ValueError("there is no file in it")
        every_file = Hashing()  # type: ignore[no-untyped-call]
        every_file.set_ignored_paths(paths=(), ignore_git_paths=False)
        signer = Signing()  # type: ignore[no-untyped-call]
        signer.use_elliptic_key_signer(private_key=key.private).set_hashing_config(every_file)
        signer.sign(folder, signature)
    except Exception as error:  # the library passes on whatever went wrong below it
        raise StorageError(
            f"the model cannot be sealed: {error}",
            where=str(folder),
            next_step=f"see that the folder and {key.private} can be read",
        ) from error


def check_seal(folder: Path, signature: Path, public_key: Path) -> None:
    """Return if the folder is, in every byte, what was sealed with this key.

    Raises
    ------
    AlteredObject
        If a file was altered, added or removed, or if the signature is missing, cannot be read, is
        forged, or by another key.
    StorageError
        If the public key cannot be read.
    """
    sealed = _sealed_files(_signed_content(signature, public_key), signature)
    try:
        found = {path.relative_to(folder).as_posix(): file_digest(path) for path in _files(folder)}
    except OSError as error:
        raise _altered(f"{error.strerror}: {error.filename!r}", folder) from error
    differing = sorted(name for name in sealed | found if sealed.get(name) != found.get(name))
    if differing:
        first = differing[0]
        how = "removed" if first not in found else "altered" if first in sealed else "added"
        more = f", and {len(differing) - 1} more" if differing[1:] else ""
        raise _altered(f"{first!r} was {how}{more}", folder)


def _files(folder: Path) -> Iterator[Path]:
    """Every file below a folder; anything else there, a symbolic link too, is an `OSError`."""
    if folder.is_symlink() or not folder.is_dir():
        raise OSError(errno.ENOTDIR, "Not a folder", str(folder))
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            yield from _files(path)
        elif path.is_file() and not path.is_symlink():
            yield path
        else:
            raise OSError(errno.EINVAL, "Not a regular file", path.relative_to(folder).as_posix())


class _Part(BaseModel):
    """Part of a file of which every key is known."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, alias_generator=to_camel)


class _Key(_Part):
    hint: str


class _Material(_Part):
    public_key: _Key
    tlog_entries: list[None] = Field(default=[], max_length=0)


class _Bytes(_Part):
    """Base64 in the one spelling that an encoder gives."""

    @field_validator("payload", "sig", mode="before", check_fields=False)
    @classmethod
    def _decode(cls, text: object) -> bytes:
        decoded = base64.b64decode(str(text), validate=True)
        if base64.b64encode(decoded).decode() != text:
            raise ValueError("not canonical base64")
        return decoded


class _Signature(_Bytes):
    sig: bytes
    keyid: Literal[""] = ""


class _Envelope(_Bytes):
    payload: bytes
    payload_type: Literal["application/vnd.in-toto+json"]
    signatures: list[_Signature] = Field(min_length=1, max_length=1)


class _Bundle(_Part):
    media_type: Literal["application/vnd.dev.sigstore.bundle.v0.3+json"]
    verification_material: _Material
    dsse_envelope: _Envelope


class _Digest(BaseModel):
    sha256: str


class _Subject(BaseModel):
    digest: _Digest


class _File(BaseModel):
    name: str
    algorithm: Literal["sha256"]
    digest: str = Field(pattern="^[0-9a-f]{64}$")


class _Serialization(BaseModel):
    method: Literal["files"]
    allow_symlinks: Literal[False]


class _Predicate(BaseModel):
    serialization: _Serialization
    resources: list[_File]


class _Statement(BaseModel):
    """What was signed; who holds the key may say more in it than is known here."""

    kind: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    subject: list[_Subject] = Field(min_length=1, max_length=1)
    predicate_type: Literal["https://model_signing/signature/v1.0"] = Field(alias="predicateType")
    predicate: _Predicate


def _signed_content(signature: Path, public_key: Path) -> bytes:
    """The payload of a signature by this key."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        key = serialization.load_pem_public_key(public_key.read_bytes())
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
            raise ValueError("it is not a P-256 key")
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        why = f"the public key cannot be read: {error}"
        raise StorageError(why, where=str(public_key), next_step="put it back") from error
    pem = key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    try:
        bundle = _Bundle.model_validate_json(signature.read_bytes())
        if bundle.verification_material.public_key.hint != hashlib.sha256(pem).hexdigest():
            raise _altered("the signature is by another key", signature)
        envelope = bundle.dsse_envelope
        kind, size = envelope.payload_type, len(envelope.payload)
        signed = f"DSSEv1 {len(kind)} {kind} {size} ".encode() + envelope.payload
        key.verify(envelope.signatures[0].sig, signed, ec.ECDSA(hashes.SHA256()))
    except FileNotFoundError as error:
        raise _altered("the signature is missing", signature) from error
    except (OSError, ValidationError) as error:
        raise _altered("the signature cannot be read", signature) from error
    except InvalidSignature as error:
        raise _altered(
            "the signature is forged: it is not of the files that it lists", signature
        ) from error
    return envelope.payload


def _sealed_files(payload: bytes, signature: Path) -> dict[str, str]:
    """Names of files and their SHA-256, from a payload whose signature holds."""
    try:
        statement = _Statement.model_validate_json(payload)
    except ValidationError as error:
        raise _altered("the signature is not of a list of files by SHA-256", signature) from error
    files = statement.predicate.resources
    sealed = {each.name: each.digest for each in files}
    root = hashlib.sha256(b"".join(bytes.fromhex(each.digest) for each in files)).hexdigest()
    if root != statement.subject[0].digest.sha256 or len(sealed) != len(files):
        raise _altered("the list of files in the signature contradicts itself", signature)
    return sealed


def _altered(what: str, where: Path) -> AlteredObject:
    return AlteredObject(f"the model is not used: {what}", where=str(where), next_step=NEXT_STEP)
