"""A sweep of 64 trials on 1, 2 and 4 processes: how much sooner it ends, against Optuna's own.

Optuna's own is what its documentation shows: processes that share a storage and each call
`study.optimize` for their share of the trials. Same objective, sampler, pruner, storage and rows.
Ours does more: every place is filled exactly once, also after a kill. Time is from the moment when
all processes have imported and opened the study to the last result; both kinds begin so.

Reproduce: uv run python benchmarks/sweep.py        (`--trials 64 --rounds 3 --workers 1 2 4`)
"""

import argparse
import multiprocessing
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier

from mlops_tasks.artifacts import Code, Columns, Split
from mlops_tasks.data.frames import write_frame
from mlops_tasks.settings import Settings
from mlops_tasks.tuning.objective import pairs_of, worth
from mlops_tasks.tuning.space import space_of
from mlops_tasks.tuning.study import STARTUP, Search, open_study, read, tidy, unsettled
from mlops_tasks.tuning.worker import try_parameters

COLUMNS = Columns(("id",), "late", tuple(f"x{number}" for number in range(10)), (), time="when")
SPACE = {
    "learning_rate": {"low": 0.02, "high": 0.3, "log": True},
    "leaves": {"low": 4, "high": 32, "log": True},
}
SPAWN = multiprocessing.get_context("spawn")


def boosting(
    columns: Columns, seed: int, *, learning_rate: float = 0.1, leaves: int = 15
) -> BaseEstimator:
    return HistGradientBoostingClassifier(
        learning_rate=learning_rate, max_leaf_nodes=leaves, max_iter=60, random_state=seed
    )


MODELS = {"boosting": boosting}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4])
    options = parser.parse_args()
    console = Console(width=100)
    lines = [
        "| who | workers | seconds, median (min to max) | speed-up | efficiency |",
        "|---|---|---|---|---|",
    ]
    ours = {"mlops_tasks": (tune, is_full), "Optuna's own": (optimize, is_counted)}
    alone: dict[str, float] = {}
    for workers in options.workers:
        seconds: dict[str, list[float]] = {name: [] for name in ours}
        for _ in range(options.rounds):
            for name, (work, check) in ours.items():  # in turn: the machine's moods hit both
                with console.status(f"{name}, {workers} workers"):
                    taken = sweep(work, check, workers, options.trials, options.rows)
                seconds[name].append(taken)
        for name, found in seconds.items():
            middle = median(found)
            alone.setdefault(name, middle * workers)
            speed = alone[name] / middle
            spread = f"{middle:.1f} ({min(found):.1f} to {max(found):.1f})"
            lines.append(f"| {name} | {workers} | {spread} | {speed:.2f} | {speed / workers:.0%} |")
    console.print("\n".join(lines), markup=False, soft_wrap=True)


def sweep(work: Any, check: Any, workers: int, trials: int, rows: int) -> float:
    """Seconds of one study from the common start to its end."""
    with tempfile.TemporaryDirectory(prefix="sweep-") as name:
        search = search_in(Path(name), rows)
        tidy(open_study(search), search, trials) if work is tune else open_study(search)
        barrier = SPAWN.Barrier(workers + 1)
        shares = [trials // workers + (number < trials % workers) for number in range(workers)]
        processes = [
            SPAWN.Process(target=begun, args=(work, search, trials, share, number, barrier))
            for number, share in enumerate(shares)
        ]
        for process in processes:
            process.start()
        barrier.wait()
        started = time.perf_counter()
        for process in processes:
            process.join()
        seconds = time.perf_counter() - started
        if any(process.exitcode for process in processes):
            raise SystemExit("a worker failed")
        check(search, trials)
        return seconds


def begun(work: Any, search: Search, trials: int, share: int, number: int, barrier: Any) -> None:
    space_of(search.settings, search.models, search.split.columns)
    pairs_of(search)
    open_study(search)
    barrier.wait()
    work(search, trials, share, number)


def tune(search: Search, trials: int, share: int, number: int) -> None:
    try_parameters(search.settings, search.split, search.models, trials, number)


def optimize(search: Search, trials: int, share: int, number: int) -> None:
    import optuna

    space = space_of(search.settings, search.models, search.split.columns)
    pairs, study = pairs_of(search), open_study(search)
    study.sampler = optuna.samplers.TPESampler(
        seed=number, n_startup_trials=STARTUP, constant_liar=True
    )
    study.optimize(lambda trial: worth(search, pairs, space, trial), n_trials=share)


def is_full(search: Search, trials: int) -> None:
    known = read(open_study(search))
    if unsettled(known, trials) or len(known) != trials:
        raise SystemExit("places are not filled once each")


def is_counted(search: Search, trials: int) -> None:
    if len(open_study(search).trials) != trials:
        raise SystemExit("trials were lost")


def search_in(home: Path, count: int) -> Search:
    random = np.random.default_rng(1)
    values = random.normal(size=(count, 10))
    late = (values[:, :3].sum(axis=1) + random.normal(size=count) > 0).astype(int)
    frame = pl.DataFrame(values, schema=list(COLUMNS.numeric)).with_columns(
        id=pl.int_range(count), when=pl.int_range(count), late=pl.Series(late)
    )
    rows = write_frame(frame, str(home / "store"), regions=("local",))
    stack = {
        "store": str(home / "store"),
        "predictions": str(home / "predictions"),
        "tracking_uri": f"sqlite:///{home}/mlflow.db",
        "artifact_root": str(home / "artifacts"),
        "ledger": f"sqlite:///{home}/ledger.db",
        "anchor": str(home / "anchor"),
        "key_folder": str(home / "keys"),
    }
    settings = Settings.model_validate(
        {
            "project": "sweep",
            "seed": 1,
            "data": {"path": "x", "target": "late", "time": "when"},
            "model": {"name": "boosting"},
            "stack": stack,
            "tuning": {"folds": 3, "spaces": {"boosting": SPACE}},
        }
    )
    return Search(settings, Split(rows, rows, COLUMNS, "time"), Code("sweep:MODELS", "0" * 64))


if __name__ == "__main__":
    main()
