"""Canary or shadow against the champion, from what was logged; the gate reads the result.

A shadow was asked the same requests, so its rows are paired with the champion's; a canary answered
other keys, chosen by a hash, so the two are independent samples. Both are compared over the time in
which both answered. Give rows of one weight only (since the canary was started or last widened):
where the share changes while the world does, the mix of hours differs between the two (Crook et al.
2009, doi:10.1145/1557019.1557139, on ramp-up and Simpson's paradox).

Guarantee: without enough labelled rows there is no comparison, the report says what is missing, and
`judged` refuses, whatever an older comparison with the champion had said.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast

import polars as pl

from mlops_tasks.artifacts import Comparison, Decision, Evidence
from mlops_tasks.errors import DataError
from mlops_tasks.evaluation.bootstrap import paired_gain
from mlops_tasks.evaluation.gate import judge
from mlops_tasks.evaluation.metrics import METRICS, point
from mlops_tasks.serving.prediction_log.records import LABEL
from mlops_tasks.serving.traffic.effects import distance, independent_gain, shift
from mlops_tasks.serving.traffic.sides import (
    ROW,
    Agreement,
    Side,
    agreement_of,
    paired,
    scored,
    side_of,
    targets_and_scores,
)
from mlops_tasks.settings.schema import PolicySettings, Settings

CHAMPION = "champion"
COLUMNS = (
    *(*ROW, "time", "version", "digest", "role"),
    *("latency_ms", "score", "prediction", LABEL),
)
Role = Literal["canary", "shadow"]


@dataclass(frozen=True, slots=True)
class Contestant:
    """A version, by number and by the digest of its model."""

    version: int
    digest: str


@dataclass(frozen=True, slots=True)
class TrafficReport:
    """Champion and other over the same time.

    `shift` and `distance` compare the scores (see `effects`); a positive shift means that the other
    scores higher. `gains` are by metric, the other minus the champion where positive is better, and
    empty where `missing` says what is not there.
    """

    role: Role
    champion: Side
    other: Side
    since: datetime | None
    until: datetime | None
    shift: float | None
    distance: float | None
    agreement: Agreement | None
    gains: tuple[Comparison, ...]
    missing: tuple[str, ...]

    @property
    def enough(self) -> bool:
        """Whether there is something for the gate to judge."""
        return not self.missing


def compare_traffic(
    rows: pl.DataFrame,
    champion: Contestant,
    other: Contestant,
    role: Role,
    settings: Settings,
    *,
    metrics: Sequence[str] = tuple(METRICS),
) -> TrafficReport:
    """Hold what another version answered against what the champion answered.

    Parameters
    ----------
    rows
        The prediction log with a column `label` (0, 1 or null), one row for each scored row.
    champion, other
        Whom to compare. The champion was fitted before it was asked, so it has not seen the rows.
    role
        In which role the other answered.
    settings
        Minimum rows and positives of the policy; primary metric, resamples, confidence and seed.
    metrics
        Names of `METRICS`; the primary one is always among them.

    Raises
    ------
    DataError
        If a column is missing or a label is neither 0 nor 1.
    """
    _require(rows)
    rival, own = _same_time(_rows_of(rows, champion, CHAMPION), _rows_of(rows, other, role))
    if role == "shadow":
        rival, own = paired(rival, own)
    gains, missing = _gains(rival, own, champion.digest, role, settings, metrics)
    own_scores, rival_scores = (scored(side)["score"].to_numpy() for side in (own, rival))
    some = bool(len(own_scores) and len(rival_scores))
    return TrafficReport(
        role=role,
        champion=side_of(champion.version, rival),
        other=side_of(other.version, own),
        since=cast("datetime | None", own["time"].min()),
        until=cast("datetime | None", own["time"].max()),
        shift=shift(own_scores, rival_scores) if some else None,
        distance=distance(own_scores, rival_scores) if some else None,
        agreement=agreement_of(rival, own) if role == "shadow" else None,
        gains=gains,
        missing=missing,
    )


def judged(
    report: TrafficReport, evidence: Evidence, champion: Contestant, policy: PolicySettings
) -> Decision:
    """The gate's answer with the live comparison in the place of the one on the frozen rows.

    Parameters
    ----------
    report
        Of canary or shadow against `champion`.
    evidence
        Of the version that was tried, as it was registered.
    champion
        Whom it would replace.
    policy
        Limits and margin.
    """
    frozen = tuple(each for each in evidence.comparisons if each.rival != CHAMPION)
    return judge(
        evidence.candidate,
        evidence.evaluation,
        (*frozen, *report.gains),
        policy,
        champion_digest=champion.digest,
    )


def _require(rows: pl.DataFrame) -> None:
    if absent := [name for name in COLUMNS if name not in rows.columns]:
        raise DataError(
            f"the rows have no column {', '.join(absent)}",
            where="the prediction log with its labels",
            next_step="read it with `prediction_log.reader`, and join the labels",
        )
    labels = rows[LABEL].drop_nulls()
    if not labels.cast(pl.Float64, strict=False).is_in([0.0, 1.0]).all():
        raise DataError(
            "a label is neither 0 nor 1",
            where=f"column {LABEL!r}",
            next_step="put the right one on record: `mlops log label FILE`, the latest counts",
        )


def _rows_of(rows: pl.DataFrame, who: Contestant, role: str) -> pl.DataFrame:
    """What one model answered in one role, each row once."""
    theirs = rows.filter(
        pl.col("role") == role, pl.col("version") == who.version, pl.col("digest") == who.digest
    )
    return theirs.unique(ROW, keep="first", maintain_order=True)


def _same_time(one: pl.DataFrame, other: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows of the time in which both answered."""
    if one.is_empty() or other.is_empty():
        return one.clear(), other
    spans = [
        (cast(datetime, each["time"].min()), cast(datetime, each["time"].max()))
        for each in (one, other)
    ]
    within = pl.col("time").is_between(max(s for s, _ in spans), min(e for _, e in spans))
    return one.filter(within), other.filter(within)


