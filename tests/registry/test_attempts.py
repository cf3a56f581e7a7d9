"""Ways past the gate and the approval that an insider could try, with the library in hand.

Whoever trains may create runs and versions in the registry, call any function, and write into the
ledger; what must not come of it is a champion.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlops_tasks.errors import AlteredObject, LedgerError, PromotionRefused, SettingsError
from mlops_tasks.governance import requests
from mlops_tasks.governance.events import Event
from mlops_tasks.governance.ledger import Wanted
from mlops_tasks.governance.record import ACTOR, actor, audit, ledger_of
from mlops_tasks.registry.client import connect
from mlops_tasks.registry.history import champion_at, reigns
from mlops_tasks.registry.models import by_alias, package_of
from mlops_tasks.registry.proposals import propose
from mlops_tasks.settings import Settings
from tests.registry.life import PROJECT, Life

PROD, STAGING = f"{PROJECT}.prod", f"{PROJECT}.staging"


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """A champion of dev, and a challenger 2 that nobody has let in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ACTOR, "trainer@x.org")
        actor.cache_clear()
        life = Life(tmp_path_factory.mktemp("life"))
        life.people()
        life.train(40)
        life.register(life.evidence(20))
        yield life
    actor.cache_clear()


def test_a_refused_decision_does_not_promote(life: Life) -> None:
    strict = life.settings(thresholds={"roc_auc": 0.999})
    refused = life.train(300, strict)
    assert not refused.accepted
    client = connect(strict.stack)
    source = package_of(client, refused.run_id)
    version = client.create_model_version(PROJECT, source, run_id=refused.run_id)
    claimed = replace(refused, accepted=True, version=int(version.version), reasons=())

    for attempt in (
        lambda: life.promote(version=claimed.version),
        lambda: life.promote(version=claimed.version, to="prod"),
        lambda: propose(str(life.root), life.settings(), claimed),
    ):
        with pytest.raises(AlteredObject, match="the gate had refused it"):
            attempt()

    assert (life.aliases().champion, life.aliases(PROD).champion) == (1, None)


@pytest.mark.parametrize("stage", ["../x", "prod/../x", "evil", "prod.x", "Prod", " prod"])
def test_there_are_three_stages(life: Life, stage: str) -> None:
    asked = len(_of(life, "approval.request"))
    with pytest.raises(SettingsError, match="no stage"):
        life.promote(to=stage)

    assert len(_of(life, "approval.request")) == asked


@pytest.mark.parametrize(
    ("change", "policy", "why"),
    [
        ({"primary": "accuracy"}, {}, "its primary metric is roc_auc, the project's is accuracy"),
        ({"slices": ("x",)}, {"slice_floor": 0.0}, "no slices of x"),
    ],
)
def test_evidence_of_something_else_than_is_asked_for_is_refused(
    life: Life, change: dict[str, Any], policy: dict[str, Any], why: str
) -> None:
    settings = life.settings(**policy)
    evaluation = settings.evaluation.model_copy(update=change)

    with pytest.raises(PromotionRefused, match=why):
        life.promote(version=2, settings=settings.model_copy(update={"evaluation": evaluation}))

    assert life.aliases().champion == 1
    assert why in _last(life).reason


def test_an_approval_of_an_older_candidate_lets_no_newer_one_in(life: Life) -> None:
    life.promote(to="prod", version=1)
    assert life.approve("ada", PROD).approved

    assert life.promote(to="prod", version=2).standing == "waiting"
    assert life.aliases(PROD).champion is None


def test_an_approval_that_is_used_too_late_lets_nobody_in(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    life.promote(to="staging")
    assert life.approve("ada", STAGING).approved
    hours = life.settings().policy.approval.expires_hours
    late = datetime.now(UTC) + timedelta(hours=hours, minutes=1)
    monkeypatch.setattr(requests, "utc_now", lambda: late.isoformat(timespec="seconds"))

    assert life.requests(STAGING) == ["expired"]
    assert life.promote(to="staging").standing != "champion"
    assert life.aliases(STAGING).champion is None


def test_a_claim_in_the_ledger_that_somebody_was_promoted_moves_nothing(life: Life) -> None:
    ledger = ledger_of(life.settings().stack)
    ledger.append(Event("eve", "promotion", PROD, "done", "trust me", {}, {"version": "7"}))

    assert life.aliases(PROD).champion is None
    assert reigns(ledger, PROD)[-1].approved_by == ()
    with pytest.raises(PromotionRefused, match="no previous champion"):
        _rolled_back(life.settings())

    ledger.append(Event("eve", "promotion", PROD, "done"))
    for ask in (
        lambda: reigns(ledger, PROD),
        lambda: champion_at(ledger, PROD, datetime.now(UTC).isoformat(timespec="microseconds")),
    ):
        with pytest.raises(LedgerError, match="not which version") as raised:
            ask()
        assert "by eve" in raised.value.where
    assert audit(life.settings().stack).true


def test_a_version_that_lies_ready_in_the_next_stage_is_not_used(life: Life) -> None:
    client = connect(life.settings().stack)
    good = client.get_model_version(PROJECT, "1")
    client.create_registered_model(STAGING)
    client.create_model_version(STAGING, str(life.home / "evil"), run_id=good.run_id)

    found = life.promote(
        to="staging", version=1, settings=life.settings(approval={"automatic": ["staging"]})
    )

    champion = by_alias(client, STAGING, "champion")
    assert champion is not None
    assert (found.standing, champion.source) == ("champion", package_of(client, good.run_id))
    assert int(champion.version) == found.version == 2


def test_a_version_of_a_good_run_that_points_elsewhere_is_refused(life: Life) -> None:
    """MLflow would load what it points at, and our seal is on the files of the run."""
    client = connect(life.settings().stack)
    good = client.get_model_version(PROJECT, "2")
    bad = client.create_model_version(PROJECT, str(life.home / "evil"), run_id=good.run_id)

    for to in (None, "prod"):
        with pytest.raises(PromotionRefused, match="not its run's"):
            life.promote(version=int(bad.version), to=to)

    assert (life.aliases().champion, life.aliases(PROD).champion) == (1, None)
    assert _last(life).outcome == "refused"
    life.promote(version=2)
    assert life.aliases().champion == 2


def _rolled_back(settings: Settings) -> object:
    from mlops_tasks.registry.rollback import rollback

    return rollback(settings.stack, PROD)


def _of(life: Life, action: str) -> list[Event]:
    entries = ledger_of(life.settings().stack).entries(Wanted(action=(action,)))
    return [each.event for each in entries]


def _last(life: Life) -> Event:
    return ledger_of(life.settings().stack).entries(newest=True, limit=1)[0].event
