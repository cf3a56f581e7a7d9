"""Promotions, rollbacks and what does not load: the server follows, and nobody is kept waiting."""

import weakref
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from mlops_tasks.governance.ledger import Wanted
from mlops_tasks.governance.record import ledger_of
from mlops_tasks.serving.online.app import application
from mlops_tasks.serving.online.metrics import Metrics
from mlops_tasks.serving.online.shelf import ACTION
from mlops_tasks.serving.online.slot import Slot
from mlops_tasks.serving.prediction_log.reader import predictions
from mlops_tasks.serving.prediction_log.writer import open_log
from mlops_tasks.serving.traffic.steering import (
    start_canary,
    start_shadow,
    withdraw_canary,
    withdraw_shadow,
)
from tests.registry.life import PROJECT, Life
from tests.serving.online.conftest import QUICK, Running, artifacts, placed, running, wait

GOOD = {"x": 0.25, "y": -0.5}


@pytest.fixture
def following(trained: Life) -> Iterator[Running]:
    """A server that looks often; the champion is 2 before and after."""
    with running(application(placed(trained), QUICK)) as found:
        found.wait_for(2)
        yield found
    if trained.aliases().champion != 2:
        trained.rollback(to=2)


def test_a_champion_that_was_altered_leaves_the_old_one_and_an_event_says_why(
    trained: Life, following: Running
) -> None:
    assert trained.rollback(to=1).version == 1
    following.wait_for(1)
    sealed = artifacts(trained, 2) / "package" / "model.onnx"
    content = sealed.read_bytes()

    # It is altered after it was let in: the registry says champion, the seal says no.
    with altered(sealed, content[:-1] + bytes([content[-1] ^ 1])):
        _point(trained, 2)
        wait(lambda: _events(trained, "refused", "2") != [], "no event")
        for _ in range(20):
            assert _version(following) == 1
        wait(lambda: _metric(following, 'mlops_model_loads_total{outcome="refused"}') >= 2, "once")
        (event,) = _events(trained, "refused", "2")

    assert (event.facts["role"], event.facts["from"]) == ("champion", "1")
    assert event.reason
    following.wait_for(2)  # what was put right is tried again
    assert _events(trained, "switched", "2")


def test_a_version_that_was_replaced_is_freed(trained: Life) -> None:
    settings = placed(trained)
    log = open_log(settings)
    slot = Slot(settings.stack, PROJECT, QUICK, Metrics(()), log)
    slot.refresh()
    champion = slot.now.champion
    assert champion is not None
    assert champion.version == 2
    native = champion.predictor._native  # type: ignore[attr-defined]
    held = [weakref.ref(each) for each in (champion.predictor, native._estimator)]
    del champion, native
    trained.rollback(to=1)
    try:
        slot.refresh()
        assert slot.now.champion is not None
        assert slot.now.champion.version == 1
        # What a switch freezes is never looked through again: nothing may wait for that.
        assert [each() for each in held] == [None, None]
    finally:
        log.close()
        trained.rollback(to=2)


def test_each_switch_is_on_record_once(trained: Life, following: Running) -> None:
    before = len(_events(trained, "switched", "1"))

    trained.rollback(to=1)
    following.wait_for(1)
    _version(following)

    found = _events(trained, "switched", "1")
    assert len(found) == before + 1
    assert found[-1].facts["from"] == "2"


def test_an_alias_that_is_gone_does_not_end_the_service(trained: Life, following: Running) -> None:
    from mlops_tasks.registry.client import connect

    client = connect(trained.settings().stack)
    client.delete_registered_model_alias(PROJECT, "champion")
    try:
        assert _stays(following, 2)
    finally:
        _point(trained, 2)


def test_a_registry_that_does_not_answer_does_not_end_the_service(
    trained: Life, following: Running
) -> None:
    database = trained.home / "mlflow.db"
    aside = database.with_suffix(".aside")
    database.rename(aside)
    database.mkdir()
    try:
        assert _stays(following, 2)
    finally:
        database.rmdir()
        aside.rename(database)
    trained.rollback(to=1)
    following.wait_for(1)


