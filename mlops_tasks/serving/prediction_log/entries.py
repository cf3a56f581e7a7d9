"""From an answered request to what may be written of it.

Guarantees, each held by a test: what is no answer of this model, or does not fit together, is
refused before anything is written; what the policy keeps private is not in what comes out.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from mlops_tasks.serving.prediction_log.privacy import Kept, Privacy
from mlops_tasks.serving.prediction_log.records import Answered
from mlops_tasks.serving.prediction_log.segment import Context

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Entry(NamedTuple):
    """One record, and the day whose segment it belongs to."""

    day: date
    context: Context
    request: list[Any]
    rows: int


class Entries:
    """What is written of the answers of one model; not for two threads at once.

    Parameters
    ----------
    model
        Whose answers they are.
    privacy
        Which features are kept.
    """

    def __init__(self, model: str, privacy: Privacy) -> None:
        self._model = model
        self._privacy = privacy
        self._contexts: dict[tuple[object, ...], tuple[Context, Kept]] = {}

    def check(self, names: Sequence[str]) -> None:
        """Refuse a model whose features the policy of privacy does not fit.

        Raises
        ------
        SettingsError
            If the policy names a feature that neither it nor one before it has.
        """
        self._privacy.kept(names)

    def of(self, answered: Answered) -> Entry:
        """What is written of an answer.

        Raises
        ------
        SettingsError
            If the policy names a feature that no model has had.
        ValueError
            If it is no answer of this model, or its parts do not fit together.
        """
        self._verify(answered)
        at, rows = answered.time.astimezone(UTC), answered.rows
        context, kept = self._context(answered)
        request = [
            0,
            answered.request_id,
            (at - EPOCH) // MICROSECOND,
            answered.latency_ms,
            kept.of(rows),
            answered.scores,
            answered.predictions,
        ]
        return Entry(at.date(), context, request, len(rows))

    def _verify(self, answered: Answered) -> None:
        if answered.time.tzinfo is None:
            raise ValueError("the time of an answer needs a zone")
        if answered.model != self._model:
            raise ValueError(f"this is the log of {self._model}, not of {answered.model}")
        width, length = len(answered.names), len(answered.rows)
        if not 0 < length == len(answered.scores) == len(answered.predictions):
            raise ValueError("rows, scores and predictions must be equally long, and not empty")
        if any(len(row) != width for row in answered.rows):
            raise ValueError("a row has not as many values as there are names")

    def _context(self, answered: Answered) -> tuple[Context, Kept]:
        key = (answered.version, answered.digest, answered.region, answered.role, answered.names)
        found = self._contexts.get(key)
        if found is None:
            kept = self._privacy.kept(answered.names)
            context = Context(self._model, *key[:-1], kept.names)
            found = self._contexts[key] = (context, kept)
        return found
