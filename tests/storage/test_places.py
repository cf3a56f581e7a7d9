"""The same code for every store: which file system a URI means, and what is said where it lacks."""

import importlib.util
import math
from pathlib import Path

import pytest

from mlops_tasks.errors import StorageError
from mlops_tasks.storage import fetch, is_intact, put
from mlops_tasks.storage.places import OBJECT_STORES, is_local, place
from mlops_tasks.storage.transfer import entries, read, upload, write


@pytest.mark.parametrize(
    ("uri", "protocol", "kind"),
    [
        ("s3://team/store", "s3", "S3Path"),
        ("gs://team/store", "gs", "GCSPath"),
        ("az://team/store", "az", "AzurePath"),
        ("abfs://team@account.dfs.core.windows.net/store", "abfs", "AzurePath"),
        ("memory://team/store", "memory", "MemoryPath"),
    ],
)
def test_each_cloud_has_its_own_file_system_and_uploads_whole(
    uri: str, protocol: str, kind: str
) -> None:
    path = place(uri)
    assert (path.protocol, type(path).__name__) == (protocol, kind)
    assert not is_local(path)
    assert protocol in OBJECT_STORES, "there an object appears when its upload is complete"
    assert str(path / "a" / "b").endswith("/store/a/b")


@pytest.mark.parametrize("uri", ["/srv/store", "relative", "file:///srv/store"])
def test_folders_are_local(uri: str) -> None:
    assert is_local(place(uri))


def test_a_request_to_s3_ends_although_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    def limits() -> dict[str, float]:
        return dict(place("s3://team/x").storage_options["config_kwargs"])  # type: ignore[arg-type]

    assert 0 < limits()["read_timeout"] < 60
    assert math.isfinite(limits()["connect_timeout"])
    before = limits()["read_timeout"]
    monkeypatch.setenv("MLOPS_RETRY_SECONDS", "6")
    assert limits()["read_timeout"] < before
    inside = place("s3://team/x") / "a" / "b"
    assert inside.storage_options == place("s3://team/x").storage_options


@pytest.mark.parametrize(
    ("uri", "module", "extra"), [("gs://b/x", "gcsfs", "gs"), ("az://b/x", "adlfs", "azure")]
)
def test_a_client_that_is_not_installed_is_named(uri: str, module: str, extra: str) -> None:
    if importlib.util.find_spec(module):
        pytest.skip(f"{module} is installed here")
    with pytest.raises(StorageError) as caught:
        put(uri, lambda path: path.write_bytes(b"x") and None, ".bin")
    assert caught.value.next_step == f'uv add "mlops-tasks[{extra}]"'
    with pytest.raises(StorageError), fetch(f"{uri}/y", "d" * 64):
        pytest.fail("the block must not run")


def test_elsewhere_bytes_arrive_and_are_replaced(tmp_path: Path) -> None:
    folder = place(f"memory:/{tmp_path}/log")
    assert entries(folder) == []
    write(folder / "a", b"1")
    (tmp_path / "b").write_bytes(b"22")
    upload(tmp_path / "b", folder / "b")
    write(folder / "a", b"333")
    assert {each.name: read(each) for each in entries(folder)} == {"a": b"333", "b": b"22"}


def test_an_object_is_vouched_for_only_as_long_as_it_is_whole(tmp_path: Path) -> None:
    for store in (str(tmp_path / "store"), f"memory:/{tmp_path}/store"):
        uri, digest, _ = put(store, lambda path: path.write_bytes(b"abc") and None, ".bin")
        assert is_intact(uri, digest)
        assert is_intact(uri, digest)
        assert not is_intact(uri, "0" * 64)
        assert not is_intact(f"{uri}x", digest)
        path = place(uri)
        path.write_bytes(b"abd")
        assert not is_intact(uri, digest)
        again = put(store, lambda path: path.write_bytes(b"abc") and None, ".bin")
        assert again[:2] == (uri, digest)
        assert is_intact(uri, digest), "writing it again healed it"


def test_what_arrives_short_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that says that it took less than was sent."""
    target = place(f"memory:/{tmp_path}/x")
    real, calls = type(target.fs).info, []

    def info(self: object, path: str, **more: object) -> dict[str, object]:
        calls.append(path)
        return real(self, path, **more) | {"size": 1}

    monkeypatch.setattr(type(target.fs), "info", info)
    with pytest.raises(OSError, match="3 bytes were sent, and 1 arrived"):
        write(target, b"abc")
    assert calls
