"""The demo once the model is live: served, watched, retrained, approved, and taken back.

Server and worker are processes of the project's own environment, and end with the demo.
"""

import contextlib
import json
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape

from mlops_tasks.errors import PlatformError
from mlops_tasks.platform.local_server import free_port, local_server
from mlops_tasks.project.demo_steps import in_progress, mlops, run, say
from mlops_tasks.project.programs import uv
from mlops_tasks.project.words import console

OWNER = "owner@example.org"
RETRAINED = "model=boosting"
SWITCH_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the demo plays: the project, its environment, and what ends when the demo does."""

    project: Path
    environment: dict[str, str]
    platform: contextlib.ExitStack


def live(stage: Stage) -> None:
    """Serve the champion, let it drift, and follow the retraining until it answers, and back.

    Raises
    ------
    PlatformError
        If a step does not end as it should.
    """
    project, environment = stage.project, stage.environment
    key = _from_now_on_a_person_signs(project, environment)
    say(7, "serve the champion, deploy the flows, start a worker")
    url = _serve(stage)
    _deploy(stage)
    say(8, "send real flights: those it knows, then a summer that it has not seen")
    to = ("--url", url, "--windows")
    mlops(project, environment, "monitor", "--simulate", "steady", *to, "1")
    mlops(project, environment, "monitor", RETRAINED, "--simulate", "months", *to, "2")
    say(9, "the alarm started a training; its model waits for a person, who lets it in")
    mlops(project, environment, "approve", "--key", str(key), "--reason", "knows the summer")
    _answers(url, 2)
    say(10, "and takes it back")
    mlops(project, environment, "rollback", "--reason", "only to show it")
    _answers(url, 1)
    mlops(project, environment, "audit", "verify")


def _from_now_on_a_person_signs(project: Path, environment: dict[str, str]) -> Path:
    """An owner with an SSH key, in a policy that lets nothing in without them."""
    key = project.parent / "owner_key"
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", OWNER, "-f", str(key)]
    run(words, project, environment, waiting="making a key")
    policy = project / "conf" / "policy" / "default.yaml"
    text = policy.read_text(encoding="utf-8")
    text = text.replace("automatic: [dev]", "automatic: []")
    text = text.replace("people: {}", f"people: {{{OWNER}: [owner]}}")
    policy.write_text(text, encoding="utf-8")
    public = key.with_suffix(".pub").read_text(encoding="utf-8")
    with (policy.parent / "allowed_signers").open("a", encoding="utf-8") as signers:
        signers.write(f"{OWNER} {public}")
    who = ["-c", "user.name=mlops demo", "-c", "user.email=demo@localhost"]
    for words in (["add", "conf"], [*who, "commit", "-qm", "The owner signs"]):
        run(["git", *words], project, environment, waiting="committing")
    return key


def _serve(stage: Stage) -> str:
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [*uv(), "run", "--no-sync", "mlops", "serve", "--port", str(port)]
    log = stage.project.parent / "serve.log"
    with in_progress("starting the model's server"):
        server = local_server(
            command, stage.environment, health=f"{url}/readyz", log=log, folder=stage.project
        )
        stage.platform.enter_context(server)
    console.print(f"  [green]✓[/] {url}", highlight=False)
    return url


def _deploy(stage: Stage) -> None:
    """The flows with their automation, and a worker that is there when its health answers."""
    project, environment = stage.project, stage.environment
    prefect = [*uv(), "run", "--no-sync", "prefect"]
    pool = [*prefect, "work-pool", "create", "local", "--type", "process", "--overwrite"]
    run(pool, project, environment, waiting="making a work pool")
    rooted = environment | {"PROJECT_ROOT": str(project)}
    run([*prefect, "--no-prompt", "deploy", "--all"], project, rooted, waiting="deploying")
    port = free_port()
    worker = environment | {"PREFECT_WORKER_WEBSERVER_PORT": str(port)}
    command = [*prefect, "worker", "start", "--pool", "local", "--with-healthcheck"]
    health = f"http://127.0.0.1:{port}/health"
    log = project.parent / "worker.log"
    with in_progress("starting a worker"):
        stage.platform.enter_context(
            local_server(command, worker, health=health, log=log, folder=project)
        )


def _answers(url: str, version: int) -> None:
    """Wait until this version answers, and say so.

    Raises
    ------
    PlatformError
        If it does not within a minute.
    """
    end, found = time.monotonic() + SWITCH_SECONDS, None
    with in_progress(f"waiting for version {version} to answer"):
        while found != version and time.monotonic() < end:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/readyz") as answer:
                found = json.loads(answer.read())["version"]
            if found != version:
                time.sleep(0.5)
    if found == version:
        console.print(f"  [bold green]version {version} answers[/] on {escape(url)}")
        return
    raise PlatformError(
        f"version {found} still answers, not version {version}",
        where=url,
        next_step="see serve.log and worker.log in the demo's folder",
    )
