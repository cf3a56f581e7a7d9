"""Values that may not be kept as they are, as keyed digests: HMAC-SHA256 under a key of the stack.

Guarantees, each held by a test: equal values of one column have equal digests, also in other
processes; those of two columns differ; several processes that need a new key end up with the same.
"""

import hmac
import os
import secrets
from pathlib import Path

from mlops_tasks.errors import StorageError
from mlops_tasks.governance.keys import OWNER_ONLY

KEY_FILE = "predictions.key"
KEY_BYTES = 32


def private_digest(key: bytes, column: str, value: object) -> str | None:
    """The digest of a plain value of a column, in hexadecimal; None of None."""
    import msgspec

    if value is None:
        return None
    said = column.encode() + b"\0" + msgspec.json.encode(value)
    return hmac.digest(key, said, "sha256").hex()


def digest_key(folder: Path) -> bytes:
    """The key of the digests; several processes that need a new one end up with the same.

    Raises
    ------
    StorageError
        If it cannot be read or made.
    """
    from filelock import FileLock

    file = folder / KEY_FILE
    try:
        if not file.exists():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with FileLock(f"{file}.lock"):
                if not file.exists():
                    _write_key(file)
        key = bytes.fromhex(file.read_text(encoding="ascii"))
        if len(key) != KEY_BYTES:
            raise ValueError("it has another length")
    except (OSError, ValueError) as error:
        raise StorageError(
            f"the key of hashed features cannot be used: {getattr(error, 'strerror', '') or error}",
            where=str(file),
            next_step="restore it, or delete it: a new one will be made, with other digests",
        ) from error
    return key


def _write_key(file: Path) -> None:
    scratch = file.with_suffix(".new")
    scratch.unlink(missing_ok=True)
    handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    with os.fdopen(handle, "w", encoding="ascii") as stream:
        stream.write(secrets.token_hex(KEY_BYTES))
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(scratch, file)
