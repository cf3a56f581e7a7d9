"""A server of one version alone answers while that is champion or canary, and no longer."""

from dataclasses import replace

from mlops_tasks.serving.online.app import application
from mlops_tasks.serving.prediction_log.records import Role
from mlops_tasks.serving.traffic.steering import start_canary, withdraw_canary
from tests.registry.life import Life
from tests.serving.online.conftest import QUICK, Running, placed, running, wait


def role_of(life: Life, found: Running) -> Role:
    from datetime import UTC, datetime, timedelta

    from mlops_tasks.serving.prediction_log.reader import predictions

    said = found.ask("POST", "predict", json={"x": 0.1, "y": 0.2}).json()
    now, minute = datetime.now(UTC), timedelta(minutes=1)
    rows = predictions(placed(life), "demo", now - minute, now + minute, role=None)
    [role] = rows.filter(rows["request_id"] == said["request_id"])["role"]
    return role


def test_only_while_it_is_champion_or_canary(trained: Life) -> None:
    settings = placed(trained)
    with running(application(settings, replace(QUICK, version=1))) as found:
        wait(
            lambda: "neither champion nor canary" in found.ask("GET", "readyz").text,
            "it waits for something else",
        )
        assert found.ask("POST", "predict", json={"x": 0.1, "y": 0.2}).status_code == 503
        start_canary(trained.root, settings, 1, 0.25)
        try:
            found.wait_for(1)
            assert role_of(trained, found) == "canary"
        finally:
            withdraw_canary(settings)
        wait(lambda: found.ask("GET", "readyz").status_code == 503, "it still answers")


def test_the_champion_alone(trained: Life) -> None:
    settings = placed(trained)
    with running(application(settings, replace(QUICK, version=2))) as found:
        found.wait_for(2)
        assert role_of(trained, found) == "champion"
        start_canary(trained.root, settings, 1, 1.0)
        try:
            for _ in range(20):
                answer = found.ask("POST", "predict", json={"x": 0.1, "y": 0.2})
                assert answer.headers["x-model-version"] == "2", "the split is the cluster's affair"
        finally:
            withdraw_canary(settings)
