"""A generated project whose data, models, results and predictions are on S3, on two machines.

Credentials are in the environment only: one of them is a canary, looked for in all that is left.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Generated
from tests.faults.servers import open_mlflow
from tests.storage.seaweed import BUCKET, ObjectStore

pytestmark = pytest.mark.slow
COMPUTED = ("validate", "split", "fit forest", "evaluate", "fit trivial", "fit linear", "compare")


@dataclass(frozen=True)
class Team:
    """A project on S3, the overrides that say so, and what its machines share."""

    project: Generated
    words: tuple[str, ...]
    shared: Path
    machines: Path

    def machine(self, name: str) -> Generated:
        """An empty home and a fresh clone of the project, without data."""
        home, root = self.machines / name / "home", self.machines / name / "flight-delay"
        if not root.exists():
            self.project.run("git", "clone", "-q", str(self.project.root), str(root))
        environment = self.project.environment | {
            "MLOPS_HOME": str(home),
            "PYTHONPATH": str(root / "src"),
        }
        return Generated(root, environment, self.project.programs)


def generate(template: Path, folder: Path, server: str, variables: dict[str, str]) -> Generated:
    """A project with `data_remote` on S3, which brings the extra for it."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "MLFLOW_", "MLOPS_", "PYTEST_", "AWS_"))
        and name not in ("VIRTUAL_ENV", "DO_NOT_TRACK", "DVC_NO_ANALYTICS")
    }
    environment = kept | variables | {
        "MLOPS_HOME": str(folder / "home"),
        "PREFECT_API_URL": server,
        "COLUMNS": "200",
        "GIT_CONFIG_GLOBAL": str(folder / "gitconfig"),
        "COOKIECUTTER_CONFIG": str(folder / "none.yaml"),
    }  # fmt: skip
    (folder / "gitconfig").write_text("[user]\nname = Ada\nemail = ada@example.org\n")
    (folder / "none.yaml").write_text(f"cookiecutters_dir: {folder}\nreplay_dir: {folder}\n")
    run: dict[str, Any] = {"check": True, "env": environment, "capture_output": True, "text": True}
    words = ["--no-input", "-o", str(folder), str(template), f"data_remote=s3://{BUCKET}/dvc"]
    subprocess.run([sys.executable, "-m", "cookiecutter", *words], **run)
    root = folder / "flight-delay"
    subprocess.run([sys.executable, "-m", "uv", "sync", "-q"], cwd=root, **run)
    return Generated(root, environment, root / ".venv" / "bin")


@pytest.fixture(scope="module")
def team(
    template: Path,
    tmp_path_factory: pytest.TempPathFactory,
    server: str,
    object_store: ObjectStore,
) -> Iterator[Team]:
    folder = tmp_path_factory.mktemp("s3project")
    project = generate(template, folder, server, object_store.environment)
    project.run("git", "add", "-A")
    project.run("git", "commit", "-qm", "Lock")
    project.run("dvc", "push")
    shared = tmp_path_factory.mktemp("shared")
    with open_mlflow(shared) as url:
        yield Team(
            project,
            (
                f"stack.store=s3://{BUCKET}/store",
                f"stack.artifact_root=s3://{BUCKET}/artifacts",
                f"stack.predictions=s3://{BUCKET}/predictions",
                f"stack.tracking_uri={url}",
                f"stack.ledger=sqlite:///{shared}/ledger.db",
                f"stack.anchor={shared}/anchor",
                f"stack.key_folder={shared}/keys",
                f"policy.residency.public.uri_prefixes=[s3://{BUCKET},'{url}']",
            ),
            shared,
            tmp_path_factory.mktemp("machines"),
        )


def train(team: Team, machine: Generated) -> tuple[dict[str, Any], str]:
    done = machine.run("mlops", "train", *team.words, "--json")
    return json.loads(done.stdout), done.stdout + done.stderr


@pytest.fixture(scope="module")
def first(team: Team) -> tuple[dict[str, Any], str]:
    return train(team, team.machine("one"))


def cached(said: str) -> list[str]:
    """The steps whose earlier result was taken."""
    lines = [line for line in said.splitlines() if "cached" in line]
    return [step for step in COMPUTED if any(step in line for line in lines)]


