"""`kill -9` of workers and flow processes: a run never says Running for ever, and is not lost."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import Generated
from tests.deployments.conftest import (
    asked,
    publish,
    reigns,
    start,
    state,
    states,
    until,
    worker,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SILENT_SECONDS = 40  # Prefect sends a heartbeat each 30 s, not more often
# While the file is there, models are being fitted; each attempt leaves a line.
WAITING = """

def held(columns, seed):
    import os, pathlib, time
    home = pathlib.Path(os.environ["MLOPS_HOME"])
    with (home / "attempts").open("a") as file:
        file.write(f"{os.getpid()}\\n")
    while (home / "hold").exists():
        time.sleep(0.1)
    return linear(columns, seed)

MODELS["held"] = held
"""
IMPORT_WAITS = """
import os, pathlib, time
if os.environ.get("PREFECT__FLOW_RUN_ID"):
    while pathlib.Path(os.environ["MLOPS_HOME"], "hold-import").exists():
        time.sleep(0.1)
"""


@pytest.fixture(scope="module")
def held(ours: Generated) -> Generated:
    """Deployed with a model whose fit waits, and with as little patience as Prefect allows."""
    model = next((ours.root / "src").glob("*/model.py"))
    model.write_text(model.read_text() + WAITING)
    flows = next((ours.root / "src").glob("*/flows.py"))
    flows.write_text(flows.read_text() + IMPORT_WAITS)
    (ours.root / "conf" / "model" / "held.yaml").write_text("name: held\n")
    file = ours.root / "prefect.yaml"
    text = file.read_text().replace("silent_seconds: 180", f"silent_seconds: {SILENT_SECONDS}")
    text = text.replace(
        "restarts: 2", "restarts: 2\n      begin_seconds: 45\n      pause_seconds: 40"
    )
    file.write_text(text.replace('FREQUENCY: "60"', 'FREQUENCY: "30"'))
    publish(ours, ours.root.parent / "origin.git")
    ours.run("prefect", "--no-prompt", "deploy", "--all")
    home(ours).mkdir(exist_ok=True)
    return ours


def home(ours: Generated) -> Path:
    return Path(ours.environment["MLOPS_HOME"])


@contextlib.contextmanager
def holding(ours: Generated, name: str = "hold") -> Iterator[Callable[[], None]]:
    """Runs wait as long as the block lasts, or until they are let go."""
    (home(ours) / name).touch()
    (home(ours) / "attempts").write_text("")
    try:
        yield lambda: (home(ours) / name).unlink()
    finally:
        (home(ours) / name).unlink(missing_ok=True)


def attempts(ours: Generated) -> list[int]:
    """The processes that have begun to fit, in order."""
    return [int(line) for line in (home(ours) / "attempts").read_text().split()]


def kill_all(pid: int) -> None:
    """As when the power fails: the worker and all that it started, at once."""
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def steps(ours: Generated, flow_run: str) -> dict[str, list[str]]:
    """Of each step its states, attempt by attempt."""
    wanted = {"id": {"any_": [flow_run]}}
    found = asked(ours, "task_runs/filter", flow_runs=wanted, sort="EXPECTED_START_TIME_ASC")
    by_name: dict[str, list[str]] = {}
    for each in found:
        by_name.setdefault(each["name"].rpartition("-")[0], []).append(each["state"]["name"])
    return by_name


def trained(ours: Generated, run: str) -> None:
    until("it does not end", lambda: state(ours, run) in ("Completed", "Failed"))
    assert state(ours, run) == "Completed", asked(ours, f"flow_runs/{run}")["state"]


def test_a_training_survives_its_worker(held: Generated, tmp_path: Path) -> None:
    pool, log = held.environment["POOL"], tmp_path / "worker.log"
    before = len(reigns(held))
    with holding(held) as let_go:
        with worker(held, pool, log) as first:
            run = start(held, "train/flight-delay", ["model=held", "seed=1"])
            until(f"no fit: {log}", lambda: attempts(held))
            kill_all(first.pid)
        assert state(held, run) == "Running", "nobody can know yet"
        until("it stays Running", lambda: "Crashed" in states(held, run), SILENT_SECONDS + 60)
        let_go()
        with worker(held, pool, log):
            trained(held, run)
    assert states(held, run)[-1] == "Completed"
    assert len(attempts(held)) == 2
    assert len(reigns(held)) == before + 1, "one version, however often it began"
    done = steps(held, run)
    assert "Cached" in done["validate"] + done["split"], done


def test_a_flow_that_is_killed_begins_again_and_once(held: Generated, tmp_path: Path) -> None:
    """The worker lives, and says itself that its process has died."""
    with (
        holding(held) as let_go,
        worker(held, held.environment["POOL"], tmp_path / "worker.log"),
    ):
        run = start(held, "train/flight-delay", ["model=held", "seed=2"])
        until("no fit", lambda: attempts(held))
        os.kill(attempts(held)[0], signal.SIGKILL)
        until("it stays Running", lambda: "Crashed" in states(held, run), 120)
        until("not again", lambda: len(attempts(held)) == 2)
        let_go()
        trained(held, run)
    assert states(held, run).count("Crashed") == 1, "the worker tells twice, and that counts once"
    assert states(held, run).count("Running") == 2
    assert len(attempts(held)) == 2


def test_one_that_always_crashes_is_crashed_in_the_end(held: Generated, tmp_path: Path) -> None:
    with (
        holding(held),
        worker(held, held.environment["POOL"], tmp_path / "worker.log"),
    ):
        run = start(held, "train/flight-delay", ["model=held", "seed=3"])
        for number in range(3):
            until(f"no attempt {number}", lambda n=number: len(attempts(held)) > n)
            os.kill(attempts(held)[number], signal.SIGKILL)
        until("it goes on", lambda: states(held, run).count("Crashed") == 3, 120)
    assert asked(held, f"flow_runs/{run}")["run_count"] == 3
    assert state(held, run) == "Crashed"


def test_a_run_that_never_began_begins_again(held: Generated, tmp_path: Path) -> None:
    pool, log = held.environment["POOL"], tmp_path / "worker.log"
    with holding(held, "hold-import") as let_go:
        with worker(held, pool, log) as first:
            run = start(held, "train/flight-delay", ["model=linear", "seed=4"])
            until(
                lambda: (states(held, run), log.read_text()),
                lambda: state(held, run) in ("Pending", "Submitting"),
            )
            kill_all(first.pid)
        until("it stays Pending", lambda: "Crashed" in states(held, run), 120)
        let_go()
        with worker(held, pool, log):
            trained(held, run)


def test_what_cannot_be_cloned_is_not_tried_for_ever(held: Generated, tmp_path: Path) -> None:
    origin = held.root.parent / "origin.git"
    origin.rename(tmp_path / "gone.git")
    try:
        with worker(held, held.environment["POOL"], tmp_path / "worker.log"):
            run = start(held, "train/flight-delay", ["model=linear"])
            ended = ("Crashed", "Failed")
            until("it does not end", lambda: state(held, run) in ended)
    finally:
        (tmp_path / "gone.git").rename(origin)
    assert asked(held, f"flow_runs/{run}")["run_count"] == 0
