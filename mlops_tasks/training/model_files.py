"""Models as files without pickle: skops, made canonical, so that equal models are equal bytes.

skops names objects and members by memory address and stamps members with the time. `write_model`
renames both in order of appearance, which makes the SHA-256 of the file the model's identity.

Guarantee: loading never runs code from the file beyond the types listed in `TRUSTED`, which were
read before they were added. A type that a file asks for is never trusted because it asks.
"""

import io
import json
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_tasks.errors import TrainingError
from mlops_tasks.storage import fetch

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

# numpy.dtype is a description of memory, without code. The others are compiled structures of
# scikit-learn, which skops leaves to the reader because their indices are used unchecked: an
# altered file could read out of bounds, so the digest is always checked first.
TRUSTED = (
    "numpy.dtype",
    "sklearn.tree._tree.Tree",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.link.Interval",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn._loss._loss.CyHalfBinomialLoss",
)
_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_model(model: "BaseEstimator", path: Path) -> None:
    """Write a fitted estimator; the same estimator gives the same bytes.

    Raises
    ------
    TrainingError
        If it holds objects that could not be loaded again without trusting new code.
    """
    import skops.io

    data = canonical_skops(skops.io.dumps(model))
    unknown = sorted(set(skops.io.get_untrusted_types(data=data)) - set(TRUSTED))
    if unknown:
        raise TrainingError(
            f"the model holds types that are not trusted for loading: {', '.join(unknown)}",
            where="mlops_tasks.training.model_files.TRUSTED",
            next_step="build the model from scikit-learn's own parts, or have the type reviewed",
        )
    path.write_bytes(data)


def read_model(uri: str, digest: str) -> "BaseEstimator":
    """Load a model whose file has this SHA-256.

    Raises
    ------
    AlteredObject
        If the file has another one: it is not loaded.
    StorageError
        If there is no such file.
    """
    import skops.io

    with fetch(uri, digest) as path:
        return skops.io.loads(path.read_bytes(), trusted=list(TRUSTED))


def canonical_skops(data: bytes) -> bytes:
    """The same skops archive with object ids, member names, order and times made canonical."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(members.pop("schema.json"))
    ids: dict[int | str, int] = {}
    names: dict[str, str] = {}
    renamed = _rename(schema, ids, names)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        text = json.dumps(renamed, indent=1).encode()
        archive.writestr(_member("schema.json"), text)
        for old, new in names.items():
            archive.writestr(_member(new), members[old])
    return out.getvalue()


def _rename(node: Any, ids: dict[int | str, int], names: dict[str, str]) -> Any:
    if isinstance(node, list):
        return [_rename(item, ids, names) for item in node]
    if not isinstance(node, dict):
        return node
    out = {}
    for key, value in node.items():
        if key == "__id__":
            # Whether equal texts and numbers are one object is chance: they share no id.
            plain = node.get("__loader__") == "JsonNode"
            value = ids.setdefault(f"plain {len(ids)}" if plain else value, len(ids))
        elif key == "file" and isinstance(value, str) and re.fullmatch(r"\d+\.\w+", value):
            value = names.setdefault(value, f"{len(names)}{Path(value).suffix}")
        else:
            value = _rename(value, ids, names)
        out[key] = value
    return out


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.create_system = 3  # the same on Windows
    return info
