"""Workers and monitors that are killed at random moments, 20 times each, while there is work.

Afterwards each alarm has one training that worked, each window one verdict, and every run an end.
"""

import contextlib
import json
import os
import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import Generated
from tests.deployments.conftest import killed_after, publish, recorded, until, worker
from tests.deployments.test_alarmed_twice import trainings
from tests.deployments.test_killed import kill_all
from tests.monitoring import answering

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
KILLS = 20
PATIENCE_SECONDS = 60  # for a worker to begin, where there is work
WINDOWS = 5
SEED = int(os.environ.get("KILL_SEED", "4"))
FIRST = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=20)
ENDED = ("Completed", "Answered", "Failed", "Cancelled")
OFTEN = ("cool_down_hours: 24", "cool_down_hours: 0"), ("budget: 2", "budget: 99")
# Trainings may run side by side, and begin again as soon and as often as Prefect allows.
PATIENCE = (
    ("flows.py:train\n    concurrency_limit: 1\n", "flows.py:train\n"),
    ("silent_seconds: 180", "silent_seconds: 40"),
    ("restarts: 2", f"restarts: {KILLS}\n      begin_seconds: 45\n      pause_seconds: 40"),
    ('FREQUENCY: "60"', 'FREQUENCY: "30"'),
)


@pytest.fixture(scope="module")
def drifted(ours: Generated) -> Generated:
    """A deployed project with a champion, and traffic that drifts in each of some hours."""
    for file, pairs in (("conf/monitoring/default.yaml", OFTEN), ("prefect.yaml", PATIENCE)):
        text = (ours.root / file).read_text()
        for old, new in pairs:
            assert old in text, old
            text = text.replace(old, new)
        (ours.root / file).write_text(text)
    publish(ours, ours.root.parent / "origin.git")
    ours.run("mlops", "train", "model=linear")
    for hour in range(WINDOWS):
        words = (str(ours.root), _time(hour), "300", str(300 * hour), "drifted")
        ours.run("python", answering.__file__, *words)
    ours.run("prefect", "--no-prompt", "deploy", "--all")
    return ours


@pytest.fixture(scope="module")
def others(drifted: Generated) -> frozenset[str]:
    """What other tests have started on this server."""
    return frozenset(each["id"] for each in trainings(drifted))


def _time(hour: int) -> str:
    return (FIRST + timedelta(hours=hour)).isoformat()


@contextlib.contextmanager
def monitor(ours: Generated, hour: int, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    words = ("monitor", "--start", _time(hour), "--end", _time(hour + 1), "--json")
    with log.open("ab") as file:
        process = subprocess.Popen(
            [str(ours.programs / "mlops"), *words],
            cwd=ours.root,
            env=ours.environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    with killed_after(process):
        yield process


def killed_monitors(ours: Generated, rng: random.Random, log: Path) -> None:
    """Judge the windows in order, again if killed, and then any, until enough were killed."""
    kills, done, longest = 0, 0, 1.0
    while kills < KILLS or done < WINDOWS:
        hour = done if done < WINDOWS else rng.randrange(WINDOWS)
        began = time.monotonic()
        with monitor(ours, hour, log) as process:
            try:
                # Once it is known how long one takes, the moments are spread over all of that.
                patience = None if kills >= KILLS else rng.uniform(0, longest * 1.3)
                assert process.wait(patience) == 0, log.read_text()[-3000:]
            except subprocess.TimeoutExpired:
                kills += 1
                longest += 1.0 if hour == done else 0.0
                continue
        longest = time.monotonic() - began
        done = max(done, hour + 1)


def killed_workers(ours: Generated, rng: random.Random, log: Path) -> int:
    """Kill workers with all that they run; how many flow processes that were.

    Every second one is given the time to begin with a flow, however slow the machine is.
    """
    hit = 0
    for number in range(KILLS):
        with worker(ours, ours.environment["POOL"], log) as process:
            end = time.monotonic() + (PATIENCE_SECONDS if number % 2 else 0)
            while not _flows(process.pid) and time.monotonic() < end:
                time.sleep(0.2)
            time.sleep(rng.uniform(0, 10))
            hit += len(_flows(process.pid))
            kill_all(process.pid)
    return hit


def _flows(worker: int) -> list[psutil.Process]:
    """The flow processes of a worker."""
    family = psutil.Process(worker).children(recursive=True)
    return [each for each in family if "prefect.engine" in " ".join(_words(each))]


def _words(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def entries(ours: Generated, action: str) -> list[dict[str, Any]]:
    found = ours.run("mlops", "audit", "log", "--action", action, "--json").stdout
    return [json.loads(line) for line in found.splitlines()]


def test_killed_at_any_moment_each_alarm_has_one_training(
    drifted: Generated, others: frozenset[str], tmp_path: Path
) -> None:
    def started() -> list[dict[str, Any]]:
        return [each for each in trainings(drifted) if each["id"] not in others]

    print(f"KILL_SEED={SEED}")
    rng = random.Random(SEED)
    log, failed = tmp_path / "monitor.log", []

    def watch(moments: random.Random) -> None:
        try:
            killed_monitors(drifted, moments, log)
        except BaseException as error:
            failed.append(error)

    watching = threading.Thread(target=watch, args=(random.Random(SEED + 1),))
    watching.start()
    until("no alarm rang", lambda: failed or started(), 600)
    hit = killed_workers(drifted, rng, tmp_path / "worker.log")
    watching.join()
    assert not failed, failed
    with worker(drifted, drifted.environment["POOL"], tmp_path / "worker.log"):
        until(
            lambda: [(each["id"], each["state"]) for each in started()],
            lambda: all(each["state"]["name"] in ENDED for each in started()),
            900,
        )
    assert hit > 0, "no worker was killed at work"

    alarms = entries(drifted, "alarm")
    assert [each["event"]["outcome"] for each in alarms] == ["retraining"] * (WINDOWS - 1)
    worked = Counter(
        each["parameters"]["alarm"] for each in started() if each["state"]["name"] == "Completed"
    )
    ends = Counter(each["state"]["name"] for each in started())
    assert worked == {each["hash"]: 1 for each in alarms}, ends
    assert set(ends) <= {"Completed", "Answered"}, ends
    called = [each for each in recorded(drifted, "retraining") if each == "called"]
    assert len(called) == len(alarms)

    verdicts = [each["event"] for each in entries(drifted, "drift")]
    assert [each["outcome"] for each in verdicts] == ["drift"] * WINDOWS
    assert len({each["facts"]["window"] for each in verdicts}) == WINDOWS
    for hour in range(WINDOWS):
        words = ("--start", _time(hour), "--end", _time(hour + 1), "--json")
        report = json.loads(drifted.run("mlops", "monitor", *words).stdout)
        assert (report["verdict"], report["rang"]) == ("drift", hour > 0)
    assert len(entries(drifted, "drift")) == WINDOWS
    assert len(started()) == sum(ends.values()), "and nothing more was started"
    drifted.run("mlops", "audit", "verify")
