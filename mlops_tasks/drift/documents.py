"""Profiles, summaries, counts and reports as JSON, to be kept beside a model or between windows.

Each document names its type; equal values give equal bytes. What is not one of these types, has
more or less in it, or was altered into something that cannot be one, is refused; who altered it is
not asked here, that takes a seal.
"""

import json
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from mlops_tasks.drift.descriptors import Vocabulary
from mlops_tasks.drift.embeddings import EmbeddingSummary
from mlops_tasks.drift.profile import Counts, Profile
from mlops_tasks.drift.verdict import DriftReport
from mlops_tasks.encoding import canonical
from mlops_tasks.errors import DataError

DOCUMENTS = (Profile, Counts, DriftReport, Vocabulary, EmbeddingSummary)
Document = TypeVar("Document", Profile, Counts, DriftReport, Vocabulary, EmbeddingSummary)


def encode(document: Profile | Counts | DriftReport | Vocabulary | EmbeddingSummary) -> bytes:
    """Write a document as JSON that names its type.

    Raises
    ------
    TypeError
        If it is not one of `DOCUMENTS`.
    """
    if not isinstance(document, DOCUMENTS):
        raise TypeError(f"{type(document).__name__} is no document of monitoring")
    return canonical({"type": type(document).__name__, "value": document})


def decode(data: bytes | str, kind: type[Document]) -> Document:
    """Read what `encode` wrote.

    Raises
    ------
    DataError
        If it is not a document of this kind.
    """
    try:
        raw = json.loads(data)
        if not isinstance(raw, dict) or raw.get("type") != kind.__name__:
            raise ValueError(f"it is not a {kind.__name__}")
        found: Document = TypeAdapter(kind).validate_python(raw["value"])
        if encode(found) != canonical(raw):
            raise ValueError(f"it is not written as a {kind.__name__} is")
    except (ValueError, KeyError, ValidationError) as error:
        raise DataError(
            f"this is no {kind.__name__} that can be read",
            where=" ".join(str(error).split())[:200],
            next_step="write it again with `documents.encode`",
        ) from error
    return found
