"""The demo keeps to its own folder, whatever the user's shell and settings say."""

import contextlib
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mlops_tasks.errors import PlatformError
from mlops_tasks.platform.prefect_server import prefect_server
from mlops_tasks.project import demo, demo_steps

SPY = """
import json, os, sys
from pathlib import Path
seen = {"environment": dict(os.environ), "remote": "{{ cookiecutter.data_remote }}"}
(Path.cwd().parent / "seen.json").write_text(json.dumps(seen))
sys.exit(1)
"""
KEPT = {"MLOPS_HOME", "PREFECT_HOME", "PREFECT_LOCAL_STORAGE_PATH"}


def elsewhere(folder: Path) -> dict[str, str]:
    """What a user's shell may hold: every variable leads into a folder that must stay empty."""
    real = folder / "real"
    return {
        "MLOPS_HOME": str(real / "home"),
        "MLOPS_TRACKING_URI": f"sqlite:///{real}/mlflow.db",
        "MLOPS_LEDGER_URI": f"sqlite:///{real}/ledger.db",
        "MLOPS_SHARED_TRACKING_URI": "http://127.0.0.1:1",
        "MLOPS_BUCKET": str(real / "bucket"),
        "MLOPS_REGION": "mars",
        "MLOPS_ACTOR": "somebody",
        "MLFLOW_TRACKING_URI": f"sqlite:///{real}/mlflow.db",
        "MLFLOW_REGISTRY_URI": f"sqlite:///{real}/registry.db",
        "MLFLOW_EXPERIMENT_NAME": "real",
        "PREFECT_API_URL": "http://127.0.0.1:1/api",
        "PREFECT_API_KEY": "secret",
        "PREFECT_PROFILE": "production",
        "PREFECT_PROFILES_PATH": str(real / "profiles.toml"),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{real}/prefect.db",
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{real}/prefect.db",
        "UV_PROJECT_ENVIRONMENT": str(real / "venv"),
        "UV_LOCKED": "true",
        "GIT_DIR": str(real / "git"),
        "GIT_WORK_TREE": str(real),
    }


def test_a_step_sees_nothing_that_points_elsewhere(tmp_path: Path) -> None:
    """The real command, and a template whose hook notes what it was given."""
    template, into = tmp_path / "template", tmp_path / "demo"
    (template / "{{cookiecutter.project_slug}}").mkdir(parents=True)
    (template / "hooks").mkdir()
    (template / "hooks" / "pre_gen_project.py").write_text(SPY)
    answers = {"project_name": "x", "project_slug": "flight-delay", "data_remote": ""}
    (template / "cookiecutter.json").write_text(json.dumps(answers))
    settings = tmp_path / "cookiecutter.yaml"
    settings.write_text(yaml.safe_dump({"default_context": {"data_remote": "s3://real"}}))
    # A platform that `mlops up` left there adds its stores to the environment of every command.
    up = tmp_path / "real" / "home" / "platform"
    up.mkdir(parents=True)
    stores = {"MLOPS_TRACKING_URI": "postgresql://real", "MLOPS_LEDGER_URI": "postgresql://real"}
    (up / "platform.json").write_text(json.dumps({"clients": stores}))
    given = elsewhere(tmp_path)
    del given["MLOPS_TRACKING_URI"]

    done = subprocess.run(
        [sys.executable, "-m", "mlops_tasks.cli", "demo", "--into", into, "--template", template],
        env=os.environ | given | {"COOKIECUTTER_CONFIG": str(settings), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )

    assert "a step ended with exit code 1" in done.stderr, done.stderr
    seen = json.loads((into / "seen.json").read_text())
    assert seen["remote"] == ""
    environment = seen["environment"]
    assert not {name for name, value in environment.items() if "real" in value} & set(given)
    led = {name for name in environment if name.startswith(("MLOPS_", "MLFLOW_", "PREFECT_"))}
    assert led == KEPT
    assert all(environment[name].startswith(str(into)) for name in KEPT)
    assert not {"UV_PROJECT_ENVIRONMENT", "UV_LOCKED", "GIT_DIR"} & set(environment)
    assert environment["PATH"] == os.environ["PATH"], "programs are found where they were"


@pytest.mark.slow
def test_its_server_keeps_its_database_in_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in elsewhere(tmp_path).items():
        monkeypatch.setenv(name, value)
    (tmp_path / "real").mkdir()
    home = tmp_path / "demo"
    with prefect_server(home / "prefect", inherited=demo._environment(home)):
        assert (home / "prefect" / "prefect.db").is_file()
    assert list((tmp_path / "real").iterdir()) == []


STEP = """
import os, sys
from pathlib import Path
from mlops_tasks.project.demo_steps import run
wait = "import pathlib, sys, time\\nfor _ in range(600):\\n    time.sleep(0.1)\\n"
wait += "    if pathlib.Path(sys.argv[1]).exists(): sys.exit()\\nsys.exit(1)"
run([sys.executable, "-c", wait, sys.argv[1]], Path.cwd(), os.environ, waiting="deploying")
"""


@pytest.mark.parametrize("terminal", [True, False])
def test_a_slow_step_says_what_it_waits_for_while_it_waits(tmp_path: Path, terminal: bool) -> None:
    """The step ends only after its progress was seen, and fails if nobody has seen any."""
    ours, theirs = pty.openpty() if terminal else os.pipe()
    seen = tmp_path / "seen"
    step = subprocess.Popen(
        [sys.executable, "-c", STEP, str(seen)],
        env=os.environ | {"TERM": "xterm", "COLUMNS": "100"},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # how a terminal ends
        while more := os.read(ours, 4096):
            shown += more
            if b"deploying" in shown:
                seen.touch()
    os.close(ours)
    assert step.wait() == 0, shown.decode()
    assert seen.exists()
    assert terminal or "✓" in shown.decode(), "and how long it took, where that was long"


def test_a_quick_step_says_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_steps, "LONG", 60.0)  # however busy the machine is
    demo_steps.run(["true"], tmp_path, os.environ, waiting="committing")
    assert capsys.readouterr().err == ""


def test_a_failed_step_says_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="exit code 7, expected 0: no such luck"):
        demo_steps.run(["sh", "-c", "echo no such luck; exit 7"], tmp_path, os.environ, waiting="x")
