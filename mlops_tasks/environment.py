"""What the process environment must say before the heavy libraries are imported.

Guarantee: after `prepare`, no dependency sends usage data, and everything that is not configured
otherwise keeps its state under `MLOPS_HOME`; if a local platform runs there, Prefect's clients talk
to it. Values that the user has set are left alone.

This module does not read configuration files; `settings` does.
"""

import os
from pathlib import Path

from mlops_tasks.local_platform import look

TELEMETRY_OFF = {
    "DO_NOT_TRACK": "true",  # MLflow reads the word, not the number 1
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DVC_NO_ANALYTICS": "1",
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime sends from its import on
    "RAY_USAGE_STATS_ENABLED": "0",
}


def home() -> Path:
    """The folder that holds the local state of all of a user's projects.

    Returns
    -------
    Path
        `MLOPS_HOME`, or `~/.mlops` where that is not set. Not created here.
    """
    return Path(os.environ.get("MLOPS_HOME") or Path.home() / ".mlops").expanduser().absolute()


def defaults() -> dict[str, str]:
    """The environment variables that `prepare` sets where the user has not."""
    return TELEMETRY_OFF | {
        "PREFECT_HOME": str(home() / "prefect"),
        "PREFECT_LOCAL_STORAGE_PATH": str(home() / "results"),
        # The in-process server needs about 15 s on two busy cores; Prefect gives up after 20.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
        # What Prefect's server says while its database is being started.
        "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500",
        # Under `uv run` each worker would build its environment anew from the working folder.
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        # It would repeat what must not be done twice; registry.endurance repeats the rest.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        # Only registry/ logs, and it says where; MLflow's own hints would repeat it.
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    }


def results() -> Path | None:
    """Where results of tasks are kept; None where the user named a storage block for them.

    To be given to each task: where a worker starts a flow, Prefect has read its own settings before
    `prepare` could set them, and would keep the results of all homes in one place.
    """
    if os.environ.get("PREFECT_DEFAULT_RESULT_STORAGE_BLOCK"):
        return None
    return Path(os.environ.get("PREFECT_LOCAL_STORAGE_PATH") or home() / "results")


def prepare() -> None:
    """Set every variable of `defaults` that is not set already, and find a running platform.

    The key belongs to the address: where ours is taken, so is its key.
    """
    for name, value in defaults().items():
        os.environ.setdefault(name, value)
    os.environ.update(look(home(), os.environ).variables)


def complaint() -> str:
    """One sentence if a local platform was started and does not run now; else nothing."""
    return look(home(), os.environ).complaint
