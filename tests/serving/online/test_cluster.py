"""Servers started as the manifests start them, in a stage that needs signatures, while it moves."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlops_tasks.errors import LedgerError
from mlops_tasks.governance.record import ACTOR, actor
from mlops_tasks.registry.rollback import rollback
from mlops_tasks.serving.online import shelf
from mlops_tasks.serving.online import slot as slots
from mlops_tasks.serving.online.metrics import Metrics
from mlops_tasks.serving.online.slot import Slot
from mlops_tasks.serving.prediction_log.writer import open_log
from mlops_tasks.serving.traffic.manifests import manifests
from mlops_tasks.serving.traffic.pods import Deployed
from mlops_tasks.serving.traffic.state import Traffic, traffic_of
from mlops_tasks.serving.traffic.steering import start_canary, start_shadow
from tests.registry.life import Life
from tests.serving.online.conftest import QUICK, Running, placed, wait
from tests.serving.online.production import PROD, Production, on_prod, started

pytestmark = pytest.mark.slow
GOOD = {"x": 0.25, "y": -0.5}


@pytest.fixture
def production(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Production]:
    """Version 1 is champion of prod, version 2 is approved."""
    monkeypatch.setenv(ACTOR, "trainer@x.org")
    actor.cache_clear()
    life = Life(tmp_path / "home")
    life.home.mkdir()
    life.people()
    production = Production(life)
    for leaf in (40, 20):
        version = production.register(leaf)
        production.approve(version)
        if version == 1:
            production.promote(version)
    yield production
    actor.cache_clear()


def commands(traffic: Traffic) -> dict[str, list[str]]:
    """What the containers of each file and track run."""
    files = manifests(Deployed(name="demo", image="demo:1", port=8080), traffic)
    found = {}
    for name, documents in files.items():
        for document in documents:
            spec: Any = document["spec"]
            if document["kind"] == "Deployment":
                spec = spec["template"]["spec"]
                name = document["metadata"]["name"]
            elif document["kind"] == "InferenceService":
                spec = spec["predictor"]
            else:
                continue
            [container] = spec["containers"]
            found[name] = container["command"]
    return found


def words_of(command: list[str]) -> list[str]:
    """What the container types after `mlops`; only the address is the test's."""
    return [{"0.0.0.0": "127.0.0.1", "8080": "0"}.get(word, word) for word in command[1:]]


class Asking(threading.Thread):
    """Asks one server without a pause, and keeps what it answered."""

    def __init__(self, server: Running) -> None:
        super().__init__()
        self.answers: list[tuple[int, str]] = []
        self._server, self._over = server, threading.Event()

    def run(self) -> None:
        with httpx.Client(base_url=self._server.url, timeout=30) as client:
            while not self._over.is_set():
                found = client.post("/predict", json=GOOD)
                version = found.headers.get("x-model-version", found.text)
                self.answers.append((found.status_code, version))

    def __enter__(self) -> "Asking":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self.join()


def test_the_champions_pod_goes_on_answering_and_follows(
    production: Production, tmp_path: Path
) -> None:
    rendered = commands(Traffic(2, 0.5))
    command = rendered["demo-champion"]
    assert command == rendered["kserve-1-champion.yaml"]
    start_canary(production.life.root, production.settings, 2, 0.5)
    with started(production.life, words_of(command), tmp_path, prod=True) as server:
        server.wait_for(1)
        with Asking(server) as asking:
            wait(lambda: len(asking.answers) > 50, "no answers")
            assert {version for _, version in asking.answers} == {"1"}, "the canary has its own pod"
            production.promote(2)
            server.wait_for(2)
            rollback(production.settings.stack, PROD, to=1)
            server.wait_for(1)
    assert {status for status, _ in asking.answers} == {200}
    versions = [version for _, version in asking.answers]
    assert [each for n, each in enumerate(versions) if versions[n - 1 : n] != [each]] == list("121")


def test_the_canarys_pod_goes_on_as_champion_and_is_unready_once_it_is_neither(
    production: Production, tmp_path: Path
) -> None:
    start_canary(production.life.root, production.settings, 2, 0.5)
    command = commands(traffic_of(production.settings.stack, PROD))["demo-canary"]
    with started(production.life, words_of(command), tmp_path, prod=True) as server:
        server.wait_for(2)
        with Asking(server) as asking:
            wait(lambda: len(asking.answers) > 20, "no answers")
            production.promote(2)
            wait(lambda: server.ask("GET", "version").json()["canary_version"] is None, "canary")
            before = len(asking.answers)
            wait(lambda: len(asking.answers) > before + 20, "no answers")
        assert set(asking.answers) == {(200, "2")}
        assert server.ask("GET", "readyz").status_code == 200
        start_shadow(production.settings, 1)
        wait(lambda: server.ask("GET", "version").json()["shadow_version"] == 1, "no shadow")
        rollback(production.settings.stack, PROD, to=1)
        wait(lambda: server.ask("GET", "readyz").status_code == 503, "it still answers")


def test_a_promotion_between_two_looks_of_a_pinned_server_is_no_gap(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_canary(production.life.root, production.settings, 2, 0.5)
    settings = on_prod(placed(production.life))
    log = open_log(settings)
    slot = Slot(settings.stack, PROD, replace(QUICK, version=2), Metrics(()), log)
    slot.refresh()
    assert slot.now.canary is not None

    def meanwhile(*words: Any) -> Traffic:
        production.promote(2)
        return traffic_of(*words)

    with monkeypatch.context() as patch:
        patch.setattr(slots, "traffic_of", meanwhile)
        slot.refresh()
    log.close()
    assert slot.now.champion is not None
    assert slot.now.canary is None


def test_a_pinned_canary_goes_on_where_its_promotion_cannot_be_put_on_record(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*words: Any) -> None:
        raise LedgerError("the ledger is not there")

    start_canary(production.life.root, production.settings, 2, 0.5)
    settings = on_prod(placed(production.life))
    log = open_log(settings)
    slot = Slot(settings.stack, PROD, replace(QUICK, version=2), Metrics(()), log)
    slot.refresh()
    production.promote(2)
    with monkeypatch.context() as patch:
        patch.setattr(shelf, "record", silent)
        slot.refresh()
    assert slot.now.canary is not None, "it answers in the role that it had"
    wait(lambda: slot.refresh() or slot.now.canary is None, "it does not become champion")
    assert slot.now.champion is not None
    log.close()
