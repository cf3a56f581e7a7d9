"""Objects are complete, named by content and verified, also on a full disk and after a kill."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mlops_tasks.data.frames import write_frame
from mlops_tasks.errors import AlteredObject, StorageError
from mlops_tasks.storage import CHUNK_BYTES, adopt, fetch, file_digest, put
from tests.small_disk import small_disk

CONTENT = b"some content\x00\xff"


def writing(content: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


def files(store: Path) -> list[Path]:
    return sorted(path.relative_to(store) for path in store.rglob("*") if path.is_file())


def final(store: Path) -> list[Path]:
    """Whatever could be mistaken for an object."""
    return [path for path in files(store) if re.match(r"[0-9a-f]{64}", path.name)]


def test_an_object_is_named_by_its_content(tmp_path: Path) -> None:
    uri, digest, size = put(str(tmp_path / "a/b"), writing(CONTENT), ".bin")
    assert digest == sha256(CONTENT).hexdigest()
    assert size == len(CONTENT)
    assert Path(uri) == tmp_path / "a/b" / digest[:2] / f"{digest}.bin"
    assert Path(uri).read_bytes() == CONTENT
    assert files(tmp_path / "a/b") == [Path(digest[:2]) / f"{digest}.bin"]
    with fetch(uri, digest) as path:
        assert path == Path(uri), "local objects are not copied"


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1])
def test_digests_of_files_of_any_size(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "a").write_bytes(content)
    assert file_digest(tmp_path / "a") == sha256(content).hexdigest()


def test_the_same_content_is_one_object_and_is_written_once(tmp_path: Path) -> None:
    first = put(str(tmp_path), writing(CONTENT), ".bin")
    stamp = Path(first[0]).stat()
    assert put(str(tmp_path), writing(CONTENT), ".bin") == first
    assert Path(first[0]).stat().st_ino == stamp.st_ino
    put(str(tmp_path), writing(CONTENT + b"!"), ".bin")
    assert len(files(tmp_path)) == 2


def test_a_copy_of_a_file_can_be_kept(tmp_path: Path) -> None:
    source = tmp_path / "report.html"
    source.write_bytes(CONTENT)
    uri, digest, _ = adopt(str(tmp_path / "store"), source)
    assert uri.endswith(f"{digest}.html")
    source.write_bytes(b"changed")
    with fetch(uri, digest) as path:
        assert path.read_bytes() == CONTENT


def test_an_altered_object_is_refused(tmp_path: Path) -> None:
    uri, digest, _ = put(str(tmp_path), writing(CONTENT), ".bin")
    for other in (CONTENT + b"!", CONTENT[:-1], b"", b"X" + CONTENT[1:]):
        Path(uri).write_bytes(other)
        with pytest.raises(AlteredObject) as caught, fetch(uri, digest):
            pytest.fail("the block must not run")
        assert digest[:12] in caught.value.what
        assert sha256(other).hexdigest()[:12] in caught.value.what
        assert caught.value.where == uri


@pytest.mark.parametrize("store", ["local", "memory://missing"])
def test_a_missing_object_is_an_error(tmp_path: Path, store: str) -> None:
    uri = f"{tmp_path if store == 'local' else store}/no/such.bin"
    with pytest.raises(StorageError, match="cannot be read") as caught, fetch(uri, "d" * 64):
        pytest.fail("the block must not run")
    assert not isinstance(caught.value, AlteredObject)
    assert caught.value.where == uri
    assert caught.value.next_step


def test_an_object_gets_its_name_by_renaming_and_only_then(tmp_path: Path) -> None:
    seen = []

    def write(path: Path) -> None:
        path.write_bytes(CONTENT)
        seen.append((path.stat().st_ino, final(tmp_path)))

    uri, _, _ = put(str(tmp_path), write, ".bin")
    assert seen == [(Path(uri).stat().st_ino, [])]


def test_a_failing_writer_leaves_nothing(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        path.write_bytes(CONTENT)
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        put(str(tmp_path), fail, ".bin")
    assert files(tmp_path) == []


def test_a_store_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be written") as caught:
        put(str(tmp_path / "file" / "store"), writing(CONTENT), ".bin")
    assert "stack.store" in caught.value.next_step


NAMES = ["plain", "with space", "a::b", "per%20cent", "ha#sh?x=1", "[b]*", "über", "~tilde", "a:b"]


@pytest.mark.parametrize("name", NAMES)
def test_a_store_may_have_any_name(tmp_path: Path, name: str) -> None:
    uri, digest, _ = put(str(tmp_path / name), writing(CONTENT), ".bin")
    assert len(final(tmp_path / name)) == 1
    with fetch(uri, digest) as path:
        assert path.read_bytes() == CONTENT


def test_file_uris_are_local(tmp_path: Path) -> None:
    uri, digest, _ = put(f"file://{tmp_path}/store", writing(CONTENT), ".bin")
    assert uri.startswith("file://")
    assert len(final(tmp_path / "store")) == 1
    with fetch(uri, digest) as path:
        assert tmp_path in path.parents


def test_a_store_elsewhere(tmp_path: Path) -> None:
    """In memory, as it would be on S3: nothing is local, objects are copied for the block."""
    from upath import UPath

    store = f"memory://store-{os.getpid()}"
    content = os.urandom(CHUNK_BYTES * 2 + 17)
    uri, digest, size = put(store, writing(content), ".bin")
    assert uri == f"{store}/{digest[:2]}/{digest}.bin"
    assert size == len(content)
    assert put(store, writing(content), ".bin") == (uri, digest, size)
    assert [str(path) for path in UPath(store).rglob("*.bin")] == [uri]
    with fetch(uri, digest) as path:
        copied = path
        assert path.read_bytes() == content
        assert path.suffix == ".bin"
    assert not copied.exists()
    UPath(uri).write_bytes(content[:-1])
    with pytest.raises(AlteredObject), fetch(uri, digest):
        pytest.fail("the block must not run")


def test_many_threads_write_the_same_and_other_objects(tmp_path: Path) -> None:
    start = threading.Barrier(8)

    def keep(number: int) -> list[tuple[str, str, int]]:
        start.wait()
        shared = [b"shared %d" % each * 5_000 for each in range(5)]
        return [put(str(tmp_path), writing(each), ".x") for each in [*shared, b"own %d" % number]]

    with ThreadPoolExecutor(8) as pool:
        found = [item for batch in pool.map(keep, range(8)) for item in batch]
    assert len(set(found)) == 5 + 8
    assert len(files(tmp_path)) == 5 + 8
    for uri, digest, _ in found:
        with fetch(uri, digest):
            pass


def run(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    source = textwrap.dedent(program)
    return subprocess.run(
        [sys.executable, "-c", source, *words], capture_output=True, text=True, check=False
    )


LIMITED = """
    import resource, sys
    from pathlib import Path
    import numpy as np, polars as pl
    from mlops_tasks.data.frames import write_frame
    from mlops_tasks.errors import StorageError
    from mlops_tasks.storage import put

    store, writer = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        if writer == "frame":
            frame = pl.DataFrame({"a": np.random.default_rng(0).uniform(size=100_000)})
            write_frame(frame, store, regions=("local",))
        else:
            put(store, lambda path: path.write_bytes(bytes(200_000)) and None, ".bin")
    except StorageError as error:
        print(error)
