"""Models that refuse, break or never come back: who is told what, and who is answered meanwhile."""

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import httpx
import polars as pl
import pytest

from mlops_tasks.inference.features import Feature
from mlops_tasks.inference.predictors import NativePredictor, OnnxPredictor, Predictor
from mlops_tasks.serving.online import shelf
from mlops_tasks.serving.online.app import application
from mlops_tasks.serving.online.scoring import MOST_GIVEN_UP, STUCK
from tests.registry.life import Life
from tests.serving.online.conftest import STILL, Running, placed, running, wait

GOOD = {"x": 0.25, "y": -0.5}
SLOW, BROKEN, SHORT = 2.0, 3.0, 4.0
UNLIKE = pl.exceptions.InvalidOperationError("conversion from `str` to `i64` failed: secret-17")
THROWN: list[tuple[Exception, int, str]] = [
    (ValueError("secret-17"), 422, "refused"),
    (TypeError("secret-17"), 500, "model_failed"),
    (pl.exceptions.ColumnNotFoundError("secret-17"), 500, "model_failed"),
    (RuntimeError("secret-17"), 500, "model_failed"),
    (MemoryError(), 500, "model_failed"),
]


@dataclass
class Moody:
    """The real model, and what it does at some values of x."""

    model: Predictor
    quickly: bool = False
    error: Exception | None = None
    begun: int = 0

    kind = "moody"

    def __post_init__(self) -> None:
        self.over = threading.Event()

    def at_once(self, rows: Sequence[Any]) -> list[float] | None:
        return self.scores(rows) if self.quickly else None

    def scores(self, rows: Sequence[Any]) -> list[float]:
        if rows[0][0] == SLOW:
            self.begun += 1
            self.over.wait()
        if rows[0][0] == BROKEN:
            assert self.error is not None
            raise self.error
        return self.model.scores(rows)[rows[0][0] == SHORT :]


@pytest.fixture
def moody(trained: Life, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Running, Moody]]:
    """A server whose model has moods, and half a second for each answer."""
    made: list[Moody] = []
    load = shelf.load_version

    def with_moods(*words: Any, **named: Any) -> Any:
        served = load(*words, **named)
        made.append(Moody(served.predictor))
        return replace(served, predictor=made[0])

    monkeypatch.setattr(shelf, "load_version", with_moods)
    with running(application(placed(trained), replace(STILL, predict_seconds=0.5))) as server:
        server.wait_for(2)
        try:
            yield server, made[0]
        finally:
            made[0].over.set()


@pytest.mark.parametrize("quickly", [True, False])
@pytest.mark.parametrize(("error", "status", "code"), THROWN)
def test_a_refusal_is_the_clients_fault_and_a_broken_model_is_not(
    moody: tuple[Running, Moody], error: Exception, status: int, code: str, quickly: bool
) -> None:
    server, model = moody
    model.quickly, model.error = quickly, error
    answer = server.ask("POST", "predict", json=GOOD | {"x": BROKEN})

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert "secret" not in answer.text
    assert server.ask("POST", "predict", json=GOOD).status_code == 200
    page = server.ask("GET", "metrics").text
    assert ('mlops_model_failures_total{version="2"} 1.0' in page) == (status == 500)
    assert f'mlops_requests_total{{route="/predict",status="{status}"}} 1.0' in page


def test_scores_that_are_not_one_for_each_row_are_not_given(moody: tuple[Running, Moody]) -> None:
    server, _ = moody
    answer = server.ask("POST", "predict", json=[GOOD | {"x": SHORT}, GOOD])

    assert (answer.status_code, answer.json()["code"]) == (500, "model_failed")


def test_scorings_that_were_given_up_do_not_pile_up(moody: tuple[Running, Moody]) -> None:
    server, model = moody

    def slow(_: int) -> httpx.Response:
        return httpx.post(f"{server.url}/predict", json=GOOD | {"x": SLOW}, timeout=60)

    with ThreadPoolExecutor(3 * MOST_GIVEN_UP) as pool:
        late = list(pool.map(slow, range(3 * MOST_GIVEN_UP)))
    assert {(each.status_code, each.json()["code"]) for each in late} == {(503, "too_slow")}
    assert all(each.headers["retry-after"] for each in late)
    for _ in range(20):
        if model.begun >= MOST_GIVEN_UP:
            break
        slow(0)
    begun = model.begun
    assert begun >= MOST_GIVEN_UP

    # Nothing more is begun, and nobody waits to be told so; what is quick is answered.
    began = time.monotonic()
    refused = [server.ask("POST", "predict", json=GOOD) for _ in range(20)]
    assert {each.json()["message"] for each in refused} == {STUCK}
    assert {each.status_code for each in refused} == {503}
    assert time.monotonic() - began < 20 * 0.5, "none of them waited for its deadline"
    assert model.begun == begun
    assert server.ask("GET", "healthz").status_code == 200
    assert sum(each.name.startswith("scores") for each in threading.enumerate()) >= MOST_GIVEN_UP

    model.over.set()
    wait(lambda: server.ask("POST", "predict", json=GOOD).status_code == 200, "it stays refused")


def test_others_are_answered_while_few_are_given_up(moody: tuple[Running, Moody]) -> None:
    server, model = moody
    for _ in range(MOST_GIVEN_UP - 1):
        assert server.ask("POST", "predict", json=GOOD | {"x": SLOW}).status_code == 503
    assert model.begun == MOST_GIVEN_UP - 1
    for _ in range(10):
        assert server.ask("POST", "predict", json=GOOD).status_code == 200


class Estimator:
    """Says what it is told to."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def predict_proba(self, frame: pl.DataFrame) -> Any:
        raise self.error


FEATURES = (Feature("x", "float", pl.Float64(), False),)


@pytest.mark.parametrize("error", [UNLIKE, pl.exceptions.ComputeError("x"), OverflowError("x")])
def test_a_value_is_refused_in_one_way_whatever_library_says_so(error: Exception) -> None:
    native = NativePredictor(Estimator(error), FEATURES)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="refuses a value"):
        native.scores([(0.5,)])


def test_where_onnx_runtime_breaks_the_model_itself_is_asked() -> None:
    class Session:
        def run(self, *words: Any) -> Any:
            raise RuntimeError("[ONNXRuntimeError] : 1 : FAIL")

    class Native:
        def scores(self, rows: Any) -> list[float]:
            return [0.75 for _ in rows]

    predictor = OnnxPredictor.__new__(OnnxPredictor)
    predictor._session, predictor._native = Session(), Native()  # type: ignore[assignment]
    predictor._numbers, predictor._texts, predictor._columns = 1, [], ["x"]
    predictor._together = True
    assert predictor.scores([(0.5,)]) == [0.75]
    assert predictor.at_once([(0.5,)]) is None, "the model itself may take long"
