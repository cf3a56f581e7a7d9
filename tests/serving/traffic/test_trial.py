"""From a real log, real labels and the ledger to the answer of the gate: `mlops canary compare`."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mlops_tasks.artifacts import Evidence
from mlops_tasks.encoding import digest
from mlops_tasks.errors import PromotionRefused
from mlops_tasks.registry.client import connect
from mlops_tasks.registry.models import by_number
from mlops_tasks.registry.release import open_release
from mlops_tasks.serving.prediction_log.labels import add_labels
from mlops_tasks.serving.prediction_log.records import Answered, Role
from mlops_tasks.serving.prediction_log.writer import open_log
from mlops_tasks.serving.traffic.findings import keep
from mlops_tasks.serving.traffic.shadow import Shadow
from mlops_tasks.serving.traffic.split import choose, salt_of
from mlops_tasks.serving.traffic.state import traffic_of
from mlops_tasks.serving.traffic.steering import (
    start_canary,
    start_shadow,
    widen_canary,
    withdraw_canary,
)
from mlops_tasks.serving.traffic.trial import Trial, trial_of
from mlops_tasks.serving.traffic.words import trial_lines
from mlops_tasks.settings import Settings
from mlops_tasks.training.model_files import read_model
from tests.registry.life import PROJECT, Life
from tests.serving.traffic.conftest import Home

REQUESTS = 900


@pytest.fixture
def settings(home: Home, tmp_path: Path) -> Settings:
    """Those of the home, with a log of the test's own."""
    strict = home.life.settings(minimum_rows=200, minimum_positives=50, margin=0.1)
    stack = strict.stack.model_copy(update={"predictions": str(tmp_path / "predictions")})
    return strict.model_copy(update={"stack": stack})


class Version:
    """A registered version that answers."""

    def __init__(self, life: Life, number: int) -> None:
        stack = life.settings().stack
        client = connect(stack)
        self.number = number
        self.evidence: Evidence = open_release(
            client, stack, by_number(client, PROJECT, number)
        ).evidence
        candidate = self.evidence.candidate
        self.digest = candidate.digest
        self._model: Any = read_model(candidate.model_uri, candidate.digest)

    kind = "native"

    def at_once(self, rows: Any) -> list[float]:
        return self.scores(rows)

    def scores(self, rows: Any) -> list[float]:
        frame = pl.DataFrame(list(rows), schema=["x", "y"], orient="row")
        found: list[float] = self._model.predict_proba(frame)[:, 1].tolist()
        return found

    def answer(self, request_id: str, row: tuple[float, float], role: Role) -> Answered:
        scores = self.scores([row])
        return Answered(
            request_id=request_id,
            time=datetime.now(UTC),
            model=PROJECT,
            version=self.number,
            digest=self.digest,
            region="local",
            role=role,
            latency_ms=1.0,
            names=("x", "y"),
            rows=[row],
            scores=scores,
            predictions=[int(score >= 0.5) for score in scores],
        )


