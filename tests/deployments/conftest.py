"""A deployed project: its git repository, a worker that clones it, and a view of the server."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPO, Generated

NAME = "flight-delay"
PATIENCE_SECONDS = 300


def render(folder: Path, repository: str) -> str:
    """`prefect.yaml` as the template makes it for a repository; hooks are another test's affair."""
    from cookiecutter.main import cookiecutter

    inner = "{{cookiecutter.project_slug}}"
    (folder / "template" / inner).mkdir(parents=True)
    shutil.copy(REPO / "cookiecutter.json", folder / "template")
    shutil.copy(REPO / inner / "prefect.yaml", folder / "template" / inner)
    (folder / "none.yaml").write_text(f"cookiecutters_dir: {folder}\nreplay_dir: {folder}\n")
    made = cookiecutter(
        str(folder / "template"),
        no_input=True,
        extra_context={"repository_url": repository},
        output_dir=str(folder / "rendered"),
        config_file=str(folder / "none.yaml"),
    )
    return (Path(made) / "prefect.yaml").read_text()


def publish(ours: Generated, bare: Path) -> None:
    """Commit all there is, and push it to a bare repository."""
    if not bare.exists():
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(bare)], check=True)
    ours.run("git", "add", "-A")
    ours.run("git", "commit", "-q", "--no-verify", "-m", "as deployed")
    ours.run("git", "push", "-q", bare.as_uri(), "HEAD:main")


@contextlib.contextmanager
def worker(ours: Generated, pool: str, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker of a pool, which has the project's dependencies and not its sources."""
    environment = {name: text for name, text in ours.environment.items() if name != "PYTHONPATH"}
    process = subprocess.Popen(
        [str(ours.programs / "prefect"), "worker", "start", "--pool", pool],
        cwd=log.parent,
        env=environment | {"PREFECT_WORKER_QUERY_SECONDS": "2"},
        stdout=log.open("ab"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    with killed_after(process):
        yield process


@contextlib.contextmanager
def killed_after(process: "subprocess.Popen[bytes]") -> Iterator["subprocess.Popen[bytes]"]:
    """A process in a session of its own; no part of that outlives the block."""
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def asked(ours: Generated, path: str, **body: Any) -> Any:
    """What the server answers to a question of its API.

    A server on SQLite says 503 where two write at once; Prefect's own client asks again, too.
    """
    import httpx

    url = f"{ours.environment['PREFECT_API_URL']}/{path}"
    for pause in (0.2, 0.5, 1, 2, 5, 0):
        answer = httpx.post(url, json=body, timeout=60) if body else httpx.get(url, timeout=60)
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            break
        time.sleep(pause)
    answer.raise_for_status()
    return answer.json()


def deployments(ours: Generated, stage: str = "dev") -> dict[str, Any]:
    """The project's deployments by `flow/name`, without whether a worker was heard of lately."""
    tags = [f"mlops.project:{NAME}", f"mlops.stage:{stage}"]
    found = asked(ours, "deployments/filter", deployments={"tags": {"all_": tags}})
    return {
        f"{asked(ours, 'flows/' + each['flow_id'])['name']}/{each['name']}": each | {"status": None}
        for each in found
    }


def automations(ours: Generated) -> dict[str, str]:
    """Names and ids of the project's automations."""
    found = asked(ours, "automations/filter", limit=200)
    mine = [each for each in found if each["name"].startswith(NAME)]
    assert len({each["name"] for each in mine}) == len(mine), "an automation is there twice"
    return {each["name"]: each["id"] for each in mine}


def start(ours: Generated, deployment: str, overrides: list[str]) -> str:
    """The id of a flow run that was asked for."""
    flow_run = asked(
        ours,
        f"deployments/{deployments(ours)[deployment]['id']}/create_flow_run",
        parameters={"overrides": overrides},
        state={"type": "SCHEDULED", "name": "Scheduled", "message": "a test"},
    )
    return str(flow_run["id"])


def state(ours: Generated, flow_run: str) -> str:
    return str(asked(ours, f"flow_runs/{flow_run}")["state"]["name"])


def states(ours: Generated, flow_run: str) -> list[str]:
    """All states that a run was in, in order."""
    found = asked(ours, f"flow_run_states/?flow_run_id={flow_run}")
    return [each["name"] for each in sorted(found, key=lambda each: each["timestamp"])]


def until(
    what: str | Callable[[], object],
    condition: Callable[[], object],
    seconds: float = PATIENCE_SECONDS,
) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what() if callable(what) else what
        time.sleep(0.3)


def reigns(ours: Generated) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(ours.run("mlops", "history", "--json").stdout)
    return found


def recorded(ours: Generated, action: str) -> list[str]:
    """The outcomes of an action in the ledger, in order."""
    found = ours.run("mlops", "audit", "log", "--action", action, "--json").stdout
    return [json.loads(line)["event"]["outcome"] for line in found.splitlines()]


@pytest.fixture(scope="module")
def ours(project: Generated, tmp_path_factory: pytest.TempPathFactory) -> Generated:
    """A copy of the project whose deployments clone a repository, on a pool of its own."""
    folder = tmp_path_factory.mktemp("deployed")
    copy = project.copy(folder)
    bare = folder / "origin.git"
    text = render(folder, bare.as_uri())
    (copy.root / "prefect.yaml").write_text(text.replace("name: local", f"name: {folder.name}"))
    copy.run("prefect", "work-pool", "create", folder.name, "--type", "process")
    publish(copy, bare)
    return replace(copy, environment=copy.environment | {"POOL": folder.name})
