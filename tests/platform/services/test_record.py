"""What was started is on record as a whole, for its owner only."""

import stat
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_tasks.errors import PlatformError
from mlops_tasks.local_platform import FOLDER, KEY_FILE, RECORD
from mlops_tasks.platform.services.record import Record, Service, folder_of, key_of, load, save

SERVICE = Service("prefect", 7, "boot:9", "2026-01-01", "http://127.0.0.1:1", "http://x", "/log")
TEXT = st.text(max_size=20)
SERVICES = st.builds(Service, TEXT, st.integers(1, 2**22), TEXT, TEXT, TEXT, TEXT, TEXT)
RECORDS = st.builds(
    Record,
    TEXT,
    st.dictionaries(TEXT, st.integers(1, 65535), max_size=3),
    st.dictionaries(TEXT, TEXT, max_size=3),
    st.dictionaries(TEXT, TEXT, max_size=3),
    st.lists(SERVICES, max_size=3).map(tuple),
)


@given(RECORDS)
def test_what_is_saved_is_loaded(tmp_path_factory: pytest.TempPathFactory, record: Record) -> None:
    home = tmp_path_factory.mktemp("home")
    save(home, record)
    assert load(home) == record


def test_a_service_replaces_the_one_before_it() -> None:
    record = Record().with_service(SERVICE).with_service(replace(SERVICE, pid=8))
    assert [each.pid for each in record.services] == [8]
    assert record.without("prefect").services == ()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"format": 2}', '{"format": 1}', '{"format": 1, "services": [1]}'],
)
def test_a_spoilt_record_is_none(tmp_path: Path, text: str) -> None:
    (folder_of(tmp_path) / RECORD).write_text(text)
    assert load(tmp_path) is None


def test_a_reader_never_sees_half_a_record(tmp_path: Path) -> None:
    records = [Record(clients={"name": letter * 50_000}) for letter in "ab"]
    save(tmp_path, records[0])
    done = threading.Event()

    def write() -> None:
        for number in range(60):
            save(tmp_path, records[number % 2])
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = [load(tmp_path)]
    while not done.is_set():
        seen.append(load(tmp_path))
    writer.join()
    assert all(each in records for each in seen)


def test_only_the_owner_may_read_record_and_key(tmp_path: Path) -> None:
    save(tmp_path, Record())
    key = key_of(tmp_path)
    for name, expected in ((".", 0o700), (RECORD, 0o600), (KEY_FILE, 0o600)):
        assert stat.S_IMODE((tmp_path / FOLDER / name).stat().st_mode) == expected
    assert key not in (tmp_path / FOLDER / RECORD).read_text()


def test_the_key_is_made_once_and_differs_between_homes(tmp_path: Path) -> None:
    first = key_of(tmp_path / "a")
    assert first == key_of(tmp_path / "a") != key_of(tmp_path / "b")
    assert len(first) > 30


def test_a_home_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PlatformError, match="cannot be written") as caught:
        save(tmp_path / "file", Record())
    assert "MLOPS_HOME" in caught.value.next_step


FULL = """
set -e
mount -t tmpfs -o size=16k tmpfs {folder}
mkdir {folder}/platform
echo before > {folder}/platform/platform.json
dd if=/dev/zero of={folder}/filler bs=1k count=64 2>/dev/null || true
exec {python} -c "
from pathlib import Path
from mlops_tasks.errors import PlatformError
from mlops_tasks.platform.services.record import Record, save
try:
    save(Path('{folder}'), Record(clients=dict(name='x' * 20000)))
except PlatformError as error:
    print(error)
print(sorted(p.name for p in Path('{folder}/platform').iterdir()))
print(Path('{folder}/platform/platform.json').read_text())
"
"""


def test_a_full_disk_leaves_the_old_record(tmp_path: Path) -> None:
    script = FULL.format(folder=tmp_path, python=sys.executable)
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", script],
        capture_output=True,
        text=True,
    )
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip("no file system can be made here")
    assert "No space left on device" in done.stdout
    assert "['platform.json']" in done.stdout
    assert done.stdout.rstrip().endswith("before")
