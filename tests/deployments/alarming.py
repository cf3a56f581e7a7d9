"""A monitor as a process: judges windows as drifted, and calls for a training.

`python alarming.py ROOT [forgetful]`, in a project's environment. The verdicts are made up; what
follows from them is not. A forgetful one sends its alarm as an event that Prefect cannot know, as
it would hours later.
"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from mlops_tasks.artifacts import Candidate, Champion, Code, Columns, Dataset
from mlops_tasks.drift.verdict import DriftReport
from mlops_tasks.monitoring.memory import decide
from mlops_tasks.monitoring.window import Window
from mlops_tasks.platform import retraining
from mlops_tasks.settings.compose import compose

START = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = Dataset("nowhere", "d" * 64, 10, ("x",), ("local",))
COLUMNS = Columns(("id",), "y", ("x",), ())
CANDIDATE = Candidate("nowhere", "c" * 64, "tree", {}, 1, ROWS, COLUMNS, Code("a:B", ""), 1)
CHAMPION = Champion(1, "run", CANDIDATE)


def monitor(root: str, *words: str) -> None:
    settings = compose(Path(root), [], placed=False)
    for hour in range(2):
        window = Window(START + timedelta(hours=hour), START + timedelta(hours=hour + 1))
        drift = DriftReport(window.name, "r", 500, (), 0.5, "drift", ("because",))
        decide(settings, CHAMPION, window, drift, (), ["model=linear", "seed=7"])
    if "forgetful" in words:
        retraining.identity = lambda alarm: uuid4()
    print(*retraining.call_for_training(settings))


if __name__ == "__main__":
    monitor(*sys.argv[1:])
