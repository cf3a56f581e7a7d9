"""What travels between tasks: small frozen types that point at data, and never the data.

Every type here can be written as JSON and read back equal (`encode`, `decode`), also in another
process or on another Python version. `digest` names any of them by content: where an object lies
and how long it took to make (`compare=False`) is no part of what it is.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python


@dataclass(frozen=True, slots=True)
class Dataset:
    """Rows in one Parquet file, named by content.

    `uri` is where the file lies, `digest` the SHA-256 of its bytes, `dvc_rev` the MD5 under which
    DVC knows the file this came from, `regions` where the data may be processed.
    """

    uri: str = field(compare=False)
    digest: str
    rows: int
    columns: tuple[str, ...]
    regions: tuple[str, ...]
    dvc_rev: str = ""
    quarantined_rows: int = 0


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column plays which part; derived from the contract and the data settings."""

    key: tuple[str, ...]
    target: str
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    time: str | None = None
    group: str | None = None

    @property
    def features(self) -> tuple[str, ...]:
        """The columns that a model sees, in a fixed order."""
        return self.numeric + self.categorical


@dataclass(frozen=True, slots=True)
class Split:
    """Rows to learn from, and the frozen comparison set that every model is judged on."""

    train: Dataset
    comparison: Dataset
    columns: Columns
    kind: str


@dataclass(frozen=True, slots=True)
class Code:
    """Code by reference, `package.module:NAME`, and a digest of the whole package's source.

    The digest makes a cached result stale as soon as the code behind it changes.
    """

    reference: str
    digest: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A fitted model in a file, and what it was made of. `digest` is the SHA-256 of the file."""

    model_uri: str = field(compare=False)
    digest: str
    name: str
    params: dict[str, Any]
    seed: int
    train: Dataset
    columns: Columns
    code: Code
    size_bytes: int
    fit_seconds: float = field(compare=False, default=0.0)


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with a bootstrap percentile interval, `low <= high`."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SliceScore:
    """The primary metric on the rows where `column` is `level`; no value where it is undefined."""

    column: str
    level: str
    rows: int
    positives: int
    score: Interval | None


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Rows whose score falls in [`low`, `high`): mean score against observed rate."""

    low: float
    high: float
    rows: int
    mean_score: float
    observed_rate: float


@dataclass(frozen=True, slots=True)
class Importance:
    """Loss in the primary metric when one feature is shuffled: mean and spread over repeats.

    `useless` says that the loss cannot be told from zero.
    """

    feature: str
    mean: float
    std: float
    useless: bool


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How one candidate does on one comparison set.

    `metrics` maps a name of `evaluation.metrics.METRICS` to its value and interval.
    `scores` holds the key, target and score of each row; `latency_ms` is the median time for one.
    """

    candidate_digest: str
    comparison: Dataset
    primary: str
    rows: int
    positives: int
    metrics: dict[str, Interval]
    slices: tuple[SliceScore, ...]
    calibration: tuple[CalibrationBin, ...]
    importance: tuple[Importance, ...]
    scores: Dataset
    latency_ms: float = field(compare=False, default=0.0)

    @property
    def useless_features(self) -> tuple[str, ...]:
        """Features without which the model does as well."""
        return tuple(item.feature for item in self.importance if item.useless)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Candidate minus rival on the same rows, in the direction where positive is better.

    `rival` is "trivial", "linear" or "champion". `seen_rows` counts rows of the comparison set
    that the rival was trained on, and is None where that cannot be shown.
    """

    rival: str
    rival_digest: str
    metric: str
    rival_score: float
    gain: Interval
    seen_rows: int | None = 0


@dataclass(frozen=True, slots=True)
class Check:
    """One question the gate asked."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Decision:
    """The gate's answer. Accepted only if every check passed."""

    accepted: bool
    checks: tuple[Check, ...]
    policy_digest: str

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it was refused; empty where it was accepted."""
        return tuple(check.detail for check in self.checks if not check.passed)


@dataclass(frozen=True, slots=True)
class Lineage:
    """What a model came from: enough to make it again, and to say what it was made on."""

    git_commit: str
    git_dirty: bool
    dvc_rev: str
    data_digest: str
    config_digest: str
    environment_digest: str
    code_digest: str
    library_version: str
    seed: int
    region: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a decision rests on; its digest is what people approve."""

    candidate: Candidate
    evaluation: Evaluation
    comparisons: tuple[Comparison, ...]
    decision: Decision
    lineage: Lineage

    @property
    def champion_digest(self) -> str | None:
        """The champion that the candidate was held against; None where there was none."""
        return next(
            (each.rival_digest for each in self.comparisons if each.rival == "champion"), None
        )


@dataclass(frozen=True, slots=True)
class Champion:
    """The version that holds the `champion` alias, as a candidate to be compared with."""

    version: int
    run_id: str
    candidate: Candidate


@dataclass(frozen=True, slots=True)
class Registration:
    """How a training ended: the tracked run, and the version if the gate let it in.

    `score` is None where the primary metric is not defined (the gate refuses that); `repeated` is
    True where this very result had been recorded before, so nothing was written. `standing` is how
    far the model has come: "refused" by the gate, "registered", "waiting" for approval,
    "rejected", "expired", or "champion"; `note` says why it has not come further.
    """

    model: str
    run_id: str
    version: int | None
    accepted: bool
    reasons: tuple[str, ...]
    primary: str
    score: Interval | None
    candidate_digest: str
    report_uri: str
    repeated: bool = False
    standing: str = "registered"
    note: str = ""


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
