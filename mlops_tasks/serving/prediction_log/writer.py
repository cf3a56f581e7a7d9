"""The open log of a server: `open_log`, `PredictionLog.append`, `PredictionLog.close`.

Guarantees, each held by a test: when `append` returns, the record is with the operating system, so
that a killed process loses none; it is on the disk within `sync_seconds` and the time that the disk
takes (0: before `append` returns, many at once). When `append` raises, the record is not in the
log, unless it was the disk itself that failed after taking it. Segments become Parquet after
`roll_seconds` or `roll_rows`, in a process of its own (see `sealing_process`); those of dead
processes are taken along. `close` seals the rest itself.

An append of one row costs about 20 µs, or with `sync_seconds: 0` what the disk takes.
"""

import contextlib
import logging
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime

from mlops_tasks.errors import MlopsError, StorageError
from mlops_tasks.serving.prediction_log.entries import Entries
from mlops_tasks.serving.prediction_log.places import Place, place_of
from mlops_tasks.serving.prediction_log.privacy import Privacy
from mlops_tasks.serving.prediction_log.records import Answered
from mlops_tasks.serving.prediction_log.sealing import is_waiting, seal
from mlops_tasks.serving.prediction_log.sealing_process import SealingProcess
from mlops_tasks.serving.prediction_log.segment import SUFFIX, Segment
from mlops_tasks.settings.schema import Settings
from mlops_tasks.settings.serving import LogSettings

OPEN_DAYS = 8
TICK_SECONDS = 1.0
_log = logging.getLogger(__name__)


def open_log(settings: Settings, names: Sequence[str] = ()) -> "PredictionLog":
    """Open the log of a project's served model.

    Parameters
    ----------
    settings
        Name the model, the folder and the policy.
    names
        The features of the model that answers, where that is known already; see
        `PredictionLog.check`.

    Raises
    ------
    SettingsError
        If the policy names a feature that the model does not have.
    StorageError
        If the journal's folder or the key of hashed features cannot be made.
    """
    policy = settings.serving.log
    model = settings.registered_model
    log = PredictionLog(
        place_of(settings.stack, model), model, policy, Privacy(policy, settings.stack.key_folder)
    )
    try:
        if names:
            log.check(names)
    except MlopsError:
        log.close()
        raise
    return log


class PredictionLog:
    """An open log. Safe to share between threads; each process opens its own.

    Parameters
    ----------
    place
        Where it lies.
    model
        Whose log it is.
    policy
        How often it is synced and rolled.
    privacy
        Which features are kept.

    Raises
    ------
    StorageError
        If the journal's folder cannot be made.
    """

    def __init__(self, place: Place, model: str, policy: LogSettings, privacy: Privacy) -> None:
        self._place = place
        self._policy = policy
        self._entries = Entries(model, privacy)
        self._lock = threading.Lock()
        self._open: dict[date, Segment] = {}
        self._closing: list[Segment] = []
        self._rolled = threading.Event()
        self._ended = threading.Event()
        try:
            place.journal.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise self._unwritable(error) from error
        self._threads = [threading.Thread(target=self._keep_sealing, name="log-seal", daemon=True)]
        if policy.sync_seconds:
            syncing = threading.Thread(target=self._keep_syncing, name="log-sync", daemon=True)
            self._threads.append(syncing)
        for thread in self._threads:
            thread.start()

    def check(self, names: Sequence[str]) -> None:
        """Refuse a model whose features the policy of privacy does not fit; before it answers.

        Raises
        ------
        SettingsError
            If the policy names a feature that neither it nor one before it has.
        """
        with self._lock:
            self._entries.check(names)

    def append(self, answered: Answered) -> None:
        """Hand one answered request to the operating system.

        Raises
        ------
        StorageError
            If it cannot be written, for instance because the disk is full, or the log is closed.
        SettingsError
            If the policy names a feature that no model has had.
        ValueError
            If it is no answer of this model, or its parts do not fit together.
        """
        try:
            with self._lock:
                day, context, request, rows = self._entries.of(answered)
                segment = self._segment(day)
                size = segment.append(context, request, rows)
                if segment.rows >= self._policy.roll_rows:
                    self._roll(day)
            if not self._policy.sync_seconds:
                segment.sync(size)
        except OSError as error:
            raise self._unwritable(error) from error

    def close(self) -> None:
        """Bring all that was appended to the disk and, if the folder takes it, into Parquet."""
        with self._lock:
            if self._ended.is_set():
                return
            self._ended.set()
            for day in list(self._open):
                self._roll(day)
        self._rolled.set()
        for thread in self._threads:
            thread.join()

    def _segment(self, day: date) -> Segment:
        """The segment that records of a day go to; the caller holds the lock."""
        if self._ended.is_set():
            raise OSError("it is closed")
        found = self._open.get(day)
        if found is not None and (found.broken or found.torn):
            self._roll(day)
            found = None
        if found is None:
            if len(self._open) >= OPEN_DAYS:
                self._roll(next(iter(self._open)))
            stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
            name = f"{day.isoformat()}.{stamp}-{secrets.token_hex(8)}{SUFFIX}"
            found = self._open[day] = Segment(self._place.journal / name)
        return found

    def _roll(self, day: date) -> None:
        """Give a segment to the thread that closes and seals; the caller holds the lock."""
        self._closing.append(self._open.pop(day))
        self._rolled.set()

    def _keep_syncing(self) -> None:
        while not self._ended.wait(self._policy.sync_seconds):
            with self._lock:
                # Those that wait to be closed too: sealing before them may hang on a store.
                segments = [*self._open.values(), *self._closing]
            for segment in segments:
                if not segment.broken:
                    with _told_in_the_log():
                        segment.sync()

    def _keep_sealing(self) -> None:
        sealing = SealingProcess(self._place)
        due = 0.0  # at once: whatever dead processes have left
        while not self._ended.is_set():
            closed, late = self._close_old(), time.monotonic() >= due
            if closed or late:
                due = time.monotonic() + self._policy.roll_seconds
                with _told_in_the_log():
                    if closed or is_waiting(self._place):
                        sealing.seal()
            sealing.rest()
            self._rolled.wait(min(TICK_SECONDS, self._policy.roll_seconds))
            self._rolled.clear()  # after the wait: what is rolled from here on is seen above
        sealing.end()
        self._close_old()
        with _told_in_the_log():
            seal(self._place)  # nobody waits for an answer any more

    def _close_old(self) -> bool:
        """Close the segments whose time has come, and say whether there were any."""
        with self._lock:
            now = time.monotonic()
            for day, segment in list(self._open.items()):
                if now - segment.born >= self._policy.roll_seconds:
                    self._roll(day)
            closing, self._closing = self._closing, []
        for segment in closing:
            with _told_in_the_log():
                segment.close()
        return bool(closing)

    def _unwritable(self, error: OSError) -> StorageError:
        return StorageError(
            f"an answer cannot be logged: {error.strerror or error}",
            where=str(self._place.journal),
            next_step="free space, or choose another folder with `stack.predictions`",
        )


@contextlib.contextmanager
def _told_in_the_log() -> Iterator[None]:
    """A thread that failed would leave the journals to grow; others' errors may quote a feature."""
    try:
        yield
    except (MlopsError, OSError) as error:
        _log.error("the prediction log: %s", error)
    except Exception as error:
        _log.error("the prediction log: %s", type(error).__name__)
