"""Eight processes promote eight good candidates at once: one wins, and nobody is lost."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from mlops_tasks.governance.ledger import Wanted
from mlops_tasks.governance.record import audit, ledger_of
from mlops_tasks.registry.client import connect
from mlops_tasks.registry.history import reigns
from tests.forks import ChildError, answer, in_child, start, warmly
from tests.registry.life import PROJECT, Life

RACERS, ROUNDS = 8, 2


@pytest.mark.slow
def test_exactly_one_of_eight_simultaneous_promotions_wins(tmp_path: Path) -> None:
    found = warmly(race, str(tmp_path))

    for outcomes in found["rounds"]:
        assert sorted(outcomes) == ["PromotionRefused"] * (RACERS - 1) + ["champion"]
    seen = found["seen"]
    assert seen["true"]
    assert len(seen["reigns"]) == 1 + ROUNDS
    assert seen["reigns"][-1]["until"] == ""
    for one, two in zip(seen["reigns"], seen["reigns"][1:], strict=False):
        assert one["until"] == two["since"] > one["since"]
        assert two["from"] == str(one["version"])
    assert seen["champion"] == seen["reigns"][-1]["version"]
    assert seen["previous"] == seen["reigns"][-2]["version"]
    assert seen["refused"] == ROUNDS * (RACERS - 1)
    assert seen["unsettled"] == 0


def race(folder: str) -> dict[str, Any]:
    life = Life(Path(folder))
    life.people()
    in_child(lambda: str(life.train(40)))
    rounds = []
    for number in range(ROUNDS):
        leaves = [10 + number + 2 * place for place in range(RACERS)]
        versions = [in_child(_registered, life, leaf) for leaf in leaves]
        assert len(set(versions)) == RACERS
        at = time.time() + 1.5
        racers = [start(_promoted, life, version, at) for version in versions]
        rounds.append([_outcome(racer) for racer in racers])
    return {"rounds": rounds, "seen": in_child(_look, life)}


def _registered(life: Life, leaf: int) -> int | None:
    registration = life.register(life.evidence(leaf))
    assert registration.accepted, registration.reasons
    return registration.version


def _promoted(life: Life, version: int, at: float) -> str:
    connect(life.settings().stack)
    ledger_of(life.settings().stack)
    time.sleep(max(0.0, at - time.time()))
    return life.promote(version=version).standing


def _outcome(racer: tuple[int, int]) -> str:
    try:
        return str(answer(racer))
    except ChildError as error:
        return error.kind


def _look(life: Life) -> dict[str, Any]:
    stack = life.settings().stack
    ledger, aliases = ledger_of(stack), life.aliases()
    moves = {
        outcome: ledger.entries(Wanted(subject=PROJECT, action=("promotion",), outcome=outcome))
        for outcome in ("intent", "done", "undone", "conflict", "refused")
    }
    settled = sum(len(moves[outcome]) for outcome in ("done", "undone", "conflict"))
    past = [
        {"version": each.version, "since": each.since, "until": each.until, "from": move}
        for each, move in zip(
            reigns(ledger, PROJECT),
            [entry.event.facts["from"] for entry in moves["done"]],
            strict=True,
        )
    ]
    return {
        "reigns": past,
        "champion": aliases.champion,
        "previous": aliases.previous,
        "refused": len(moves["refused"]),
        "unsettled": len(moves["intent"]) - settled,
        "true": audit(stack).true,
        "process": os.getpid(),
    }
