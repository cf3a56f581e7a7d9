"""Objects on a real S3-compatible server: whole or not at all, verified, found by others."""

import os
import threading
from hashlib import sha256
from pathlib import Path

import pytest
from upath import UPath

from mlops_tasks.errors import AlteredObject, StorageError
from mlops_tasks.storage import fetch, is_intact, put
from mlops_tasks.storage.places import place
from mlops_tasks.storage.transfer import entries, read, upload, write
from tests.storage.seaweed import ObjectStore

pytestmark = pytest.mark.slow
CONTENT = b"some content\x00\xff"


def writing(content: bytes):
    return lambda path: path.write_bytes(content) and None


def test_an_object_is_kept_verified_and_found_by_a_plain_client(
    object_store: ObjectStore, bucket: str
) -> None:
    content = os.urandom(3 << 20)
    uri, digest, size = put(f"s3://{bucket}/store", writing(content), ".bin")
    key = f"store/{digest[:2]}/{digest}.bin"
    assert (uri, size) == (f"s3://{bucket}/{key}", len(content))
    assert object_store.keys(bucket) == [key]
    body = object_store.client().get_object(Bucket=bucket, Key=key)["Body"].read()
    assert sha256(body).hexdigest() == digest
    with fetch(uri, digest) as path:
        assert path.read_bytes() == content
    assert is_intact(uri, digest)


@pytest.mark.parametrize("damage", [CONTENT[:-1], b"X" + CONTENT[1:], b""])
def test_a_damaged_object_is_seen_and_healed_by_writing_it_again(
    object_store: ObjectStore, bucket: str, damage: bytes
) -> None:
    store = f"s3://{bucket}/store"
    uri, digest, _ = put(store, writing(CONTENT), ".bin")
    assert is_intact(uri, digest), "it is remembered as good"
    key = uri.removeprefix(f"s3://{bucket}/")
    object_store.client().put_object(Bucket=bucket, Key=key, Body=damage)
    assert not is_intact(uri, digest)
    with pytest.raises(AlteredObject), fetch(uri, digest):
        pytest.fail("the block must not run")
    assert put(store, writing(CONTENT), ".bin")[0] == uri
    assert is_intact(uri, digest)
    object_store.client().delete_object(Bucket=bucket, Key=key)
    assert not is_intact(uri, digest)


def test_an_upload_in_parts_that_is_broken_off_is_no_object(
    object_store: ObjectStore, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third part fails for good: nothing may be completed from the first two."""
    monkeypatch.setenv("MLOPS_RETRY_SECONDS", "0")
    source = tmp_path / "large.bin"
    source.write_bytes(os.urandom(1 << 20) * 120)  # more than s3fs sends in one request
    target = place(f"s3://{bucket}/store/large.bin")
    real, sent = target.fs._call_s3, []

    async def failing(method: str, *words: object, **named: object) -> object:
        if method == "upload_part":
            sent.append(named["PartNumber"])
            if named["PartNumber"] == 3:
                raise OSError("broken pipe")
        return await real(method, *words, **named)

    monkeypatch.setattr(target.fs, "_call_s3", failing)
    with pytest.raises(OSError, match="broken pipe"):
        upload(source, target)
    assert 1 in sent
    assert object_store.keys(bucket) == []
    monkeypatch.undo()
    for name, value in object_store.environment.items():
        monkeypatch.setenv(name, value)
    upload(source, target)
    assert target.fs.info(target.path)["size"] == 120 << 20


def test_others_see_at_once_what_was_written(bucket: str) -> None:
    folder = place(f"s3://{bucket}/log/day=1")
    assert entries(folder) == []
    write(folder / "a", b"1")
    assert [each.name for each in entries(folder)] == ["a"]
    write(folder / "a", b"22")
    assert read(folder / "a") == b"22"


def test_eight_writers_of_one_object_at_once(object_store: ObjectStore, bucket: str) -> None:
    content, found = os.urandom(200_000), []
    start = threading.Barrier(8)

    def keep() -> None:
        start.wait()
        found.append(put(f"s3://{bucket}/store", writing(content), ".bin"))

    threads = [threading.Thread(target=keep) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 8
    assert is_intact(*found[0][:2])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, r"(?i)signature|denied|forbidden"),
        ({"AWS_ACCESS_KEY_ID": "nobody"}, r"(?i)access key|denied|forbidden"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, r"(?i)credentials"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, r"(?i)connect"),
    ],
)
def test_what_does_not_pass_is_reported_at_once_and_shows_no_secret(
    object_store: ObjectStore,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, str],
    says: str,
) -> None:
    monkeypatch.setenv("MLOPS_RETRY_SECONDS", "3600")  # it would show
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    UPath(f"s3://{bucket}").fs.clear_instance_cache()
    with pytest.raises(StorageError, match=says) as caught:
        put(f"s3://{bucket}/store", writing(CONTENT), ".bin")
    assert caught.value.where.startswith(f"s3://{bucket}/store")
    assert "mlops stack check" in caught.value.next_step
    assert object_store.secret not in str(caught.value)
    UPath(f"s3://{bucket}").fs.clear_instance_cache()
