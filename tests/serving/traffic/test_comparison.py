"""What the log says about a canary or a shadow, and what the gate makes of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from mlops_tasks.artifacts import Evidence
from mlops_tasks.errors import DataError
from mlops_tasks.evaluation.bootstrap import paired_gain
from mlops_tasks.evaluation.metrics import METRICS, point
from mlops_tasks.registry.client import connect
from mlops_tasks.registry.models import by_number
from mlops_tasks.registry.release import open_release
from mlops_tasks.serving.traffic.comparison import Contestant, Role, compare_traffic, judged
from mlops_tasks.serving.traffic.split import choose
from mlops_tasks.settings import Settings
from tests.registry.life import PROJECT, Life

CHAMPION, OTHER = Contestant(1, "one"), Contestant(2, "two")
START = datetime(2026, 3, 3, tzinfo=UTC)
ROWS = 1600


def answered(
    who: Contestant,
    role: str,
    requests: range,
    noise: float,
    *,
    lift: float = 0.0,
    latency: float = 2.0,
    labels: bool = True,
) -> pl.DataFrame:
    """A log: each request has two rows; truth depends on the request, noise on the version."""
    rng = np.random.default_rng((who.version, len(role)))
    records = []
    for number in requests:
        for row in range(2):
            truth = int(np.random.default_rng((number + ROWS, row)).random() < 0.5)
            score = float(np.clip(0.35 + 0.3 * truth + lift + rng.normal(0, noise), 0, 1))
            records.append(
                {
                    "request_id": f"r{number}",
                    "row": row,
                    "time": START + timedelta(seconds=number),
                    "version": who.version,
                    "digest": who.digest,
                    "role": role,
                    "latency_ms": latency + number % 100,
                    "score": score,
                    "prediction": int(score >= 0.5),
                    "label": truth if labels else None,
                }
            )
    return pl.DataFrame(records, schema_overrides={"label": pl.Int64, "row": pl.Int32})


@pytest.fixture(scope="module")
def settings(life: Life) -> Settings:
    return life.settings(minimum_rows=400, minimum_positives=100, margin=0.02)


def log(role: Role, **other: Any) -> pl.DataFrame:
    """As it is written: a canary answers other requests than the champion, a shadow the same."""
    sharing = role == "canary"
    canary = [n for n in range(ROWS // 2) if choose(f"r{n}", 0.5, "demo:2")]
    champion = sorted(set(range(ROWS // 2)) - set(canary)) if sharing else range(ROWS // 2)
    asked = canary if sharing else range(ROWS // 2)
    how = {"noise": 0.1, **other}
    return pl.concat(
        [
            answered(CHAMPION, "champion", champion, 0.3),  # type: ignore[arg-type]
            answered(OTHER, role, asked, **how),  # type: ignore[arg-type]
        ]
    )


def test_a_better_canary_in_figures(settings: Settings) -> None:
    rows = log("canary", lift=0.05, latency=5.0)
    report = compare_traffic(rows, CHAMPION, OTHER, "canary", settings)

    assert report.enough
    assert report.agreement is None
    both = [rows.filter(role=role)["time"] for role in ("canary", "champion")]
    within = (max(each.min() for each in both), min(each.max() for each in both))
    rows = rows.filter(pl.col("time").is_between(*within))
    mine, theirs = rows.filter(role="canary"), rows.filter(role="champion")
    one_each = mine.filter(row=0)
    side = report.other
    assert (side.version, side.rows, side.requests) == (2, mine.height, one_each.height)
    assert (side.errors, side.labelled) == (0, mine.height)
    assert side.positives == mine["label"].sum()
    assert side.latency_p50_ms == pytest.approx(np.percentile(one_each["latency_ms"], 50))
    assert side.latency_p99_ms == pytest.approx(np.percentile(one_each["latency_ms"], 99))
    assert side.mean_score == pytest.approx(mine["score"].mean())
    assert side.predicted_positive == pytest.approx(mine["prediction"].mean())
    assert report.shift
    assert report.shift > 0.02
    assert report.distance
    assert report.distance > 0.1

    gains = {each.metric: each for each in report.gains}
    assert set(gains) == set(METRICS)
    score = point("roc_auc", theirs["label"].to_numpy().astype(float), theirs["score"].to_numpy())
    assert gains["roc_auc"].rival_score == pytest.approx(score)
    assert gains["roc_auc"].rival_digest == "one"
    assert gains["roc_auc"].gain.low > 0
    assert gains["log_loss"].gain.low > 0


def test_a_shadow_is_compared_row_by_row(settings: Settings) -> None:
    rows = log("shadow", noise=0.3, lift=0.01)
    rows = rows.filter(~((pl.col("role") == "shadow") & (pl.col("request_id") == "r7")))
    rows = rows.sample(fraction=1.0, shuffle=True, seed=1)
    report = compare_traffic(rows, CHAMPION, OTHER, "shadow", settings, metrics=["brier_score"])

    pairs = rows.filter(role="champion").join(
        rows.filter(role="shadow"), on=["request_id", "row"], suffix="_s"
    )
    assert pairs.height == ROWS - 2
    agreement = report.agreement
    assert agreement
    assert agreement.rows == report.champion.rows == report.other.rows == pairs.height
    apart = (pairs["score"] - pairs["score_s"]).abs()
    assert agreement.same_prediction == pytest.approx(
        (pairs["prediction"] == pairs["prediction_s"]).mean()
    )
    assert agreement.mean_difference == pytest.approx(apart.mean())
    assert agreement.largest_difference == pytest.approx(apart.max())

    gains = {each.metric: each.gain for each in report.gains}
    assert set(gains) == {settings.evaluation.primary, "brier_score"}
    ordered = pairs.sort("request_id", "row")
    expected = paired_gain(
        "brier_score",
        ordered["label"].to_numpy().astype(float),
        ordered["score_s"].to_numpy(),
        ordered["score"].to_numpy(),
        samples=settings.evaluation.bootstrap_samples,
        confidence=settings.evaluation.confidence,
        seed=settings.seed,
    )
    assert gains["brier_score"] == expected


def test_rows_of_others_and_of_another_time_do_not_count(settings: Settings) -> None:
    rows = log("canary")
    begun = rows.filter(role="champion")["time"].min()
    rows = rows.filter(pl.col("time") >= begun)
    expected = compare_traffic(rows, CHAMPION, OTHER, "canary", settings)
    early = answered(CHAMPION, "champion", range(-900, -100), 0.0, lift=0.3)
    forged = answered(Contestant(2, "forged"), "canary", range(100, 300), 0.9)
    older = answered(Contestant(0, "zero"), "champion", range(100, 300), 0.9)
    mixed = pl.concat([early, forged, rows, rows, older])
    assert compare_traffic(mixed, CHAMPION, OTHER, "canary", settings) == expected


def test_answers_without_a_score_are_errors_and_not_evidence(settings: Settings) -> None:
    rows = log("canary")
    place = pl.int_range(pl.len())
    broken = rows.with_columns(
        score=pl.when((pl.col("role") == "canary") & (place % 10 == 0))
        .then(None)
        .when((pl.col("role") == "canary") & (place % 10 == 1))
        .then(float("nan"))
        .otherwise("score")
    )
    report = compare_traffic(broken, CHAMPION, OTHER, "canary", settings)
    lost = broken.filter(pl.col("score").is_null() | pl.col("score").is_nan()).height
    assert report.other.errors == lost > 100
    assert report.other.labelled == report.other.rows - lost
    assert report.enough


@pytest.mark.parametrize("role", ["canary", "shadow"])
def test_too_little_is_said_and_nothing_is_compared(role: Role, settings: Settings) -> None:
    unlabelled = compare_traffic(log(role, labels=False), CHAMPION, OTHER, role, settings)
    assert not unlabelled.enough
    assert unlabelled.gains == ()
    assert "labelled rows, the policy asks for 400" in " ".join(unlabelled.missing)
    assert unlabelled.distance
    assert unlabelled.distance > 0, "scores can be compared without labels"

    nobody = compare_traffic(
        log(role).filter(pl.col("role") == "champion"), CHAMPION, OTHER, role, settings
    )
    assert nobody.other.rows == 0
    assert nobody.other.latency_p50_ms is None
    assert (nobody.shift, nobody.distance, nobody.since) == (None, None, None)
    assert any(each.startswith(f"the {role} has 0 labelled rows") for each in nobody.missing)

    one_class = log(role).with_columns(label=pl.lit(1))
    found = compare_traffic(one_class, CHAMPION, OTHER, role, settings)
    assert found.missing == ("roc_auc is not defined on these rows",)
    assert found.gains == ()


def test_a_wrong_frame_is_said(settings: Settings) -> None:
    with pytest.raises(DataError, match="no column digest, label"):
        compare_traffic(log("canary").drop("digest", "label"), CHAMPION, OTHER, "canary", settings)
    wrong = log("canary").with_columns(label=pl.lit(2))
    with pytest.raises(DataError, match="neither 0 nor 1"):
        compare_traffic(wrong, CHAMPION, OTHER, "canary", settings)


@pytest.fixture(scope="module")
def evidence(life: Life) -> Evidence:
    """Of version 2, as it was registered: held against version 1 on the frozen rows."""
    stack = life.settings().stack
    client = connect(stack)
    found = open_release(client, stack, by_number(client, PROJECT, 2)).evidence
    assert found.champion_digest
    assert found.decision.accepted
    return found


@pytest.mark.parametrize("role", ["canary", "shadow"])
def test_the_gate_reads_it(role: Role, settings: Settings, evidence: Evidence) -> None:
    assert evidence.champion_digest
    champion = Contestant(1, evidence.champion_digest)

    def decision(rows: pl.DataFrame) -> tuple[bool, str]:
        rows = rows.with_columns(digest=pl.col("digest").replace("one", champion.digest))
        report = compare_traffic(rows, champion, OTHER, role, settings)
        found = judged(report, evidence, champion, settings.policy)
        return found.accepted, "; ".join(found.reasons)

    assert decision(log(role, noise=0.1)) == (True, "")
    accepted, why = decision(log(role, noise=0.9))
    assert not accepted
    assert "gain over the champion" in why
    accepted, why = decision(log(role, labels=False))
    assert not accepted
    assert "comparison with the current champion" in why
    rival = replace(champion, digest="another")
    report = compare_traffic(log(role), CHAMPION, OTHER, role, settings)
    [failed] = [
        check.name
        for check in judged(report, evidence, rival, settings.policy).checks
        if not check.passed
    ]
    assert failed == "champion", "it was held against somebody else"
