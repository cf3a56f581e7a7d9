"""One request from rows to an answer that is on record.

How long scoring may take is the affair of `scoring`.

Guarantees, each held by a test: a request is decoded, scored and signed by one and the same
version; a value that the model refuses is the client's fault (422), a model that breaks is not: a
500 that is JSON and counted, and the next request is answered; an answer that could not be logged
is not given.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from mlops_tasks.errors import MlopsError
from mlops_tasks.evaluation.metrics import THRESHOLD
from mlops_tasks.inference.features import Row
from mlops_tasks.serving.online.loading import Served
from mlops_tasks.serving.online.metrics import Metrics
from mlops_tasks.serving.online.options import Options
from mlops_tasks.serving.online.problems import RequestRefused
from mlops_tasks.serving.online.scoring import Scoring
from mlops_tasks.serving.online.standing import Standing
from mlops_tasks.serving.prediction_log.records import Answered, Role
from mlops_tasks.serving.prediction_log.writer import PredictionLog

_log = logging.getLogger(__name__)


class Answers:
    """Scores and logs.

    Parameters
    ----------
    options, metrics
        How long scoring may take, and where a model that breaks is counted.
    region
        Where this server is; stands in every record.
    log
        Where answers are put on record before they are given.
    waits_for_disk
        Whether `log.append` takes as long as a disk does.
    """

    def __init__(
        self,
        options: Options,
        metrics: Metrics,
        region: str,
        log: PredictionLog,
        *,
        waits_for_disk: bool,
    ) -> None:
        self._metrics = metrics
        self._region = region
        self._log = log
        self._waits_for_disk = waits_for_disk
        self._scoring = Scoring(options.predict_seconds)
        # Many wait for the same call to the disk.
        self._logging = ThreadPoolExecutor(32, thread_name_prefix="logs")

    def close(self) -> None:
        """Give up what is still being scored."""
        self._scoring.close()
        self._logging.shutdown(wait=True)

    async def answer(
        self, standing: Standing, served: Served, role: Role, body: bytes, request_id: str
    ) -> Answered:
        """Decode, score and log one request.

        Parameters
        ----------
        standing
            Holds the shadow, if there is one.
        served, role
            Who answers.
        body
            Of the request.
        request_id
            Under which it is logged; nobody else's.

        Raises
        ------
        RequestRefused
            If the body does not fit the model, the model breaks, or model or log take too long.
        """
        began = time.perf_counter()
        rows = served.schema.rows(body)
        scores = await self._scores(served, rows)
        answered = Answered(
            request_id=request_id,
            time=datetime.now(UTC),
            model=served.model,
            version=served.version,
            digest=served.digest,
            region=self._region,
            role=role,
            latency_ms=(time.perf_counter() - began) * 1000,
            names=served.schema.names,
            rows=rows,
            scores=scores,
            predictions=[int(score >= THRESHOLD) for score in scores],
        )
        await self._on_record(answered)
        if role == "champion" and standing.shadowed:
            standing.shadowed.shadow.offer(answered)
        return answered

    async def _scores(self, served: Served, rows: list[Row]) -> list[float]:
        predictor = served.predictor
        try:
            scores = predictor.at_once(rows)
            if scores is None:
                scores = await self._scoring.scores(predictor, rows)
        except RequestRefused:
            raise
        except ValueError as error:
            raise RequestRefused(422, "refused", "the model refuses a value") from error
        except Exception as error:
            raise self._broken(served, type(error).__name__) from error
        if len(scores) != len(rows):
            raise self._broken(served, f"{len(scores)} scores for {len(rows)} rows")
        for place, score in enumerate(scores):
            if not math.isfinite(score):
                raise RequestRefused(422, "no_score", "the model has no score for it", row=place)
        return scores

    def _broken(self, served: Served, how: str) -> RequestRefused:
        """No value of a row gets into the log: not what the model said, only what kind it was."""
        self._metrics.broken(served.version)
        _log.error("version %s breaks: %s", served.version, how)
        return RequestRefused(500, "model_failed", "the model failed; the server's log says more")

    async def _on_record(self, answered: Answered) -> None:
        try:
            if self._waits_for_disk:
                await _run(self._logging, self._log.append, answered)
            else:
                self._log.append(answered)
        except MlopsError as error:
            _log.error("request %s is not answered: %s", answered.request_id, error.what)
            said = "the answer could not be put on record, so it is not given"
            raise RequestRefused(503, "not_logged", said) from error


async def _run(pool: ThreadPoolExecutor, function: Callable[..., Any], argument: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(pool, function, argument)
