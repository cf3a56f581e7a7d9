"""A server's journals are sealed by a process that may be killed at any moment."""

import contextlib
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_tasks.errors import StorageError
from mlops_tasks.serving.prediction_log import sealing_process
from mlops_tasks.serving.prediction_log.places import place_of
from mlops_tasks.serving.prediction_log.sealer import NICENESS
from mlops_tasks.serving.prediction_log.sealing_process import ENTRY, SealingProcess
from mlops_tasks.serving.prediction_log.segment import Context, Segment, lock_of
from mlops_tasks.serving.prediction_log.writer import open_log
from mlops_tasks.settings import Settings
from tests.faults.servers import moto
from tests.serving.prediction_log.answers import (
    MODEL,
    answered,
    ids,
    journals,
    parquet,
    settings_in,
)
from tests.serving.prediction_log.sealers import eventually, sealers
from tests.small_disk import small_disk

SEGMENTS = 150
CONTEXT = Context(MODEL, 1, "d" * 64, "eu", "champion", ("x",))


def abandoned(settings: Settings, count: int, context: Context = CONTEXT) -> list[str]:
    """Segments of one record that a dead process has left; gives the ids of the records."""
    folder = place_of(settings.stack, MODEL).journal
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        segment = Segment(folder / f"2026-03-01.20260301T120000{number:06d}-{number:016x}.journal")
        row = (0.5,) * len(context.columns)
        segment.append(context, [0, str(number), 0, 1.0, [row], [0.5], [1]], 1)
        segment.close()
    return [str(number) for number in range(count)]


@pytest.fixture
def sealing(settings: Callable[..., Settings]) -> SealingProcess:
    return SealingProcess(place_of(settings().stack, MODEL))


def test_one_process_seals_again_and_again_and_ends_when_told(
    settings: Callable[..., Settings], sealing: SealingProcess, tmp_path: Path
) -> None:
    here, pids = settings(), []
    for _ in range(2):
        abandoned(here, 3)
        sealing.seal()
        assert journals(here) == []
        pids += sealers(tmp_path)
    assert len(parquet(here)) == 3
    assert pids == [pids[0]] * 2
    assert os.getpriority(os.PRIO_PROCESS, pids[0]) == min(
        19, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS
    )
    sealing.end()
    assert sealers(tmp_path) == []
    sealing.end()


def test_a_process_without_work_is_ended(
    settings: Callable[..., Settings],
    sealing: SealingProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sealing.seal()
    sealing.rest()
    assert len(sealers(tmp_path)) == 1
    monkeypatch.setattr(sealing_process, "IDLE_SECONDS", 0.0)
    sealing.rest()
    assert sealers(tmp_path) == []


def test_a_log_without_anything_to_seal_starts_no_process(
    settings: Callable[..., Settings], tmp_path: Path
) -> None:
    log = open_log(settings(roll_seconds=0.02))
    time.sleep(0.2)
    assert sealers(tmp_path) == []
    log.append(answered("a"))
    eventually(lambda: parquet(settings()), "it is not sealed while the log is open")
    assert len(sealers(tmp_path)) == 1
    log.close()
    assert sealers(tmp_path) == []


def test_killed_in_the_middle_it_is_followed_by_another(
    settings: Callable[..., Settings], sealing: SealingProcess, tmp_path: Path
) -> None:
    here = settings()
    expected = abandoned(here, SEGMENTS)
    failures: list[StorageError] = []

    def seal() -> None:
        try:
            sealing.seal()
        except StorageError as error:
            failures.append(error)

    asking = threading.Thread(target=seal)
    asking.start()
    eventually(lambda: parquet(here), "it does not begin")
    (pid,) = sealers(tmp_path)
    os.kill(pid, signal.SIGKILL)
    asking.join()

    assert f"ended with {-signal.SIGKILL}" in str(failures[0])
    # The kill may come between a Parquet file and the end of its journal.
    assert parquet(here), "it had begun"
    assert journals(here), "it had not ended"
    sealing.seal()
    sealing.end()
    assert journals(here) == []
    assert Counter(ids(here)) == Counter(expected)


def test_without_its_server_it_ends_what_it_has_begun_and_itself(
    settings: Callable[..., Settings], tmp_path: Path
) -> None:
    here = settings()
    expected = abandoned(here, SEGMENTS)
    place = place_of(here.stack, MODEL)
    server = f"""
from pathlib import Path
from upath import UPath
from mlops_tasks.serving.prediction_log.places import Place
from mlops_tasks.serving.prediction_log.sealing_process import SealingProcess
SealingProcess(Place(UPath({str(place.folder)!r}), Path({str(place.journal)!r}))).seal()
"""
    process = subprocess.Popen([sys.executable, "-c", server])
    eventually(lambda: parquet(here), "it does not begin")
    process.kill()
    process.wait()

    assert sealers(tmp_path), "the orphan works"
    eventually(lambda: not sealers(tmp_path), "the orphan does not end")
    assert journals(here) == []
    assert Counter(ids(here)) == Counter(expected)


def test_of_many_that_are_killed_at_random_none_loses_or_doubles(
    settings: Callable[..., Settings], sealing: SealingProcess, tmp_path: Path
) -> None:
    here, moments = settings(), random.Random(5)
    expected = abandoned(here, SEGMENTS)
    place = place_of(here.stack, MODEL)
    for _ in range(4):
        words = [str(place.folder), str(place.journal)]
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", ENTRY, *words], stdin=subprocess.PIPE, stdout=-1
        )
        before = len(journals(here))
        with process:
            assert process.stdin
            process.stdin.write(b"\n")
            process.stdin.flush()
            eventually(lambda b=before: len(journals(here)) < b, "it does not begin")
            time.sleep(moments.uniform(0, 0.03))
            process.kill()
    sealing.seal()
    sealing.end()
    assert journals(here) == []
    assert Counter(ids(here)) == Counter(expected)


