"""The process that seals the journals of a server: `python -m …sealer FOLDER JOURNAL`.

It seals once for each line that it is sent, and answers with a line of JSON: what went wrong, and
what was said. It ends when there is nobody to send lines any more, after what it has begun; it may
be killed at any moment. `sealing_process` is the other end.

Guarantees, each held by a test: it loads neither the server nor a model; it works only when nobody
else wants the processor; it outlives its server by one sealing at most; what went wrong is told
without a word of what is in the journals.
"""

import json
import logging
import os
import signal
import sys
from pathlib import Path

NICENESS = 10


class _Told(logging.Handler):
    """Keeps what was said, for the server's own log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


def main() -> None:
    """Seal whenever a line arrives."""
    _step_back()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is no answer
    from mlops_tasks.errors import MlopsError
    from mlops_tasks.serving.prediction_log.places import Place
    from mlops_tasks.serving.prediction_log.sealing import seal
    from mlops_tasks.storage import places

    folder, journal = sys.argv[1:]
    place = Place(places.place(folder), Path(journal))
    told = _Told()
    logging.getLogger().addHandler(told)
    for _ in sys.stdin.buffer:
        told.said.clear()
        error = ""
        try:
            seal(place)
        except MlopsError as failure:
            error = str(failure)
        except Exception as failure:  # its words may quote a feature
            error = type(failure).__name__
        try:
            print(json.dumps({"error": error, "said": told.said}), file=answers, flush=True)
        except OSError:  # the server is gone
            return


def _step_back() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the server, and that ends this one
    if hasattr(os, "nice"):
        os.nice(NICENESS)


if __name__ == "__main__":
    main()
