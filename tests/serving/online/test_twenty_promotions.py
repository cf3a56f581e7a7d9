"""Twenty promotions, each of another version that people signed for, under 10 000 requests."""

import json
import threading
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

import pytest

from mlops_tasks.governance.ledger import Wanted
from mlops_tasks.governance.record import ACTOR, actor, audit, ledger_of
from mlops_tasks.registry.history import reigns
from mlops_tasks.serving.online.app import application
from tests.registry.life import Life
from tests.serving.online.conftest import QUICK, Running, placed, running, wait
from tests.serving.online.production import PROD, on_prod

GOOD = {"x": 0.25, "y": -0.5}
REQUESTS, MOVES, CLIENTS = 10_000, 20, 4
EACH = REQUESTS // (MOVES + 1) + 1


class Answer(NamedTuple):
    sent: datetime
    received: datetime
    status: int
    version: int
    digest: str


class Clients:
    """Ask without a pause, each over one connection; whatever breaks it ends the test."""

    def __init__(self, server: Running) -> None:
        self.answers: list[Answer] = []
        self.broken: list[Exception] = []
        self._port, self._over = server.port, threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]

    def __enter__(self) -> "Clients":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def of(self, version: int) -> list[Answer]:
        return [each for each in list(self.answers) if each.version == version]

    def _ask(self) -> None:
        line = HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            while not self._over.is_set():
                sent = datetime.now(UTC)
                line.request("POST", "/predict", json.dumps(GOOD))
                found = line.getresponse()
                said = json.loads(found.read())
                model = said.get("model", {"version": 0, "digest": ""})
                signed = found.headers["x-model-version"]
                assert found.status != 200 or signed == str(model["version"])
                self.answers.append(
                    Answer(sent, datetime.now(UTC), found.status, model["version"], model["digest"])
                )
        except Exception as error:  # a dropped connection too is a request without an answer
            self.broken.append(error)


@pytest.mark.slow
def test_none_is_dropped_and_each_is_answered_by_the_champion_of_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A champion answers until the next one is loaded: nobody saw that answer before."""
    monkeypatch.setenv(ACTOR, "trainer@x.org")
    actor.cache_clear()
    life = Life(tmp_path / "home")
    life.home.mkdir()
    life.people()
    for leaf in range(20, 21 + MOVES):
        assert life.register(life.evidence(leaf)).accepted

    def promote(version: int) -> None:
        assert life.promote(to="prod", version=version).standing == "waiting"
        assert life.approve("ada", PROD).approved
        done = life.promote(to="prod", version=version)
        assert (done.standing, done.version) == ("champion", version)

    settings = on_prod(placed(life))
    promote(1)
    during = []
    with running(application(settings, QUICK)) as server:
        server.wait_for(1)
        with Clients(server) as clients:
            for version in range(2, 2 + MOVES):
                wait(lambda v=version: len(clients.of(v - 1)) >= EACH, "no answers between moves")
                before = len(clients.answers)
                promote(version)
                during.append(len(clients.answers) - before)
            wait(lambda: len(clients.of(1 + MOVES)) >= EACH, "no answers after the last move")
    answers = clients.answers

    assert not clients.broken
    assert len(answers) >= REQUESTS
    assert {each.status for each in answers} == {200}
    assert min(during) > 0, "each move happened while requests were answered"
    ledger = ledger_of(settings.stack)
    history = reigns(ledger, PROD)
    assert [each.version for each in history] == list(range(1, 2 + MOVES))
    assert {(each.kind, each.approved_by) for each in history} == {("promotion", ("ada@x.org",))}
    assert {(each.version, each.digest) for each in answers} == {
        (each.version, each.candidate) for each in history
    }
    assert len({each.candidate for each in history}) == 1 + MOVES
    assert audit(settings.stack).true

    intents = ledger.entries(Wanted(subject=PROD, action=("promotion",), outcome="intent"))
    moved = {int(each.event.facts["version"]): datetime.fromisoformat(each.at) for each in intents}
    seen = {v: min(each.received for each in clients.of(v)) for v in moved}
    for each in answers:
        assert moved[each.version] <= each.received, "it was not champion yet"
        assert each.version == 1 + MOVES or each.sent <= seen[each.version + 1], "not any more"
    actor.cache_clear()
