"""A server that is killed under load, again and again: what it acknowledged is in the log, once."""

import random
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from mlops_tasks.platform.local_server import free_port
from mlops_tasks.serving.online.server import serve
from mlops_tasks.serving.prediction_log.reader import predictions
from tests.forks import FORKS
from tests.registry.life import PROJECT, Life
from tests.serving.online.conftest import QUICK, placed, wait

pytestmark = pytest.mark.slow
KILLS = 20
CLIENTS = 4


def run_server(home: str, port: int) -> None:
    serve(placed(Life(Path(home)), roll_seconds=0.3), QUICK, port=port)


def ask(url: str, acknowledged: list[tuple[str, int]], stop: threading.Event) -> None:
    """Send requests one after the other, and note each answer that came back whole."""
    rng = random.Random()
    with httpx.Client(base_url=url, timeout=10) as client:
        while not stop.is_set():
            rows = [{"x": rng.uniform(-1, 1), "y": rng.uniform(-1, 1)} for _ in range(2)]
            try:
                answer = client.post("/predict", json=rows)
            except httpx.HTTPError:
                time.sleep(0.005)
                continue
            if answer.status_code == 200:
                found = answer.json()
                acknowledged += [(found["request_id"], row) for row in range(2)]


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def test_no_acknowledged_prediction_is_lost_or_doubled(trained: Life) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    acknowledged: list[tuple[str, int]] = []
    rng, began = random.Random(4), datetime.now(UTC)  # other tests were answered before
    stop = threading.Event()
    clients = [threading.Thread(target=ask, args=(url, acknowledged, stop)) for _ in range(CLIENTS)]
    for each in clients:
        each.start()
    try:
        for _ in range(KILLS):
            before = len(acknowledged)
            server = FORKS.Process(target=run_server, args=(str(trained.home), port))
            server.start()
            wait(lambda: ready(url), "the server does not start")
            time.sleep(rng.uniform(0.05, 0.6))
            server.kill()
            server.join()
            assert len(acknowledged) > before, "it was killed under load"
    finally:
        stop.set()
        for each in clients:
            each.join()
    end = datetime.now(UTC) + timedelta(minutes=1)
    logged = predictions(placed(trained), PROJECT, began, end)
    found = list(zip(logged["request_id"], logged["row"], strict=True))
    assert len(found) == len(set(found)), "nothing twice"
    assert set(acknowledged) <= set(found), "nothing lost"
    assert len(found) - len(acknowledged) <= 2 * CLIENTS * KILLS, "logged, and not yet answered"
