"""Sealing in another process: reading journals would hold up every answer of this one.

Guarantees, each held by a test: there is one such process at most, and none where there is nothing
to do; one that is killed is followed by another, and loses nothing; a log that only this process
can see is sealed by this process.
"""

import contextlib
import json
import logging
import subprocess
import sys
import time
from typing import Any

from mlops_tasks.errors import StorageError
from mlops_tasks.serving.prediction_log.places import Place
from mlops_tasks.serving.prediction_log.sealing import seal

ENTRY = "mlops_tasks.serving.prediction_log.sealer"
IDLE_SECONDS = 10.0
_log = logging.getLogger(__name__)


class SealingProcess:
    """Seals the journals of one place; for one thread.

    Parameters
    ----------
    place
        Where the log lies.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._process: subprocess.Popen[bytes] | None = None
        self._used = 0.0

    def seal(self) -> None:
        """Turn what nobody writes any more into Parquet, and return when that is done.

        Raises
        ------
        StorageError
            If it did not succeed; what is not sealed is kept for the next time.
        """
        if self._place.folder.protocol == "memory":
            seal(self._place)
            return
        said = self._asked()
        for each in said["said"]:
            _log.error("the prediction log: %s", each)
        if said["error"]:
            raise StorageError(
                f"the prediction log is not sealed: {said['error']}",
                where=str(self._place.folder),
                next_step="free space, or check `stack.predictions`; nothing is lost meanwhile",
            )

    def rest(self) -> None:
        """End the process if it had nothing to do for a while: it keeps memory."""
        if self._process and time.monotonic() - self._used > IDLE_SECONDS:
            self.end()

    def end(self) -> int | None:
        """End the process; it finishes what it has begun. Returns how, if there was one."""
        if self._process is None:
            return None
        process, self._process = self._process, None
        assert process.stdin
        assert process.stdout
        with contextlib.suppress(OSError):  # it is dead already
            process.stdin.close()
        process.stdout.close()
        return process.wait()

    def _asked(self) -> dict[str, Any]:
        try:
            process = self._process = self._process or self._start()
            assert process.stdin
            assert process.stdout
            process.stdin.write(b"\n")
            process.stdin.flush()
            found: dict[str, Any] = json.loads(process.stdout.readline())
        except (OSError, ValueError) as error:  # it cannot be started, or ended without a word
            code = self.end()
            raise StorageError(
                f"the process that seals the prediction log ended with {code or error}",
                where=str(self._place.journal),
                next_step="see that processes can start; the next one goes on, nothing is lost",
            ) from error
        self._used = time.monotonic()
        return found

    def _start(self) -> subprocess.Popen[bytes]:
        where = [str(self._place.folder), str(self._place.journal)]
        return subprocess.Popen(
            [sys.executable, "-P", "-m", ENTRY, *where],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            creationflags=getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0),
        )
