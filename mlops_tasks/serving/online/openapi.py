"""The OpenAPI 3.1 document of one version: made from the very types that decode its requests."""

from typing import Any

import msgspec

from mlops_tasks.serving.online.problems import Problem
from mlops_tasks.serving.online.schema import RowSchema

PROBLEMS = {
    "400": "The body is not JSON, or not UTF-8",
    "401": "There is no key, or it is not known",
    "403": "The key is not good for this",
    "408": "The body took too long to arrive",
    "413": "The body is too large",
    "415": "The body is declared as something other than JSON",
    "422": "The rows do not fit the model; `field` and `row` say where",
    "500": "The model failed",
    "503": "There is no champion yet, it took too long, too many ask, or it could not be logged",
}
ANYWHERE = ("401", "403")


class ModelName(msgspec.Struct, frozen=True):
    """Which version answered."""

    name: str
    version: int
    digest: str


class Prediction(msgspec.Struct, frozen=True):
    """Probability of the positive class, and the class at the threshold of the evaluation."""

    score: float
    prediction: int


class Answer(msgspec.Struct, frozen=True):
    """One prediction for each row, in the order of the request.

    Keep `request_id`: what turns out to be true is reported by it.
    """

    model: ModelName
    request_id: str
    predictions: list[Prediction]


class Version(msgspec.Struct, frozen=True):
    """What answers, and what it came from."""

    name: str
    version: int
    digest: str
    run_id: str
    evidence: str
    loaded: str
    predictor: str
    predictor_reason: str
    lineage: dict[str, str]
    lineage_command: str
    canary_version: int | None
    canary_weight: float
    shadow_version: int | None


class Health(msgspec.Struct, frozen=True):
    """`ready` says whether predictions are answered; `reason` why not."""

    ready: bool
    reason: str = ""
    version: int | None = None


def document(model: str, version: int, schema: RowSchema, *, locked: bool) -> dict[str, Any]:
    """The document of one version.

    Parameters
    ----------
    model, version
        What it is about.
    schema
        Of its requests.
    locked
        Whether keys are asked for.
    """
    template = "#/components/schemas/{name}"
    kinds = [schema.body_type, Answer, Version, Health, Problem]
    shapes, components = msgspec.json.schema_components(kinds, ref_template=template)
    body, answer, facts, health, problem = shapes
    unwell = {"description": "Not ready", "content": _json(health)}
    paths = {
        "/predict": {
            "post": {
                "operationId": "predict",
                "summary": "Score one row, or a list of rows",
                "parameters": [_REQUEST_ID, _REQUEST_KEY],
                "requestBody": {"required": True, "content": _json(body)},
                "responses": _answers("Scores", answer, problem, tuple(PROBLEMS)),
            }
        },
        "/version": {
            "get": {
                "operationId": "version",
                "summary": "The version that answers, and what it came from",
                "responses": _answers("Facts", facts, problem, (*ANYWHERE, "503")),
            }
        },
        "/metrics": {
            "get": {
                "operationId": "metrics",
                "summary": "Figures for Prometheus",
                "responses": _answers("Figures", None, problem, ANYWHERE),
            }
        },
        "/openapi.json": {
            "get": {
                "operationId": "openapi",
                "summary": "This document",
                "responses": _answers("OpenAPI", {"type": "object"}, problem, (*ANYWHERE, "503")),
            }
        },
        "/healthz": {
            "get": {
                "operationId": "healthz",
                "summary": "Whether the process runs",
                "security": [],
                "responses": {"200": {"description": "It runs", "content": _json(health)}},
            }
        },
        "/readyz": {
            "get": {
                "operationId": "readyz",
                "summary": "Whether predictions are answered",
                "security": [],
                "responses": {
                    "200": {"description": "Ready", "content": _json(health)},
                    "503": unwell,
                },
            }
        },
    }
    found: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": model, "version": str(version)},
        "paths": paths,
        "components": {"schemas": components},
    }
    if locked:
        found["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        found["security"] = [{"key": []}]
    return found


_REQUEST_ID = {
    "name": "x-request-id",
    "in": "header",
    "required": False,
    "description": "Your own id; up to 128 of A-Z a-z 0-9 . _ - come back as x-client-request-id",
    "schema": {"type": "string"},
}
_REQUEST_KEY = {
    "name": "x-request-key",
    "in": "header",
    "required": False,
    "description": "Who asks, for example a customer: the same key gets the same version",
    "schema": {"type": "string"},
}


def _json(shape: Any) -> dict[str, Any]:
    return {"application/json": {"schema": shape}}


def _answers(what: str, shape: Any, problem: Any, problems: tuple[str, ...]) -> dict[str, Any]:
    plain = {"text/plain": {"schema": {"type": "string"}}}
    good = {"description": what, "content": plain if shape is None else _json(shape)}
    bad = {code: {"description": PROBLEMS[code], "content": _json(problem)} for code in problems}
    return {"200": good, **bad}
