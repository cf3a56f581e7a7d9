"""The gate against a slow, obvious reference: refusal is the default, and nothing slips through."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from mlops_tasks.artifacts import (
    Candidate,
    Code,
    Columns,
    Comparison,
    Dataset,
    Decision,
    Evaluation,
    Interval,
    SliceScore,
)
from mlops_tasks.evaluation.gate import judge
from mlops_tasks.settings import PolicySettings

ROWS = Dataset("file:///rows", "d" * 64, 5_000, ("id",), "local")
MODEL = Candidate(
    "file:///model",
    "c" * 64,
    "forest",
    {},
    1,
    ROWS,
    Columns(("id",), "late", ("miles",), ()),
    Code("a.b:MODELS", "e" * 64),
    size_bytes=3 << 20,
)
GOOD = Interval(0.8, 0.75, 0.85)
EVALUATION = Evaluation(
    MODEL.digest,
    ROWS.digest,
    "roc_auc",
    5_000,
    900,
    {"roc_auc": GOOD, "log_loss": Interval(0.3, 0.2, 0.4)},
    (SliceScore("carrier", "AA", 700, 90, GOOD), SliceScore("carrier", "B6", 100, 2, None)),
    (),
    (),
    ROWS,
    latency_ms=4.0,
)
GAIN = Interval(0.02, 0.01, 0.03)
INFINITE, NOTHING = float("inf"), float("nan")
RIVALS = (
    Comparison("trivial", "t" * 64, "roc_auc", 0.5, GAIN),
    Comparison("linear", "l" * 64, "roc_auc", 0.78, GAIN),
    Comparison("champion", "x" * 64, "roc_auc", 0.78, GAIN),
)
POLICY = PolicySettings(
    thresholds={"roc_auc": 0.7, "log_loss": 0.5},
    slice_floor=0.7,
    slice_minimum_rows=500,
    margin=0.002,
    maximum_latency_ms=10.0,
    maximum_size_mib=10.0,
)
CHAMPION = "x" * 64


def decide(
    evaluation: Evaluation = EVALUATION,
    comparisons: tuple[Comparison, ...] = RIVALS,
    policy: PolicySettings = POLICY,
    champion_digest: str | None = CHAMPION,
    candidate: Candidate = MODEL,
) -> Decision:
    return judge(candidate, evaluation, comparisons, policy, champion_digest=champion_digest)


def failed(decision: Decision) -> list[str]:
    return [check.name for check in decision.checks if not check.passed]


def changed_policy(**changes: Any) -> PolicySettings:
    return PolicySettings(**POLICY.model_dump() | changes)


def changed_rival(name: str, **changes: Any) -> tuple[Comparison, ...]:
    return tuple(replace(each, **changes) if each.rival == name else each for each in RIVALS)


def test_full_evidence_is_accepted() -> None:
    decision = decide()
    assert decision.accepted
    assert decision.reasons == ()
    assert [check.name for check in decision.checks] == [
        "evidence",
        "minimum rows",
        "minimum positives",
        "primary metric",
        "threshold log_loss",
        "threshold roc_auc",
        "slice carrier=AA",
        "latency",
        "size",
        "beats the base rate",
        "beats the linear baseline, or is it",
        "champion has not seen the comparison set",
        "not inferior to the champion",
    ]


def without(*names: str) -> dict[str, Any]:
    return {"comparisons": tuple(each for each in RIVALS if each.rival not in names)}


NO_METRICS = replace(EVALUATION, metrics={})
UNDEFINED = SliceScore("carrier", "AA", 700, 0, None)
NO_RIVAL = ["beats the base rate", "beats the linear baseline, or is it", "champion"]
REFUSED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no primary metric": (
        {"evaluation": NO_METRICS, "policy": changed_policy(thresholds={})},
        ["primary metric"],
    ),
    "no threshold metric": (
        {"policy": changed_policy(thresholds={"recall": 0.1})},
        ["threshold recall"],
    ),
    "unknown threshold metric": (
        {"policy": changed_policy(thresholds={"AUC": 0.1})},
        ["threshold AUC"],
    ),
    "unknown threshold metric that was somehow measured": (
        {
            "policy": changed_policy(thresholds={"AUC": 0.1}),
            "evaluation": replace(EVALUATION, metrics=EVALUATION.metrics | {"AUC": GOOD}),
        },
        ["threshold AUC"],
    ),
    "unknown primary metric": (
        {"evaluation": replace(EVALUATION, primary="AUC")},
        ["primary metric", "slices", *NO_RIVAL],
    ),
    "unknown primary metric that was somehow measured": (
        {
            "evaluation": replace(
                EVALUATION, primary="AUC", metrics=EVALUATION.metrics | {"AUC": GOOD}
            )
        },
        ["primary metric", "slices", *NO_RIVAL],
    ),
    "no trivial": (without("trivial"), ["beats the base rate"]),
    "no linear": (without("linear"), ["beats the linear baseline, or is it"]),
    "no champion": (without("champion"), ["champion"]),
    "no comparison at all": (
        {"comparisons": ()},
        NO_RIVAL,
    ),
    "gains in another metric": (
        {"comparisons": tuple(replace(each, metric="accuracy") for each in RIVALS)},
        NO_RIVAL,
    ),
    "another champion": (
        {"comparisons": changed_rival("champion", rival_digest="y" * 64)},
        ["champion"],
    ),
    "the champion changed meanwhile": ({"champion_digest": "y" * 64}, ["champion"]),
    "the champion saw one row": (
        {"comparisons": changed_rival("champion", seen_rows=1)},
        ["champion has not seen the comparison set"],
    ),
    "the champion may have seen rows": (
        {"comparisons": changed_rival("champion", seen_rows=None)},
        ["champion has not seen the comparison set"],
    ),
    "evaluation of another candidate": (
        {"evaluation": replace(EVALUATION, candidate_digest="z" * 64)},
        ["evidence"],
    ),
    "undefined slice": (
        {"evaluation": replace(EVALUATION, slices=(UNDEFINED,))},
        ["slice carrier=AA"],
    ),
    "no slices": ({"evaluation": replace(EVALUATION, slices=())}, ["slices"]),
    "only small slices": ({"policy": changed_policy(slice_minimum_rows=701)}, ["slices"]),
    "a slice below the floor": ({"policy": changed_policy(slice_floor=0.81)}, ["slice carrier=AA"]),
    "few rows": ({"policy": changed_policy(minimum_rows=5_001)}, ["minimum rows"]),
    "few positives": ({"policy": changed_policy(minimum_positives=901)}, ["minimum positives"]),
    "below a threshold": (
        {"policy": changed_policy(thresholds={"roc_auc": 0.81})},
        ["threshold roc_auc"],
    ),
    "above a threshold where low is good": (
        {"policy": changed_policy(thresholds={"log_loss": 0.29})},
        ["threshold log_loss"],
    ),
    "slow": ({"policy": changed_policy(maximum_latency_ms=3.9)}, ["latency"]),
    "latency not measured": ({"evaluation": replace(EVALUATION, latency_ms=0.0)}, ["latency"]),
    "large": ({"policy": changed_policy(maximum_size_mib=2.9)}, ["size"]),
    "a size that was not measured": ({"candidate": replace(MODEL, size_bytes=0)}, ["size"]),
    "figures without end": (
        {
            "evaluation": replace(
                EVALUATION,
                metrics={"roc_auc": GOOD, "log_loss": Interval(*[-INFINITE] * 3)},
                slices=(SliceScore("carrier", "AA", 700, 9, Interval(*[INFINITE] * 3)),),
            ),
            "comparisons": tuple(
                replace(each, gain=Interval(0.1, 0.05, INFINITE)) for each in RIVALS
            ),
        },
        [
            "threshold log_loss",
            "slice carrier=AA",
            "beats the base rate",
            "beats the linear baseline, or is it",
            "not inferior to the champion",
        ],
    ),
    "gains of which only the deciding end is a number": (
        {
            "comparisons": (
                replace(RIVALS[0], gain=Interval(NOTHING, 0.01, 0.03)),
                replace(RIVALS[1], gain=Interval(0.02, NOTHING, 0.03)),
                replace(RIVALS[2], gain=Interval(NOTHING, 0.01, NOTHING)),
            ),
        },
        [
            "beats the base rate",
            "beats the linear baseline, or is it",
            "not inferior to the champion",
        ],
    ),
    "a bad comparison and a good one with the same rival": (
        {
            "comparisons": tuple(
                replace(each, gain=gain)
                for each in RIVALS
                for gain in (Interval(-0.3, -0.4, -0.2), GAIN)
            ),
        },
        NO_RIVAL,
    ),
    "perhaps no better than the base rate": (
        {"comparisons": changed_rival("trivial", gain=Interval(0.1, 0.0, 0.2))},
        ["beats the base rate"],
    ),
    "worse than a linear model": (
        {"comparisons": changed_rival("linear", gain=Interval(-0.0001, -0.01, 0.01))},
        ["beats the linear baseline, or is it"],
    ),
    "perhaps inferior to the champion": (
        {"comparisons": changed_rival("champion", gain=Interval(0.01, -0.003, 0.02))},
        ["not inferior to the champion"],
    ),
    "figures that are not numbers": (
        {
            "evaluation": replace(
                EVALUATION,
                metrics={"roc_auc": Interval(*[float("nan")] * 3)},
                slices=(SliceScore("carrier", "AA", 700, 9, Interval(*[float("nan")] * 3)),),
                latency_ms=float("nan"),
            ),
            "comparisons": tuple(
                replace(each, gain=Interval(*[float("nan")] * 3)) for each in RIVALS
            ),
            "policy": changed_policy(thresholds={"roc_auc": 0.1}),
        },
        [
            "primary metric",
            "threshold roc_auc",
            "slice carrier=AA",
            "latency",
            "beats the base rate",
            "beats the linear baseline, or is it",
            "not inferior to the champion",
        ],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_for_exactly_this(case: str) -> None:
    changes, names = REFUSED[case]
    decision = decide(**changes)
    assert not decision.accepted
    assert failed(decision) == names
    assert len(decision.reasons) == len(names)
    assert all(decision.reasons)


def test_reasons_say_the_figures() -> None:
    (reason,) = decide(policy=changed_policy(thresholds={"roc_auc": 0.81})).reasons
    assert reason == "roc_auc is 0.8000, the policy asks for at least 0.81"
    (reason,) = decide(policy=changed_policy(thresholds={"log_loss": 0.2})).reasons
    assert reason == "log_loss is 0.3000, the policy asks for at most 0.2"
    (reason,) = decide(comparisons=changed_rival("champion", seen_rows=12)).reasons
    assert "12 of the comparison rows" in reason
    (reason,) = decide(policy=changed_policy(minimum_rows=9_999)).reasons
    assert "5000" in reason
    assert "9999" in reason


def test_all_reasons_are_given_not_the_first() -> None:
    bad = replace(
        EVALUATION,
        candidate_digest="z" * 64,
        rows=3,
        positives=1,
        metrics={},
        slices=(UNDEFINED, replace(UNDEFINED, level="B6", score=Interval(0.1, 0.0, 0.2))),
        latency_ms=99.0,
    )
    decision = decide(bad, (), candidate=replace(MODEL, size_bytes=99 << 20))
    assert failed(decision) == [
        "evidence",
        "minimum rows",
        "minimum positives",
        "primary metric",
        "threshold log_loss",
        "threshold roc_auc",
        "slice carrier=AA",
        "slice carrier=B6",
        "latency",
        "size",
        "beats the base rate",
        "beats the linear baseline, or is it",
        "champion",
    ]
    assert len(decision.reasons) == 13


def test_edges_are_on_the_accepted_side() -> None:
    policy = changed_policy(
        minimum_rows=5_000,
        minimum_positives=900,
        thresholds={"roc_auc": 0.8, "log_loss": 0.3},
        slice_floor=0.8,
        slice_minimum_rows=700,
        margin=0.002,
        maximum_latency_ms=4.0,
        maximum_size_mib=3.0,
    )
    tie = Interval(0.0, -0.002, 0.002)
    rivals = (RIVALS[0], RIVALS[1], replace(RIVALS[2], gain=tie))
    assert decide(comparisons=rivals, policy=policy).accepted


@pytest.mark.parametrize(
    ("value", "other", "itself"), [(-1e-9, False, False), (0.0, False, True), (1e-9, True, True)]
)
def test_the_linear_baseline_is_beaten_unless_it_is_the_candidate(
    value: float, other: bool, itself: bool
) -> None:
    """Below, at and above a tie."""
    gain = Interval(value, value - 0.01, value + 0.01)
    for rival_digest, accepted in (("l" * 64, other), (MODEL.digest, itself)):
        decision = decide(comparisons=changed_rival("linear", gain=gain, rival_digest=rival_digest))
        assert decision.accepted == accepted
        assert failed(decision) == ([] if accepted else ["beats the linear baseline, or is it"])
    if not value:
        (reason,) = decide(comparisons=changed_rival("linear", gain=gain)).reasons
        assert reason.endswith("a tie is no gain")


@pytest.mark.parametrize(("low", "accepted"), [(-1e-9, False), (0.0, False), (1e-9, True)])
def test_the_base_rate_is_beaten_beyond_doubt(low: float, accepted: bool) -> None:
    """Below, at and above a tie of the lower end; to be the base rate itself is no help."""
    for rival_digest in ("t" * 64, MODEL.digest):
        gain = Interval(0.02, low, 0.03)
        rivals = changed_rival("trivial", gain=gain, rival_digest=rival_digest)
        assert decide(comparisons=rivals).accepted == accepted


def test_without_a_champion_or_as_champion_no_comparison_with_it_is_asked_for() -> None:
    assert decide(**without("champion"), champion_digest=None).accepted
    assert decide(**without("champion"), champion_digest=MODEL.digest).accepted


def test_the_policy_is_named_in_the_decision() -> None:
    assert decide().policy_digest == decide(policy=changed_policy()).policy_digest
    assert decide().policy_digest != decide(policy=changed_policy(margin=0.001)).policy_digest


def test_without_limits_nothing_but_the_rivals_counts() -> None:
    policy = PolicySettings(minimum_rows=1, minimum_positives=1)
    huge = replace(MODEL, size_bytes=1 << 50)
    slow = replace(EVALUATION, slices=(), latency_ms=1e9)
    assert decide(slow, policy=policy, candidate=huge).accepted


NUMBERS = st.sampled_from(
    [NOTHING, -INFINITE, INFINITE, -0.1, -0.002, 0.0, 0.001, 0.2, 0.5, 0.7, 1.0]
)
INTERVALS = st.builds(Interval, NUMBERS, NUMBERS, NUMBERS)
HIGHER = {"roc_auc", "average_precision", "accuracy", "precision", "recall"}
LOWER = {"log_loss", "brier_score", "calibration_error"}
METRIC_NAMES = st.sampled_from(sorted(HIGHER | LOWER | {"nonsense"}))
EVALUATIONS = st.builds(
    Evaluation,
    st.sampled_from([MODEL.digest] * 4 + ["z" * 64]),
    st.just(ROWS.digest),
    st.sampled_from(["roc_auc", "log_loss", "nonsense"]),
    st.sampled_from([0, 500, 1000]),
    st.sampled_from([0, 50, 100]),
    st.dictionaries(METRIC_NAMES, INTERVALS, max_size=4),
    st.lists(
        st.builds(
            SliceScore,
            st.just("carrier"),
            st.sampled_from("AB"),
            st.sampled_from([10, 200, 300]),
            st.just(5),
            st.none() | INTERVALS,
        ),
        max_size=3,
    ).map(tuple),
    st.just(()),
    st.just(()),
    st.just(ROWS),
    st.sampled_from([0.0, 1.0, 50.0]),
)
COMPARISONS = st.lists(
    st.builds(
        Comparison,
        st.sampled_from(["trivial", "linear", "champion"]),
        st.sampled_from(["x" * 64, "y" * 64, MODEL.digest]),
        st.sampled_from([*["roc_auc"] * 5, "accuracy"]),
        st.just(0.5),
        INTERVALS,
        st.sampled_from([None, 0, 0, 0, 7]),
    ),
    max_size=4,
).map(tuple)
LIMITS = st.sampled_from([0.0, 0.2, 0.5, 0.7])
POLICIES = st.builds(
    PolicySettings,
    minimum_rows=st.sampled_from([1, 500, 1000]),
    minimum_positives=st.sampled_from([1, 50, 100]),
    thresholds=st.dictionaries(METRIC_NAMES, LIMITS, max_size=2),
    slice_floor=st.none() | LIMITS,
    slice_minimum_rows=st.sampled_from([1, 200, 301]),
    margin=st.sampled_from([0.0, 0.002, 0.1]),
    maximum_latency_ms=st.none() | st.sampled_from([0.5, 10.0]),
    maximum_size_mib=st.none() | st.sampled_from([2.0, 3.0]),
)
LENIENT = PolicySettings(minimum_rows=1, minimum_positives=1)
ANY_POLICY = st.sampled_from([POLICY, LENIENT]) | POLICIES
CHAMPIONS = st.sampled_from([None, MODEL.digest, "x" * 64, "x" * 64])
# Evidence that is good but for what hypothesis spoils, so that both answers are frequent.
SPOILT = st.fixed_dictionaries(
    {},
    optional={
        "candidate_digest": st.just("z" * 64),
        "rows": st.sampled_from([500, 1000]),
        "positives": st.sampled_from([50, 100]),
        "metrics": st.dictionaries(METRIC_NAMES, INTERVALS, max_size=4),
        "slices": EVALUATIONS.map(lambda each: each.slices),
        "latency_ms": st.sampled_from([0.0, 1.0, 50.0]),
    },
).map(lambda changes: replace(EVALUATION, **changes))
RIVALS_OR_LESS = st.lists(
    st.tuples(st.sampled_from(RIVALS), INTERVALS | st.just(GAIN)).map(
        lambda pair: replace(pair[0], gain=pair[1])
    ),
    max_size=4,
).map(tuple)
EVIDENCE = st.one_of(
    st.tuples(EVALUATIONS, COMPARISONS),
    st.tuples(SPOILT, RIVALS_OR_LESS),
    st.tuples(SPOILT, st.just(RIVALS)),
)


def number(value: float) -> bool:
    return -1e300 < value < 1e300


def ends(interval: Interval) -> tuple[float, float, float]:
    return interval.value, interval.low, interval.high


def meets(metric: str, value: float, limit: float) -> bool:
    if not number(value):
        return False
    return not value < limit if metric in HIGHER else not value > limit


def reference(
    evaluation: Evaluation,
    comparisons: tuple[Comparison, ...],
    policy: PolicySettings,
    champion: str | None,
) -> bool:
    """Everything that must not be, one thing after the other."""
    if evaluation.candidate_digest != MODEL.digest:
        return False
    if evaluation.rows < policy.minimum_rows or evaluation.positives < policy.minimum_positives:
        return False
    if evaluation.primary not in HIGHER | LOWER or evaluation.primary not in evaluation.metrics:
        return False
    if not number(evaluation.metrics[evaluation.primary].value):
        return False
    comparisons = tuple(each for each in comparisons if each.metric == evaluation.primary)
    for metric, limit in policy.thresholds.items():
        if metric not in HIGHER | LOWER or metric not in evaluation.metrics:
            return False
        if not meets(metric, evaluation.metrics[metric].value, limit):
            return False
    if policy.slice_floor is not None:
        looked_at = 0
        for part in evaluation.slices:
            if part.rows < policy.slice_minimum_rows:
                continue
            looked_at += 1
            if part.score is None:
                return False
            if not meets(evaluation.primary, part.score.value, policy.slice_floor):
                return False
        if looked_at == 0:
            return False
    allowed = policy.maximum_latency_ms
    if allowed is not None and not (evaluation.latency_ms and evaluation.latency_ms <= allowed):
        return False
    if policy.maximum_size_mib is not None and policy.maximum_size_mib * 2**20 < 3 * 2**20:
        return False
    gains = [(each.rival, end) for each in comparisons for end in ends(each.gain)]
    trivial = [each for each in comparisons if each.rival == "trivial"]
    linear = [each for each in comparisons if each.rival == "linear"]
    if len(trivial) != 1 or not trivial[0].gain.low > 0:
        return False
    if len(linear) != 1 or linear[0].gain.value < 0:
        return False
    if linear[0].gain.value == 0 and linear[0].rival_digest != MODEL.digest:
        return False
    if not all(number(end) for rival, end in gains if rival in ("trivial", "linear")):
        return False
    if champion is None or champion == MODEL.digest:
        return True
    if not all(number(end) for rival, end in gains if rival == "champion"):
        return False
    against = [each for each in comparisons if each.rival == "champion"]
    if len(against) != 1 or against[0].rival_digest != champion:
        return False
    return against[0].seen_rows == 0 and against[0].gain.low >= -policy.margin


@given(evidence=EVIDENCE, policy=ANY_POLICY, champion=CHAMPIONS)
@settings(max_examples=1000, deadline=None)
def test_accepted_if_and_only_if_the_reference_accepts(
    evidence: tuple[Evaluation, tuple[Comparison, ...]],
    policy: PolicySettings,
    champion: str | None,
) -> None:
    decision = decide(*evidence, policy, champion)
    event("accepted" if decision.accepted else "refused")
    assert decision.accepted == reference(*evidence, policy, champion)
    assert decision.accepted == (decision.reasons == ())


def stricter(policy: PolicySettings, what: str, by: float) -> PolicySettings:
    raised = {
        "minimum_rows": policy.minimum_rows + int(by * 1000),
        "minimum_positives": policy.minimum_positives + int(by * 100),
        "margin": max(0.0, policy.margin - by / 10),
        "slice_floor": (policy.slice_floor or 0.0) + by,
        "maximum_latency_ms": (policy.maximum_latency_ms or 20.0) * (1 - by),
        "maximum_size_mib": (policy.maximum_size_mib or 20.0) * (1 - by),
        "thresholds": {
            name: limit + (by if name in HIGHER else -by)
            for name, limit in (policy.thresholds or {"roc_auc": 0.0}).items()
        },
    }
    return PolicySettings(**policy.model_dump() | {what: raised[what]})


@given(
    evidence=EVIDENCE.filter(lambda pair: pair[0].primary in HIGHER),
    policy=ANY_POLICY,
    champion=CHAMPIONS,
    what=st.sampled_from(
        [
            "minimum_rows",
            "minimum_positives",
            "margin",
            "slice_floor",
            "maximum_latency_ms",
            "maximum_size_mib",
            "thresholds",
        ]
    ),
    by=st.floats(0.0, 0.9),
)
@settings(max_examples=500, deadline=None)
def test_a_stricter_policy_accepts_nothing_more(
    evidence: tuple[Evaluation, tuple[Comparison, ...]],
    policy: PolicySettings,
    champion: str | None,
    what: str,
    by: float,
) -> None:
    before = decide(*evidence, policy, champion)
    after = decide(*evidence, stricter(policy, what, by), champion)
    assert before.accepted or not after.accepted
    missed = set(failed(before)) - {"slices"}
    assert missed <= set(failed(after)), "a check that failed fails still"


@given(evidence=EVIDENCE, policy=ANY_POLICY, champion=CHAMPIONS)
@settings(max_examples=300, deadline=None)
def test_less_evidence_accepts_nothing_more(
    evidence: tuple[Evaluation, tuple[Comparison, ...]],
    policy: PolicySettings,
    champion: str | None,
) -> None:
    evaluation, comparisons = evidence
    whole = decide(evaluation, comparisons, policy, champion).accepted
    for name in evaluation.metrics:
        rest = {key: value for key, value in evaluation.metrics.items() if key != name}
        less = decide(replace(evaluation, metrics=rest), comparisons, policy, champion)
        assert whole or not less.accepted
    for each in comparisons:
        rest_of_rivals = tuple(other for other in comparisons if other.rival != each.rival)
        less = decide(evaluation, rest_of_rivals, policy, champion)
        assert whole or not less.accepted
