"""Snapshots of files in a real git and DVC repository, which other people change meanwhile."""

import hashlib
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from dvc.repo import Repo

from mlops_tasks.artifacts import Dataset
from mlops_tasks.data import versions
from mlops_tasks.data.frames import read_frame
from mlops_tasks.data.versions import READINGS, snapshot
from mlops_tasks.errors import DataError, DataUnavailable, ResidencyRefused
from mlops_tasks.settings.residency import ResidencyRule


@dataclass(frozen=True)
class Versioned:
    """A repository with one file in it, its remote under a home."""

    home: Path
    name: str = "rows.parquet"

    @property
    def root(self) -> Path:
        return self.home.parent / "project"

    @property
    def file(self) -> Path:
        return self.root / self.name

    @property
    def pointer(self) -> Path:
        return self.root / f"{self.name}.dvc"

    @property
    def store(self) -> Path:
        return self.home / "store"

    def git(self, *words: str) -> str:
        command = ["git", *words]
        return subprocess.run(
            command, cwd=self.root, check=True, capture_output=True, text=True
        ).stdout

    def write(self, rows: int) -> None:
        self.file.unlink(missing_ok=True)  # it may be a link into DVC's cache
        frame = pl.DataFrame({"id": range(rows), "x": [0.5] * rows})
        frame.write_parquet(self.file) if self.file.suffix == ".parquet" else frame.write_csv(
            self.file
        )

    def commit(self, rows: int) -> None:
        """Somebody commits another version."""
        self.write(rows)
        with Repo(str(self.root)) as repo:
            repo.add(str(self.file))
        self.git("add", "-A")
        self.git("commit", "-qm", f"{rows} rows")

    def push(self) -> None:
        with Repo(str(self.root)) as repo:
            repo.push()

    def snapshot(self, *prefixes: str) -> Dataset:
        rule = ResidencyRule(regions=("local",), uri_prefixes=prefixes or ("$MLOPS_HOME",))
        return snapshot(str(self.root), self.name, store=str(self.store), residency=rule)

    def content_of(self, revision: str) -> bytes:
        return (self.home / "dvc" / "files" / "md5" / revision[:2] / revision[2:]).read_bytes()

    def kept(self) -> list[Path]:
        return [path for path in self.store.rglob("*") if path.is_file()]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "ada@example.org")
    return tmp_path / "home"


def made(home: Path, name: str = "rows.parquet") -> Versioned:
    one = Versioned(home, name)
    one.root.mkdir()
    one.git("init", "-q")
    with Repo.init(str(one.root)) as repo, repo.config.edit() as config:
        config["core"]["remote"] = "storage"
        config["remote"]["storage"] = {"url": str(home / "dvc")}
    one.commit(10)
    one.push()
    return one


