"""Who may ask: keys are shown once, kept hashed, good for their scopes, and gone when revoked."""

import json
import multiprocessing
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from mlops_tasks.errors import SettingsError, StorageError
from mlops_tasks.serving.online.app import application
from mlops_tasks.serving.online.keys import KeyRing, create_key, key_file, read_keys, revoke_key
from tests.registry.life import Life
from tests.serving.online.conftest import STILL, Running, placed, running, wait

GOOD = {"x": 0.25, "y": -0.5}
OPEN = ("healthz", "readyz")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys") / "keys.json"


@pytest.fixture(scope="module")
def keys(file: Path) -> dict[str, str]:
    return {
        "asker": create_key(file, "asker", ["predict"]),
        "boss": create_key(file, "boss", ["admin"]),
        "both": create_key(file, "both", ["predict", "admin"]),
    }


@pytest.fixture(scope="module")
def locked(trained: Life, file: Path, keys: dict[str, str]) -> Iterator[Running]:
    with running(application(placed(trained), replace(STILL, keys=file))) as found:
        wait(lambda: httpx.get(f"{found.url}/readyz").status_code == 200, "not ready")
        yield found


@pytest.mark.parametrize(
    ("who", "allowed"),
    [
        ("asker", {"predict", "version", "openapi.json", *OPEN}),
        ("boss", {"metrics", "version", "openapi.json", *OPEN}),
        ("both", {"predict", "metrics", "version", "openapi.json", *OPEN}),
    ],
)
def test_a_key_is_good_for_its_scopes_alone(
    locked: Running, keys: dict[str, str], who: str, allowed: set[str]
) -> None:
    with locked.client(keys[who]) as client:
        found = {
            "predict": client.post("/predict", json=GOOD).status_code,
            **{
                name: client.get(f"/{name}").status_code
                for name in ("version", "openapi.json", "metrics", *OPEN)
            },
        }

    assert {name for name, status in found.items() if status == 200} == allowed
    assert set(found.values()) <= {200, 403}


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer mlops_asker_wrong",
        "Bearer mlops_nobody_wrong",
        "Basic {key}",
        "{key}",
        "Bearer {key}x",
        "Bearer \u00e4\u00f6",
        "Bearer mlops_boss_{secret}",
    ],
)
def test_without_a_valid_key_nothing_is_told(
    locked: Running, keys: dict[str, str], header: str | None
) -> None:
    secret = keys["asker"].removeprefix("mlops_asker_")
    value = header and header.format(key=keys["asker"], secret=secret).encode("latin-1")
    headers = {} if value is None else {b"authorization": value}
    for path in ("version", "openapi.json", "metrics"):
        assert httpx.get(f"{locked.url}/{path}", headers=headers).status_code == 401
    answer = httpx.post(f"{locked.url}/predict", json=GOOD, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (401, "no_key")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert httpx.get(f"{locked.url}/nowhere", headers=headers).status_code == 404


def test_a_revoked_key_is_refused_by_the_running_server_and_a_new_one_taken(
    locked: Running, file: Path
) -> None:
    key = create_key(file, "leaver", ["predict"])

    def ask() -> int:
        headers = {"authorization": f"Bearer {key}"}
        return httpx.post(f"{locked.url}/predict", json=GOOD, headers=headers).status_code

    assert ask() == 200

    revoke_key(file, "leaver")

    assert ask() == 401


def test_the_document_asks_for_keys(locked: Running, keys: dict[str, str]) -> None:
    with locked.client(keys["asker"]) as client:
        assert client.get("/openapi.json").json()["security"] == [{"key": []}]


def test_the_secret_lies_nowhere_and_the_file_is_its_owners(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "keys.json"
    key = create_key(file, "ada", ["predict"])
    secret = key.removeprefix("mlops_ada_")

    assert len(secret) >= 43
    assert file.stat().st_mode & 0o077 == 0
    for each in tmp_path.rglob("*"):
        assert each.is_dir() or secret not in each.read_text()


NO_HASH = '[{"name": "ada", "scopes": ["predict"], "sha256": "é", "created": ""}]'


@pytest.mark.parametrize("content", ["", "{", "[1]", '[{"name": "ada"}]', '{"ada": 1}', NO_HASH])
def test_a_file_that_cannot_be_read_lets_in_nobody(tmp_path: Path, content: str) -> None:
    file = tmp_path / "keys.json"
    key = create_key(file, "ada", ["predict"])
    ring = KeyRing(file)
    assert ring.holder(f"Bearer {key}".encode()) is not None

    file.write_text(content)

    assert ring.holder(f"Bearer {key}".encode()) is None
    with pytest.raises(StorageError):
        read_keys(file)


def test_a_file_that_is_gone_lets_in_nobody(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    key = create_key(file, "ada", ["predict"])
    ring = KeyRing(file)

    file.unlink()

    assert ring.holder(f"Bearer {key}".encode()) is None


@pytest.mark.parametrize("name", ["", "Ada", "a_b", "a b", "-a", "x" * 64])
def test_a_name_that_could_be_misread_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError):
        create_key(tmp_path / "keys.json", name, ["predict"])


@pytest.mark.parametrize("scopes", [[], ["everything"], ["predict", "root"]])
def test_unknown_scopes_are_refused(tmp_path: Path, scopes: list[str]) -> None:
    with pytest.raises(SettingsError):
        create_key(tmp_path / "keys.json", "ada", scopes)


def test_a_second_key_of_a_name_and_the_removal_of_none_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    create_key(file, "ada", ["predict"])

    with pytest.raises(SettingsError, match="already"):
        create_key(file, "ada", ["admin"])
    with pytest.raises(SettingsError, match="no key"):
        revoke_key(file, "bob")
    assert [each.scopes for each in read_keys(file)] == [("predict",)]


def test_keys_made_at_once_are_all_there(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    with multiprocessing.get_context("fork").Pool(4) as pool:
        pool.starmap(create_key, [(file, f"k{number}", ["predict"]) for number in range(12)])

    assert {each.name for each in read_keys(file)} == {f"k{number}" for number in range(12)}


def test_an_open_server_shuts_with_the_first_key_and_stays_shut(trained: Life) -> None:
    settings = placed(trained)
    file = key_file(settings.stack)

    def asked(client: httpx.Client) -> set[int]:
        paths = ("version", "openapi.json", "metrics")
        statuses = {client.get(f"/{path}").status_code for path in paths}
        return statuses | {client.post("/predict", json=GOOD).status_code}

    with running(application(settings, STILL)) as server:
        wait(lambda: httpx.get(f"{server.url}/readyz").status_code == 200, "not ready")
        with server.client() as anybody:
            assert asked(anybody) == {200}
            assert not anybody.get("/openapi.json").json().get("security")
            key = create_key(file, "first", ["predict", "admin"])
            try:
                assert asked(anybody) == {401}
                with server.client(key) as owner:
                    assert asked(owner) == {200}
                    assert owner.get("/openapi.json").json()["security"] == [{"key": []}]
            finally:
                file.unlink()
            assert asked(anybody) == {401}, "a file that is gone does not open it again"


def test_where_it_cannot_be_seen_whether_there_are_keys_nobody_gets_in(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    ring = KeyRing(folder / "keys.json", open_without=True)
    assert ring.lets_in_everybody

    folder.write_text("not a folder")

    assert not ring.lets_in_everybody


def test_a_stack_that_is_not_local_is_not_served_without_keys(trained: Life) -> None:
    settings = placed(trained)
    team = settings.model_copy(update={"stack": settings.stack.model_copy(update={"name": "team"})})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLOPS_REGION", "here")
        with pytest.raises(SettingsError, match="anybody"):
            application(team, STILL)
        create_key(key_file(team.stack), "ada", ["predict"])
        application(team, STILL)
    key_file(team.stack).unlink()


def test_a_file_of_keys_that_was_named_and_is_not_there_is_refused(trained: Life) -> None:
    with pytest.raises(SettingsError, match="anybody"):
        application(placed(trained), replace(STILL, keys=Path("/nowhere/keys.json")))


def test_what_is_kept_is_a_hash(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    create_key(file, "ada", ["predict"])

    (kept,) = json.loads(file.read_text())

    assert set(kept) == {"name", "scopes", "sha256", "created"}