def test_everything_is_on_the_store_and_nothing_on_the_machine(
    team: Team, first: tuple[dict[str, Any], str], object_store: ObjectStore
) -> None:
    assert first[0]["version"] == 1
    keys = object_store.keys(BUCKET)
    assert {key.split("/")[0] for key in keys} == {"dvc", "store", "artifacts"}
    endings = {Path(key).suffix for key in keys if key.startswith("store/")}
    assert {".parquet", ".skops"} <= endings
    assert len([key for key in keys if key.startswith("store/results/")]) >= len(COMPUTED)
    home = team.machine("one").environment["MLOPS_HOME"]
    left = [path for path in Path(home).rglob("*") if path.suffix in (".parquet", ".skops")]
    assert left == []
    assert not (Path(home) / "results").exists()


def test_another_machine_finds_what_was_computed(
    team: Team, first: tuple[dict[str, Any], str]
) -> None:
    assert cached(first[1]) == []
    again, said = train(team, team.machine("two"))
    assert again["candidate_digest"] == first[0]["candidate_digest"]
    assert cached(said) == list(COMPUTED), said
    assert again["repeated"]


def test_another_machine_opens_the_sealed_model_and_scores(
    team: Team, first: tuple[dict[str, Any], str], object_store: ObjectStore
) -> None:
    other = team.machine("three")
    done = other.run("mlops", "score", *team.words, "--json")
    scored = json.loads(done.stdout)
    assert scored["rows"] > 1000
    assert scored["uri"].removeprefix(f"s3://{BUCKET}/") in object_store.keys(BUCKET)
    client = object_store.client()
    model = next(k for k in object_store.keys(BUCKET, "artifacts/") if k.endswith("model.skops"))
    before = client.get_object(Bucket=BUCKET, Key=model)["Body"].read()
    client.put_object(Bucket=BUCKET, Key=model, Body=before[:-1] + b"X")
    refused = team.machine("four").run("mlops", "score", *team.words, check=False)
    client.put_object(Bucket=BUCKET, Key=model, Body=before)
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("harm", "lost"),
    [
        ("deleted model", {"fit forest"}),
        ("altered rows", {"validate", "split", "evaluate"}),  # the fits' rows are whole again then
        ("forged record", {"fit forest", "evaluate"}),
    ],
)
def test_what_was_deleted_or_altered_is_computed_again(
    team: Team,
    first: tuple[dict[str, Any], str],
    object_store: ObjectStore,
    harm: str,
    lost: set[str],
) -> None:
    client, digest = object_store.client(), first[0]["candidate_digest"]
    model = f"store/{digest[:2]}/{digest}.skops"
    if harm == "deleted model":
        client.delete_object(Bucket=BUCKET, Key=model)
    elif harm == "altered rows":
        for key in object_store.keys(BUCKET, "store/"):
            if key.endswith(".parquet"):
                client.put_object(Bucket=BUCKET, Key=key, Body=b"altered")
    else:
        for key in object_store.keys(BUCKET, "store/results/"):
            record = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            forged = record.replace(digest.encode(), b"0" * 64)
            client.put_object(Bucket=BUCKET, Key=key, Body=forged)
    again, said = train(team, team.machine("two"))
    assert again["candidate_digest"] == digest
    assert set(cached(said)) == set(COMPUTED) - lost, said
    assert model in object_store.keys(BUCKET)
    after, said = train(team, team.machine("two"))
    assert cached(said) == list(COMPUTED), "it is healed"
    assert after["candidate_digest"] == digest


def test_no_secret_is_left_anywhere(
    team: Team,
    first: tuple[dict[str, Any], str],
    object_store: ObjectStore,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    canary, machine = object_store.secret, team.machine("one")
    wrong = [word.replace("s3://", f"s3://user:{canary}@") for word in team.words]
    refused = machine.run("mlops", "train", *wrong, check=False)
    assert refused.returncode == 1
    bad_key = machine.run(
        "mlops", "train", *team.words, "--fresh", check=False, AWS_ACCESS_KEY_ID="nobody"
    )
    assert bad_key.returncode == 1
    assert "Traceback" not in bad_key.stderr
    for said in (first[1], refused.stdout + refused.stderr, bad_key.stdout + bad_key.stderr):
        assert canary not in said
    prefect = tmp_path_factory.getbasetemp().glob("prefect*")  # the server's database and log
    places = [team.machines, team.shared, team.project.root, *prefect]
    assert any(path.suffix == ".db" for place in places[3:] for path in place.rglob("*"))
    for folder in places:
        for path in folder.rglob("*"):
            if path.is_file() and ".venv" not in path.parts and not path.is_symlink():
                assert canary.encode() not in path.read_bytes(), path
    client = object_store.client()
    for key in object_store.keys(BUCKET):
        assert canary.encode() not in client.get_object(Bucket=BUCKET, Key=key)["Body"].read(), key