def test_the_first_champion_answers_as_soon_as_there_is_one(
    trained: Life, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from mlops_tasks.registry.client import connect

    client = connect(trained.settings().stack)
    client.delete_registered_model_alias(PROJECT, "champion")
    with running(application(placed(trained), QUICK)) as found:
        wait(lambda: "no champion" in found.ask("GET", "readyz").text, "it does not say so")
        assert found.ask("POST", "predict", json=GOOD).status_code == 503
        _point(trained, 2)
        found.wait_for(2)
        assert _version(found) == 2


def test_a_canary_answers_its_share_stickily_and_its_withdrawal_ends_it(
    trained: Life, following: Running
) -> None:
    start_canary(trained.root, placed(trained), 1, 0.3)
    wait(lambda: _facts(following)["canary_version"] == 1, "no canary")
    keys = [f"customer-{number}" for number in range(300)]
    first = {key: _version(following, key) for key in keys}

    assert {key: _version(following, key) for key in keys} == first
    share = sum(version == 1 for version in first.values()) / len(keys)
    assert 0.2 < share < 0.4
    assert _facts(following)["canary_weight"] == 0.3
    assert set(_logged(trained, "canary")["version"]) == {1}

    withdraw_canary(placed(trained))
    wait(lambda: _facts(following)["canary_version"] is None, "the canary stays")
    assert {_version(following, key) for key in keys[:50]} == {2}


def test_a_shadow_answers_nobody_and_is_logged(trained: Life, following: Running) -> None:
    start_shadow(placed(trained), 1)
    wait(lambda: _facts(following)["shadow_version"] == 1, "no shadow")
    ids = set()
    for _ in range(20):
        answer = following.ask("POST", "predict", json=GOOD).json()
        assert answer["model"]["version"] == 2
        ids.add(answer["request_id"])

    def shadowed() -> set[str]:
        return set(_logged(trained, "shadow").filter(pl.col("version") == 1)["request_id"])

    wait(lambda: ids <= shadowed(), "not all requests reached the shadow")
    assert _metric(following, 'mlops_shadow_requests{outcome="logged"}') >= 20
    withdraw_shadow(placed(trained))
    wait(lambda: _facts(following)["shadow_version"] is None, "the shadow stays")


def test_a_canary_that_was_altered_leaves_all_to_the_champion(
    trained: Life, following: Running
) -> None:
    sealed = artifacts(trained, 1) / "package" / "serving.json"
    start_canary(trained.root, placed(trained), 1, 1.0)
    wait(lambda: _facts(following)["canary_version"] == 1, "no canary")
    withdraw_canary(placed(trained))
    wait(lambda: _facts(following)["canary_version"] is None, "the canary stays")
    content = sealed.read_bytes()
    start_canary(trained.root, placed(trained), 1, 1.0)
    spoilt = content.replace(b"onnx", b"oonx")
    with altered(sealed, spoilt), running(application(placed(trained), QUICK)) as found:
        found.wait_for(2)
        wait(lambda: _events(trained, "refused", "1") != [], "no event")
        assert {_version(found, f"key-{number}") for number in range(20)} == {2}
    withdraw_canary(placed(trained))


def test_a_package_from_before_forms_were_sealed_answers_natively(trained: Life) -> None:
    from mlops_tasks.governance.model_seal import seal
    from mlops_tasks.registry.release import signing_key

    folder = artifacts(trained, 2)
    kept = {
        name: (folder / "package" / name).read_bytes()
        for name in ("serving.json", "model.onnx", "profile.json")
    }
    signature = (folder / "package.sig").read_bytes()
    for name in kept:
        (folder / "package" / name).unlink()
    seal(folder / "package", folder / "package.sig", signing_key(trained.settings().stack))
    try:
        with running(application(placed(trained), QUICK)) as found:
            found.wait_for(2)
            facts = _facts(found)
            assert (facts["predictor"], _version(found)) == ("native", 2)
            assert "before" in facts["predictor_reason"]
    finally:
        for name, content in kept.items():
            (folder / "package" / name).write_bytes(content)
        (folder / "package.sig").write_bytes(signature)


def test_the_training_rows_are_not_needed(trained: Life) -> None:
    store = trained.home / "store"
    gone = list(store.rglob("*.parquet"))
    assert gone
    for path in gone:
        path.rename(path.with_suffix(".gone"))
    try:
        with running(application(placed(trained), replace(QUICK))) as found:
            found.wait_for(2)
            assert _facts(found)["predictor"] == "onnx"
    finally:
        for path in gone:
            path.with_suffix(".gone").rename(path)


class altered:  # noqa: N801 - reads as a word in `with`
    def __init__(self, path, content: bytes) -> None:  # type: ignore[no-untyped-def]
        self.path, self.content, self.before = path, content, path.read_bytes()

    def __enter__(self) -> None:
        self.path.write_bytes(self.content)

    def __exit__(self, *error: object) -> None:
        self.path.write_bytes(self.before)


def _point(trained: Life, version: int) -> None:
    """Somebody with the registry's password moves the alias."""
    from mlops_tasks.registry.client import connect

    client = connect(trained.settings().stack)
    client.set_registered_model_alias(PROJECT, "champion", str(version))


def _stays(server: Running, version: int) -> bool:
    import time

    end = time.monotonic() + 20 * QUICK.poll_seconds
    while time.monotonic() < end:
        assert _version(server) == version
        time.sleep(0.01)
    return True


def _version(server: Running, key: str = "") -> int:
    headers = {"x-request-key": key} if key else {}
    answer = server.ask("POST", "predict", json=GOOD, headers=headers)
    assert answer.status_code == 200, answer.text
    found = answer.json()["model"]["version"]
    assert answer.headers["x-model-version"] == str(found)
    return int(found)


def _facts(server: Running) -> dict:  # type: ignore[type-arg]
    return server.ask("GET", "version").json()


def _events(trained: Life, outcome: str, version: str) -> list:  # type: ignore[type-arg]
    wanted = Wanted(subject=PROJECT, action=(ACTION,), outcome=outcome)
    found = [each.event for each in ledger_of(trained.settings().stack).entries(wanted)]
    return [each for each in found if each.facts["version"] == version]


def _metric(server: Running, name: str) -> float:
    page = server.ask("GET", "metrics").text
    found = (line.split()[-1] for line in page.splitlines() if line.startswith(name))
    return float(next(found, 0))


def _logged(trained: Life, role) -> pl.DataFrame:  # type: ignore[no-untyped-def]
    now = datetime.now(UTC)
    span = (now - timedelta(days=1), now + timedelta(days=1))
    return predictions(placed(trained), PROJECT, *span, role=role)
