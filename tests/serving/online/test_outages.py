"""A store that is away is no fault of a version: it is tried again soon; a broken one is not."""

import errno
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from mlops_tasks.errors import AlteredObject, LedgerError, RegistryError, StorageError
from mlops_tasks.governance.ledger import Wanted
from mlops_tasks.governance.record import ACTOR, actor, ledger_of
from mlops_tasks.registry.client import connect
from mlops_tasks.serving.online.app import application
from mlops_tasks.serving.online.outages import cause_of
from mlops_tasks.serving.online.shelf import ACTION
from mlops_tasks.settings import Settings
from tests.faults.flaky import Flaky, flaky
from tests.faults.servers import moto
from tests.registry.life import PROJECT, Life
from tests.serving.online.conftest import QUICK, Running, placed, running, wait

HOUR = 3600.0


def raised(act: Any) -> Exception:
    try:
        act()
    except Exception as error:
        return error
    raise AssertionError("it did not fail")


def nobody_listens() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as door:
        port = door.getsockname()[1]
    requests.get(f"http://127.0.0.1:{port}", timeout=5)


def wrapped(kind: type[Exception], cause: BaseException | None) -> Exception:
    error = kind("the model is not loaded")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (wrapped(AlteredObject, None), "version"),
        (wrapped(AlteredObject, FileNotFoundError(errno.ENOENT, "gone")), "version"),
        (wrapped(RegistryError, ValueError("it cannot score")), "version"),
        (wrapped(RegistryError, MemoryError()), "version"),
        (wrapped(AlteredObject, raised(nobody_listens)), "outage"),
        (wrapped(StorageError, OSError(errno.ENOSPC, "no space")), "outage"),
        (wrapped(StorageError, OSError(errno.EIO, "bad sector")), "outage"),
        (wrapped(StorageError, ConnectionResetError()), "outage"),
        (wrapped(RegistryError, raised(lambda: sqlite3.connect("/"))), "outage"),
        (wrapped(LedgerError, None), "outage"),
    ],
)
def test_what_is_the_versions_own_fault(error: Exception, cause: str) -> None:
    assert cause_of(error) == cause


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flaky]:
    with moto(tmp_path_factory.mktemp("moto")) as url, flaky(url) as found:
        yield found


@pytest.fixture
def s3(proxy: Flaky, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flaky]:
    """An S3 in memory, behind a proxy that can be unwell; nobody is patient."""
    import boto3

    for name, value in {
        "AWS_ENDPOINT_URL": proxy.url,
        "AWS_ACCESS_KEY_ID": "anybody",
        "AWS_SECRET_ACCESS_KEY": "anything",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
        "MLOPS_RETRY_SECONDS": "0",
        ACTOR: "trainer@x.org",
    }.items():
        monkeypatch.setenv(name, value)
    actor.cache_clear()
    boto3.client("s3", endpoint_url=proxy.url).create_bucket(Bucket="bucket")
    yield proxy
    proxy.well()
    actor.cache_clear()


class OnS3(Life):
    """Sealed packages lie in a bucket."""

    def settings(self, **policy: Any) -> Settings:
        settings = super().settings(**policy)
        stack = settings.stack.model_copy(update={"artifact_root": "s3://bucket/artifacts"})
        return settings.model_copy(update={"stack": stack})


def outages(server: Running) -> float:
    page = server.ask("GET", "metrics").text
    name = 'mlops_model_loads_total{outcome="outage"}'
    return next((float(x.split()[-1]) for x in page.splitlines() if x.startswith(name)), 0.0)


def there(life: Life) -> Settings:
    raw = placed(life).model_dump()
    raw["policy"]["residency"]["open"]["uri_prefixes"] += ("s3://bucket",)
    return Settings.model_validate(raw)


def two_versions(home: Path) -> Settings:
    """A champion, and another version that was let in."""
    life = OnS3(home)
    life.home.mkdir()
    life.people()
    life.train(40)
    life.register(life.evidence(20))
    return there(life)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["unwell", "gone"])
def test_a_version_answers_soon_after_its_store_is_back(
    s3: Flaky, tmp_path: Path, mode: str
) -> None:
    settings = two_versions(tmp_path / "home")
    options = replace(QUICK, retry_seconds=20, outage_seconds=0.1)

    def told() -> list[dict[str, str]]:
        wanted = Wanted(subject=PROJECT, action=(ACTION,), outcome="refused")
        found = ledger_of(settings.stack).entries(wanted)
        return [dict(each.event.facts) for each in found]

    with running(application(settings, options)) as server:
        server.wait_for(1)
        s3.be(mode, HOUR)
        connect(settings.stack).set_registered_model_alias(PROJECT, "champion", "2")
        wait(lambda: outages(server) >= 4, "it is not tried again")
        assert server.answering() == 1
        [event] = told()
        s3.well()
        server.wait_for(2)  # doubled each time, it would be in five minutes
    assert (event["version"], event["role"], event["cause"]) == ("2", "champion", "outage")


@pytest.mark.slow
def test_a_version_that_is_broken_is_left_alone_for_longer_and_longer(
    s3: Flaky, tmp_path: Path
) -> None:
    import boto3

    settings = two_versions(tmp_path / "home")
    client = connect(settings.stack)
    run = client.get_model_version(PROJECT, "2").run_id
    root = client.get_run(run).info.artifact_uri.removeprefix("s3://bucket/")
    bucket = boto3.client("s3", endpoint_url=s3.url)
    bucket.put_object(Bucket="bucket", Key=f"{root}/package/serving.json", Body=b"{}")
    options = replace(QUICK, retry_seconds=HOUR, outage_seconds=0.05)

    with running(application(settings, options)) as server:
        server.wait_for(1)
        client.set_registered_model_alias(PROJECT, "champion", "2")
        name = 'mlops_model_loads_total{outcome="refused"} 1.0'
        wait(lambda: name in server.ask("GET", "metrics").text, "it is not refused")
        looked = len(s3.seen)
        for _ in range(200):
            server.ask("POST", "predict", json={"x": 0.1, "y": 0.2})
        assert len(s3.seen) == looked, "it is asked for again"
        page = server.ask("GET", "metrics").text
    assert name in page
    assert 'outcome="outage"' not in page
