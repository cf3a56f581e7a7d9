"""Conduct a study: start workers, watch, record each trial as a run, and say what is best.

Workers are processes of this machine, or tasks on the stack's Dask or Ray cluster. What they find
is recorded here and not by them, so that a worker needs no way to MLflow.

Guarantees, each held by a test: the study ends with as many trials as were asked for, one for each
place, whatever worker is killed; run again, it goes on where it was.
"""

import contextlib
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mlops_tasks.artifacts import Code, Split
from mlops_tasks.errors import PlatformError, TrainingError
from mlops_tasks.platform.progress import say
from mlops_tasks.platform.runners import chosen_here
from mlops_tasks.platform.travelling import Travelling
from mlops_tasks.registry.trials import finish_study, record_trials
from mlops_tasks.settings.schema import Settings
from mlops_tasks.tuning.objective import pairs_of
from mlops_tasks.tuning.space import space_of
from mlops_tasks.tuning.standing import Standing, standing
from mlops_tasks.tuning.study import Search, idle_seconds, open_study, tidy
from mlops_tasks.tuning.worker import try_parameters

LOOK_SECONDS = 1.0
RESTARTS = 5  # of each worker process: what kills five of them would kill more
PRELOADED = ["mlops_tasks.tuning.objective", "optuna", "sklearn.pipeline", "sklearn.ensemble"]


@dataclass(frozen=True, slots=True)
class Tuned:
    """How a study ended. `value` is the mean of the metric over the folds, of `params`."""

    study: str
    model: str
    metric: str
    value: float
    params: dict[str, Any]
    trials: int
    complete: int
    pruned: int
    failed: int
    run_id: str


def search(
    settings: Settings,
    split: Split,
    models: Code,
    worker: Any,
    *,
    trials: int | None = None,
    workers: int | None = None,
) -> Tuned:
    """Look for better parameters of the configured model.

    Parameters
    ----------
    settings
        The run that was entered.
    split
        Its training part is used.
    models
        The project's table of builders.
    worker
        The task `try_parameters`, for clusters.
    trials, workers
        How many; by default `tuning.trials` and `stack.runner.workers`.

    Raises
    ------
    SettingsError
        If the space does not fit the model: before anything is started.
    DataError
        If the training rows cannot be divided into folds.
    TrainingError
        If no trial came to a result.
    PlatformError
        If workers die again and again.
    RegistryError
        If MLflow or the database of studies does not answer.
    """
    space_of(settings, models, split.columns)
    wanted = trials or settings.tuning.trials
    count = min(workers or settings.stack.runner.workers, wanted)
    asked = Search(settings, split, models)
    pairs_of(asked)  # or every worker would find out
    study = open_study(asked)
    tidy(study, asked, wanted)
    now = standing(study, asked, wanted)
    run_id, recorded = record_trials(settings, now.name, now.trials)
    if now.left:
        order = (settings, split, models, wanted)
        start = _processes if chosen_here().kind == "threads" else _on_cluster
        with start(worker, order, min(count, now.left)) as check:
            next_tidy = 0.0
            while now.left:
                check()
                time.sleep(LOOK_SECONDS)
                if time.monotonic() > next_tidy:
                    tidy(study, asked, wanted)
                    next_tidy = time.monotonic() + idle_seconds(settings)
                now = standing(study, asked, wanted)
                say(now)
                if any(trial.place not in recorded for trial in now.trials):
                    run_id, recorded = record_trials(settings, now.name, now.trials, recorded)
    finish_study(settings, run_id, now.best, dict(now.counts))
    return _tuned(settings, now, run_id)


def _tuned(settings: Settings, now: Standing, run_id: str) -> Tuned:
    best = now.best
    if best is None or best.value is None:
        said = next((trial.error for trial in now.trials if trial.error), "all were pruned")
        raise TrainingError(
            f"no trial came to a result: {said}",
            where=f"study {now.name}",
            next_step="try the model first: `mlops train`; then narrow `tuning.spaces`",
        )
    return Tuned(
        study=now.name,
        model=settings.model.name,
        metric=now.metric,
        value=best.value,
        params=dict(best.params),
        trials=len(now.trials),
        complete=now.counts.get("complete", 0),
        pruned=now.counts.get("pruned", 0),
        failed=now.counts.get("failed", 0),
        run_id=run_id,
    )


@contextlib.contextmanager
def _processes(worker: Any, order: Sequence[Any], count: int) -> Iterator[Callable[[], None]]:
    """Processes of this machine; one that dies is started again."""
    method = "spawn" if sys.platform == "win32" else "forkserver"
    context: Any = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(PRELOADED)
    function = Travelling(try_parameters)

    def started(number: int) -> Any:
        process = context.Process(target=function, args=(*order, number), daemon=True)
        process.start()
        return process

    running = {number: started(number) for number in range(count)}
    restarts = dict.fromkeys(running, 0)

    def check() -> None:
        for number, process in running.items():
            if process.exitcode in (None, 0):
                continue
            if restarts[number] == RESTARTS:
                raise PlatformError(
                    f"a worker ended {RESTARTS + 1} times, last with code {process.exitcode}",
                    where=f"worker {number} of {count}",
                    next_step="is there enough memory? try `--workers 1`, and see its messages",
                )
            restarts[number] += 1
            running[number] = started(number)

    try:
        yield check
        for process in running.values():
            process.join()
    finally:
        for process in running.values():
            process.kill()
            process.join()


@contextlib.contextmanager
def _on_cluster(worker: Any, order: Sequence[Any], count: int) -> Iterator[Callable[[], None]]:
    """Tasks on the flow's runner; the cluster does those of a dead worker again."""
    ended: list[Any] = []
    futures = [worker.submit(*order, number) for number in range(count)]
    for future in futures:
        future.add_done_callback(ended.append)

    def check() -> None:
        for future in tuple(ended):
            future.result()

    yield check
    for future in futures:
        future.result()
