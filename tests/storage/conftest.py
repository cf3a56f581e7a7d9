"""One S3-compatible server for the tests of storage."""

import uuid
from collections.abc import Iterator

import pytest

from tests.faults.servers import forget_stores
from tests.storage.seaweed import ObjectStore, seaweed


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """A running server."""
    with seaweed(tmp_path_factory.mktemp("seaweed")) as store:
        yield store


@pytest.fixture
def bucket(object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket of this test's own, on the server that the environment names."""
    for name, value in object_store.environment.items():
        monkeypatch.setenv(name, value)
    forget_stores()
    name = f"b-{uuid.uuid4().hex[:12]}"
    object_store.client().create_bucket(Bucket=name)
    return name
