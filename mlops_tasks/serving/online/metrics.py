"""What Prometheus sees of one server; a registry of its own, so two servers do not mix.

Guarantee: labels have few values; nothing that a client sends becomes one.
"""

from dataclasses import asdict
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from mlops_tasks.serving.online.outages import Cause
from mlops_tasks.serving.traffic.shadow import Counts

CONTENT_TYPE = CONTENT_TYPE_LATEST
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Counters of one server."""

    def __init__(self, routes: tuple[str, ...]) -> None:
        self._registry = CollectorRegistry()
        self._routes = {*routes}
        ours: Any = {"registry": self._registry}
        self._requests = Counter(
            "mlops_requests", "Requests that were answered", ["route", "status"], **ours
        )
        self._seconds = Histogram(
            "mlops_request_seconds", "Time to answer", ["route"], buckets=BUCKETS, **ours
        )
        self._rows = Counter("mlops_rows", "Rows that were scored", ["version", "role"], **ours)
        self._loads = Counter(
            "mlops_model_loads", "Versions that were loaded, or refused", ["outcome"], **ours
        )
        self._failures = Counter(
            "mlops_model_failures", "Requests on which a model broke", ["version"], **ours
        )
        self._model = Gauge(
            "mlops_model_info",
            "The champion that answers: always 1",
            ["model", "version", "digest", "predictor"],
            **ours,
        )
        self._shadowed = Gauge(
            "mlops_shadow_requests",
            "What became of the requests of the shadow that stands",
            ["outcome"],
            **ours,
        )
        self._bound: dict[tuple[str, int], Any] = {}
        self._rows_of: dict[tuple[int, str], Any] = {}

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        known = route if route in self._routes else "other"
        bound = self._bound.get((known, status))
        if bound is None:  # looking labels up costs more than counting
            bound = self._bound[known, status] = (
                self._requests.labels(known, str(status)),
                self._seconds.labels(known),
            )
        bound[0].inc()
        bound[1].observe(seconds)

    def scored(self, version: int, role: str, rows: int) -> None:
        """Count the rows of an answer."""
        bound = self._rows_of.get((version, role))
        if bound is None:
            bound = self._rows_of[version, role] = self._rows.labels(str(version), role)
        bound.inc(rows)

    def loaded(self, model: str, version: int, digest: str, predictor: str) -> None:
        """Another champion answers from now on."""
        self._loads.labels("switched").inc()
        self._model.clear()
        self._model.labels(model, str(version), digest, predictor).set(1)

    def refused(self, cause: Cause) -> None:
        """A version did not load."""
        self._loads.labels("refused" if cause == "version" else cause).inc()

    def broken(self, version: int) -> None:
        """A model broke on a request."""
        self._failures.labels(str(version)).inc()

    def page(self, shadow: Counts | None = None) -> bytes:
        """All of it in Prometheus' text format; `shadow` is what became of its requests."""
        self._shadowed.clear()
        for name, number in (asdict(shadow) if shadow else {}).items():
            self._shadowed.labels(name).set(number)
        return generate_latest(self._registry)