"""


@pytest.mark.parametrize("writer", ["bytes", "frame"])
def test_an_object_that_is_larger_than_files_may_be_leaves_nothing(
    tmp_path: Path, writer: str
) -> None:
    done = run(LIMITED, str(tmp_path), writer)
    assert "an object cannot be written" in done.stdout, done.stderr
    assert "too large" in done.stdout
    assert f"where: {tmp_path}" in done.stdout
    assert files(tmp_path) == []


@pytest.mark.parametrize("writer", ["bytes", "frame"])
def test_a_full_disk_leaves_nothing_and_heals(tmp_path: Path, writer: str) -> None:
    frame = pl.DataFrame({"a": np.random.default_rng(0).uniform(size=300_000)})
    writers = {
        "bytes": lambda store: put(store, writing(bytes(2 << 20)), ".bin"),
        "frame": lambda store: write_frame(frame, store, regions=("local",)),
    }
    with small_disk(tmp_path / "disk", "1m") as disk:
        kept = put(str(disk / "store"), writing(CONTENT), ".bin")
        with pytest.raises(StorageError, match=r"(?i)no space left") as caught:
            writers[writer](str(disk / "store"))
        assert "stack.store" in caught.value.next_step
        assert files(disk / "store") == [Path(kept[0]).relative_to(disk / "store")]
        with fetch(kept[0], kept[1]) as path:
            assert path.read_bytes() == CONTENT
        put(str(disk / "store"), writing(os.urandom(500_000)), ".bin")


BLOCKED = """
    import signal, sys, time
    from mlops_tasks.storage import put

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it

    def write(path):
        with path.open("wb") as stream:
            stream.write(bytes(100_000))
            stream.flush()
            print("half way", flush=True)
            time.sleep(60)

    put(sys.argv[1], write, ".bin")
"""


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_a_process_that_is_ended_while_writing_leaves_no_object(
    tmp_path: Path, ending: signal.Signals
) -> None:
    command = [sys.executable, "-c", textwrap.dedent(BLOCKED), str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half way\n"
        assert [path.parent.name for path in files(tmp_path)] == ["incoming"], "it was writing"
        process.send_signal(ending)
        process.wait(20)
    assert final(tmp_path) == []
    if ending == signal.SIGINT:
        assert files(tmp_path) == []
    uri, digest, _ = put(str(tmp_path), writing(bytes(100_000)), ".bin")
    assert len(final(tmp_path)) == 1
    with fetch(uri, digest):
        pass


KILLED_OFTEN = """
    import sys
    from mlops_tasks.storage import put

    for number in range(10_000):
        content = number.to_bytes(8, "big") * 40_000
        put(sys.argv[1], lambda path: path.write_bytes(content) and None, ".bin")
        print("one more", flush=True)
"""


def test_after_a_kill_at_any_moment_every_object_is_whole(tmp_path: Path) -> None:
    for pause in (0.02, 0.05, 0.11):
        command = [sys.executable, "-c", textwrap.dedent(KILLED_OFTEN), str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline()
            time.sleep(pause)
            process.kill()
    assert len(final(tmp_path)) > 1
    for path in final(tmp_path):
        assert file_digest(tmp_path / path) == path.stem
