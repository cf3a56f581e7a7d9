"""PostgreSQL is killed while a model is being fitted: runs, registry and ledger all lie in it."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import psycopg
import pytest

from mlops_tasks.errors import PlatformError
from mlops_tasks.platform.services import embedded
from tests.deployments.conftest import until
from tests.platform.services.conftest import MLOPS, Home
from tests.platform.services.test_postgresql import TRAIN, train

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
DOWN_SECONDS = 12
# Fitting waits as long as the file is there.
WAITING = """

def held(columns, seed):
    import os, pathlib, time
    home = pathlib.Path(os.environ["MLOPS_HOME"])
    (home / "fitting").touch()
    while (home / "hold").exists():
        time.sleep(0.1)
    return linear(columns, seed)

MODELS["held"] = held
"""


@pytest.fixture(scope="module")
def home(new_home: Callable[[], Home]) -> Home:
    home = new_home()
    home.mlops("up", "--database", "embedded")
    return home


@pytest.fixture(scope="module")
def waiting(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with a model whose fit can be held."""
    copy = tmp_path_factory.mktemp("waiting") / sources.name
    shutil.copytree(sources, copy)
    model = next((copy / "src").glob("*/model.py"))
    model.write_text(model.read_text() + WAITING)
    (copy / "conf" / "model" / "held.yaml").write_text("name: held\n")
    return copy


def training(home: Home, project: Path, *words: str, **more: str) -> "subprocess.Popen[str]":
    """A training that has come to its fit."""
    (home.path / "fitting").unlink(missing_ok=True)
    (home.path / "hold").touch()
    path = {"PYTHONPATH": f"{project / 'src'}:{os.environ.get('PYTHONPATH', '')}"}
    process = subprocess.Popen(
        [*MLOPS, *TRAIN, "model=held", *words, "--project", str(project)],
        env=home.environment | path | more,
        cwd=home.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until("no fit", lambda: (home.path / "fitting").exists() or process.poll() is not None)
    assert process.poll() is None, process.communicate()
    return process


def test_a_training_survives_it(home: Home, waiting: Path) -> None:
    process = training(home, waiting)
    os.kill(home.pids()["postgres"], signal.SIGKILL)
    (home.path / "hold").unlink()  # the next steps need what is not there
    time.sleep(DOWN_SECONDS)
    assert home.status()["postgres"]["state"] == "dead"
    home.mlops("up")
    out, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    told = json.loads(out)
    assert told["version"] == 1
    found = home.mlops("history", "--json", "--project", str(waiting)).stdout
    assert [each["version"] for each in json.loads(found)] == [1]
    assert home.mlops("audit", "verify", "--project", str(waiting)).returncode == 0


def test_where_it_stays_away_that_is_one_error_and_no_half_a_model(
    home: Home, waiting: Path
) -> None:
    patience = {"PREFECT_CLIENT_MAX_RETRIES": "1", "MLOPS_RETRY_SECONDS": "3"}
    process = training(home, waiting, "seed=2", **patience)
    os.kill(home.pids()["postgres"], signal.SIGKILL)
    (home.path / "hold").unlink()
    _, said = process.communicate(timeout=300)
    assert process.returncode == 1, said
    assert "the Prefect server went away" in said, said
    assert "mlops status" in said
    assert "Traceback" not in said, said
    home.mlops("up")
    where = f"postgresql://postgres@/mlops_mlflow?host={home.path / 'postgres'}"
    with psycopg.connect(where) as connection:
        assert connection.execute("SELECT count(*) FROM model_versions").fetchone() == (1,)
    again = train(home, waiting, "model=held", "seed=2")
    assert json.loads(again.stdout)["version"] == 2, "and what was done is found again"


def test_a_recovery_longer_than_the_wheels_patience_is_waited_for(home: Home) -> None:
    """`up` gives a server that replays its log the time that it needs."""
    data = home.path / "postgres"
    dead = home.pids()["postgres"]
    os.kill(dead, signal.SIGKILL)
    until("it lives", lambda: home.status()["postgres"]["state"] == "dead")
    with ThreadPoolExecutor() as beside:
        slow = beside.submit(held_back, data / "postmaster.pid", dead)
        home.mlops("up")
        slow.result()
    assert home.pids()["postgres"] != dead
    with psycopg.connect(f"postgresql://postgres@/mlops_mlflow?host={data}") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def held_back(file: Path, dead: int) -> None:
    """Stop a server that starts, before it takes connections, for longer than `pg_ctl` waits."""
    started = dead
    for _ in range(60_000):
        with contextlib.suppress(OSError, ValueError, IndexError):
            started = int(file.read_text().splitlines()[0])
        if started != dead:
            break
        time.sleep(0.001)
    assert started != dead, "nothing started"
    os.kill(started, signal.SIGSTOP)
    time.sleep(DOWN_SECONDS)
    said = file.read_text()
    os.kill(started, signal.SIGCONT)
    assert "ready" not in said, "it was quicker"


@pytest.fixture
def noted(new_home: Callable[[], Home]) -> Iterator[tuple[Path, "subprocess.Popen[bytes]"]]:
    """A home where a server has died, whose number a process of ours has."""
    home = new_home().path
    service = embedded.start(home)
    os.kill(service.pid, signal.SIGKILL)
    until("it lives", lambda: not psutil.pid_exists(service.pid))
    file = home / "postgres" / "postmaster.pid"
    other = subprocess.Popen(["sleep", "600"])
    lines = file.read_text().splitlines()
    file.write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")
    yield home, other
    other.kill()
    other.wait()
    with contextlib.suppress(OSError, IndexError):
        os.kill(int(file.read_text().split()[0]), signal.SIGINT)


def test_another_program_with_its_number_is_left_alone(
    noted: tuple[Path, "subprocess.Popen[bytes]"],
) -> None:
    home, other = noted
    with pytest.raises(PlatformError, match=f"process {other.pid} is noted") as refused:
        embedded.start(home)
    assert str(refused.value.where).endswith("postmaster.pid")
    assert other.poll() is None


def test_a_dead_server_is_waited_for_until_it_is_collected(
    noted: tuple[Path, "subprocess.Popen[bytes]"],
) -> None:
    home, corpse = noted
    corpse.kill()
    with ThreadPoolExecutor() as beside:
        starting = beside.submit(embedded.start, home)
        time.sleep(1)
        assert not starting.done()
        corpse.wait()
        assert starting.result().pid != corpse.pid


def test_a_corpse_that_nobody_collects_is_named(
    noted: tuple[Path, "subprocess.Popen[bytes]"], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, corpse = noted
    corpse.kill()
    monkeypatch.setattr(embedded, "REAP_SECONDS", 0.5)
    with pytest.raises(PlatformError, match=f"process {corpse.pid} is noted"):
        embedded.start(home)
