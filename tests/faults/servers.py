"""Real servers to be unwell behind a proxy: MLflow without accounts, and an S3 in memory."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from mlops_tasks.environment import defaults
from mlops_tasks.platform.local_server import free_port, local_server


@contextlib.contextmanager
def open_mlflow(folder: Path) -> Iterator[str]:
    """A tracking server that keeps its artifacts itself; it lets in anybody."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "PREFECT_"))}
    environment = kept | defaults() | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/server.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    with local_server(command, environment, health=f"{url}/health", log=folder / "mlflow.log"):
        yield url


@contextlib.contextmanager
def moto(folder: Path) -> Iterator[str]:
    """An S3 in memory; it takes any key."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with local_server(command, os.environ, health=f"{url}/moto-api/", log=folder / "moto.log"):
        forget_stores()
        yield url
    forget_stores()


def forget_stores() -> None:
    """s3fs keeps one client a process, with the address that the environment had at first."""
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()
