"""A real server over HTTP: keys stay with their version; the shadow is logged and not heard."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlops_tasks.serving.online.app import Application, key_ring
from mlops_tasks.serving.online.options import Options
from mlops_tasks.serving.prediction_log.reader import EVER, predictions
from mlops_tasks.serving.traffic.split import choose, salt_of
from mlops_tasks.serving.traffic.steering import (
    start_canary,
    start_shadow,
    widen_canary,
    withdraw_canary,
    withdraw_shadow,
)
from mlops_tasks.settings import Settings
from tests.registry.life import PROJECT
from tests.serving.online.conftest import running, wait
from tests.serving.traffic.conftest import Home

KEYS = [f"customer-{n}" for n in range(60)]


@pytest.fixture
def settings(home: Home, tmp_path: Path) -> Settings:
    """Those of the home, with a log of the test's own."""
    stack = home.settings.stack.model_copy(update={"predictions": str(tmp_path / "predictions")})
    return home.settings.model_copy(update={"stack": stack})


def test_a_split_over_http(home: Home, settings: Settings) -> None:
    root = home.life.root
    options = replace(Options(), poll_seconds=0.05)
    answered: dict[str, tuple[str, int]] = {}

    app = Application(settings, options, key_ring(settings.stack, options))
    with running(app) as server, server.client() as client:

        def now() -> tuple[Any, ...]:
            found = client.get("/version")
            if found.status_code != httpx.codes.OK:
                return ()
            told = found.json()
            return told["canary_version"], told["canary_weight"], told["shadow_version"]

        def who() -> dict[str, int]:
            versions = {}
            for key in KEYS:
                row = {"x": 0.25, "y": -0.5}
                done = client.post("/predict", json=row, headers={"x-request-key": key})
                assert done.status_code == httpx.codes.OK, done.text
                versions[key] = done.json()["model"]["version"]
                answered[done.json()["request_id"]] = (key, versions[key])
            return versions

        def split(weight: float) -> dict[str, int]:
            return {key: 2 if choose(key, weight, salt_of(PROJECT, 2)) else 1 for key in KEYS}

        wait(lambda: now() == (None, 0.0, None), "the champion does not answer")
        assert set(who().values()) == {1}

        start_canary(root, settings, 2, 0.3)
        wait(lambda: now() == (2, 0.3, None), "the canary does not begin")
        assert who() == who() == split(0.3)
        widen_canary(root, settings, 0.7)
        wait(lambda: now() == (2, 0.7, None), "the canary does not grow")
        assert who() == split(0.7)

        start_shadow(settings, 3)
        wait(lambda: now() == (2, 0.7, 3), "the shadow does not begin")
        before = set(answered)
        assert who() == split(0.7)
        asked = {each: answered[each] for each in set(answered) - before}

        def shadowed() -> set[str]:
            return set(predictions(settings, PROJECT, *EVER, role="shadow")["request_id"])

        of_champion = {each for each, (_, version) in asked.items() if version == 1}
        wait(lambda: shadowed() == of_champion, "the shadow is not logged")

        withdraw_canary(settings)
        withdraw_shadow(settings)
        wait(lambda: now() == (None, 0.0, None), "the canary does not end")
        assert set(who().values()) == {1}

    log = predictions(settings, PROJECT, *EVER, role=None)
    given = log.filter(log["role"] != "shadow")
    told = {
        request: (role, version)
        for request, role, version in given.select("request_id", "role", "version").iter_rows()
    }
    assert given.height == len(answered) == len(told)
    assert told == {
        request: ("canary" if version == 2 else "champion", version)
        for request, (_, version) in answered.items()
    }
    shadow = log.filter(log["role"] == "shadow")
    assert set(shadow["version"]) == {3}
    champion = given.join(shadow, on=["request_id", "row", "time"], how="semi")
    assert champion.height == shadow.height
    assert log["time"].max() < datetime.now(UTC)
