"""What is answered is what the model says, by version, digest and request id, and is on record."""

import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import httpx
import numpy as np
import polars as pl
import pytest

from mlops_tasks.registry.release import current_champion
from mlops_tasks.serving.online.app import application
from mlops_tasks.serving.prediction_log.reader import predictions
from mlops_tasks.training.model_files import read_model
from tests.registry.life import PROJECT, Life
from tests.serving.online.conftest import STILL, Running, placed, running, wait


def rows(count: int, seed: int = 1) -> list[dict[str, float]]:
    values = np.random.default_rng(seed).uniform(-1, 1, (count, 2))
    return [{"x": float(x), "y": float(y)} for x, y in values]


def test_the_scores_are_those_of_the_champion(trained: Life, server: Running) -> None:
    champion = current_champion(trained.settings().stack, PROJECT)
    assert champion is not None
    model = read_model(champion.candidate.model_uri, champion.candidate.digest)
    asked = rows(300)
    expected = model.predict_proba(pl.DataFrame(asked))[:, 1]

    with server.client() as client:
        together = client.post("/predict", json=asked).json()
        alone = [client.post("/predict", json=row).json() for row in asked[:20]]

    scores = [each["score"] for each in together["predictions"]]
    assert np.allclose(scores, expected, atol=1e-5)
    assert [each["prediction"] for each in together["predictions"]] == [
        int(score >= 0.5) for score in expected
    ]
    assert [each["predictions"][0]["score"] for each in alone] == scores[:20]
    assert together["model"] == {
        "name": PROJECT,
        "version": 2,
        "digest": champion.candidate.digest,
    }


def test_a_fast_predictor_answers_and_version_says_where_it_comes_from(server: Running) -> None:
    with server.client() as client:
        facts = client.get("/version").json()

    assert (facts["predictor"], facts["predictor_reason"]) == ("onnx", "")
    assert (facts["name"], facts["version"]) == (PROJECT, 2)
    assert facts["lineage"]["git_commit"] == "none"
    assert facts["lineage_command"] == f"mlops lineage {PROJECT}@2"
    assert (facts["canary_version"], facts["shadow_version"]) == (None, None)


def test_every_answer_has_an_id_of_its_own_whatever_clients_send(server: Running) -> None:
    def ask(_: int) -> httpx.Response:
        return httpx.post(
            f"{server.url}/predict", json=rows(1)[0], headers={"x-request-id": "mine-1"}
        )

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(ask, range(40)))

    ids = {each.json()["request_id"] for each in found}
    assert len(ids) == 40
    assert {each.headers["x-request-id"] for each in found} == ids
    assert {each.headers["x-client-request-id"] for each in found} == {"mine-1"}


@pytest.mark.parametrize("foreign", [b"a b", b"x" * 129, b"\xe4", b"<script>", b""])
def test_an_id_that_is_not_plain_is_not_repeated(server: Running, foreign: bytes) -> None:
    answer = httpx.post(
        f"{server.url}/predict", json=rows(1)[0], headers={b"x-request-id": foreign}
    )

    assert answer.status_code == 200
    assert "x-client-request-id" not in answer.headers


def test_what_was_answered_is_in_the_log_under_its_id(trained: Life, server: Running) -> None:
    asked = rows(3, seed=5)
    answer = httpx.post(f"{server.url}/predict", json=asked).json()

    found = logged(trained, answer["request_id"])

    assert found["row"].to_list() == [0, 1, 2]
    assert found["feature.x"].to_list() == [each["x"] for each in asked]
    assert found["feature.y"].to_list() == [each["y"] for each in asked]
    assert found["score"].to_list() == [each["score"] for each in answer["predictions"]]
    assert set(found["version"]) == {2}
    assert set(found["digest"]) == {answer["model"]["digest"]}
    assert set(found["role"]) == {"champion"}
    assert set(found["region"]) == {"here"}
    assert all(taken > 0 for taken in found["latency_ms"])


def test_refused_requests_are_not_in_the_log(trained: Life, server: Running) -> None:
    answer = httpx.post(f"{server.url}/predict", json={"x": 1.0}).json()

    assert logged(trained, answer["request_id"]).is_empty()


@pytest.mark.parametrize("sync_seconds", [0.0, 1.0])
def test_an_answer_that_cannot_be_logged_is_not_given(trained: Life, sync_seconds: float) -> None:
    settings = placed(trained, sync_seconds=sync_seconds)
    with running(application(settings, STILL)) as found:
        wait(lambda: httpx.get(f"{found.url}/readyz").status_code == 200, "not ready")
        assert httpx.post(f"{found.url}/predict", json=rows(1)).status_code == 200
        with full_disk():
            answer = httpx.post(f"{found.url}/predict", json=rows(1))
        after = httpx.post(f"{found.url}/predict", json=rows(1))

    assert answer.status_code == 503
    assert answer.json()["code"] == "not_logged"
    assert "predictions" not in answer.json()
    assert after.status_code == 200


def test_metrics_count_requests_and_rows(server: Running) -> None:
    def count(name: str) -> float:
        page = httpx.get(f"{server.url}/metrics").text
        return next(
            (float(line.split()[-1]) for line in page.splitlines() if line.startswith(name)), 0.0
        )

    answered = 'mlops_requests_total{route="/predict",status="200"}'
    scored = 'mlops_rows_total{role="champion",version="2"}'
    before = count(answered), count(scored)
    for _ in range(3):
        httpx.post(f"{server.url}/predict", json=rows(5))

    assert (count(answered) - before[0], count(scored) - before[1]) == (3, 15)
    assert 'mlops_model_info{digest="' in httpx.get(f"{server.url}/metrics").text
    httpx.get(f"{server.url}/nowhere/at/all")
    assert "/nowhere" not in httpx.get(f"{server.url}/metrics").text


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process can grow; sockets are not files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def logged(trained: Life, request_id: str) -> pl.DataFrame:
    now = datetime.now(UTC)
    frame = predictions(placed(trained), PROJECT, now - timedelta(days=1), now + timedelta(days=1))
    return frame.filter(pl.col("request_id") == request_id).sort("row")
