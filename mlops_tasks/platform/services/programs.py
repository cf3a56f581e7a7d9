"""The command and the environment of each service, as plain values.

Guarantees: no command has a password in it; no service inherits the address of another platform;
telemetry is off; everything listens on 127.0.0.1 only. Nothing is started here.

Passwords of a database come from PGPASSWORD or `~/.pgpass`, which the servers' drivers read.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlops_tasks.environment import defaults
from mlops_tasks.platform.services.database import Addresses
from mlops_tasks.platform.services.ports import HOST

POOL = "local"
FOREIGN = ("PREFECT_API_", "PREFECT_SERVER_", "MLFLOW_TRACKING_", "MLFLOW_BACKEND_", "MLFLOW_AUTH_")
FOREIGN_EXACTLY = (
    "PREFECT_PROFILE",
    "MLFLOW_REGISTRY_URI",
    "MLOPS_TRACKING_URI",
    "MLOPS_LEDGER_URI",
)


@dataclass(frozen=True, slots=True)
class Program:
    """How a service is started. `environment` is all of it, and may hold secrets."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    address: str
    health: str

    def __repr__(self) -> str:
        return f"Program({' '.join(self.command)!r})"


def prefect(port: int, addresses: Addresses, key: str, inherited: Mapping[str, str]) -> Program:
    """The Prefect server; `key` is what its clients must present."""
    address = f"http://{HOST}:{port}"
    environment = _clean(inherited) | {
        "PREFECT_SERVER_API_AUTH_STRING": key,
        "PREFECT_UI_API_URL": f"{address}/api",  # else pages ask port 4200
        "PREFECT_LOGGING_SERVER_LEVEL": "WARNING",
    }
    if addresses.prefect:
        environment["PREFECT_API_DATABASE_CONNECTION_URL"] = addresses.prefect
    command = _module("prefect", "server", "start", "--host", HOST, "--port", str(port))
    return Program(command, environment, address, f"{address}/api/health")


def mlflow(port: int, addresses: Addresses, home: Path, inherited: Mapping[str, str]) -> Program:
    """The MLflow server, on the same runs and files as commands without it."""
    address = f"http://{HOST}:{port}"
    environment = _clean(inherited) | {
        "MLFLOW_BACKEND_STORE_URI": addresses.mlflow,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # five times the memory
    }
    command = _module("mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1")
    command += ("--default-artifact-root", str(home / "artifacts"), "--no-serve-artifacts")
    return Program(command, environment, address, f"{address}/health")


def worker(port: int, name: str, api: Mapping[str, str], inherited: Mapping[str, str]) -> Program:
    """A worker of the process pool `local`; `api` has the address and key of its server."""
    address = f"http://{HOST}:{port}"
    environment = _clean(inherited) | {
        **api,
        "PREFECT_WORKER_WEBSERVER_HOST": HOST,
        "PREFECT_WORKER_WEBSERVER_PORT": str(port),
    }
    command = _module("prefect", "worker", "start", "--pool", POOL, "--type", "process")
    command += ("--name", name, "--with-healthcheck", "--install-policy", "never")
    return Program(command, environment, address, f"{address}/health")


def _clean(inherited: Mapping[str, str]) -> dict[str, str]:
    kept = {
        name: value
        for name, value in inherited.items()
        if not name.startswith(FOREIGN) and name not in FOREIGN_EXACTLY
    }
    return {**defaults(), **kept}


def _module(*words: str) -> tuple[str, ...]:
    return (sys.executable, "-m", *words)
