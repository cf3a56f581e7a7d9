"""A project with rows to tune on, and workers as processes that a test may kill."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression

from mlops_tasks.artifacts import Code, Columns, Split
from mlops_tasks.data.frames import write_frame
from mlops_tasks.settings import Settings
from mlops_tasks.storage import file_digest
from mlops_tasks.tuning.study import Search
from tests.registry.life import Life

COLUMNS = Columns(("id",), "late", ("x", "y"), (), time="when")
ROOT = Path(__file__).parents[2]


def straight(columns: Columns, seed: int, *, C: float = 1.0, nap: float = 0.0) -> BaseEstimator:
    if nap:
        import time

        time.sleep(nap)
    return LogisticRegression(C=C, random_state=seed)


def broken(columns: Columns, seed: int, *, C: float = 1.0) -> BaseEstimator:
    return LogisticRegression(C=-C, random_state=seed)


MODELS = {"straight": straight, "broken": broken}
TABLE = Code("tests.tuning.world:MODELS", file_digest(Path(__file__)))
SPACE = {"C": {"low": 1e-4, "high": 10.0, "log": True}}


@dataclass(frozen=True)
class World:
    """A home; `settings` may differ from one another in it."""

    home: Path
    ledger: str = ""

    def settings(self, *, model: str = "straight", nap: float = 0.0, **more: Any) -> Settings:
        plain = Life(self.home).settings().model_dump()
        places = dict.fromkeys(("compute", "storage", "tracking", "registry"), "eu")
        rule = {"regions": ["eu"], "uri_prefixes": [str(self.home)]}
        plain["stack"] |= {"regions": places} | more.pop("stack", {})
        if self.ledger:
            plain["stack"]["ledger"] = self.ledger
        plain["data"] |= {"classification": "personal", "regions": ["eu"]}
        plain["policy"]["residency"] = {"personal": rule}
        plain["model"] = {"name": model, "params": {"nap": nap} if nap else {}}
        spaces = {"straight": SPACE, "broken": SPACE}
        plain["tuning"] = {"folds": 3, "grace_seconds": 3, "spaces": spaces} | more
        return Settings.model_validate(plain)

    def split(self, seed: int = 1, rows: int = 600) -> Split:
        random = np.random.default_rng(seed)
        x, y = random.normal(size=(2, rows))
        late = (x + 0.3 * y + random.normal(size=rows) > 0).astype(int)
        frame = pl.DataFrame({"id": range(rows), "x": x, "y": y, "when": range(rows), "late": late})
        kept = write_frame(frame, str(self.home / "store"), regions=("eu",))
        return Split(kept, kept, COLUMNS, "time")

    def search(self, **words: Any) -> Search:
        return Search(self.settings(**words), self.split(), TABLE)

    def worker(
        self,
        trials: int,
        *,
        folder: Path | None = None,
        prefix: Sequence[str] = (),
        ledger: str = "",
        **words: Any,
    ) -> Any:
        """A process of its own: another home and working folder, as on another host, or on one."""
        import json

        own = folder or self.home
        own.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {
            "MLOPS_HOME": str(own),
            "PYTHONPATH": str(ROOT),
            "MLOPS_REGION": "eu",
        }
        given = [str(self.home), ledger or self.ledger, str(trials), json.dumps(words)]
        command = [*prefix, sys.executable, "-m", "tests.tuning.world", *given]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE}
        if prefix:
            pipes["stderr"] = subprocess.PIPE
        return subprocess.Popen(command, cwd=own, env=environment, **pipes)


def main() -> None:
    import json

    from mlops_tasks.tuning.worker import try_parameters

    home, ledger, trials, words = sys.argv[1:]
    search = World(Path(home), ledger).search(**json.loads(words))
    print(try_parameters(search.settings, search.split, search.models, int(trials)), flush=True)


if __name__ == "__main__":
    main()
