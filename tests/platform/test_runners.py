"""One flow, and whoever runs its steps: the same results, where the data may be, after any kill."""

import os
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import polars as pl
import pytest
from prefect import flow
from prefect.settings import PREFECT_API_URL, PREFECT_TASKS_REFRESH_CACHE, temporary_settings

from mlops_tasks import tasks
from mlops_tasks.artifacts import Candidate, Columns, Dataset, Split
from mlops_tasks.data.frames import write_frame
from mlops_tasks.errors import PlatformError, ResidencyRefused
from mlops_tasks.governance import residency
from mlops_tasks.governance.ledger import Wanted
from mlops_tasks.governance.record import ledger_of
from mlops_tasks.platform.runners import StackRunner, finished, runner_of
from mlops_tasks.platform.travelling import Travelling
from mlops_tasks.references import code
from mlops_tasks.settings import ModelSettings, Settings
from mlops_tasks.settings.infrastructure import RunnerSettings
from mlops_tasks.training import baselines
from tests.registry.life import Life

COLUMNS = Columns(("id",), "late", ("x", "y"), ())


def settings_in(home: Path, **runner: Any) -> Settings:
    plain = Life(home).settings().model_dump()
    places = dict.fromkeys(("compute", "storage", "tracking", "registry"), "eu")
    plain["stack"] |= {"regions": places, "runner": runner}
    plain["data"] |= {"classification": "personal", "regions": ["eu"]}
    plain["policy"]["residency"] = {"personal": {"regions": ["eu"], "uri_prefixes": [str(home)]}}
    return Settings.model_validate(plain)


def rows_in(home: Path, count: int = 400) -> Dataset:
    random = np.random.default_rng(1)
    frame = pl.DataFrame({"id": range(count), "x": random.normal(size=count)})
    frame = frame.with_columns(y=pl.Series(random.normal(size=count)))
    late = (frame["x"] + random.normal(size=count) > 0).cast(pl.Int64)
    return write_frame(frame.with_columns(late=late), str(home / "store"), regions=("eu",))


@flow(task_runner=StackRunner())
def fits(settings: Settings, rows: Dataset) -> dict[str, Candidate]:
    residency.enter(settings)
    split = Split(rows, rows, COLUMNS, "random")
    table, store = code(baselines.REFERENCE), settings.stack.store
    names = [(name, seed) for name in ("trivial", "linear") for seed in (1, 2)]
    fitted = finished(
        tasks.fit.submit(split, table, ModelSettings(name=name), seed, store=store)
        for name, seed in names
    )
    return {f"{name} {seed}": each for (name, seed), each in zip(names, fitted, strict=True)}


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(residency.OBSERVED, raising=False)


@pytest.fixture
def prefect(server: str) -> Iterator[None]:
    with temporary_settings({PREFECT_API_URL: server, PREFECT_TASKS_REFRESH_CACHE: True}):
        yield


def test_what_is_not_installed_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, module in (("dask", "prefect_dask"), ("ray", "ray")):
        monkeypatch.setitem(sys.modules, module, None)
        monkeypatch.setitem(sys.modules, f"{module}.task_runners", None)
        with pytest.raises(PlatformError) as caught:
            runner_of(RunnerSettings(kind=name))
        assert f'uv add "mlops-tasks[{name}]"' in caught.value.next_step


def test_a_function_takes_its_run_along(tmp_path: Path) -> None:
    settings, rows = settings_in(tmp_path), rows_in(tmp_path)
    step = Travelling(tasks.admission.admit)
    apart(lambda: residency.enter(settings))
    with pytest.raises(ResidencyRefused, match="nobody has entered"):
        pickle.loads(cloudpickle.dumps(step))(rows, None, None, store="")

    packed = apart(lambda: (residency.enter(settings), cloudpickle.dumps(step))[1])
    with pytest.raises(AttributeError, match="reference"):  # it has come as far as the function
        pickle.loads(packed)(rows, None, None, store="")
    assert residency.entered() is None, "only for the length of the call"
    for _ in range(3):
        with pytest.raises(AttributeError, match="reference"):
            pickle.loads(packed)(rows, None, None, store="")
    told = [each.event.facts["task"] for each in ledger_of(settings.stack).entries()]
    assert told == ["configuration", "configuration", "admit"], "of the second run each yes once"
    again = pickle.loads(cloudpickle.dumps(pickle.loads(packed)))
    os.environ[residency.OBSERVED] = "us"
    try:
        with pytest.raises(ResidencyRefused, match="this process is in 'us'"):
            again(rows, None, None, store="")
    finally:
        del os.environ[residency.OBSERVED]


def apart(work: Callable[[], Any]) -> Any:
    import contextvars

    return contextvars.copy_context().run(work)


@pytest.mark.slow
@pytest.mark.usefixtures("prefect")
@pytest.mark.parametrize("kind", ["dask", "ray"])
def test_processes_give_what_threads_give(tmp_path: Path, kind: str) -> None:
    rows = rows_in(tmp_path)
    alone = fits(settings_in(tmp_path), rows)
    spread = fits(settings_in(tmp_path, kind=kind), rows)
    assert spread == alone
    assert len({each.digest for each in alone.values()}) > 1
    entered = ledger_of(settings_in(tmp_path).stack).entries(Wanted(action=("residency",)))
    told = [each.event.facts["task"] for each in entered]
    processes = told.count("fit") - 1
    assert processes >= 1, "one yes where the flow was alone, and one of each process"
    assert told.count("configuration") == 1 + 1 + processes, "each entered the run as well"