def before_each_look(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    """Somebody is quicker, each time that what was read is compared with the revision."""
    look = versions.revision_of

    def later(content: Path, pointer: Path) -> str | None:
        change()
        return look(content, pointer)

    monkeypatch.setattr(versions, "revision_of", later)


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv"])
def test_what_is_kept_is_the_recorded_revision(home: Path, name: str) -> None:
    one = made(home, name)
    pinned = one.snapshot()
    assert hashlib.md5(one.file.read_bytes()).hexdigest() == pinned.dvc_rev
    assert (pinned.rows, pinned.columns, pinned.regions) == (10, ("id", "x"), ("local",))
    assert read_frame(pinned).height == 10
    if name.endswith("parquet"):
        assert Path(pinned.uri).read_bytes() == one.file.read_bytes()
    assert one.git("status", "--porcelain") == ""

    one.write(20)
    changed = one.snapshot()
    assert (changed.rows, read_frame(changed).height) == (20, 20)
    assert one.content_of(changed.dvc_rev) == one.file.read_bytes()
    assert changed.dvc_rev in one.pointer.read_text()


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv"])
def test_rows_and_revision_are_of_one_version_whoever_commits_in_between(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    one = made(home, name)
    rows = iter([30])
    before_each_look(monkeypatch, lambda: [one.commit(each) for each in itertools.islice(rows, 1)])
    pinned = one.snapshot()
    assert pinned.rows == read_frame(pinned).height == 30
    assert hashlib.md5(one.file.read_bytes()).hexdigest() == pinned.dvc_rev
    assert len(one.kept()) == 1, "nothing of the version that was gone"


def test_rows_and_revision_are_of_one_version_if_only_the_revision_changes(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by `git pull` without `dvc checkout`: the file is what counts, and is recorded again."""
    one = made(home)
    first = one.pointer.read_text()
    one.commit(30)
    one.push()
    other = [first]
    before_each_look(monkeypatch, lambda: other and one.pointer.write_text(other.pop()))
    pinned = one.snapshot()
    assert pinned.rows == 30
    assert hashlib.md5(one.file.read_bytes()).hexdigest() == pinned.dvc_rev
    assert pinned.dvc_rev in one.pointer.read_text()


def test_a_file_that_never_holds_still_is_one_clear_error(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = made(home)
    rows = itertools.count(11)
    looks: list[int] = []

    def change() -> None:
        looks.append(next(rows))
        one.commit(looks[-1])

    before_each_look(monkeypatch, change)
    with pytest.raises(DataUnavailable, match="changes whenever it is read") as caught:
        one.snapshot()
    assert caught.value.where == str(one.file)
    assert len(looks) == 2 * READINGS
    assert one.kept() == []


def test_a_version_that_the_remote_did_not_take_is_not_recorded(home: Path) -> None:
    """Or the next run would train on a version that nobody can fetch."""
    one = made(home)
    before = one.pointer.read_text()
    (home / "dvc").rename(home / "away")
    (home / "dvc").write_text("no folder")
    one.write(20)
    for _ in range(2):
        with pytest.raises(DataUnavailable, match="cannot take"):
            one.snapshot()
    assert one.pointer.read_text() == before
    assert one.kept() == []

    (home / "dvc").unlink()
    (home / "away").rename(home / "dvc")
    assert one.content_of(one.snapshot().dvc_rev) == one.file.read_bytes()


def test_a_damaged_file_is_not_recorded(home: Path) -> None:
    one = made(home)
    before = one.pointer.read_text()
    whole = one.file.read_bytes()
    one.file.unlink()
    one.file.write_bytes(whole[:4] + bytes(40) + whole[44:])
    with pytest.raises(DataError, match="not readable as parquet") as caught:
        one.snapshot()
    assert caught.value.where == str(one.file)
    assert one.pointer.read_text() == before
    assert one.kept() == []


def test_a_home_that_moved_is_said_with_the_command_that_helps(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The remote of a generated project lies in what was MLOPS_HOME then."""
    one = made(home)
    moved = home.with_name("new home")
    home.rename(moved)
    monkeypatch.setenv("MLOPS_HOME", str(moved))
    one.write(20)
    there = Versioned(moved)
    with pytest.raises(ResidencyRefused, match="may only be kept within") as caught:
        there.snapshot()
    assert there.kept() == []

    command = caught.value.next_step.split("`")[1]
    assert command.startswith("dvc remote modify --local storage url ")
    subprocess.run(f"{sys.executable} -m {command}", shell=True, cwd=one.root, check=True)
    pinned = there.snapshot()
    assert there.content_of(pinned.dvc_rev) == one.file.read_bytes()
    assert one.git("status", "--porcelain", ".dvc") == "", "nobody else is sent there"
    shutil.rmtree(one.root / ".dvc" / "cache")
    one.file.unlink()
    assert there.snapshot() == pinned


def test_where_home_is_not_allowed_it_is_not_recommended(home: Path) -> None:
    one = made(home)
    one.write(20)
    with pytest.raises(ResidencyRefused) as caught:
        one.snapshot("s3://bucket")
    assert str(home) not in caught.value.next_step
    assert os.listdir(home / "dvc" / "files" / "md5") == [one.pointer.read_text().split()[3][:2]]
