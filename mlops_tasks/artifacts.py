"""What travels between tasks: small frozen types that point at data, and never the data.

How they are written and named by content is `encoding`'s affair: where an object lies and how long
it took to make (`compare=False`) is no part of what it is.
"""

from dataclasses import dataclass, field
from typing import Any


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
    """What a model came from: enough to make it again, and to say what it was made on.

    `environment_digest` is of what was installed, `lock_digest` of what the lock file asks for, and
    `environment_state` says whether the one is the other.
    """

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
    lock_digest: str = "none"
    environment_state: str = "not known"


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
