"""The loop, in processes of its own: traffic, drift, alarm, automation, training, person, switch.

A real Prefect server, a real worker, a real endpoint; nothing is called that a user would not call.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_tasks.platform.local_server import free_port, local_server
from tests.conftest import Generated

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
POOL = "loop"


@pytest.fixture(scope="module")
def ours(project: Generated, tmp_path_factory: pytest.TempPathFactory) -> Generated:
    """A deployed project with a champion, in which ada signs what comes next."""
    folder = tmp_path_factory.mktemp("loop")
    copy = project.copy(folder)
    copy.run("mlops", "train", "model=forest")
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "ada")]
    subprocess.run(words, check=True)
    policy = copy.root / "conf" / "policy"
    public = (folder / "ada.pub").read_text()
    (policy / "allowed_signers").write_text(f"ada@x.org {public}")
    text = (policy / "default.yaml").read_text()
    text = text.replace("automatic: [dev]", "automatic: []")
    text = text.replace("people: {}", 'people: {"ada@x.org": [owner]}')
    (policy / "default.yaml").write_text(text)
    copy.run("prefect", "work-pool", "create", POOL, "--type", "process", "--overwrite")
    deployments = copy.root / "prefect.yaml"
    deployments.write_text(deployments.read_text().replace("name: local", f"name: {POOL}"))
    copy.run("prefect", "--no-prompt", "deploy", "--all", PROJECT_ROOT=str(copy.root))
    return copy


@pytest.fixture(scope="module")
def url(ours: Generated) -> Iterator[str]:
    """Where the champion answers."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [str(ours.programs / "mlops"), "serve", "--port", str(port)]
    with local_server(
        command,
        ours.environment,
        health=f"{address}/readyz",
        log=ours.root.parent / "serve.log",
        folder=ours.root,
    ):
        yield address


@contextlib.contextmanager
def worker(ours: Generated) -> Iterator[None]:
    log = (ours.root.parent / "worker.log").open("a")
    process = subprocess.Popen(
        [str(ours.programs / "prefect"), "worker", "start", "--pool", POOL],
        cwd=ours.root,
        env=ours.environment,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answering(url: str) -> int:
    with urllib.request.urlopen(f"{url}/readyz") as answer:
        return int(json.loads(answer.read())["version"])


def events(ours: Generated, action: str) -> list[str]:
    found = ours.run("mlops", "audit", "log", "--action", action, "--json").stdout
    return [json.loads(line)["event"]["outcome"] for line in found.splitlines()]


def until(what: str, condition: object, seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, what
        time.sleep(0.5)


def simulated(ours: Generated, *words: str) -> list[dict[str, object]]:
    done = ours.run("mlops", "monitor", *words, "--json")
    return list(json.loads(done.stdout))


def test_without_drift_nothing_rings(ours: Generated, url: str) -> None:
    words = ("--simulate", "steady", "--windows", "20", "--rows", "300", "--url", url)
    windows = simulated(ours, *words)
    assert [each["report"]["verdict"] for each in windows] == ["no drift"] * 20
    assert not any(each["report"]["rang"] for each in windows)
    assert events(ours, "alarm") == []
    assert set(events(ours, "drift")) == {"no drift"}
    gauges = urllib.request.urlopen(f"{url}/metrics").read().decode()
    assert 'mlops_monitoring_drift_detected{model="flight-delay"} 0.0' in gauges


def test_drift_leads_to_another_champion(ours: Generated, url: str) -> None:
    """July and August as they were, and nobody but the automation starts the training."""
    words = ("--simulate", "months", "--windows", "2", "--rows", "600", "--url", url)
    july, august = simulated(ours, "model=boosting", *words, "--wait", "0")
    assert july["report"]["verdict"] == august["report"]["verdict"] == "drift"
    assert (july["report"]["rang"], august["report"]["rang"]) == (False, True)
    assert events(ours, "alarm") == ["retraining"]
    assert events(ours, "retraining") == ["called"]
    with worker(ours):
        until("no training", lambda: "accepted" in events(ours, "registration")[1:])
        until("no request", lambda: len(events(ours, "approval.request")) == 1)
        assert answering(url) == 1, "nobody was asked yet"
        ours.run("mlops", "approve", "--key", str(ours.root.parent / "ada"))
        until("the new version does not answer", lambda: answering(url) == 2)
    [reigned, reigns] = json.loads(ours.run("mlops", "history", "--json").stdout)
    assert (reigned["version"], reigns["version"]) == (1, 2)
    assert reigns["approved_by"] == ["ada@x.org"]
    assert events(ours, "retraining") == ["called", "begun"], "one run answers it"
    assert events(ours, "registration") == ["accepted", "accepted"], "no training twice"
    ours.run("mlops", "rollback", "--reason", "only a test")
    until("the old version does not answer", lambda: answering(url) == 1, 60)
    ours.run("mlops", "audit", "verify")


def test_the_window_can_be_looked_at(ours: Generated, url: str) -> None:
    from mlflow import MlflowClient

    address = f"sqlite:///{ours.environment['MLOPS_HOME']}/mlflow.db"
    client = MlflowClient(address)
    experiment = client.get_experiment_by_name("flight-delay-monitoring")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=100)
    assert len(runs) == 22, "one for each window"
    rung = [each for each in runs if each.data.tags["mlops.alarm"] == "true"]
    [run] = rung
    assert run.data.metrics["drift_detected"] == 1
    assert {"realised_roc_auc", "estimated_roc_auc", "labels"} <= set(run.data.metrics)
    page = Path(run.info.artifact_uri.removeprefix("file://")) / "report.html"
    text = page.read_text()
    assert len(text) < 1_000_000
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "temperature_f" in text
    found = ours.run("prefect", "artifact", "ls").stdout
    assert "drift-flight-delay" in found
