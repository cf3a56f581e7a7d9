"""What each route does; which routes there are is `app`'s affair, what an answer is `answers`'."""

import asyncio
from dataclasses import asdict

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from mlops_tasks.serving.online.answers import Answers
from mlops_tasks.serving.online.envelope import GONE, REQUEST_ID, SERVED
from mlops_tasks.serving.online.keys import SCOPES, KeyRing
from mlops_tasks.serving.online.limits import ClientGone, read_body
from mlops_tasks.serving.online.loading import Served
from mlops_tasks.serving.online.metrics import CONTENT_TYPE, Metrics
from mlops_tasks.serving.online.openapi import (
    Answer,
    Health,
    ModelName,
    Prediction,
    Version,
    document,
)
from mlops_tasks.serving.online.options import Options
from mlops_tasks.serving.online.problems import RequestRefused
from mlops_tasks.serving.online.slot import Slot

JSON = "application/json"
KEY_HEADER = b"x-request-key"


class Endpoints:
    """The routes of one server.

    Parameters
    ----------
    slot, answers
        Hold the versions that answer, and let them.
    keys
        Who may ask.
    options, metrics
        Limits, and where rows are counted.
    """

    def __init__(
        self,
        slot: Slot,
        answers: Answers,
        keys: KeyRing,
        options: Options,
        metrics: Metrics,
    ) -> None:
        self._slot = slot
        self._answers = answers
        self._keys = keys
        self._options = options
        self._metrics = metrics
        self._encode = msgspec.json.Encoder().encode

    async def predict(self, request: Request) -> Response:
        """Score one row or a list of rows."""
        headers = dict(request.scope["headers"])
        self._admit(headers, "predict")
        kind = headers.get(b"content-type", b"application/json").split(b";")[0].strip().lower()
        if kind != b"application/json":
            raise RequestRefused(415, "not_json", "send the rows as application/json")
        limits = self._options
        try:
            body = await read_body(
                request.receive,
                headers,
                max_bytes=limits.max_body_bytes,
                seconds=limits.body_seconds,
            )
        except ClientGone:
            return Response(status_code=GONE)
        request_id: str = request.scope[REQUEST_ID]
        standing = self._slot.now
        answering = standing.answering(headers.get(KEY_HEADER, b"").decode("latin-1") or request_id)
        if answering is None:
            raise self._not_ready()
        served, role = answering
        request.scope[SERVED] = served
        found = await self._answers.answer(standing, served, role, body, request_id)
        self._metrics.scored(served.version, role, len(found.rows))
        answer = Answer(
            ModelName(served.model, served.version, served.digest),
            request_id,
            [Prediction(*each) for each in zip(found.scores, found.predictions, strict=True)],
        )
        return Response(self._encode(answer), media_type=JSON)

    async def version(self, request: Request) -> Response:
        """The champion, and what it came from."""
        self._admit(dict(request.scope["headers"]), *SCOPES)
        served = self._champion(request)
        standing = self._slot.now
        lineage = {name: str(value) for name, value in asdict(served.evidence.lineage).items()}
        facts = Version(
            name=served.model,
            version=served.version,
            digest=served.digest,
            run_id=served.run_id,
            evidence=served.evidence_digest,
            loaded=served.loaded,
            predictor=served.predictor.kind,
            predictor_reason=served.slow_because,
            lineage=lineage | {"train_digest": served.evidence.candidate.train.digest},
            lineage_command=f"mlops lineage {served.model}@{served.version}",
            canary_version=standing.canary.version if standing.canary else None,
            canary_weight=standing.canary_weight,
            shadow_version=standing.shadowed.served.version if standing.shadowed else None,
        )
        return Response(self._encode(facts), media_type=JSON)

    async def openapi(self, request: Request) -> Response:
        """The document of what answers."""
        self._admit(dict(request.scope["headers"]), *SCOPES)
        served = self._champion(request)
        locked = not self._keys.lets_in_everybody
        found = document(served.model, served.version, served.schema, locked=locked)
        return Response(self._encode(found), media_type=JSON)

    async def metrics(self, request: Request) -> Response:
        """Figures for Prometheus: the server's own, and the monitor's of the newest window."""
        self._admit(dict(request.scope["headers"]), "admin")
        shadowed = self._slot.now.shadowed
        page = self._metrics.page(shadowed.shadow.counts if shadowed else None)
        watched = await asyncio.to_thread(self._slot.gauges)
        return Response(page + watched, headers={"content-type": CONTENT_TYPE})

    async def healthz(self, request: Request) -> Response:
        """The process runs."""
        served = self._slot.now.champion
        return self._health(Health(served is not None, "", served.version if served else None))

    async def readyz(self, request: Request) -> Response:
        """Predictions are answered."""
        served = self._slot.now.champion
        if served:
            return self._health(Health(True, "", served.version))
        return self._health(Health(False, self._slot.waiting_for), 503)

    def _health(self, health: Health, status: int = 200) -> Response:
        return Response(self._encode(health), status, media_type=JSON)

    def _admit(self, headers: dict[bytes, bytes], *scopes: str) -> None:
        if self._keys.lets_in_everybody:
            return
        holder = self._keys.holder(headers.get(b"authorization", b""))
        if holder is None:
            raise RequestRefused(401, "no_key", "send a valid key as `Authorization: Bearer KEY`")
        if not set(scopes) & set(holder.scopes):
            raise RequestRefused(403, "wrong_scope", f"this needs a key with scope {scopes[0]}")

    def _champion(self, request: Request) -> Served:
        served = self._slot.now.champion
        if served is None:
            raise self._not_ready()
        request.scope[SERVED] = served
        return served

    def _not_ready(self) -> RequestRefused:
        return RequestRefused(503, "not_ready", self._slot.waiting_for)
