"""PostgreSQL is killed under a worker's run: it stands where it is, and goes on.

`platform.services.test_postgresql_killed` does the same to a training that somebody has typed.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from mlops_tasks.local_platform import look
from tests.deployments.conftest import until
from tests.platform.services.conftest import Home, new_home, sources
from tests.platform.services.test_postgresql_killed import waiting

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
__all__ = ["new_home", "sources", "waiting"]  # fixtures
DOWN_SECONDS = 12
# What a step writes while the server dies.
WRITES = (("mlops_mlflow", "runs"), ("mlops_ledger", "ledger"))


@pytest.fixture(scope="module")
def home(new_home: Callable[[], Home], waiting: Path) -> Home:
    """A platform whose worker runs the deployments of a project."""
    home = new_home()
    home.environment["PYTHONPATH"] = f"{waiting / 'src'}:{os.environ.get('PYTHONPATH', '')}"
    home.mlops("up", "--database", "embedded")
    prefect(home, waiting, "--no-prompt", "deploy", "--all")
    return home


def prefect(home: Home, project: Path, *words: str) -> str:
    """What a command of Prefect's says."""
    found = {"PROJECT_ROOT": str(project), "NO_COLOR": "1", **look(home.path, {}).variables}
    done = subprocess.run(
        [sys.executable, "-m", "prefect", *words],
        env=home.environment | found,
        cwd=project,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rows(home: Home, database: str, query: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(f"postgresql://postgres@/{database}?host={home.path}/postgres") as there:
        return there.execute(query.encode(), values).fetchall()


def begin(home: Home, project: Path, name: str, seed: int, **more: str) -> str:
    """The id of a run that a worker has brought to its fit.

    It registers under a name of its own, so that there is no champion that it must beat.
    """
    (home.path / "fitting").unlink(missing_ok=True)
    (home.path / "hold").touch()
    words = json.dumps(["model=held", f"project={name}", f"seed={seed}"])
    asked = ["--param", f"overrides={words}", "--flow-run-name", name]
    asked += ["--job-variable", f"env={json.dumps(more)}"] if more else []
    prefect(home, project, "deployment", "run", "train/flight-delay", *asked)
    until(lambda: standing(home, name), lambda: (home.path / "fitting").exists(), 180)
    return name


@contextlib.contextmanager
def stuck(home: Home, database: str, table: str) -> Iterator[Callable[[], bool]]:
    """Nobody can write into a table; whether somebody waits to."""
    where = f"postgresql://postgres@/{database}?host={home.path}/postgres"
    holder = psycopg.connect(where)
    holder.execute(f"LOCK TABLE {table} IN SHARE MODE".encode())
    asks = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = %s::regclass"
    try:
        yield lambda: bool(rows(home, database, asks, table))
    finally:
        holder.close()


def die(home: Home) -> None:
    """The server is killed, and starts again when it was missed for a while."""
    os.kill(home.pids()["postgres"], signal.SIGKILL)
    (home.path / "hold").unlink(missing_ok=True)
    time.sleep(DOWN_SECONDS)
    assert home.status()["postgres"]["state"] == "dead"
    home.mlops("up")


def standing(home: Home, run: str) -> list[tuple[str, str]]:
    """The states that a run was in, in order, and what was said of each."""
    query = """SELECT s.name, coalesce(s.message, '') FROM flow_run_state s
        JOIN flow_run r ON r.id = s.flow_run_id WHERE r.name = %s ORDER BY s.timestamp"""
    return rows(home, "mlops_prefect", query, run)


def states(home: Home, run: str) -> list[str]:
    return [name for name, _ in standing(home, run)]


def ended(home: Home, run: str, *ends: str) -> str:
    until(lambda: standing(home, run), lambda: states(home, run)[-1] in ends, 300)
    return states(home, run)[-1]


def went_on(home: Home, run: str) -> None:
    """It ended well, and did not begin again."""
    assert ended(home, run, "Completed", "Failed", "Crashed") == "Completed", standing(home, run)
    assert states(home, run).count("Running") == 1


def let_in_once(home: Home, project: Path, run: str) -> None:
    """What a run made is there, and is there once."""
    versions = rows(home, "mlops_mlflow", "SELECT 1 FROM model_versions WHERE name = %s", run)
    assert len(versions) == 1
    finished = """SELECT count(*) FROM runs JOIN experiments USING (experiment_id)
        WHERE experiments.name = %s GROUP BY status"""
    assert rows(home, "mlops_mlflow", finished, run) == [(1,)]
    said = """SELECT action, outcome FROM ledger
        WHERE subject = %s AND action <> 'residency' ORDER BY seq"""
    assert rows(home, "mlops_ledger", said, run) == [
        ("registration", "accepted"),
        ("promotion", "intent"),
        ("promotion", "done"),
    ]
    assert home.mlops("audit", "verify", "--project", str(project)).returncode == 0


def test_a_run_survives_it_during_a_fit(home: Home, waiting: Path) -> None:
    run = begin(home, waiting, "fitting", 1)
    die(home)
    went_on(home, run)
    let_in_once(home, waiting, run)


@pytest.mark.parametrize("write", range(len(WRITES)), ids=[table for _, table in WRITES])
def test_a_run_survives_it_while_it_writes(home: Home, waiting: Path, write: int) -> None:
    database, table = WRITES[write]
    run = begin(home, waiting, table.replace("_", "-"), 2 + write)
    with stuck(home, database, table) as waits:
        (home.path / "hold").unlink()
        until(lambda: standing(home, run), waits, 120)
        die(home)
    went_on(home, run)
    let_in_once(home, waiting, run)


def test_where_it_stays_away_the_run_ends_and_begins_again(home: Home, waiting: Path) -> None:
    run = begin(home, waiting, "away", 9, MLOPS_RETRY_SECONDS="3", PREFECT_CLIENT_MAX_RETRIES="1")
    worker = psutil.Process(home.pids()["worker"])
    with stuck(home, "mlops_mlflow", "model_versions") as waits:
        (home.path / "hold").unlink()
        until(lambda: standing(home, run), waits, 120)
        os.kill(home.pids()["postgres"], signal.SIGKILL)
        until("its process goes on", lambda: not worker.children(recursive=True), 120)
    home.mlops("up")
    versions = rows(home, "mlops_mlflow", "SELECT 1 FROM model_versions WHERE name = %s", run)
    assert not versions, "no half a model"
    assert ended(home, run, "Completed", "Failed") == "Completed", standing(home, run)
    assert states(home, run).count("Crashed") == 1, standing(home, run)
    let_in_once(home, waiting, run)
