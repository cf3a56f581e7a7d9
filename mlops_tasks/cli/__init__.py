"""The `mlops` command: thin, and quick to answer `--help`.

Results go to standard output, progress and errors to standard error, so that `--json` can be piped.
Exit codes stand in `options`.
"""

import atexit
import gc
import os
import sys
from typing import Any

from mlops_tasks.cli import audit as audit
from mlops_tasks.cli import deploying as deploying
from mlops_tasks.cli import governing as governing
from mlops_tasks.cli import log as log
from mlops_tasks.cli import manifests as manifests
from mlops_tasks.cli import monitoring as monitoring
from mlops_tasks.cli import platform as platform
from mlops_tasks.cli import provenance as provenance
from mlops_tasks.cli import serving as serving
from mlops_tasks.cli import stack as stack
from mlops_tasks.cli import traffic as traffic
from mlops_tasks.cli import training as training
from mlops_tasks.cli import tuning as tuning
from mlops_tasks.cli.options import INTERRUPTED, app
from mlops_tasks.errors import Interrupted, MlopsError


def main(arguments: list[str] | None = None) -> None:
    """Run the command and turn what the user can put right into one message."""
    _plain_output_on_dumb_terminals()
    _spare_the_garbage_collector()
    try:
        app(arguments, standalone_mode=True)
    except MlopsError as error:
        _complain(str(error))
        sys.exit(INTERRUPTED if isinstance(error, Interrupted) else 1)


def _complain(text: str) -> None:
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True).print(Text("✗ ", "bold red").append(text, "default"), soft_wrap=True)


def _spare_the_garbage_collector() -> None:
    """A command lives for seconds; walking all imported objects would cost it up to two."""
    gc.set_threshold(200_000, 20, 100)
    atexit.register(gc.freeze)


def _plain_output_on_dumb_terminals() -> None:
    for stream in (sys.stdout, sys.stderr):
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if reconfigure and (stream.encoding or "").lower() not in ("utf-8", "utf8"):
            reconfigure(errors="replace")
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
