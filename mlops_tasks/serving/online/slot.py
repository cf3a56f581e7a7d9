"""Which versions answer now. A thread watches alias and ledger and changes them, without a gap.

A new champion is verified and loaded beside the old one; then one assignment lets it answer.
Requests that the old one has begun are finished by the old one.

Guarantees, each held by a test: without a champion nothing answers, and the first one that is
promoted does; a champion that does not load leaves the old one answering; where the ledger does not
say how traffic is split, the champion alone answers; a server of one version alone answers only
while that is champion or canary, and without a gap where the one becomes the other; a server that
leaves the canary to others follows the champion.
"""

import gc
import logging
import threading
from typing import TYPE_CHECKING

from mlops_tasks.errors import LedgerError, MlopsError
from mlops_tasks.serving.gauges import read_gauges
from mlops_tasks.serving.online.loading import Served
from mlops_tasks.serving.online.metrics import Metrics
from mlops_tasks.serving.online.options import Options
from mlops_tasks.serving.online.shelf import Shelf
from mlops_tasks.serving.online.standing import Standing, begin, changes
from mlops_tasks.serving.prediction_log.records import Role
from mlops_tasks.serving.prediction_log.writer import PredictionLog
from mlops_tasks.serving.traffic.state import ALL_TO_CHAMPION, Traffic, traffic_of
from mlops_tasks.settings.schema import StackSettings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

STOP_SECONDS = 5.0
NO_CHAMPION = "there is no champion yet"
UNREACHABLE = "the registry does not answer"
NOT_LOADED = "the champion does not load"
STARTING = "the champion is being looked up"
_log = logging.getLogger(__name__)


