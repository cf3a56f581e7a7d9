"""Killed at any moment, out of disk, sealed by two at once: nothing is lost, nothing is doubled."""

import contextlib
import errno
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_tasks.errors import StorageError
from mlops_tasks.serving.prediction_log import sealing, writer
from mlops_tasks.serving.prediction_log.journal import read_segment
from mlops_tasks.serving.prediction_log.places import place_of
from mlops_tasks.serving.prediction_log.sealing import seal
from mlops_tasks.serving.prediction_log.segment import lock_of
from mlops_tasks.serving.prediction_log.writer import open_log
from mlops_tasks.settings import Settings
from tests.serving.prediction_log.answers import (
    MODEL,
    answered,
    everything,
    ids,
    journals,
    parquet,
    settings_in,
)
from tests.serving.prediction_log.sealers import eventually, sealers
from tests.serving.prediction_log.servers import FORKS, start
from tests.small_disk import small_disk

KILLS = 20


@pytest.mark.slow
def test_what_was_acknowledged_before_a_kill_is_there_once(tmp_path: Path) -> None:
    settings, moments = settings_in(tmp_path), random.Random(7)
    acknowledged: list[str] = []
    # Two at a time, so that one finds what the other has left, or is still writing.
    for pair in range(KILLS // 2):
        running = [start(tmp_path, f"{pair}{side}") for side in "ab"]
        while not all(server.said for server in running):
            time.sleep(0.01)
        # Half of the time those that seal are at work by then, and are killed, or left alone.
        if pair % 2:
            eventually(lambda: sealers(tmp_path), "nobody seals")
        time.sleep(moments.uniform(0, 0.6 if pair % 2 else 0.15))
        for sealer in sealers(tmp_path) if pair % 4 == 1 else []:
            with contextlib.suppress(ProcessLookupError):
                os.kill(sealer, signal.SIGKILL)
        for server in running:
            server.process.kill()
            server.process.join()
            assert server.process.exitcode == -signal.SIGKILL
            server.listener.join()
            acknowledged += server.said
    eventually(lambda: not sealers(tmp_path), "an orphan does not end")
    counted = Counter(ids(settings))
    assert len(acknowledged) > 10 * KILLS
    assert set(acknowledged) <= set(counted)
    assert set(counted.values()) == {1}
    # At most the one record that was written and not yet told of, of each process.
    assert len(counted) <= len(acknowledged) + KILLS
    assert parquet(settings)
    assert journals(settings) == [], "the reader sealed what the dead have left"
    assert Counter(ids(settings)) == counted


def test_a_crash_between_parquet_and_journal_doubles_nothing(
    settings: Callable[..., Settings],
) -> None:
    here = settings()
    log = open_log(here)
    log.append(answered("a"))
    (journal,) = journals(here)
    content = journal.read_bytes()
    log.close()
    assert len(parquet(here)) == 1
    journal.write_bytes(content)  # as if it had not been deleted yet
    assert ids(here) == ["a"]
    journal.write_bytes(content)
    with lock_of(journal):  # somebody is about to, and cannot be helped
        assert ids(here) == ["a"]
    open_log(here).close()
    assert journals(here) == []
    assert len(parquet(here)) == 1


def test_readers_during_sealing_see_every_record_once(settings: Callable[..., Settings]) -> None:
    here = settings(roll_rows=5)
    log = open_log(here)
    for number in range(300):
        log.append(answered(str(number)))
        if number % 20 == 0:
            assert sorted(map(int, ids(here))) == list(range(number + 1))
    log.close()
    assert len(parquet(here)) >= 60


def test_sealing_by_many_processes_gives_one_file_a_segment(
    settings: Callable[..., Settings], tmp_path: Path
) -> None:
    here = settings(roll_rows=10, roll_seconds=3600)
    folder = place_of(here.stack, MODEL).journal
    log = open_log(here)
    place = Path(here.stack.predictions) / MODEL
    place.joinpath("day=2026-03-01").write_bytes(b"")  # nothing can be sealed
    for number in range(200):
        log.append(answered(str(number)))
    log.close()
    assert len(list(folder.glob("*.journal"))) == 20
    place.joinpath("day=2026-03-01").unlink()
    sealers = [FORKS.Process(target=seal_in, args=(tmp_path,)) for _ in range(3)]
    for sealer in sealers:
        sealer.start()
    for sealer in sealers:
        sealer.join()
    assert [sealer.exitcode for sealer in sealers] == [0, 0, 0]
    assert len(parquet(here)) == 20
    assert sorted(map(int, ids(here))) == list(range(200))
    assert list(folder.iterdir()) == []


def seal_in(folder: Path) -> None:
    seal(place_of(settings_in(folder).stack, MODEL))


def test_a_full_disk_refuses_and_spoils_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "512k") as disk:
        settings = settings_in(tmp_path, predictions=str(disk / "log"))
        log = open_log(settings)
        log.append(answered("before"))
        ballast = disk / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb") as stream:
            while True:
                stream.write(bytes(1000))
                stream.flush()
        kept, refused = ["before"], []
        for number in range(60):  # some fit into the last page that the file has
            try:
                log.append(answered(f"{number}", rows=[(0.5, "J" * 300)]))
                kept.append(str(number))
            except StorageError as error:
                refused.append(error)
        assert len(refused) > 10
        assert all("No space left" in str(error) for error in refused)
        assert all("stack.predictions" in error.next_step for error in refused)
        assert len(kept) > 1, "it filled the last page"
        assert read_segment(journals(settings)[0]).damaged == 0
        assert sorted(ids(settings)) == sorted(kept)
        ballast.unlink()
        log.append(answered("after"))
        log.close()
        assert sorted(ids(settings)) == sorted([*kept, "after"])
        assert journals(settings) == []


