"""Real champions, a real uvicorn, real HTTP."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from mlops_tasks.governance.record import ACTOR, actor
from mlops_tasks.serving.online.app import application
from mlops_tasks.serving.online.options import Options
from mlops_tasks.serving.online.patience import PatientProtocol
from mlops_tasks.serving.online.server import open_door
from mlops_tasks.settings import Settings
from tests.registry.life import Life

QUICK = Options(poll_seconds=0.05, retry_seconds=0.2, max_rows=500, max_body_bytes=64 << 10)
STILL = replace(QUICK, poll_seconds=3600)
PATIENCE = 60
CLIENT = httpx.Client(timeout=30)
HERE = "here"


def placed(life: Life, **log: Any) -> Settings:
    """The settings of a life, with everything in one place that is allowed."""
    settings = life.settings()
    raw = settings.model_dump()
    raw["data"] |= {"classification": "open", "regions": [HERE]}
    raw["policy"]["residency"] = {"open": {"regions": [HERE], "uri_prefixes": [str(life.home)]}}
    raw["stack"]["regions"] = dict.fromkeys(("compute", "storage", "tracking", "registry"), HERE)
    raw["serving"]["log"] |= log
    return Settings.model_validate(raw)


@dataclass(frozen=True)
class Running:
    """A server that answers at `url`."""

    url: str

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def client(self, key: str = "") -> httpx.Client:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30)

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """One request, over connections that are kept: making a client costs 50 ms."""
        return CLIENT.request(method, f"{self.url}/{path}", **more)

    def answering(self) -> int | None:
        return self.ask("GET", "healthz").json()["version"]

    def wait_for(self, version: int) -> None:
        """Until this version answers."""
        wait(lambda: self.answering() == version, f"version {version} does not answer")


def wait(condition: Callable[[], bool], complaint: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, complaint
        time.sleep(0.02)


@contextmanager
def running(
    app: Any, protocol: Any = PatientProtocol, connections: int | None = None
) -> Iterator[Running]:
    """A server in a thread, stopped at the end."""
    door = open_door("127.0.0.1", 0)
    config = uvicorn.Config(
        app,
        http=protocol,
        lifespan="on",
        log_level="critical",
        limit_concurrency=connections,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [door]})
    thread.start()
    wait(lambda: server.started or not thread.is_alive(), "the server does not start")
    assert thread.is_alive(), "the server does not start"
    try:
        yield Running(f"http://127.0.0.1:{door.getsockname()[1]}")
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        door.close()


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """A home whose champion is version 2; version 1 was champion before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ACTOR, "trainer@x.org")
        actor.cache_clear()
        life = Life(tmp_path_factory.mktemp("trained") / "home")
        life.home.mkdir()
        life.people()
        life.train(40)
        life.train(20)
        yield life
    actor.cache_clear()


@pytest.fixture(scope="session")
def server(trained: Life) -> Iterator[Running]:
    """Serves the champion of `trained` to everybody, for tests that change nothing."""
    with running(application(placed(trained), STILL)) as found:
        wait(lambda: httpx.get(f"{found.url}/readyz").status_code == 200, "not ready")
        yield found


def artifacts(life: Life, version: int) -> Path:
    """The folder of what was sealed with a version."""
    from mlops_tasks.registry.client import connect

    client = connect(life.settings().stack)
    run_id = client.get_model_version(life.settings().registered_model, str(version)).run_id
    return Path(client.get_run(run_id).info.artifact_uri.removeprefix("file://"))
