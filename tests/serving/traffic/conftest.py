"""A home with a champion (version 1), two versions that the gate let in, and no split."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from mlops_tasks.governance.ledger import Wanted
from mlops_tasks.governance.record import ACTOR, actor, ledger_of
from mlops_tasks.serving.traffic.state import ACTION
from mlops_tasks.serving.traffic.steering import withdraw_canary, withdraw_shadow
from mlops_tasks.settings import Settings
from tests.registry.life import PROJECT, Life


@dataclass(frozen=True)
class Home:
    """The life, its settings, and what was written about its traffic since the test began."""

    life: Life
    settings: Settings
    since: int

    @property
    def events(self) -> list[tuple[str, dict[str, str]]]:
        found = ledger_of(self.settings.stack).entries(Wanted(subject=PROJECT, action=(ACTION,)))
        return [(e.event.outcome, dict(e.event.facts)) for e in found if e.seq > self.since]

    @property
    def outcomes(self) -> list[str]:
        return [outcome for outcome, _ in self.events]


@pytest.fixture(scope="package")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ACTOR, "trainer@x.org")
        actor.cache_clear()
        life = Life(tmp_path_factory.mktemp("traffic"))
        life.people()
        life.train(40)
        life.register(life.evidence(30))
        life.register(life.evidence(20))
        yield life
    actor.cache_clear()


@pytest.fixture
def home(life: Life) -> Home:
    settings = life.settings()
    withdraw_canary(settings)
    withdraw_shadow(settings)
    return Home(life, settings, ledger_of(settings.stack).head()[0])
