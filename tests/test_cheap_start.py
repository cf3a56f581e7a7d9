"""Importing the library and asking for help load none of the heavy four."""

import json
import subprocess
import sys

import pytest

HEAVY = ("prefect", "mlflow", "dvc", "hydra", "sklearn", "pandas")
SHOW = f"import sys, json; print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"


@pytest.mark.parametrize(
    "code",
    [
        "import mlops_tasks",
        "import mlops_tasks.artifacts, mlops_tasks.settings, mlops_tasks.evaluation.gate",
        "import mlops_tasks.cli as c\ntry: c.main(['--help'])\nexcept SystemExit: pass",
    ],
)
def test_nothing_heavy_is_loaded(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", f"{code}\n{SHOW}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []


def test_importing_switches_telemetry_off_and_leaves_the_users_choice_alone() -> None:
    code = "import mlops_tasks, os, json; print(json.dumps(dict(os.environ)))"
    environment = {"PATH": "/usr/bin:/bin", "MLOPS_HOME": "/tmp/h", "PREFECT_HOME": "/elsewhere"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment)
    seen = json.loads(done.stdout)
    assert seen["DO_NOT_TRACK"] == "true"
    assert seen["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert seen["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert seen["DVC_NO_ANALYTICS"] == "1"
    assert seen["ORT_DISABLE_TELEMETRY"] == "1"
    assert seen["PREFECT_LOCAL_STORAGE_PATH"] == "/tmp/h/results"
    assert seen["PREFECT_HOME"] == "/elsewhere"


@pytest.mark.parametrize("command", [[], ["train"], ["score"], ["compare"], ["config"], ["demo"]])
def test_help_has_examples(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mlops_tasks.cli", *command, "--help"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert "Example" in done.stdout or not command