def asked(count: int = REQUESTS, seed: int = 5) -> list[tuple[str, tuple[float, float], int]]:
    """Request, row and truth, as `tests.registry.life` makes them."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        x, y = rng.uniform(-1, 1, 2)
        late = int((x * y > 0) ^ (rng.uniform() < 0.1))
        found.append((f"s{seed}-{number}", (float(x), float(y)), late))
    return found


def label(settings: Settings, requests: list[tuple[str, tuple[float, float], int]]) -> None:
    rows = [{"request_id": request, "row": 0, "label": late} for request, _, late in requests]
    frame = pl.DataFrame(rows, schema_overrides={"row": pl.Int32})
    assert add_labels(settings, PROJECT, frame) == len(rows)


def test_a_canary_that_answers_its_keys_is_accepted_once_labels_are_there(
    home: Home, settings: Settings
) -> None:
    champion, canary = Version(home.life, 1), Version(home.life, 2)
    log = open_log(settings)
    start_canary(home.life.root, settings, 2, 0.1)
    for request, row, _ in asked(50, seed=6):  # before it was widened: not counted
        log.append(canary.answer(request, row, "canary"))
    widen_canary(home.life.root, settings, 0.5)
    weight = traffic_of(settings.stack, PROJECT).canary_weight
    theirs = 0
    for request, row, _ in asked():
        if choose(request, weight, salt_of(PROJECT, 2)):
            log.append(canary.answer(request, row, "canary"))
            theirs += 1
        else:
            log.append(champion.answer(request, row, "champion"))

    unlabelled = trial_of(settings, "canary")
    assert not unlabelled.decision.accepted
    assert unlabelled.report.other.requests == pytest.approx(theirs, abs=2), "both answered then"
    assert unlabelled.report.other.labelled == 0
    assert "not enough: the canary has 0 labelled rows, the policy asks for 200" in "\n".join(
        trial_lines(unlabelled)
    )

    label(settings, asked() + asked(50, seed=6))
    trial = trial_of(settings, "canary")
    assert trial.report.enough
    assert trial.report.other.labelled == trial.report.other.rows
    gains = {each.metric: each for each in trial.report.gains}
    assert gains["roc_auc"].rival_digest == champion.digest
    assert trial.decision.accepted, trial.decision.reasons
    assert "the gate accepts it" in list(trial_lines(trial))
    log.close()


def test_a_shadow_is_asked_what_the_champion_is_asked(home: Home, settings: Settings) -> None:
    champion, other = Version(home.life, 1), Version(home.life, 3)
    start_shadow(settings, 3)
    log = open_log(settings)
    shadow = Shadow(
        other,
        log.append,
        version=3,
        digest=other.digest,
        names=("x", "y"),
        seconds=60,
        waiting=10**4,
    )
    requests = asked(400, seed=7)
    for request, row, _ in requests:
        answered = champion.answer(request, row, "champion")
        log.append(answered)
        assert shadow.offer(answered)
    end = datetime.now(UTC) + timedelta(seconds=60)
    while shadow.counts.logged < len(requests):
        assert datetime.now(UTC) < end
    shadow.close()
    label(settings, requests)

    trial = trial_of(settings, "shadow")
    agreement = trial.report.agreement
    assert agreement
    assert agreement.rows == len(requests)
    expected = [(champion.scores([row])[0], other.scores([row])[0]) for _, row, _ in requests]
    same = np.mean([(one >= 0.5) == (two >= 0.5) for one, two in expected])
    assert agreement.same_prediction == pytest.approx(same)
    assert agreement.largest_difference == pytest.approx(
        max(abs(one - two) for one, two in expected)
    )
    assert trial.report.enough
    assert trial.decision.accepted, trial.decision.reasons
    assert "same prediction on" in "\n".join(trial_lines(trial))
    log.close()


def answered_by_turns(settings: Settings, life: Life, *, wrong: bool) -> Trial:
    """A canary at half of the keys; `wrong` lets it say the contrary of what it thinks."""
    champion, canary = Version(life, 1), Version(life, 2)
    log = open_log(settings)
    for request, row, _ in asked(seed=8 + wrong):
        theirs = choose(request, 0.5, salt_of(PROJECT, 2))
        said = (canary if theirs else champion).answer(
            request, row, "canary" if theirs else "champion"
        )
        if theirs and wrong:
            scores = [1 - score for score in said.scores]
            said = replace(said, scores=scores, predictions=[int(s >= 0.5) for s in scores])
        log.append(said)
    log.close()
    label(settings, asked(seed=8 + wrong))
    return trial_of(settings, "canary")


def test_a_canary_that_was_found_worse_is_not_widened(home: Home, settings: Settings) -> None:
    start_canary(home.life.root, settings, 2, 0.5)
    unclear = trial_of(settings, "canary")
    assert keep(settings, unclear).event.outcome == "unclear"
    widen_canary(home.life.root, settings, 0.51)  # without labels people decide

    worse = answered_by_turns(settings, home.life, wrong=True)
    kept = keep(settings, worse)
    assert kept.event.outcome == "worse"
    assert kept.event.digests == {
        "candidate": Version(home.life, 2).digest,
        "champion": Version(home.life, 1).digest,
        "report": digest([worse.report, worse.decision]),
    }
    with pytest.raises(PromotionRefused, match=f"entry {kept.seq} says that it is worse"):
        widen_canary(home.life.root, settings, 0.6)
    assert traffic_of(settings.stack, PROJECT).canary_weight == 0.51
    assert home.outcomes[-1] == "refused"

    withdraw_canary(settings)
    start_canary(home.life.root, settings, 3, 0.1)
    widen_canary(home.life.root, settings, 0.2)  # it was found of another
    withdraw_canary(settings)

    # Neither by starting again, nor by a comparison that has seen nothing, does it get more.
    with pytest.raises(PromotionRefused, match="it is worse"):
        start_canary(home.life.root, settings, 2, 0.6)
    assert traffic_of(settings.stack, PROJECT).canary_version is None
    start_canary(home.life.root, settings, 2, 0.5)
    nothing = trial_of(settings, "canary")
    assert keep(settings, nothing).event.outcome == "unclear"
    with pytest.raises(PromotionRefused, match="it is worse"):
        widen_canary(home.life.root, settings, 0.6)

    better = answered_by_turns(settings, home.life, wrong=False)
    assert keep(settings, better).event.outcome == "accepted"
    widen_canary(home.life.root, settings, 0.6)  # the newest finding counts

    # What was found worse in the shadow, where nobody got its answers, answers nobody.
    withdraw_canary(settings)
    keep(settings, replace(worse, share=0.0))
    with pytest.raises(PromotionRefused, match="it is worse"):
        start_canary(home.life.root, settings, 2, 0.01)


def test_nothing_runs_nothing_is_compared(home: Home, settings: Settings) -> None:
    for role in ("canary", "shadow"):
        with pytest.raises(PromotionRefused, match=f"there is no {role}"):
            trial_of(settings, role)  # type: ignore[arg-type]
