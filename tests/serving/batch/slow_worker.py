"""A Dask worker as on another host; its parts are small and slow, so that it can be killed in one.

`python -m tests.serving.batch.slow_worker tcp://127.0.0.1:PORT`
"""

import sys
import time
from typing import Any

from mlops_tasks.serving import batch

PART_ROWS = 1000


def slowly() -> None:
    batch.PART_ROWS = PART_ROWS
    real = batch.put

    def slow(*words: Any, **named: Any) -> Any:
        time.sleep(0.1)
        return real(*words, **named)

    batch.put = slow  # type: ignore[assignment]


if __name__ == "__main__":
    from distributed.cli.dask_worker import main

    slowly()
    main([sys.argv[1], "--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1"])