def test_it_loads_neither_the_server_nor_a_model(settings: Callable[..., Settings]) -> None:
    place = place_of(settings().stack, MODEL)
    words = ["-X", "importtime", "-P", "-m", ENTRY, str(place.folder), str(place.journal)]
    done = subprocess.run(
        [sys.executable, *words], input=b"\n", capture_output=True, check=True, timeout=60
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.decode().splitlines()}

    assert done.stdout == b'{"error": "", "said": []}\n'
    assert "polars" in loaded
    heavy = {"starlette", "uvicorn", "onnxruntime", "sklearn", "mlflow", "prefect"}
    assert not loaded & {*heavy, "mlops_tasks.serving.online"}


def test_what_is_damaged_is_told_in_the_log_of_the_server(
    settings: Callable[..., Settings], sealing: SealingProcess, caplog: pytest.LogCaptureFixture
) -> None:
    here = settings()
    abandoned(here, 1)
    (journal,) = journals(here)
    journal.write_bytes(journal.read_bytes()[:-1] + b"?")
    sealing.seal()
    sealing.end()
    assert "cannot be read" in caplog.text
    assert caplog.records[0].levelno == logging.ERROR


def test_an_error_says_nothing_of_what_is_in_the_journals(
    settings: Callable[..., Settings], sealing: SealingProcess
) -> None:
    abandoned(settings(), 1, CONTEXT._replace(columns=("canary", "canary")))
    with pytest.raises(StorageError, match="ComputeError") as caught:
        sealing.seal()
    sealing.end()
    assert "canary" not in str(caught.value)


def test_a_full_disk_loses_nothing(settings: Callable[..., Settings], tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "512k") as disk:
        here = settings()
        here = here.model_copy(
            update={"stack": here.stack.model_copy(update={"predictions": str(disk / "log")})}
        )
        expected = abandoned(here, 3)
        ballast = disk / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", 0) as stream:
            while True:
                stream.write(bytes(1000))
        sealing = SealingProcess(place_of(here.stack, MODEL))
        with pytest.raises(StorageError, match="No space left"):
            sealing.seal()
        assert len(journals(here)) == 3
        ballast.unlink()
        sealing.seal()
        sealing.end()
        assert journals(here) == []
        assert sorted(ids(here)) == expected


@pytest.mark.slow
def test_an_object_store_gets_what_is_sealed(
    settings: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3

    with moto(tmp_path) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "test")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        boto3.client("s3").create_bucket(Bucket="log")
        here = settings_in(tmp_path, predictions="s3://log/predictions")
        place = place_of(here.stack, MODEL)
        expected = abandoned(here, 3)
        sealing = SealingProcess(place)
        sealing.seal()
        sealing.end()
        assert list(place.journal.iterdir()) == []
        assert [len(place.files(day)) for day in place.days()] == [3]
        assert sorted(ids(here)) == expected


def test_a_segment_whose_writer_lives_does_not_wake_it(
    settings: Callable[..., Settings], tmp_path: Path
) -> None:
    here = settings(roll_seconds=0.02)
    abandoned(here, 1)
    with lock_of(journals(here)[0]):
        log = open_log(here)
        time.sleep(0.2)
        assert sealers(tmp_path) == []
        log.close()
    assert len(journals(here)) == 1
