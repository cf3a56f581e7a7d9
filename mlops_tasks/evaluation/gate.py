"""The gate: may this candidate be proposed as champion? Refusal is the default.

`judge` is pure: evidence and policy in, decision out. Guarantees, each held by a test:
a metric, slice, size or comparison that the policy asks for and that is missing, or not a finite
number, refuses; a comparison counts if it is in the primary metric and the only one with its rival;
a rival that was trained on comparison rows, or that might have been, refuses; all reasons are
given, not the first.

The two baselines must be beaten, each strictly. The base rate beyond doubt: the whole interval of
the gain lies above zero. The linear model in the point estimate, for a better one that is hard to
tell from it may still be wanted; a tie passes only for the linear baseline itself, the very same
model file, so that a project may propose a plain logistic regression. A tuned one must beat it like
any other.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from math import isfinite

from mlops_tasks.artifacts import (
    Candidate,
    Check,
    Comparison,
    Decision,
    Evaluation,
    Interval,
)
from mlops_tasks.encoding import digest
from mlops_tasks.evaluation.metrics import METRICS
from mlops_tasks.settings.schema import PolicySettings

BYTES_PER_MIB = 1 << 20


def judge(
    candidate: Candidate,
    evaluation: Evaluation,
    comparisons: Sequence[Comparison],
    policy: PolicySettings,
    *,
    champion_digest: str | None,
) -> Decision:
    """Ask every question of the policy.

    Parameters
    ----------
    candidate
        What would be let in.
    evaluation
        Its evaluation; one of another candidate refuses.
    comparisons
        Against "trivial", "linear" and, where there is one, "champion".
    policy
        Limits and margin.
    champion_digest
        Digest of the model that holds the alias now, or None. The candidate itself needs no
        comparison with itself.
    """
    # A gain in another metric than the primary one says nothing here.
    primary = [each for each in comparisons if each.metric == evaluation.primary]
    times = Counter(each.rival for each in primary)
    rivals = {each.rival: each for each in primary if times[each.rival] == 1}
    checks = [
        *_evidence(candidate, evaluation, policy),
        *_thresholds(evaluation, policy),
        *_slices(evaluation, policy),
        *_limits(candidate, evaluation, policy),
        _beats_trivial(rivals.get("trivial")),
        _beats_linear(rivals.get("linear"), candidate),
    ]
    if champion_digest not in (None, candidate.digest):
        checks += _against_champion(rivals.get("champion"), champion_digest, policy)
    return Decision(all(check.passed for check in checks), tuple(checks), digest(policy))


def _evidence(
    candidate: Candidate, evaluation: Evaluation, policy: PolicySettings
) -> Iterator[Check]:
    same = evaluation.candidate_digest == candidate.digest
    yield Check(
        "evidence",
        same,
        "the evaluation is of this candidate" if same else "the evaluation is of another candidate",
    )
    for name, found, least in (
        ("rows", evaluation.rows, policy.minimum_rows),
        ("positives", evaluation.positives, policy.minimum_positives),
    ):
        yield Check(
            f"minimum {name}",
            found >= least,
            f"the comparison set has {found} {name}, the policy asks for {least}",
        )
    found_primary = evaluation.metrics.get(evaluation.primary)
    measured = (
        found_primary is not None
        and isfinite(found_primary.value)
        and evaluation.primary in METRICS
    )
    yield Check(
        "primary metric",
        measured,
        f"{evaluation.primary} is {'measured' if measured else 'missing'}",
    )


def _thresholds(evaluation: Evaluation, policy: PolicySettings) -> Iterator[Check]:
    for name, limit in sorted(policy.thresholds.items()):
        interval = evaluation.metrics.get(name)
        if interval is None or name not in METRICS:
            yield Check(f"threshold {name}", False, f"{name} is missing, the policy limits it")
            continue
        higher = METRICS[name].higher_is_better
        met = interval.value >= limit if higher else interval.value <= limit
        passed = met and isfinite(interval.value)
        bound = "at least" if higher else "at most"
        yield Check(
            f"threshold {name}",
            passed,
            f"{name} is {interval.value:.4f}, the policy asks for {bound} {limit:g}",
        )


def _slices(evaluation: Evaluation, policy: PolicySettings) -> Iterator[Check]:
    if policy.slice_floor is None:
        return
    if evaluation.primary not in METRICS:
        yield Check("slices", False, f"{evaluation.primary} is not a known metric")
        return
    higher = METRICS[evaluation.primary].higher_is_better
    large = [part for part in evaluation.slices if part.rows >= policy.slice_minimum_rows]
    if not large:
        yield Check("slices", False, "no slice is large enough for the floor that the policy sets")
    for part in large:
        name = f"slice {part.column}={part.level}"
        if part.score is None:
            yield Check(name, False, f"{evaluation.primary} is not defined on {name}")
            continue
        value = part.score.value
        met = value >= policy.slice_floor if higher else value <= policy.slice_floor
        yield Check(
            name,
            met and isfinite(value),
            f"{evaluation.primary} is {value:.4f} on {name} ({part.rows} rows), "
            f"the floor is {policy.slice_floor:g}",
        )


def _limits(
    candidate: Candidate, evaluation: Evaluation, policy: PolicySettings
) -> Iterator[Check]:
    if policy.maximum_latency_ms is not None:
        yield Check(
            "latency",
            0 < evaluation.latency_ms <= policy.maximum_latency_ms,
            f"one row takes {evaluation.latency_ms:.1f} ms, "
            f"the policy allows {policy.maximum_latency_ms:g}",
        )
    if policy.maximum_size_mib is not None:
        size = candidate.size_bytes / BYTES_PER_MIB
        yield Check(
            "size",
            0 < size <= policy.maximum_size_mib,
            f"the model file has {size:.2f} MiB, the policy allows {policy.maximum_size_mib:g}",
        )


def _beats_trivial(rival: Comparison | None) -> Check:
    name = "beats the base rate"
    if rival is None:
        return Check(name, False, "there is not one comparison with the base rate")
    passed = _finite(rival.gain) and rival.gain.low > 0
    return Check(name, passed, f"gain over always saying the base rate: {_text(rival)}")


def _beats_linear(rival: Comparison | None, candidate: Candidate) -> Check:
    name = "beats the linear baseline, or is it"
    if rival is None:
        return Check(name, False, "there is not one comparison with a linear model")
    itself = rival.rival_digest == candidate.digest
    tie = rival.gain.value == 0
    passed = _finite(rival.gain) and (rival.gain.value > 0 or (tie and itself))
    remark = "" if not tie else "; it is that model itself" if itself else "; a tie is no gain"
    return Check(name, passed, f"gain over logistic regression: {_text(rival)}{remark}")


def _against_champion(
    rival: Comparison | None, champion_digest: str | None, policy: PolicySettings
) -> Iterator[Check]:
    """Non-inferiority: the whole interval of the gain lies above minus the margin.

    CPMP/EWP/482/99 (EMA, 2000), points to consider on switching between superiority and
    non-inferiority.
    """
    if rival is None or rival.rival_digest != champion_digest:
        yield Check("champion", False, "there is not one comparison with the current champion")
        return
    unseen = rival.seen_rows == 0
    count = "an unknown number" if rival.seen_rows is None else str(rival.seen_rows)
    yield Check(
        "champion has not seen the comparison set",
        unseen,
        f"the champion was trained on {count} of the comparison rows",
    )
    yield Check(
        "not inferior to the champion",
        _finite(rival.gain) and rival.gain.low >= -policy.margin,
        f"gain over the champion: {_text(rival)}, "
        f"the lower end may not be below {-policy.margin:g}",
    )


def _finite(interval: Interval) -> bool:
    return all(isfinite(each) for each in (interval.value, interval.low, interval.high))


def _text(rival: Comparison) -> str:
    gain = rival.gain
    return f"{gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}] in {rival.metric}"
