"""A deployed training that needs an approval: it waits without a process, and a person wakes it."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import Generated

pytestmark = pytest.mark.slow
PROD = ["model=linear", "stack.stage=prod"]


@pytest.fixture
def ours(project: Generated, tmp_path: Path) -> Generated:
    """A project in which ada approves, deployed."""
    copy = project.copy(tmp_path)
    policy = copy.root / "conf" / "policy" / "default.yaml"
    text = policy.read_text()
    assert "people: {}" in text
    policy.write_text(text.replace("people: {}", 'people: {"ada@x.org": [owner]}'))
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "ada")]
    subprocess.run(words, check=True)
    public = (tmp_path / "ada.pub").read_text()
    (copy.root / "conf" / "policy" / "allowed_signers").write_text(f"ada@x.org {public}")
    copy.run("prefect", "work-pool", "create", "approvals", "--type", "process", "--overwrite")
    deployments = copy.root / "prefect.yaml"
    deployments.write_text(deployments.read_text().replace("name: local", "name: approvals"))
    copy.run("prefect", "--no-prompt", "deploy", "--all", PROJECT_ROOT=str(copy.root))
    return copy


def worker(ours: Generated, log: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [str(ours.programs / "prefect"), "worker", "start", "--pool", "approvals"],
        cwd=log.parent,
        env=ours.environment,
        stdout=log.open("w"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def state_of(ours: Generated, name: str) -> str:
    found = ours.run("prefect", "flow-run", "ls", "--limit", "200", "-o", "json").stdout
    return next(each["state_name"] for each in json.loads(found) if each["name"] == name)


def until(ours: Generated, name: str, wanted: str) -> None:
    give_up = time.monotonic() + 180
    while (state := state_of(ours, name)) != wanted:
        assert time.monotonic() < give_up, state
        assert state not in ("Failed", "Crashed"), state
        time.sleep(1)


def deployed_training(ours: Generated, overrides: list[str]) -> str:
    """The name of the flow run."""
    words = ("prefect", "deployment", "run", "train/flight-delay")
    started = ours.run(*words, "--param", f"overrides={json.dumps(overrides)}").stdout
    return next(line for line in started.splitlines() if "Created flow run" in line).split("'")[1]


def test_the_wait_outlives_the_worker(ours: Generated, tmp_path: Path) -> None:
    first = worker(ours, tmp_path / "first.log")
    try:
        name = deployed_training(ours, PROD)
        until(ours, name, "Suspended")
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    assert json.loads(ours.run("mlops", "history", "flight-delay.prod", "--json").stdout) == []

    approve = ("mlops", "approve", "--set", "stack.stage=prod", "--key", str(tmp_path / "ada"))
    said = ours.run(*approve)
    assert "goes on" in said.stderr
    second = worker(ours, tmp_path / "second.log")
    try:
        until(ours, name, "Completed")
    finally:
        os.killpg(second.pid, signal.SIGKILL)
        second.wait()
    [reign] = json.loads(ours.run("mlops", "history", "flight-delay.prod", "--json").stdout)
    assert reign["approved_by"] == ["ada@x.org"]
    assert ours.run("mlops", "audit", "verify").returncode == 0


def test_a_timeout_means_no(ours: Generated, tmp_path: Path) -> None:
    short = [*PROD, "policy.approval.expires_hours=0.004"]  # 14 s
    waits = ours.run("mlops", "train", *short, "--json", check=False)
    assert waits.returncode == 4, waits.stderr
    assert json.loads(waits.stdout)["standing"] == "waiting"
    time.sleep(15)
    late = ours.run("mlops", "approve", "--key", str(tmp_path / "ada"), check=False)
    assert late.returncode == 1
    assert "no request that waits" in late.stderr
    assert json.loads(ours.run("mlops", "history", "flight-delay.prod", "--json").stdout) == []


def test_a_suspended_training_that_nobody_approves_fails(ours: Generated, tmp_path: Path) -> None:
    short = [*PROD, "seed=3", "policy.approval.expires_hours=0.004"]
    running = worker(ours, tmp_path / "worker.log")
    try:
        name = deployed_training(ours, short)
        until(ours, name, "Suspended")
        until(ours, name, "Failed")
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    assert json.loads(ours.run("mlops", "history", "flight-delay.prod", "--json").stdout) == []
