"""How artifacts are written, and how anything is named by content.

Guarantees, each held by a test: what `encode` wrote, `decode` reads back equal, also in another
process or on another Python version; equal values have equal digests everywhere; unknown types and
wrong fields are refused.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

from mlops_tasks.artifacts import (
    Candidate,
    Champion,
    Comparison,
    Dataset,
    Decision,
    Evaluation,
    Evidence,
    Lineage,
    Registration,
    Split,
)

ARTIFACTS: tuple[type, ...] = (
    Dataset,
    Split,
    Candidate,
    Evaluation,
    Comparison,
    Decision,
    Lineage,
    Evidence,
    Champion,
    Registration,
)


@cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def canonical(value: object) -> bytes:
    """JSON with sorted keys and no white space: equal values give equal bytes, everywhere."""
    plain = to_jsonable_python(value)
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(value: object) -> str:
    """SHA-256 (hexadecimal) of the content of dataclasses, settings and plain values."""
    return hashlib.sha256(canonical(_content(value))).hexdigest()


def _content(value: object) -> object:
    if is_dataclass(value):
        kept = [item.name for item in fields(value) if item.compare]
        return {name: _content(getattr(value, name)) for name in kept}
    if isinstance(value, Mapping):
        return {str(key): _content(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_content(item) for item in value]
    return value


def encode(artifact: object) -> bytes:
    """Write an artifact, or a list of artifacts, as JSON that names its type.

    Raises
    ------
    TypeError
        If it is not one of `ARTIFACTS`.
    """
    if isinstance(artifact, list | tuple):
        return canonical([json.loads(encode(item)) for item in artifact])
    if not isinstance(artifact, ARTIFACTS) and artifact is not None:
        raise TypeError(f"{type(artifact).__name__} does not travel between tasks")
    return canonical({"type": type(artifact).__name__, "value": artifact})


def decode(data: bytes | str) -> Any:
    """Read what `encode` wrote; unknown types and wrong fields raise `ValueError`."""
    return _restore(json.loads(data))


def _restore(raw: Any) -> Any:
    if isinstance(raw, list):
        return tuple(_restore(item) for item in raw)
    name = raw.get("type") if isinstance(raw, dict) else None
    if name == "NoneType":
        return None
    kind = next((kind for kind in ARTIFACTS if kind.__name__ == name), None)
    if kind is None or "value" not in raw:
        raise ValueError(f"{json.dumps(raw)[:80]} is not an artifact")
    return _adapter(kind).validate_python(raw["value"])
