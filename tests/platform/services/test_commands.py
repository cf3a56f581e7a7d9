"""The commands where nothing runs: quick, clear, and no trace left."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.platform.services.conftest import Home


@pytest.fixture
def home(new_home: Callable[[], Home]) -> Home:
    return new_home()


def test_status_of_nothing(home: Home) -> None:
    done = home.mlops("status", "--json", check=False)
    assert done.returncode == 1
    states = {each["service"]: each["state"] for each in json.loads(done.stdout)["services"]}
    assert states == dict.fromkeys(("prefect", "mlflow", "worker"), "stopped")
    assert list(home.path.iterdir()) == []
    assert home.mlops("status", "--export", check=False).stdout == ""


def test_stopping_nothing(home: Home) -> None:
    assert "nothing was running" in home.mlops("down").stderr


def test_logs_of_nothing_and_of_nobody(home: Home) -> None:
    done = home.mlops("logs", check=False)
    assert (done.returncode, "mlops up" in done.stderr) == (1, True)
    (home.path / "platform").mkdir()
    (home.path / "platform" / "mlflow.log").write_text("".join(f"line {n}\n" for n in range(50)))
    assert home.mlops("logs", "mlflow", "--lines", "2").stdout == "line 48\nline 49\n"
    assert home.mlops("logs", "--lines", "1").stdout == "mlflow   | line 49\n"
    done = home.mlops("logs", "nobody", check=False)
    assert (done.returncode, "choose from mlflow" in done.stderr) == (1, True)


def test_logs_are_followed(home: Home) -> None:
    log = home.path / "platform" / "mlflow.log"
    log.parent.mkdir()
    log.write_text("old\n")
    command = [sys.executable, "-m", "mlops_tasks.cli", "logs", "mlflow", "--follow"]
    with subprocess.Popen(command, env=home.environment, stdout=subprocess.PIPE, text=True) as tail:
        assert tail.stdout is not None
        assert tail.stdout.readline() == "old\n"
        with log.open("a") as stream:
            stream.write("half")
            stream.flush()
            stream.write(" a line\n")
        assert tail.stdout.readline() == "half a line\n"
        tail.terminate()


@pytest.mark.parametrize(
    "database", ["mysql://db/x", "postgresql://ada:canary@db/x", "postgresql:"]
)
def test_a_database_that_cannot_be_used_is_refused_at_once(home: Home, database: str) -> None:
    done = home.mlops("up", "--database", database, check=False)
    assert done.returncode == 1
    assert "canary" not in done.stderr
    assert not (home.path / "platform" / "prefect.log").exists()


def test_a_home_that_cannot_be_made_is_one_clear_error(home: Home) -> None:
    (home.path / "file").write_text("")
    done = home.mlops("up", check=False, MLOPS_HOME=str(home.path / "file"))
    assert done.returncode == 1
    assert "set MLOPS_HOME" in done.stderr
    assert "Traceback" not in done.stderr


FULL = "mount -t tmpfs -o size=1m tmpfs {home} && exec {python} -m mlops_tasks.cli up"


def test_a_disk_without_room_is_one_clear_error(tmp_path: Path) -> None:
    script = FULL.format(home=tmp_path, python=sys.executable)
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", script]
    environment = Home(tmp_path, {}).environment | {
        "MLOPS_HOME": str(tmp_path),
        "PATH": "/usr/bin:/bin",
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip("no file system can be made here")
    assert done.returncode == 1
    assert "1 MB are free" in done.stderr
    assert "Traceback" not in done.stderr
