"""Who runs the steps that a flow submits: threads, Dask or Ray, as the stack says.

A flow names one runner, `StackRunner`, by whatever way it is started; which one that is turns out
when the first step is submitted, after `enter` has composed the configuration. Steps that are
called and not submitted run in the flow's own process.

Guarantees, each held by a test: the results are the same with every runner; a step that goes to
another process enters the run there (`travelling`); a step of a
worker that was killed is done again by another.

No engine is written here: scheduling, retries and transport are those of Dask, Ray and Prefect.
"""

import contextlib
import logging
import threading
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from mlops_tasks.errors import PlatformError
from mlops_tasks.governance import residency
from mlops_tasks.platform.progress import follow
from mlops_tasks.settings.infrastructure import RunnerSettings

R = TypeVar("R")


def runner_of(runner: RunnerSettings) -> TaskRunner[Any]:
    """The task runner that a stack names in `stack.runner`, not started.

    Raises
    ------
    PlatformError
        If the extra that brings it is not installed.
    """
    return {"threads": _threads, "dask": _dask, "ray": _ray}[runner.kind](runner)


class StackRunner(TaskRunner[Any]):
    """The task runner of the stack that the flow has entered; of threads before that.

    To be given to `@flow(task_runner=StackRunner())`.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._running = contextlib.ExitStack()
        self._chosen: TaskRunner[Any] | None = None
        self._choice = threading.Lock()

    def duplicate(self) -> "StackRunner":
        """Another one, not started."""
        return StackRunner()

    def __reduce__(self) -> tuple[Any, ...]:
        return StackRunner, ()  # Prefect sends a flow's runner along with its steps

    def submit(self, task: Any, parameters: dict[str, Any], *more: Any, **named: Any) -> Any:
        """Hand a step to the stack's runner, starting that with the first step.

        Raises
        ------
        PlatformError
            If that runner is not installed, or its cluster does not answer.
        """
        with self._choice:
            if self._chosen is None:
                self._chosen = self._running.enter_context(_started(chosen_here()))
        future = self._chosen.submit(task, parameters, *more, **named)
        if not isinstance(self._chosen, ThreadPoolTaskRunner):
            follow(task, future)  # what happens in other processes is not seen here otherwise
        return future

    def __exit__(self, *error: Any) -> None:
        self._chosen = None
        self._running.close()
        super().__exit__(*error)


def finished(futures: Iterable[PrefectFuture[R]]) -> list[R]:
    """Submit all, wait for all, and give their results in the same order.

    Raises
    ------
    MlopsError
        Whatever the first of them raised, in their order.
    """
    return [future.result() for future in list(futures)]


def chosen_here() -> RunnerSettings:
    """What the entered run says; threads where none was entered."""
    run = residency.entered()
    return run.stack.runner if run else RunnerSettings()


@contextlib.contextmanager
def _started(settings: RunnerSettings) -> Iterator[TaskRunner[Any]]:
    runner = runner_of(settings)
    with contextlib.ExitStack() as running:
        try:
            running.enter_context(runner)
            if settings.kind == "dask":
                getattr(runner, "client")  # noqa: B009  # connects
        except (OSError, ConnectionError, TimeoutError) as error:
            said = str(error) or type(error).__name__
            raise PlatformError(
                f"the {settings.kind} cluster does not answer: {said}",
                where=f"stack.runner.address={settings.address}",
                next_step="start it, or leave the address out: processes of this machine will do",
            ) from error
        yield runner


def _threads(settings: RunnerSettings) -> TaskRunner[Any]:
    return ThreadPoolTaskRunner(max_workers=settings.workers)


def _dask(settings: RunnerSettings) -> TaskRunner[Any]:
    try:
        from prefect_dask.task_runners import DaskTaskRunner
    except ImportError as error:
        raise _missing("dask", error) from error
    if settings.address:
        return DaskTaskRunner(address=settings.address)
    cluster: dict[str, Any] = {
        "n_workers": settings.workers,
        "threads_per_worker": 1,  # a step that computes has its process to itself
        "host": "127.0.0.1",
        "dashboard_address": "127.0.0.1:0",
    }
    logging.getLogger("distributed").setLevel(logging.ERROR)  # or it tells of every connection
    return DaskTaskRunner(cluster_kwargs=cluster)


def _ray(settings: RunnerSettings) -> TaskRunner[Any]:
    try:
        import ray  # noqa: F401  # prefect_ray imports it late
        from prefect_ray.task_runners import RayTaskRunner  # type: ignore[import-untyped]
    except ImportError as error:
        raise _missing("ray", error) from error
    words: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if not settings.address:
        words |= {"num_cpus": settings.workers, "include_dashboard": False}
    runner: TaskRunner[Any] = RayTaskRunner(address=settings.address or None, init_kwargs=words)
    return runner


def _missing(name: str, error: ImportError) -> PlatformError:
    return PlatformError(
        f"the runner {name!r} is not installed: {error}",
        where=f"stack.runner.kind={name}",
        next_step=f'run `uv add "mlops-tasks[{name}]"`, or set `stack.runner.kind=threads`',
    )
