"""Killed between any two writes and run again: the state is that of a life that never crashed."""

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from mlops_tasks.boundaries import BOUNDARIES, boundary
from mlops_tasks.errors import ApprovalRefused
from mlops_tasks.governance import leases
from mlops_tasks.governance.ledger import Wanted
from mlops_tasks.governance.record import ACTOR, audit, ledger_of
from mlops_tasks.registry.client import connect
from mlops_tasks.registry.promotion import MOVES
from mlops_tasks.testing.crash import run_crashing
from tests.forks import in_child, warmly
from tests.registry.conftest import CRASH
from tests.registry.life import PROJECT, Life

pytestmark = pytest.mark.slow

PROD = f"{PROJECT}.prod"
STEPS: dict[str, Callable[[Life], object]] = {
    "train": lambda life: life.train(10),
    "request": lambda life: life.promote(to="prod"),
    "approve": lambda life: life.approve("ada", PROD),
    "promote": lambda life: life.promote(to="prod"),
    "rollback": lambda life: life.rollback(),
}
REGISTERING = BOUNDARIES[: BOUNDARIES.index("evidence kept")]
SETTLING = "alias settled"  # reached only where a killed move is settled
MOVING = {*BOUNDARIES[BOUNDARIES.index("lease taken") :]} - {SETTLING}
REACHED = {
    "train": {*REGISTERING, *MOVING} - {"version copied"},
    "request": {"evidence kept", "request opened", "request witnessed"},
    "approve": {"vote recorded", "vote witnessed"},
    "promote": {"evidence kept", "request witnessed", *MOVING} - {"challenger removed"},
    "rollback": {*MOVING} - {"challenger removed", "version copied"},
}
# From here on the move is done and on record: one more `rollback` goes one more step back.
OVER = {"outcome recorded", "lease given back", "witnessed"}
CELLS = [(step, name) for name in BOUNDARIES for step in STEPS]


def test_every_boundary_is_reached_in_the_steps_that_are_killed_there(homes: Path) -> None:
    passed = json.loads((homes / "passed.json").read_text())

    assert {step: set(names) for step, names in passed.items()} == REACHED
    assert set().union(*REACHED.values()) == set(BOUNDARIES) - {SETTLING}


@pytest.mark.parametrize(("step", "place"), CELLS)
def test_a_killed_step_that_is_run_again_ends_as_if_it_had_not_been_killed(
    homes: Path, record_property: Callable[[str, object], None], step: str, place: str
) -> None:
    if place not in REACHED[step]:
        record_property(CRASH, (place, step, "·"))
        return

    found = warmly(cell, str(homes), step, place)

    same = "same" if found["state"] == found["control"] else "ANOTHER"
    record_property(CRASH, (place, step, same))
    assert found["killed"]
    assert found["state"] == found["control"]


@pytest.mark.parametrize("place", ["previous moved", "champion moved"])
def test_a_life_killed_twice_in_the_same_move_is_settled_once(homes: Path, place: str) -> None:
    found = warmly(killed_twice, str(homes), place)

    assert found["state"] == found["control"]


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `home`, copies of it from before each step, and what each leaves."""
    folder = tmp_path_factory.mktemp("homes")
    warmly(prepare, str(folder))
    return folder


def prepare(folder: str) -> None:
    life = _life(folder)
    life.people()
    in_child(_quietly, lambda life: life.train(40), life)
    in_child(_quietly, STEPS["request"], life)
    in_child(_quietly, STEPS["approve"], life)
    in_child(_quietly, STEPS["promote"], life)
    in_child(_quietly, lambda life: life.train(20), life)
    passed = {}
    for step, act in STEPS.items():
        shutil.copytree(life.home, Path(folder, step))
        passed[step] = in_child(_watched, act, life)
        Path(folder, f"{step}.json").write_text(json.dumps(in_child(look, life)))
    Path(folder, "passed.json").write_text(json.dumps(passed))


def cell(folder: str, step: str, place: str) -> dict[str, Any]:
    """Kill a step at a boundary, run it again, and look."""
    life, act = _at(folder, step), STEPS[step]
    killed = run_crashing(lambda: _quietly(act, life), place)
    if step != "rollback" or place not in OVER:
        in_child(_again, act, life)
    state = in_child(look, life)
    return {"killed": killed, "state": state, "control": _control(folder, step)}


def killed_twice(folder: str, place: str) -> dict[str, Any]:
    """The second is killed while it settles what the first left."""
    life, act = _at(folder, "rollback"), STEPS["rollback"]
    assert run_crashing(lambda: act(life), place)
    assert run_crashing(lambda: act(life), SETTLING)
    in_child(_again, act, life)
    return {"state": in_child(look, life), "control": _control(folder, "rollback")}


def look(life: Life) -> dict[str, Any]:
    """What must be the same: who reigns, how many versions, and each thing on record once."""
    stack = life.settings().stack
    client, ledger = connect(stack), ledger_of(stack)
    experiment = client.get_experiment_by_name(PROJECT).experiment_id
    unfinished = client.search_runs([experiment], "attributes.status = 'RUNNING'")
    kinds = ("registration", "approval.request", "approval.vote", "evidence")
    for model in (PROJECT, PROD):
        with leases.lease(ledger, model, wait_seconds=0):
            pass  # nobody dead keeps the others out
    return {
        "aliases": [str(life.aliases(model)) for model in (PROJECT, PROD)],
        "versions": [
            len(client.search_model_versions(f"name='{model}'")) for model in (PROJECT, PROD)
        ],
        "recorded": {kind: len(ledger.entries(Wanted(action=(kind,)))) for kind in kinds},
        "done": [
            (each.event.action, each.event.subject, each.event.facts["version"])
            for each in ledger.entries(Wanted(action=MOVES, outcome="done"))
        ],
        "running": len(unfinished),
        "true": audit(stack).true,
    }


def _life(folder: str) -> Life:
    os.environ[ACTOR] = "trainer@x.org"
    return Life(Path(folder, "home"))


def _at(folder: str, step: str) -> Life:
    """The life as it was before a step, at the place where it was lived."""
    life = _life(folder)
    shutil.rmtree(life.home)
    shutil.copytree(Path(folder, step), life.home)
    return life


def _control(folder: str, step: str) -> Any:
    """What the same step left where nobody was killed."""
    return json.loads(Path(folder, f"{step}.json").read_text())


def _quietly(act: Callable[[Life], object], life: Life) -> None:
    leases.SPARE_SECONDS, leases.LEASE_SECONDS = 1.0, 20.0
    act(life)


def _watched(act: Callable[[Life], object], life: Life) -> list[str]:
    """Which boundaries a step passes."""
    names = set()

    def see(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code is boundary.__code__:
            names.add(frame.f_locals["name"])

    sys.setprofile(see)
    _quietly(act, life)
    sys.setprofile(None)
    return sorted(names)


def _again(act: Callable[[Life], object], life: Life) -> None:
    # Somebody whose vote is on record is told so.
    with contextlib.suppress(ApprovalRefused):
        _quietly(act, life)
