"""The versions that a server has loaded, each verified once, and those that it could not load.

Which of them answers is the affair of `slot`.

Guarantees, each held by a test: a version that does not load is an event in the ledger, written
once for each role and cause, and is tried again after pauses that double; one that was out of reach
is tried again after `outage_seconds`, however often; a version is given out only after the ledger
knows; one that asks for other columns than the champion never stands beside it.
"""

import logging
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_tasks.errors import LedgerError, MlopsError, RegistryError
from mlops_tasks.governance.events import Event
from mlops_tasks.governance.record import actor, record
from mlops_tasks.serving.online.loading import Served, load_version
from mlops_tasks.serving.online.metrics import Metrics
from mlops_tasks.serving.online.options import Options
from mlops_tasks.serving.online.outages import Cause, cause_at
from mlops_tasks.serving.prediction_log.records import Role
from mlops_tasks.serving.prediction_log.writer import PredictionLog
from mlops_tasks.settings.schema import StackSettings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

ACTION = "serving"
LONGEST_PAUSE = 3600.0
LONGEST_REASON = 2000
_log = logging.getLogger(__name__)
_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Refusal:
    again_at: float
    pause: float
    cause: Cause
    told: frozenset[Cause] = frozenset()


class Shelf:
    """Loaded versions of one model.

    Parameters
    ----------
    stack
        Where registry, ledger and store are.
    options, metrics
        Limits and pauses, and where to count.
    log
        Refuses a version whose columns do not fit the policy of privacy.
    """

    def __init__(
        self, stack: StackSettings, options: Options, metrics: Metrics, log: PredictionLog
    ) -> None:
        self._stack = stack
        self._options = options
        self._metrics = metrics
        self._log = log
        self._loaded: dict[_Key, Served] = {}
        self._known: dict[_Key, Role] = {}
        self._refused: dict[tuple[_Key, Role], _Refusal] = {}

    def take(
        self,
        client: "MlflowClient",
        version: "ModelVersion",
        role: Role,
        *,
        beside: Served | None = None,
        instead_of: Served | None = None,
    ) -> Served | None:
        """A version, ready to answer in a role; None where it does not load.

        Parameters
        ----------
        client, version
            As the registry names it.
        role
            What it is wanted for.
        beside
            The champion whose requests it must be able to answer too.
        instead_of
            What has answered in this role until now; goes on record.
        """
        from mlops_tasks.registry.client import talking

        key = _key(version)
        refusal = self._refused.get((key, role))
        if refusal and time.monotonic() < refusal.again_at:
            return None
        try:
            served = self._loaded.get(key)
            if served is None:
                with talking(self._stack):
                    served = load_version(
                        client, self._stack, version, max_rows=self._options.max_rows
                    )
                self._log.check(served.schema.names)
            if beside is not None:
                _require_same_rows(served, beside)
            if self._known.get(key) != role:
                self._on_record(version, role, "switched", served.digest, instead_of)
        except Exception as error:  # a model can fail in any way; the others must go on
            cause = cause_at(client, str(version.run_id), error)
            self._refuse(version, role, instead_of, error, cause)
            return None
        self._loaded[key], self._known[key] = served, role
        self._refused.pop((key, role), None)
        return served

    def keep_only(self, used: Collection[Served | None]) -> None:
        """Forget all versions but those that stand."""
        kept = {(str(each.version), each.run_id) for each in used if each}
        self._loaded = {key: each for key, each in self._loaded.items() if key in kept}
        self._known = {key: role for key, role in self._known.items() if key in kept}

    def _refuse(
        self,
        version: "ModelVersion",
        role: Role,
        instead_of: Served | None,
        error: Exception,
        cause: Cause,
    ) -> None:
        key = _key(version)
        reason = error.what if isinstance(error, MlopsError) else type(error).__name__
        self._metrics.refused(cause)
        # A stack of our own refusals tells nobody anything.
        stack = None if isinstance(error, MlopsError) else error
        how = "does not load" if cause == "version" else "is out of reach"
        _log.error("version %s %s as %s: %s", key[0], how, role, reason, exc_info=stack)
        before = self._refused.get((key, role))
        pause = self._pause(cause, before)
        told = before.told if before else frozenset()
        if cause not in told:
            try:
                self._on_record(version, role, "refused", "", instead_of, reason, cause)
                told |= {cause}
            except LedgerError as silence:
                _log.error("and the ledger cannot be told: %s", silence.what)
        self._refused[key, role] = _Refusal(time.monotonic() + pause, pause, cause, told)

    def _pause(self, cause: Cause, before: _Refusal | None) -> float:
        if cause == "outage":
            return self._options.outage_seconds
        if before is None or before.cause == "outage":
            return self._options.retry_seconds
        return min(before.pause * 2, LONGEST_PAUSE)

    def _on_record(
        self,
        version: "ModelVersion",
        role: Role,
        outcome: str,
        digest: str,
        instead_of: Served | None,
        reason: str = "",
        cause: Cause | None = None,
    ) -> None:
        event = Event(
            actor(),
            ACTION,
            str(version.name),
            outcome,
            reason[:LONGEST_REASON],
            {"candidate": digest} if digest else {},
            {
                "version": str(version.version),
                "run_id": str(version.run_id),
                "role": role,
                "from": str(instead_of.version) if instead_of else "",
                **({"cause": cause} if cause else {}),
            },
        )
        record(self._stack, event)


def _key(version: "ModelVersion") -> _Key:
    return str(version.version), str(version.run_id)


def _require_same_rows(served: Served, champion: Served) -> None:
    """A request is decoded by the version that answers it: both must take the same ones."""
    if not served.schema.takes_all_of(champion.schema):
        raise RegistryError(
            "its columns are not those of the champion, so it cannot answer the same requests",
            where=f"{served.model} version {served.version}",
            next_step="promote it instead: clients must change what they send",
        )
