"""Ranges of parts, scored anywhere and joined, are the bytes of the whole."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect import flow
from prefect.settings import PREFECT_API_URL, PREFECT_TASKS_REFRESH_CACHE, temporary_settings

from mlops_tasks import tasks
from mlops_tasks.artifacts import Champion, Columns, Dataset, Split
from mlops_tasks.data.frames import read_frame, write_frame
from mlops_tasks.governance import residency
from mlops_tasks.platform.local_server import free_port
from mlops_tasks.platform.runners import StackRunner
from mlops_tasks.references import code
from mlops_tasks.serving import batch
from mlops_tasks.serving.batch import join_parts, parts_of, score_batch, score_parts
from mlops_tasks.settings import ModelSettings, Settings
from mlops_tasks.training import baselines
from mlops_tasks.training.fit import fit
from tests.platform.test_runners import settings_in
from tests.serving.batch.slow_worker import PART_ROWS
from tests.serving.batch.test_batch import dataset, rows_of

ROOT = Path(__file__).parents[3]
COLUMNS = Columns(("id",), "late", tuple(f"x{n}" for n in range(10)), ())


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Champion:
    store = str(tmp_path_factory.mktemp("model"))
    train = write_frame(rows_of(2000), store, regions=("eu",))
    split, table = Split(train, train, COLUMNS, "random"), code(baselines.REFERENCE)
    return Champion(3, "run", fit(split, table, ModelSettings(name="linear"), 1, store=store))


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "PART_ROWS", PART_ROWS)
    monkeypatch.delenv(residency.OBSERVED, raising=False)


@pytest.mark.parametrize(("group", "size"), [(None, 2), (300, 3), (1700, 1), (1700, 9)])
def test_ranges_joined_are_the_whole(
    champion: Champion, tmp_path: Path, group: int | None, size: int
) -> None:
    rows = dataset(rows_of(4321), tmp_path, group)
    whole = score_batch(champion, rows, store=str(tmp_path / "whole"))
    store = str(tmp_path / "parts")
    assert parts_of(rows) == 5
    starts = reversed(range(0, 5, size))  # whoever is quicker
    ranges = {at: score_parts(champion, rows, at, at + size, store=store) for at in starts}
    parts = [part for _, each in sorted(ranges.items()) for part in each]
    assert [part.rows for part in parts] == [1000, 1000, 1000, 1000, 321]
    joined = join_parts(champion, rows, parts, store=store)
    assert joined == whole
    assert Path(joined.uri).read_bytes() == Path(whole.uri).read_bytes()


@flow(task_runner=StackRunner())
def scored(settings: Settings, champion: Champion, rows: Dataset) -> Dataset:
    residency.enter(settings)
    return tasks.score_batch(champion, rows, store=settings.stack.store)


@pytest.mark.slow
def test_two_hosts_and_one_is_killed(champion: Champion, tmp_path: Path, server: str) -> None:
    rows = dataset(rows_of(20_500), tmp_path)
    whole = score_batch(champion, rows, store=str(tmp_path / "whole"))
    with cluster(tmp_path) as (address, workers):
        settings = settings_in(tmp_path, kind="dask", address=address, workers=2)
        killer = threading.Thread(
            target=kill_in_the_midst, args=(workers[0], settings.stack.store), daemon=True
        )
        killer.start()
        with temporary_settings({PREFECT_API_URL: server, PREFECT_TASKS_REFRESH_CACHE: True}):
            found = scored(settings, champion, rows)
        killer.join()
        assert workers[0].wait() == -signal.SIGKILL, "it was killed while there was work"
        assert workers[1].poll() is None
    assert found == whole
    assert Path(found.uri).read_bytes() == Path(whole.uri).read_bytes()
    assert read_frame(found)["id"].to_list() == list(range(20_500)), "no row twice, none missing"


def kill_in_the_midst(worker: subprocess.Popen[bytes], store: str) -> None:
    give_up = time.monotonic() + 120
    while time.monotonic() < give_up:
        done = {path.parents[1].name for path in Path(store).glob("scoring/*/*/*/*.arrow")}
        if 4 <= len(done) < 16:
            worker.kill()
            return
        time.sleep(0.02)


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[tuple[str, list["subprocess.Popen[bytes]"]]]:
    """A scheduler and two workers, each with a home and working folder of its own."""
    address = f"tcp://127.0.0.1:{free_port()}"
    port = address.rpartition(":")[2]
    words = ["--host", "127.0.0.1", "--port", port, "--dashboard-address", "127.0.0.1:0"]
    scheduler = [sys.executable, "-m", "distributed.cli.dask_scheduler", *words]
    worker = [sys.executable, "-m", "tests.serving.batch.slow_worker", address]
    with contextlib.ExitStack() as stack:
        started = []
        for name, command in (("scheduler", scheduler), ("one", worker), ("two", worker)):
            home = folder / name
            home.mkdir()
            environment = os.environ | {
                "MLOPS_HOME": str(home),
                "MLOPS_REGION": "eu",
                "PYTHONPATH": str(ROOT),
            }
            with (home / "log").open("wb") as log:
                process = subprocess.Popen(
                    command, cwd=home, env=environment, stdout=log, stderr=log
                )
            stack.callback(process.wait)
            stack.callback(process.kill)
            started.append(process)
        wait_for_workers(address)
        yield address, started[1:]


def wait_for_workers(address: str) -> None:
    import distributed

    with distributed.Client(address, timeout=120) as client:
        client.wait_for_workers(2, timeout=240)
