"""MLflow or S3 answering 500, saying nothing or hanging up: waited out, or one clear error.

The budget is some seconds here instead of 45; nothing else is different.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mlops_tasks.artifacts import Dataset
from mlops_tasks.errors import DataUnavailable, RegistryError, StorageError
from mlops_tasks.governance.ledger import Wanted
from mlops_tasks.governance.record import ledger_of
from mlops_tasks.registry.client import connect, experiment, talking
from mlops_tasks.registry.models import by_alias, create_version, set_alias
from mlops_tasks.registry.release import current_champion
from mlops_tasks.settings.schema import Settings, StackSettings
from mlops_tasks.storage import fetch, put
from tests.faults.flaky import Flaky, flaky
from tests.faults.servers import forget_stores, moto, open_mlflow
from tests.registry.life import Life

pytestmark = pytest.mark.slow
CONTENT = b"some content"
OUTAGE = 4.0
BUDGET = "20"


def writing(path: Path) -> None:
    path.write_bytes(CONTENT)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flaky]:
    with moto(tmp_path_factory.mktemp("moto")) as url, flaky(url) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def _environment(s3: Flaky, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MLOPS_RETRY_SECONDS", BUDGET)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "anybody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    import boto3

    forget_stores()
    boto3.client("s3", endpoint_url=s3.url).create_bucket(Bucket="bucket")
    yield
    s3.well()
    forget_stores()


@pytest.mark.parametrize("mode", ["unwell", "mute", "gone"])
def test_an_outage_of_the_store_is_waited_out(s3: Flaky, mode: str) -> None:
    s3.be(mode, OUTAGE)
    uri, digest, _ = put(f"s3://bucket/{mode}", writing, ".bin")
    assert [seen for *_, seen in s3.seen].count(mode) >= 1
    s3.be(mode, OUTAGE)
    with fetch(uri, digest) as path:
        assert path.read_bytes() == CONTENT
    assert [seen for *_, seen in s3.seen].count(mode) >= 1


@pytest.mark.parametrize("mode", ["unwell", "mute"])
def test_a_store_that_stays_unwell_is_one_clear_error(
    s3: Flaky, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_RETRY_SECONDS", "2")
    s3.be(mode, 3600)
    with pytest.raises(StorageError) as caught:
        put("s3://bucket/never", writing, ".bin")
    assert caught.value.where.startswith("s3://bucket/never")
    assert "canary-secret" not in str(caught.value)
    if mode == "unwell":
        assert len(s3.seen) > 1, "it was tried again"


def test_a_missing_bucket_and_missing_rights_are_not_tried_again(s3: Flaky) -> None:
    with pytest.raises(StorageError, match=r"(?i)bucket"):
        put("s3://not-there/x", writing, ".bin")
    tries = [path for method, path, _ in s3.seen if method == "PUT" and "not-there" in path]
    assert len(tries) == 1
    with pytest.raises(StorageError), fetch("s3://bucket/nothing.bin", "d" * 64):
        pytest.fail("the block must not run")


def test_artifacts_that_mlflow_keeps_on_s3_survive_an_outage(s3: Flaky, tmp_path: Path) -> None:
    stack = stack_of(f"sqlite:///{tmp_path}/mlflow.db", "s3://bucket/artifacts")
    client = connect(stack)
    run = client.create_run(experiment(client, stack, "demo")).info.run_id
    (tmp_path / "a.txt").write_text("a")
    s3.be("unwell", OUTAGE)
    client.log_artifact(run, str(tmp_path / "a.txt"))
    assert "unwell" in [seen for *_, seen in s3.seen]
    folder = tmp_path / "down"
    folder.mkdir()
    assert Path(client.download_artifacts(run, "a.txt", str(folder))).read_text() == "a"


def test_an_artifact_store_that_stays_unwell_is_one_clear_error(
    s3: Flaky, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_RETRY_SECONDS", "1")
    stack = stack_of(f"sqlite:///{tmp_path}/mlflow.db", "s3://bucket/artifacts")
    client = connect(stack)
    run = client.create_run(experiment(client, stack, "demo")).info.run_id
    (tmp_path / "a.txt").write_text("a")
    s3.be("unwell", 3600)
    with pytest.raises(RegistryError, match="artifact store") as caught, talking(stack):
        client.log_artifact(run, str(tmp_path / "a.txt"))
    assert caught.value.where == "s3://bucket/artifacts"


def stack_of(tracking: str, artifacts: str) -> StackSettings:
    return StackSettings(
        tracking_uri=tracking,
        artifact_root=artifacts,
        store="s3://bucket/store",
        predictions="s3://bucket/predictions",
        ledger="sqlite://",
        anchor="nowhere",
        key_folder="nowhere",
    )


@dataclass(frozen=True)
class Tracking:
    proxy: Flaky
    stack: StackSettings


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flaky]:
    with open_mlflow(tmp_path_factory.mktemp("mlflow")) as url, flaky(url) as proxy:
        yield proxy


@pytest.fixture
def tracking(mlflow: Flaky, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tracking]:
    from mlops_tasks.environment import defaults

    for name, value in defaults().items():
        if name.startswith("MLFLOW_"):
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    yield Tracking(mlflow, stack_of(mlflow.url, "mlflow-artifacts:/"))
    mlflow.well()


@pytest.mark.parametrize("mode", ["unwell", "mute", "gone"])
def test_a_model_is_registered_once_through_an_outage_at_every_call(
    tracking: Tracking, mode: str, tmp_path: Path
) -> None:
    proxy, stack, model = tracking.proxy, tracking.stack, f"model-{mode}"

    def ill() -> None:
        proxy.be(mode, 1.5)

    with talking(stack):
        client = connect(stack)
        ill()
        home = experiment(client, stack, model)
        ill()
        run = client.create_run(home, tags={"k": mode})
        assert "mlops.attempt" in run.data.tags
        run_id = run.info.run_id
        ill()
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "MLmodel").write_text("flavors: {}")
        client.log_artifacts(run_id, str(tmp_path / "model"), "package/model")
        ill()
        client.set_terminated(run_id)
        ill()
        assert create_version(client, model, run_id, {}) == 1
        ill()
        set_alias(client, model, "champion", 1)
        ill()
        found = by_alias(client, model, "champion")
    proxy.well()
    assert found is not None
    assert found.run_id == run_id
    assert len(client.search_runs([home])) == 1
    assert len(client.search_model_versions(f"name='{model}'")) == 1
    kept = client.download_artifacts(run_id, "package/model/MLmodel", str(tmp_path))
    assert Path(kept).read_text() == "flavors: {}"


@pytest.mark.parametrize(
    ("cut", "said"),
    [
        ("GET /api/2.0/mlflow-artifacts/artifacts?", "does not answer"),
        ("GET /api/2.0/mlflow-artifacts/artifacts/", "does not deliver"),
        ("GET /api/2.0/mlflow/runs", "does not answer"),
    ],
    ids=["list", "files", "run"],
)
def test_a_model_that_an_outage_hides_is_not_loaded_and_not_called_unsigned(
    champion: Settings, tracking: Tracking, monkeypatch: pytest.MonkeyPatch, cut: str, said: str
) -> None:
    monkeypatch.setenv("MLOPS_RETRY_SECONDS", "1")
    stack = champion.stack
    tracking.proxy.be("unwell", 3600, cut)
    with pytest.raises(RegistryError, match=said):
        current_champion(stack, champion.registered_model)
    event = ledger_of(stack).entries(Wanted(action=("verification",)))[-1].event
    assert event.outcome == "refused"
    assert said in event.reason
    assert "signed" not in event.reason
    assert "gone" not in event.reason
    tracking.proxy.well()
    assert current_champion(stack, champion.registered_model) is not None


def test_a_model_is_loaded_after_an_outage_that_passes(
    champion: Settings, tracking: Tracking
) -> None:
    tracking.proxy.be("unwell", 2.0, "GET /api/2.0/mlflow-artifacts")
    assert current_champion(champion.stack, champion.registered_model) is not None
    assert "unwell" in [seen for *_, seen in tracking.proxy.seen]


@pytest.fixture
def champion(tracking: Tracking, tmp_path: Path) -> Settings:
    """The settings of a project that has one, under a name of its own on the server."""
    life = Life(tmp_path)
    life.people()
    plain = life.settings()
    places = {"tracking_uri": tracking.stack.tracking_uri, "artifact_root": "mlflow-artifacts:/"}
    settings = plain.model_copy(
        update={
            "project": f"outage-{uuid.uuid4().hex}",
            "stack": plain.stack.model_copy(update=places),
        }
    )
    assert life.train(40, settings).standing == "champion"
    return settings


def test_an_answer_that_was_lost_makes_no_second_run_or_version(tracking: Tracking) -> None:
    proxy, stack = tracking.proxy, tracking.stack
    client = connect(stack)
    home = experiment(client, stack, "lost")
    proxy.be("gone", 1.0, "POST /api/2.0/mlflow/runs/create")
    run = client.create_run(home)
    assert [mode for *_, mode in proxy.seen].count("gone") == 1
    assert [each.info.run_id for each in client.search_runs([home])] == [run.info.run_id]
    client.create_registered_model("lost")
    proxy.be("gone", 1.0, "POST /api/2.0/mlflow/model-versions/create")
    version = client.create_model_version("lost", f"{run.info.artifact_uri}/m", run.info.run_id)
    assert [mode for *_, mode in proxy.seen].count("gone") == 1
    assert int(version.version) == 1
    assert len(client.search_model_versions("name='lost'")) == 1


def test_a_server_that_stays_unwell_is_one_clear_error(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_RETRY_SECONDS", "2")
    proxy, stack = tracking.proxy, tracking.stack
    proxy.be("unwell", 3600)
    with pytest.raises(RegistryError, match="does not answer") as caught:
        connect(stack)
    assert caught.value.where == stack.tracking_uri
    assert len(proxy.seen) > 1, "it was asked again"
    proxy.well()
    client = connect(stack)
    proxy.be("unwell", 3600)
    with pytest.raises(RegistryError, match="does not answer"), talking(stack):
        client.search_experiments()


def test_a_server_that_is_not_there_is_reported_at_once(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_RETRY_SECONDS", "3600")  # it would show
    stack = stack_of("http://127.0.0.1:1", "mlflow-artifacts:/")
    with pytest.raises(RegistryError, match="does not answer"):
        connect(stack)


@pytest.fixture
def versioned(s3: Flaky, tmp_path: Path) -> Path:
    """A DVC repository whose remote is the store behind the proxy."""
    import subprocess

    from dvc.repo import Repo

    root = tmp_path / "project"
    root.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    with Repo.init(str(root)) as repo, repo.config.edit() as config:
        config["core"]["remote"] = "storage"
        config["remote"]["storage"] = {"url": "s3://bucket/dvc"}
    (root / "rows.csv").write_text("a\n" + "".join(f"{number}\n" for number in range(9)))
    return root


def snap(root: Path) -> Dataset:
    from mlops_tasks.data.versions import snapshot
    from mlops_tasks.settings.residency import ResidencyRule

    rule = ResidencyRule(regions=("local",), uri_prefixes=("s3://bucket",))
    return snapshot(str(root), "rows.csv", store=str(root.parent / "store"), residency=rule)


@pytest.mark.parametrize("mode", ["unwell", "mute"])
def test_versions_of_data_are_pushed_and_pulled_through_an_outage(
    s3: Flaky, versioned: Path, mode: str
) -> None:
    import shutil

    s3.be(mode, OUTAGE)
    pinned = snap(versioned)
    assert mode in [seen for *_, seen in s3.seen]
    (versioned / "rows.csv").unlink()
    shutil.rmtree(versioned / ".dvc" / "cache")
    s3.be(mode, OUTAGE)
    assert snap(versioned) == pinned
    assert mode in [seen for *_, seen in s3.seen]


def test_a_data_remote_that_stays_unwell_is_one_clear_error(
    s3: Flaky, versioned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_RETRY_SECONDS", "1")
    s3.be("unwell", 3600)
    with pytest.raises(DataUnavailable, match="cannot take") as caught:
        snap(versioned)
    assert "s3://bucket/dvc" in caught.value.where
    assert "canary-secret" not in str(caught.value)
