"""Who may do what on the services, tried by real clients on one real server of each kind."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from requests import HTTPError

from mlops_tasks.errors import MlopsError, PlatformError, RegistryError
from mlops_tasks.platform.access import (
    Server,
    create_account,
    give_role,
    open_project,
    take_role,
)
from mlops_tasks.platform.closed import require_closed_api
from mlops_tasks.platform.credentials import Credentials
from mlops_tasks.platform.mlflow_server import mlflow_server
from mlops_tasks.platform.prefect_server import prefect_server
from mlops_tasks.registry.client import connect
from mlops_tasks.registry.roles import Role, group
from mlops_tasks.settings.schema import StackSettings

pytestmark = pytest.mark.slow

PROJECT = "flight-delay"
STAGING, PROD = "flight-delay.staging", "flight-delay.prod"
CANARY = "canary-of-the-mine"
NOBODY = "anonymous"
OUTSIDER = "outsider"
SENDERS = (NOBODY, OUTSIDER, "viewer", "trainer", "promoter", "admin")

# Who may; everybody else is refused.
MATRIX = {
    "search runs": "viewer trainer promoter admin",
    "read a version": "viewer trainer promoter admin",
    "read an artifact": "viewer trainer promoter admin",
    "log a run": "trainer admin",
    "log an artifact": "trainer admin",
    "add evidence": "trainer promoter admin",
    "create a version": "trainer promoter admin",
    "set the challenger": "trainer promoter admin",
    "set the champion": "promoter admin",
    "remove an alias": "promoter admin",
    "change a version's tag": "admin",
    "rename the model": "admin",
    "delete a version": "admin",
    "delete the model": "admin",
    "delete a run": "admin",
    "make an experiment": "admin",
    "create a user": "admin",
    "give oneself a role": "admin",
}


@dataclass(frozen=True)
class World:
    """A server with one project, and an account in each role."""

    server: Server
    folder: Path
    experiment: str
    run: str
    source: str
    doomed: str

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.server.uri, self.server.uri)

    def asked_by(self, name: str) -> Server:
        return Server(self.server.uri, account(name))


def account(name: str) -> Credentials:
    return Credentials(name, f"{CANARY}-{name}")


def sign_in(patch: pytest.MonkeyPatch, name: str) -> None:
    if name == NOBODY:
        patch.delenv("MLFLOW_TRACKING_USERNAME", raising=False)
        patch.delenv("MLFLOW_TRACKING_PASSWORD", raising=False)
    else:
        patch.setenv("MLFLOW_TRACKING_USERNAME", name)
        patch.setenv("MLFLOW_TRACKING_PASSWORD", account(name).password)


def stack_of(**wanted: str) -> StackSettings:
    """A stack that is not local; what it does not name is of no importance here."""
    known = {
        name: "none" for name, info in StackSettings.model_fields.items() if info.is_required()
    }
    known |= {"name": "team"}
    return StackSettings.model_validate(known | wanted)


@pytest.fixture(scope="module", autouse=True)
def _no_credentials_of_the_user() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("USERNAME", "PASSWORD", "TOKEN"):
            patch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        yield


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("mlflow")
    with mlflow_server(folder, admin=account("admin")) as uri:
        server = Server(uri, account("admin"))
        open_project(server, PROJECT)
        for role in (Role.VIEWER, Role.TRAINER, Role.PROMOTER):
            create_account(server, account(role))
            give_role(server, role, PROJECT, role)
        create_account(server, account(OUTSIDER))
        with pytest.MonkeyPatch.context() as patch:
            sign_in(patch, "admin")
            client = MlflowClient(uri, uri)
            experiment = client.get_experiment_by_name(PROJECT).experiment_id
            run = client.create_run(experiment).info
            client.log_text(run.run_id, "x", "model/model.txt")
            source = f"{run.artifact_uri}/model"
            for model in (PROJECT, STAGING, PROD):
                client.create_model_version(model, source, run_id=run.run_id)
            client.set_registered_model_alias(PROD, "previous", "1")
            doomed = client.create_run(experiment).info.run_id
        yield World(server, folder, experiment, run.run_id, source, doomed)


def search_runs(world: World) -> None:
    """MLflow does not refuse who may see none of the runs: it finds none."""
    if not world.client.search_runs([world.experiment]):
        raise PlatformError("403, in effect: nothing is shown")


def log_artifact(world: World, folder: Path, where: str) -> None:
    file = folder / f"{'0f' * 32}.json"
    file.write_text("{}")
    world.client.log_artifact(world.run, str(file), where)


ACTIONS: dict[str, Callable[[World, str, Path], Any]] = {
    "search runs": lambda w, who, _: search_runs(w),
    "read a version": lambda w, who, _: w.client.get_model_version(PROJECT, "1"),
    "read an artifact": lambda w, who, folder: w.client.download_artifacts(
        w.run, "model/model.txt", str(folder)
    ),
    "log a run": lambda w, who, _: w.client.log_metric(
        w.client.create_run(w.experiment).info.run_id, "auc", 0.7
    ),
    "log an artifact": lambda w, who, folder: log_artifact(w, folder, "package"),
    "add evidence": lambda w, who, folder: log_artifact(w, folder, "evidence"),
    "create a version": lambda w, who, _: w.client.create_model_version(
        PROD, w.source, run_id=w.run
    ),
    "set the challenger": lambda w, who, _: w.client.set_registered_model_alias(
        PROJECT, "challenger", "1"
    ),
    "set the champion": lambda w, who, _: w.client.set_registered_model_alias(
        PROD, "champion", "1"
    ),
    "remove an alias": lambda w, who, _: w.client.delete_registered_model_alias(PROD, "previous"),
    "change a version's tag": lambda w, who, _: w.client.set_model_version_tag(
        PROJECT, "1", "mlops.candidate_digest", "0"
    ),
    "rename the model": lambda w, who, _: w.client.rename_registered_model(PROJECT, PROJECT),
    "delete a version": lambda w, who, _: w.client.delete_model_version(STAGING, "1"),
    "delete the model": lambda w, who, _: w.client.delete_registered_model(STAGING),
    "delete a run": lambda w, who, _: w.client.delete_run(w.doomed),
    "make an experiment": lambda w, who, _: w.client.create_experiment(f"of-{who}"),
    "create a user": lambda w, who, _: create_account(w.asked_by(who), account(f"friend-{who}")),
    "give oneself a role": lambda w, who, _: give_role(
        w.asked_by(who), who, PROJECT, Role.PROMOTER
    ),
}


@pytest.mark.parametrize("action", MATRIX)
@pytest.mark.parametrize("sender", SENDERS)
def test_matrix(
    world: World, sender: str, action: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sign_in(monkeypatch, sender)
    if sender in MATRIX[action].split():
        ACTIONS[action](world, sender, tmp_path)
        return
    with pytest.raises((MlflowException, HTTPError, PlatformError)) as refusal:
        ACTIONS[action](world, sender, tmp_path)
    assert any(code in str(refusal.value) for code in ("401", "403", "PERMISSION_DENIED"))
    assert CANARY not in str(refusal.value)


def test_mlflow_alone_would_let_a_trainer_move_the_champion(world: World) -> None:
    # The same EDIT lets trainers create versions and set the challenger: see the matrix. MLflow
    # asks no more for the champion, so it is the guard that refuses that.
    asked = {"username": "trainer", "resource_type": "registered_model", "resource_id": PROD}
    granted = world.server.ask("GET", "3.0/mlflow/users/permissions/get", asked)
    assert granted["permission"] == "EDIT"


def test_a_role_holds_in_its_own_project_and_until_it_is_taken(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = {"name": group("other", Role.PROMOTER), "workspace": "default"}
    world.server.ask("POST", "3.0/mlflow/roles/create", elsewhere)
    open_project(world.server, PROJECT)  # may be repeated
    create_account(world.server, account("both"))
    give_role(world.server, "both", PROJECT, Role.TRAINER)
    give_role(world.server, "both", "other", Role.PROMOTER)
    give_role(world.server, "both", "other", Role.PROMOTER)
    sign_in(monkeypatch, "both")
    world.client.create_model_version(PROD, world.source, run_id=world.run)

    with pytest.raises(MlflowException, match="403"):
        world.client.set_registered_model_alias(PROD, "champion", "1")
    give_role(world.server, "both", PROJECT, Role.PROMOTER)
    world.client.set_registered_model_alias(PROD, "champion", "1")
    take_role(world.server, "both", PROJECT, Role.PROMOTER)
    with pytest.raises(MlflowException, match="403"):
        world.client.set_registered_model_alias(PROD, "champion", "1")


def test_the_other_paths_of_the_same_interface_are_guarded_too(world: World) -> None:
    wanted = {"name": PROD, "alias": "champion", "version": "1"}
    for path in ("../ajax-api/2.0/mlflow/registered-models/alias", "2.0/mlflow/webhooks",
                 "2.0/mlflow/model-versions/transition-stage"):  # fmt: skip
        with pytest.raises(PlatformError, match="403"):
            world.asked_by("trainer").ask("POST", path, wanted)


def test_an_account_is_not_made_twice_and_a_project_must_be_opened(world: World) -> None:
    with pytest.raises(PlatformError, match="RESOURCE_ALREADY_EXISTS") as twice:
        create_account(world.server, account("viewer"))
    assert CANARY not in str(twice.value)
    with pytest.raises(PlatformError, match="no roles"):
        give_role(world.server, "viewer", "unopened", Role.VIEWER)


@pytest.mark.parametrize("password", ["password1234", "short", ""])
def test_a_known_or_short_password_is_refused(password: str) -> None:
    with pytest.raises(PlatformError, match="too short, or the one") as refusal:
        Credentials("admin", password)
    assert "password1234" not in str(refusal.value)
    assert CANARY not in repr(account("admin"))


# --- Clients keep away from services that let in anybody -----------------------------------------


@dataclass
class Stub:
    """A service that answers every POST with one status."""

    status: int
    url: str = ""
    seen: tuple[str, ...] = ()


@pytest.fixture
def stub() -> Iterator[Stub]:
    state = Stub(200)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(200)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(state.status)

        def answer(self, status: int) -> None:
            state.seen += (str(self.headers),)
            self.send_response(status)
            if status == 302:
                self.send_header("Location", state.url + "/login")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *words: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials for both services in the environment."""
    sign_in(monkeypatch, "trainer")
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", account("flows").pair)


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize(
    ("status", "said"), [(200, "lets in anybody"), (302, "answered 302"), (404, "answered 404")]
)
def test_an_open_or_doubtful_service_is_refused(
    stub: Stub, status: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub.status = status
    monkeypatch.setenv("PREFECT_API_URL", f"{stub.url}/api")
    stack = stack_of(tracking_uri=stub.url)
    with pytest.raises(RegistryError, match=said) as tracking:
        connect(stack)
    with pytest.raises(PlatformError, match=said) as flows:
        require_closed_api(stack)
    for refusal in (tracking, flows):
        assert refusal.value.next_step
        assert CANARY not in str(refusal.value)
    assert not any("Authorization" in headers for headers in stub.seen)


@pytest.mark.usefixtures("keys")
def test_a_stack_called_local_with_a_server_elsewhere_is_not_local() -> None:
    stack = stack_of(name="local", tracking_uri="http://mlflow.example.org")
    with pytest.raises(PlatformError, match="no address"):
        require_closed_api(stack, {})


def test_a_local_stack_needs_no_doors(stub: Stub) -> None:
    stack = stack_of(name="local", tracking_uri=stub.url)
    connect(stack)
    require_closed_api(stack, {"PREFECT_API_URL": f"{stub.url}/api"})


def test_credentials_must_be_in_the_environment(stub: Stub) -> None:
    stack = stack_of(tracking_uri=stub.url)
    with pytest.raises(RegistryError, match="who you are") as tracking:
        connect(stack)
    assert "MLFLOW_TRACKING_USERNAME" in tracking.value.next_step
    with pytest.raises(PlatformError, match="who you are") as flows:
        require_closed_api(stack, {"PREFECT_API_URL": f"{stub.url}/api"})
    assert "PREFECT_API_AUTH_STRING" in flows.value.next_step
    assert stub.seen == ()


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("uri", ["sqlite:////tmp/mlflow.db", "file:///tmp/runs", "/tmp/runs"])
def test_a_file_is_no_tracking_store_for_several_people(uri: str) -> None:
    with pytest.raises(RegistryError, match="kept out of a file"):
        connect(stack_of(tracking_uri=uri))


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("name", ["local", "team"])
@pytest.mark.parametrize("scheme", ["http", "postgresql"])
def test_an_address_with_a_password_is_refused_and_not_repeated(name: str, scheme: str) -> None:
    secret = f"{scheme}://ada:{CANARY}@127.0.0.1:9/"
    refusals: list[MlopsError] = []
    with pytest.raises(RegistryError, match="must not carry") as tracking:
        connect(stack_of(name=name, tracking_uri=secret))
    refusals.append(tracking.value)
    with pytest.raises(PlatformError, match="must not carry") as flows:
        require_closed_api(stack_of(name=name), {"PREFECT_API_URL": secret})
    refusals.append(flows.value)
    assert not any(CANARY in f"{each} {each.__dict__} {each.__context__}" for each in refusals)


def test_connect_with_the_right_and_the_wrong_password(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = stack_of(tracking_uri=world.server.uri)
    sign_in(monkeypatch, "viewer")
    assert connect(stack).get_experiment_by_name(PROJECT) is not None
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", f"{CANARY}-wrong")
    with pytest.raises(MlflowException, match="401") as refusal:
        connect(stack).get_experiment_by_name(PROJECT)
    assert CANARY not in str(refusal.value)


# --- Prefect --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def flows_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture(scope="module")
def api(flows_home: Path) -> Iterator[str]:
    with prefect_server(flows_home, key=account("flows")) as url:
        yield url


def flows_seen(api: str, pair: str | None) -> int:
    """What a real client gets that presents `pair`."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

    async def ask() -> int:
        async with get_client() as client:
            return len(await client.read_flows())

    values: dict[Any, Any] = {PREFECT_API_URL: api, PREFECT_API_AUTH_STRING: pair}
    with temporary_settings(values):
        return asyncio.run(ask())


@pytest.mark.parametrize("pair", [None, "flows:wrong", f"someone:{account('flows').password}"])
def test_prefect_refuses_strangers_and_wrong_passwords(api: str, pair: str | None) -> None:
    from prefect.exceptions import PrefectHTTPStatusError

    with pytest.raises(PrefectHTTPStatusError, match="401") as refusal:
        flows_seen(api, pair)
    assert CANARY not in str(refusal.value)


def test_prefect_lets_in_who_has_the_key(api: str) -> None:
    assert flows_seen(api, account("flows").pair) == 0
    environment = {"PREFECT_API_URL": api, "PREFECT_API_AUTH_STRING": account("flows").pair}
    require_closed_api(stack_of(), environment)


# --- Last: after all that, no password stands anywhere --------------------------------------------


@pytest.mark.usefixtures("api")
def test_no_password_was_written_down(world: World, flows_home: Path) -> None:
    files = [file for each in (world.folder, flows_home) for file in each.rglob("*")]
    logs = [file for file in files if file.name == "server.log"]
    assert len(logs) == 2
    assert all(file.stat().st_size for file in logs)
    secret = CANARY.encode()
    assert not [file for file in files if file.is_file() and secret in file.read_bytes()]
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not [line for line in lines if secret in line]
    assert world.folder.stat().st_mode & 0o077 == 0
