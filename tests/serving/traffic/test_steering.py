"""A split is a history of events: checked, linear, and ended by whatever moves the champion."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlops_tasks.errors import (
    AlteredObject,
    LedgerError,
    MlopsError,
    PromotionRefused,
    RegistryError,
)
from mlops_tasks.governance.events import Event
from mlops_tasks.governance.leases import lease
from mlops_tasks.governance.ledger import Wanted
from mlops_tasks.governance.record import audit, ledger_of, record
from mlops_tasks.registry.client import connect
from mlops_tasks.registry.models import by_number, create_version
from mlops_tasks.serving.traffic.state import ACTION, Traffic, recorded, traffic_of
from mlops_tasks.serving.traffic.steering import (
    hold_canary,
    start_canary,
    start_shadow,
    widen_canary,
    withdraw_canary,
    withdraw_shadow,
)
from mlops_tasks.serving.traffic.steps import Steered, append
from mlops_tasks.settings import Settings
from tests.registry.life import PROJECT, Life
from tests.serving.traffic.conftest import Home

NONE = Traffic()


def now(home: Home) -> Traffic:
    return traffic_of(home.settings.stack, PROJECT)


def test_a_canary_from_its_start_to_its_end(home: Home) -> None:
    root, settings = home.life.root, home.settings
    assert now(home) == NONE

    started = start_canary(root, settings, 2, 0.1, reason="better on rain")
    assert started.traffic == now(home) == Traffic(2, 0.1, None)
    start_shadow(settings, 3)
    assert now(home) == Traffic(2, 0.1, 3)
    widen_canary(root, settings, 0.30000000000000004)
    assert now(home) == Traffic(2, 0.30000000000000004, 3), "exactly, to the last bit"
    hold_canary(settings, reason="until Monday")
    assert now(home) == Traffic(2, 0.30000000000000004, 3)
    withdraw_canary(settings)
    assert now(home) == Traffic(None, 0.0, 3)
    withdraw_shadow(settings)
    assert now(home) == NONE

    assert home.outcomes == ["started", "started", "widened", "held", "withdrawn", "withdrawn"]
    said = [(facts["role"], facts["version"], facts.get("weight")) for _, facts in home.events]
    wide = "0.30000000000000004"
    assert said == [
        ("canary", "2", "0.1"),
        ("shadow", "3", None),
        ("canary", "2", wide),
        ("canary", "2", wide),
        ("canary", "2", wide),
        ("shadow", "3", None),
    ]
    assert started.entry
    event = started.entry.event
    assert (event.actor, event.reason) == ("trainer@x.org", "better on rain")
    assert event.facts["approved_by"] == "policy"
    assert {len(value) for value in event.digests.values()} == {64}
    assert audit(settings.stack).true


def test_the_same_step_again_changes_nothing(home: Home) -> None:
    root, settings = home.life.root, home.settings
    steps: list[Callable[[], Steered]] = [
        lambda: start_canary(root, settings, 2, 0.1),
        lambda: widen_canary(root, settings, 0.2),
        lambda: hold_canary(settings),
        lambda: start_shadow(settings, 3),
        lambda: withdraw_canary(settings),
        lambda: withdraw_shadow(settings),
    ]
    for step in steps:
        first, again = step(), step()
        assert first.entry
        assert again.entry is None
        assert first.traffic == again.traffic == now(home)
    assert len(home.events) == len(steps)


REFUSED: dict[str, tuple[Callable[[Path, Settings], Any], type[MlopsError], str]] = {
    "none to widen": (lambda r, s: widen_canary(r, s, 0.2), PromotionRefused, "no canary"),
    "none to hold": (lambda r, s: hold_canary(s), PromotionRefused, "no canary"),
    "no share": (lambda r, s: start_canary(r, s, 2, 0.0), PromotionRefused, "not a share"),
    "more than all": (lambda r, s: start_canary(r, s, 2, 1.5), PromotionRefused, "not a share"),
    "no number": (lambda r, s: start_canary(r, s, 2, float("nan")), PromotionRefused, "share"),
    "the champion": (lambda r, s: start_canary(r, s, 1, 0.1), PromotionRefused, "is champion"),
    "its shadow": (lambda r, s: start_shadow(s, 1), PromotionRefused, "is champion"),
    "no version": (lambda r, s: start_canary(r, s, 99, 0.1), RegistryError, "no version 99"),
    "no shadow": (lambda r, s: start_shadow(s, 99), RegistryError, "no version 99"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_changes_nothing(home: Home, name: str) -> None:
    step, kind, why = REFUSED[name]
    start_shadow(home.settings, 3) if name.startswith("none") else None
    before = now(home)
    with pytest.raises(kind, match=why) as caught:
        step(home.life.root, home.settings)
    assert caught.value.next_step
    assert now(home) == before
    if kind is PromotionRefused:
        assert home.outcomes[-1] == "refused"


def test_another_canary_or_a_smaller_share_is_refused(home: Home) -> None:
    root, settings = home.life.root, home.settings
    start_canary(root, settings, 2, 0.3)
    start_shadow(settings, 3)
    for step, why in (
        (lambda: start_canary(root, settings, 3, 0.1), "version 2 is the canary"),
        (lambda: start_canary(root, settings, 2, 0.2), "version 2 is the canary"),
        (lambda: widen_canary(root, settings, 0.2), "only grows"),
        (lambda: start_shadow(settings, 2), "version 3 is the shadow"),
    ):
        with pytest.raises(PromotionRefused, match=why):
            step()
        assert now(home) == Traffic(2, 0.3, 3)
    assert home.outcomes == ["started", "started"] + 4 * ["refused"]


def test_one_that_the_gate_refused_answers_nobody(home: Home) -> None:
    demanding = home.life.settings(thresholds={"roc_auc": 0.9999})
    refused = home.life.register(home.life.evidence(50, demanding), demanding)
    assert not refused.accepted
    client = connect(home.settings.stack)
    version = create_version(client, PROJECT, refused.run_id, {})  # as somebody might by hand
    for step in (
        lambda: start_canary(home.life.root, home.settings, version, 0.1),
        lambda: start_shadow(home.settings, version),
    ):
        with pytest.raises(AlteredObject, match="the gate had refused it"):
            step()
    assert now(home) == NONE


def test_without_the_registry_a_canary_can_be_held_and_withdrawn_but_not_started(
    home: Home,
) -> None:
    start_canary(home.life.root, home.settings, 2, 0.5)
    start_shadow(home.settings, 3)
    stack = home.settings.stack.model_copy(update={"tracking_uri": "http://127.0.0.1:9"})
    alone = home.settings.model_copy(update={"stack": stack})
    with pytest.raises(RegistryError):
        widen_canary(home.life.root, alone, 0.6)
    assert hold_canary(alone).traffic == Traffic(2, 0.5, 3)
    withdraw_canary(alone)
    withdraw_shadow(alone)
    assert traffic_of(alone.stack, PROJECT) == NONE
    with pytest.raises(RegistryError):
        start_shadow(alone, 2)


def test_one_that_was_altered_answers_nobody(tmp_path: Path) -> None:
    life = Life(tmp_path)
    life.people()
    life.train(40)
    version = life.register(life.evidence(20)).version
    assert version == 2
    start_shadow(life.settings(), version)
    start_canary(life.root, life.settings(), version, 0.1)
    run_id = str(by_number(connect(life.settings().stack), PROJECT, version).run_id)
    [file] = (tmp_path / "artifacts").glob(f"**/{run_id}/artifacts/package/evidence.json")
    file.write_text(file.read_text().replace("local", "lokal"))

    with pytest.raises(AlteredObject):
        widen_canary(life.root, life.settings(), 0.5)
    assert traffic_of(life.settings().stack, PROJECT) == Traffic(2, 0.1, 2)
    withdraw_canary(life.settings())
    with pytest.raises(AlteredObject):
        start_canary(life.root, life.settings(), version, 0.1)
    assert traffic_of(life.settings().stack, PROJECT) == Traffic(None, 0.0, 2)


def test_where_people_approve_a_canary_needs_them_and_a_shadow_does_not(tmp_path: Path) -> None:
    life = Life(tmp_path)
    life.people()
    life.train(40)
    version = life.register(life.evidence(20)).version
    assert version == 2
    strict = life.settings(approval={"automatic": []})

    start_shadow(strict, version)
    with pytest.raises(PromotionRefused, match="not approved for dev"):
        start_canary(life.root, strict, version, 0.1)
    assert life.promote(settings=strict, version=version).standing == "waiting"
    with pytest.raises(PromotionRefused, match="not approved for dev"):
        start_canary(life.root, strict, version, 0.1)
    assert traffic_of(strict.stack, PROJECT) == Traffic(None, 0.0, 2)

    from mlops_tasks.governance.requests import cast
    from mlops_tasks.project.governing import pending

    filed = pending(life.root, strict, [PROJECT], None)
    cast(life.root, strict, filed.request, "yes", "", life.key("ada"))
    found = start_canary(life.root, strict, version, 0.1)
    assert found.entry
    assert found.entry.event.facts["approved_by"] == "ada@x.org"

    edited = life.settings(approval={"automatic": []}, margin=0.3)
    with pytest.raises(PromotionRefused, match="not approved"):
        widen_canary(life.root, edited, 0.2)

    promoted = life.promote(settings=strict, version=version)
    assert promoted.standing == "champion"
    assert traffic_of(strict.stack, PROJECT) == NONE, "it is champion: nothing is split"
    assert start_canary(life.root, strict, 1, 0.5).traffic == Traffic(1, 0.5, None), (
        "it was champion here once"
    )
    life.rollback()
    assert traffic_of(strict.stack, PROJECT) == NONE, "the champion changed under it"


def test_without_a_champion_there_is_nothing_to_split(tmp_path: Path) -> None:
    life = Life(tmp_path)
    life.people()
    life.register(life.evidence(40))
    for step in (
        lambda: start_canary(life.root, life.settings(), 1, 0.1),
        lambda: start_shadow(life.settings(), 1),
    ):
        with pytest.raises(PromotionRefused, match="no champion"):
            step()
    assert traffic_of(life.settings().stack, PROJECT) == NONE


def test_of_many_at_once_each_decides_on_what_is_there(home: Home) -> None:
    root, settings = home.life.root, home.settings
    ready = threading.Barrier(6)
    ended: list[str] = []

    def step(version: int, weight: float) -> None:
        ready.wait()
        try:
            start_canary(root, settings, version, weight)
            ended.append(f"{version} at {weight:g}")
        except PromotionRefused as refusal:
            ended.append(refusal.what)

    asked = [(2, 0.1), (3, 0.1), (2, 0.2), (3, 0.2), (2, 0.3), (3, 0.3)]
    threads = [threading.Thread(target=step, args=each) for each in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(home.outcomes) == ["refused"] * 5 + ["started"]
    [started] = [facts for outcome, facts in home.events if outcome == "started"]
    assert now(home) == Traffic(int(started["canary"]), float(started["canary_weight"]), None)
    assert len(ended) == 6
    assert sum(" at " in each and "the canary" not in each for each in ended) == 1
    assert audit(settings.stack).true


def test_a_decision_on_a_split_that_changed_meanwhile_is_not_written(home: Home) -> None:
    """As if its lease had ended while it verified: another step comes in between."""
    settings = home.settings
    ledger = ledger_of(settings.stack)
    with lease(ledger, PROJECT) as held:
        before = recorded(ledger, PROJECT)
        record(settings.stack, Event("eve", "rollback", PROJECT, "done", facts={"version": "1"}))
        after = ledger.head()
        late = Event("ada", ACTION, PROJECT, "started", facts={"canary": "2"})
        assert append(held, before, late) is None
    assert ledger.head() == after


def test_where_the_ledger_is_not_clear_nobody_is_sent_to_a_canary(tmp_path: Path) -> None:
    stack = Life(tmp_path).settings().stack
    good = {"canary": "2", "canary_weight": "0.5", "shadow": ""}
    for wrong in (
        {"canary_weight": "nan"},
        {"canary_weight": "2"},
        {"canary_weight": "0.0"},
        {"canary": ""},
        {"shadow": "three"},
    ):
        record(stack, Event("eve", ACTION, PROJECT, "started", facts=good | wrong))
        with pytest.raises(LedgerError, match="does not say clearly"):
            traffic_of(stack, PROJECT)
    record(stack, Event("eve", ACTION, PROJECT, "started", facts={}))
    with pytest.raises(LedgerError):
        traffic_of(stack, PROJECT)
    record(stack, Event("eve", ACTION, PROJECT, "started", facts=good))
    record(stack, Event("eve", ACTION, "other", "started", facts={}))
    assert traffic_of(stack, PROJECT) == Traffic(2, 0.5, None)


def test_a_refused_or_undone_move_of_the_champion_ends_nothing(tmp_path: Path) -> None:
    stack = Life(tmp_path).settings().stack
    facts = {"canary": "2", "canary_weight": "0.5", "shadow": "3"}
    record(stack, Event("ada", ACTION, PROJECT, "started", facts=facts))
    for outcome in ("intent", "undone", "refused"):
        record(stack, Event("ada", "promotion", PROJECT, outcome, facts={"version": "3"}))
        assert traffic_of(stack, PROJECT) == Traffic(2, 0.5, 3)
    record(stack, Event("ada", "promotion", PROJECT, "done", facts={"version": "3"}))
    assert traffic_of(stack, PROJECT) == NONE
    assert ledger_of(stack).entries(Wanted(action=(ACTION,)))