def _gains(
    rival: pl.DataFrame,
    own: pl.DataFrame,
    champion_digest: str,
    role: Role,
    settings: Settings,
    metrics: Sequence[str],
) -> tuple[tuple[Comparison, ...], tuple[str, ...]]:
    """Metric by metric, and what is missing for it; one of the two is empty."""
    rival, own = (scored(side).drop_nulls(LABEL) for side in (rival, own))
    if role == "shadow":
        rival, own = paired(rival, own)
    if missing := [*_missing(CHAMPION, rival, settings), *_missing(role, own, settings)]:
        return (), tuple(missing)
    theirs, mine = targets_and_scores(rival), targets_and_scores(own)
    rules, found = settings.evaluation, []
    samples, confidence, seed = rules.bootstrap_samples, rules.confidence, settings.seed
    for name in dict.fromkeys((rules.primary, *metrics)):
        if role == "shadow":
            gain = paired_gain(
                name, *mine, theirs[1], samples=samples, confidence=confidence, seed=seed
            )
        else:
            gain = independent_gain(
                name, mine, theirs, samples=samples, confidence=confidence, seed=seed
            )
        if gain is not None:
            score = point(name, *theirs)
            found.append(Comparison(CHAMPION, champion_digest, name, score, gain, seen_rows=0))
    if rules.primary not in {each.metric for each in found}:
        return (), (f"{rules.primary} is not defined on these rows",)
    return tuple(found), ()


def _missing(who: str, labelled: pl.DataFrame, settings: Settings) -> Iterator[str]:
    policy, positives = settings.policy, int(labelled[LABEL].cast(pl.Float64).sum())
    for name, count, least in (
        ("labelled rows", labelled.height, policy.minimum_rows),
        ("labelled positives", positives, policy.minimum_positives),
    ):
        if count < least:
            yield f"the {who} has {count} {name}, the policy asks for {least}"