class Slot:
    """Holds what answers.

    Parameters
    ----------
    stack
        Where registry, ledger and store are.
    model
        Name of the registered model.
    options, metrics
        How often to look, and where to count.
    log
        Where a shadow's answers go.
    """

    def __init__(
        self,
        stack: StackSettings,
        model: str,
        options: Options,
        metrics: Metrics,
        log: PredictionLog,
    ) -> None:
        self.now = Standing()
        self.waiting_for = STARTING
        self._stack = stack
        self._model = model
        self._options = options
        self._metrics = metrics
        self._log = log
        self._shelf = Shelf(stack, options, metrics, log)
        self._client: MlflowClient | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._thread = threading.Thread(target=self._watch, name="champion", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop watching; a version that is being loaded is given up."""
        self._stop.set()
        if self._thread:
            self._thread.join(STOP_SECONDS)
        if self.now.shadowed:
            self.now.shadowed.shadow.close()

    def gauges(self) -> bytes:
        """What the model's monitor found last, for Prometheus."""
        return read_gauges(self._stack, self._model)

    def refresh(self) -> None:
        """Look at alias and ledger now, and change what stands if they say so.

        Never raises an `MlopsError`: what goes wrong leaves the champion that answers in place.
        """
        if self._options.version is not None:
            self._stand_alone(self._options.version)
            return
        try:
            version = self._champion()
        except MlopsError as error:
            self._client = None
            self.waiting_for = UNREACHABLE
            _log.warning("the champion cannot be looked up: %s", error.what)
            return
        now = self.now.champion
        if version is None:  # an alias that was taken away does not end the service
            self.waiting_for = NO_CHAMPION
            champion = now
        else:
            champion = self._taken(version, now)
            if champion is None:
                self.waiting_for, champion = NOT_LOADED, now
        self._stand(champion, self._traffic() if champion else ALL_TO_CHAMPION)

    def _stand_alone(self, number: int) -> None:
        """Let one version answer for as long as it is champion, or canary, and nobody otherwise."""
        from mlops_tasks.registry.client import talking
        from mlops_tasks.registry.models import by_number, number_of

        try:
            # The split before the champion: a promotion moves the alias before it ends the split.
            split, unknown = self._split_or_error()
            is_champion = number_of(self._champion()) == number
            if unknown and not is_champion:
                raise unknown
            wanted = is_champion or split.canary_version == number
            client = self._client
            assert client is not None
            with talking(self._stack):
                version = by_number(client, self._model, number) if wanted else None
        except MlopsError as error:
            self._client = None
            self.waiting_for = UNREACHABLE
            _log.warning("version %s cannot be looked up: %s", number, error.what)
            return
        served = None
        if version is None:
            self.waiting_for = f"version {number} is neither champion nor canary"
        else:
            role: Role = "champion" if is_champion else "canary"
            served = self._shelf.take(client, version, role, instead_of=self.now.champion)
            self.waiting_for = NOT_LOADED
            if served is None and self.now.champion:
                return  # it answers in the role that it had
        if is_champion:
            self._stand(served, split.without_canary)
            return
        self._change(Standing(served, served, 1.0 if served else 0.0))

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                self.refresh()
            except Exception:  # the watch goes on whatever happens
                _log.exception("looking at the champion failed")
            self._stop.wait(self._options.poll_seconds)

    def _champion(self) -> "ModelVersion | None":
        from mlops_tasks.registry.client import connect, talking
        from mlops_tasks.registry.models import CHAMPION, by_alias

        if self._client is None:
            self._client = connect(self._stack)
        with talking(self._stack):
            return by_alias(self._client, self._model, CHAMPION)

    def _traffic(self) -> Traffic:
        split, unknown = self._split_or_error()
        if unknown:
            _log.warning("the champion alone answers: %s", unknown.what)
        return split if self._options.canary else split.without_canary

    def _split_or_error(self) -> tuple[Traffic, LedgerError | None]:
        try:
            return traffic_of(self._stack, self._model), None
        except LedgerError as error:
            return ALL_TO_CHAMPION, error

    def _stand(self, champion: Served | None, traffic: Traffic) -> None:
        before = self.now
        old = before.shadowed.served if before.shadowed else None
        canary = self._beside(champion, traffic.canary_version, "canary", before.canary)
        shadow = self._beside(champion, traffic.shadow_version, "shadow", old)
        shadowed = before.shadowed
        if shadow is not old:
            shadowed = begin(shadow, self._log.append, self._options) if shadow else None
        weight = traffic.canary_weight if canary else 0.0
        self._change(Standing(champion, canary, weight, shadowed))

    def _change(self, after: Standing) -> None:
        before = self.now
        if after == before:
            return
        self.now = after
        gc.freeze()  # what was loaded lives on: walking it cost each request more than its scores
        shadowed = after.shadowed
        shadow = shadowed.served if shadowed else None
        self._shelf.keep_only((after.champion, after.canary, shadow))
        if before.shadowed and before.shadowed is not shadowed:
            before.shadowed.shadow.close()
        champion = after.champion
        if champion and champion is not before.champion:
            kind = champion.predictor.kind
            self._metrics.loaded(champion.model, champion.version, champion.digest, kind)
        for line in changes(before, after):
            _log.info("%s", line)

    def _beside(
        self, champion: Served | None, number: int | None, role: Role, now: Served | None
    ) -> Served | None:
        if champion is None or number in (None, champion.version):
            return None
        if now and now.version == number and now.schema.takes_all_of(champion.schema):
            return now
        from mlops_tasks.registry.client import talking
        from mlops_tasks.registry.models import by_number

        client = self._client
        assert client is not None
        assert number is not None
        try:
            with talking(self._stack):
                version = by_number(client, self._model, number)
        except MlopsError as error:
            _log.warning("the %s cannot be looked up: %s", role, error.what)
            return None
        return self._shelf.take(client, version, role, beside=champion, instead_of=now)

    def _taken(self, version: "ModelVersion", now: Served | None) -> Served | None:
        if now and (str(now.version), now.run_id) == (str(version.version), str(version.run_id)):
            return now
        client = self._client
        assert client is not None
        return self._shelf.take(client, version, "champion", instead_of=now)