def test_a_damaged_record_is_kept_aside_and_told_of(
    settings: Callable[..., Settings], caplog: pytest.LogCaptureFixture
) -> None:
    here = settings()
    log = open_log(here)
    for name in "abc":
        log.append(answered(name))
    segment = log._open.popitem()[1]
    spoilt = segment.path.read_bytes().replace(b"\xa1b", b"\xa1B")  # the text of one letter
    segment.path.write_bytes(spoilt)
    segment._lock.release()
    log.close()
    assert ids(here) == ["a", "c"]
    (aside,) = place_of(here.stack, MODEL).journal.glob("*.damaged")
    assert aside.read_bytes() == spoilt
    assert "1 parts of a journal cannot be read" in caplog.text


def test_an_unfinished_header_or_record_is_not_damage(settings: Callable[..., Settings]) -> None:
    here = settings()
    log = open_log(here)
    log.append(answered("a"))
    path, whole = journals(here)[0], journals(here)[0].read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        found = read_segment(path)
        assert (found.frame.height, found.damaged) == (0, 0)
    path.write_bytes(whole)
    assert read_segment(path).frame.height == 1
    log.close()


def test_without_sync_seconds_append_waits_for_the_disk_and_many_share_a_wait(
    settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, calls, real = settings(sync_seconds=0), [], os.fsync
    unsynced: list[int] = []

    def counted(handle: int) -> None:
        calls.append(handle)
        time.sleep(0.005)  # as a disk does
        real(handle)

    monkeypatch.setattr(os, "fsync", counted)
    log = open_log(here)
    log.append(answered("first"))
    assert calls
    alone = len(calls)

    def ask(name: int) -> None:
        for number in range(20):
            log.append(answered(f"{name}-{number}"))
            (segment,) = log._open.values()
            unsynced.append(segment._synced == 0)

    threads = [threading.Thread(target=ask, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) - alone < 8 * 20 / 2, "they waited together"
    assert not any(unsynced)
    log.close()
    assert len(ids(here)) == 161


def test_a_disk_that_fails_is_an_error_and_the_segment_is_left(
    settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = settings(sync_seconds=0)
    log = open_log(here)
    log.append(answered("a"))
    failed = log._open[next(iter(log._open))].path
    real = os.fsync

    def failing(handle: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(StorageError, match="Input/output error"):
        log.append(answered("not acknowledged"))
    monkeypatch.setattr(os, "fsync", real)
    log.append(answered("b"))
    assert all(segment.path != failed for segment in log._open.values())
    log.close()
    assert {"a", "b"} <= set(ids(here))


def test_the_background_thread_brings_records_to_the_disk_within_the_bound(
    settings: Callable[..., Settings],
) -> None:
    log = open_log(settings(sync_seconds=0.05))
    log.append(answered("a"))
    (segment,) = log._open.values()
    for _ in range(600):
        if segment._synced == segment._size:
            break
        time.sleep(0.05)
    assert segment._synced == segment._size > 0
    log.close()


def test_the_bound_holds_for_what_was_rolled_while_sealing_hangs(
    settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, over = threading.Event(), threading.Event()

    def hanging(_: object) -> None:
        hangs.set()
        over.wait(300)

    monkeypatch.setattr(writer.SealingProcess, "seal", hanging)
    log = open_log(settings(sync_seconds=0.05, roll_rows=1))
    log.append(answered("a"))
    assert hangs.wait(30), "the first one is closed, and nobody closes the next"
    log.append(answered("b"))
    (segment,) = log._closing
    try:
        eventually(lambda: segment._synced == segment._size > 0, "it is not on the disk")
    finally:
        over.set()
        log.close()


def test_a_store_that_is_down_keeps_the_journal_until_it_is_up(
    settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, real = settings(), sealing.publish

    def down(*words: object) -> None:
        raise ConnectionError("nobody answers")

    monkeypatch.setattr(sealing, "publish", down)
    log = open_log(here)
    log.append(answered("a"))
    log.close()
    assert ids(here) == ["a"], "read from the journal"
    assert parquet(here) == []
    monkeypatch.setattr(sealing, "publish", real)
    open_log(here).close()
    assert len(parquet(here)) == 1
    assert ids(here) == ["a"]
    assert everything(here).height == 1
