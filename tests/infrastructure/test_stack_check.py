"""`mlops stack check`: every kind of problem beside every other, by name, and without a secret."""

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from mlops_tasks.cli.options import REFUSED, app
from mlops_tasks.doors import is_local
from mlops_tasks.infrastructure.job_environment import job_environment, read
from mlops_tasks.infrastructure.translation import job_variables, problems
from mlops_tasks.project import stack_probes
from mlops_tasks.project.stack_check import Finding, check
from mlops_tasks.settings.compose import compose, options

import mlops_tasks.cli as cli  # isort: skip  (registers the commands)

assert cli.main
CANARY = "canary-7f3a-canary"
STACKS = ("aws", "azure", "gcp", "kubernetes", "local", "team")
COMPANY = {
    "MLOPS_SHARED_TRACKING_URI": "https://mlflow.example.org",
    "MLOPS_BUCKET": "s3://flights",
    "MLOPS_SHARED_LEDGER_URI": "postgresql+psycopg://mlops@db.example.org/mlops",
    "MLOPS_ANCHOR": "s3://anchor/ledger",
    "MLOPS_IMAGE": "registry.example.org/flight-delay:1",
    "MLOPS_ECS_CLUSTER": "arn:aws:ecs:eu-central-1:123456789012:cluster/mlops",
    "MLOPS_ECS_EXECUTION_ROLE": "arn:aws:iam::123456789012:role/execution",
    "MLOPS_ECS_TASK_ROLE": "arn:aws:iam::123456789012:role/task",
    "MLOPS_SERVICE_ACCOUNT": "mlops@flights.iam.gserviceaccount.com",
    "MLOPS_RESOURCE_GROUP": "mlops",
    "AZURE_SUBSCRIPTION_ID": "00000000-0000-0000-0000-000000000000",
}
KEYS = {
    "PREFECT_API_URL": "https://prefect.example.org/api",
    "PREFECT_API_AUTH_STRING": f"ada:{CANARY}",
    "MLFLOW_TRACKING_USERNAME": "ada",
    "MLFLOW_TRACKING_PASSWORD": CANARY,
    "AWS_ACCESS_KEY_ID": "ada",
    "AWS_SECRET_ACCESS_KEY": CANARY,
    "PGPASSWORD": CANARY,
}


@pytest.fixture
def project(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that nobody has set anything for."""
    (root / "pyproject.toml").write_text('[tool.mlops]\npackage = "flight_delay"\n')
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (*COMPANY, *KEYS, "AWS_PROFILE", "AWS_ENDPOINT_URL", "PREFECT_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return root


@pytest.fixture
def company(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same where everything is set."""
    for name, value in (COMPANY | KEYS).items():
        monkeypatch.setenv(name, value)
    return project


def offline(root: Path, *overrides: str) -> list[Finding]:
    return list(check(root, overrides, ask=False))


def of(kind: str, found: list[Finding]) -> dict[str, str]:
    return {each.key: each.what for each in found if each.kind == kind}


def permitted(stack: str) -> list[str]:
    """What the owner of the policy writes down once, to let data on a stack."""
    region = {"gcp": "europe-west3", "azure": "germanywestcentral"}.get(stack, "eu-central-1")
    parts = ("compute", "storage", "tracking", "registry")
    places = "[s3://flights,'https://mlflow.example.org']"
    return [
        f"stack={stack}",
        *(f"stack.regions.{part}={region}" for part in parts),
        f"data.regions=[{region}]",
        f"policy.residency.public.regions=[{region}]",
        f"policy.residency.public.uri_prefixes={places}",
    ]


def test_there_are_six_stacks_each_short_and_without_secrets(project: Path) -> None:
    assert tuple(options(project)["stack"]) == STACKS
    for name in STACKS:
        text = (project / "conf" / "stack" / f"{name}.yaml").read_text("utf-8")
        assert len(text.splitlines()) <= 28
        for key in ("runner", "compute"):
            assert name == "local" or f"\n{key}:" in text


@pytest.mark.parametrize("name", STACKS)
def test_one_word_changes_the_stack_and_nothing_else(company: Path, name: str) -> None:
    local, other = compose(company, placed=False), compose(company, [f"stack={name}"], placed=False)
    assert other.stack.name == name
    assert is_local(other.stack) == (name == "local")
    assert other.model_copy(update={"stack": local.stack}) == local
    assert other.stack.compute.region in ("", other.stack.regions.compute)


@pytest.mark.parametrize("name", STACKS)
def test_a_stack_whose_owner_said_everything_has_no_problem(company: Path, name: str) -> None:
    wanted = [] if name == "local" else permitted(name)
    assert offline(company, *wanted) == []
    target = compose(company, wanted).stack.compute
    assert problems(target) == ()
    carried = job_environment(company, wanted)
    assert carried.items() <= COMPANY.items()
    env = job_variables(target, carried)["env"]
    assert CANARY not in str(env)
    needed = {key for key in COMPANY if f"env:{key}" in yaml_of(company, name)}
    assert needed == set(carried), "the job composes the same configuration"


def yaml_of(project: Path, name: str) -> str:
    return (project / "conf" / "stack" / f"{name}.yaml").read_text("utf-8")


@pytest.mark.parametrize("name", STACKS[:4] + STACKS[5:])
def test_what_is_not_set_is_named_all_at_once(project: Path, name: str) -> None:
    found = of("environment", offline(project, f"stack={name}"))
    needed = {key for key in COMPANY if f"env:{key}" in yaml_of(project, name)}
    assert set(found) == needed | {"PREFECT_API_URL"}
    with pytest.raises(Exception, match="MLOPS_BUCKET is not set") as caught:
        job_environment(project, [f"stack={name}"])
    assert all(name in str(caught.value) for name in needed)


def test_every_kind_of_problem_is_found_beside_the_others(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_BUCKET", "s3://flights")
    monkeypatch.setenv("MLOPS_SHARED_TRACKING_URI", f"https://ada:{CANARY}@mlflow.example.org")
    found = offline(
        project,
        "stack=aws",
        "stack.compute.resources.gpu_count=1",
        "stack.compute.resources.max_hours=2",
        "stack.compute.extra.nope=1",
        "stack.regions.compute=''",
        "stack.ledger=postgresql://mlops@db.example.org/mlops",
    )
    assert {"MLOPS_IMAGE", "MLOPS_ANCHOR", "PREFECT_API_URL", "MLOPS_SHARED_TRACKING_URI"} <= set(
        of("environment", found)
    )
    assert set(of("capability", found)) == {
        "stack.compute.resources.gpu_count",
        "stack.compute.resources.max_hours",
        "stack.compute.extra.nope",
        "stack.compute.region",
    }
    assert set(of("residency", found)) == {
        "stack.regions.compute",
        "stack.store",
        "stack.artifact_root",
        "stack.predictions",
        "stack.tracking_uri",
    }
    credentials = of("credential", found)
    assert set(credentials) == {
        "stack.compute.work_pool",
        "stack.tracking_uri",
        "stack.artifact_root",
        "stack.ledger",
    }
    told = " ".join(credentials.values())
    for name in ("PREFECT_API_AUTH_STRING", "MLFLOW_TRACKING_PASSWORD", "AWS_ACCESS_KEY_ID"):
        assert name in told
    assert "PGPASSWORD" in credentials["stack.ledger"]
    assert of("configuration", found) == {
        "stack.tracking_uri": "carries a password or key: set it apart"
    }
    assert CANARY not in str(found)


@pytest.mark.parametrize(
    ("bucket", "name"),
    [
        ("gs://flights", "GOOGLE_APPLICATION_CREDENTIALS"),
        ("abfs://lake@account.dfs.core.windows.net", "AZURE_STORAGE_CONNECTION_STRING"),
        ("s3://flights", "AWS_ACCESS_KEY_ID"),
    ],
)
def test_each_store_has_credentials_of_its_own(
    project: Path, monkeypatch: pytest.MonkeyPatch, bucket: str, name: str
) -> None:
    monkeypatch.setenv("MLOPS_BUCKET", bucket)
    found = of("credential", offline(project, "stack=team"))
    assert name in found["stack.artifact_root"]
    assert "MLOPS_BUCKET" not in of("environment", offline(project, "stack=team"))
    for each in ("GOOGLE_APPLICATION_CREDENTIALS", "AZURE_STORAGE_CONNECTION_STRING"):
        monkeypatch.setenv(each, CANARY)
    monkeypatch.setenv("AWS_PROFILE", "ada")
    assert "stack.artifact_root" not in of("credential", offline(project, "stack=team"))


def test_a_secret_is_not_carried_to_jobs(company: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_SHARED_LEDGER_URI", f"postgresql://ada:{CANARY}@db.example.org/mlops")
    found = read(company, ["stack=team"])
    assert found.secret == ("MLOPS_SHARED_LEDGER_URI",)
    assert CANARY not in str(found.carried)
    assert "MLOPS_SHARED_LEDGER_URI" in of("environment", offline(company, *permitted("team")))
    with pytest.raises(Exception, match="MLOPS_SHARED_LEDGER_URI is a secret") as caught:
        job_environment(company, ["stack=team"])
    assert CANARY not in str(caught.value)


def test_the_region_of_this_process_is_not_carried(
    company: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = ["stack=team", "stack.regions.compute=${oc.env:MLOPS_REGION}"]
    assert "MLOPS_REGION" in of("environment", offline(company, *reads))
    monkeypatch.setenv("MLOPS_REGION", "mars")
    assert "MLOPS_REGION" not in job_environment(company, reads)


def test_a_configuration_that_cannot_be_composed_is_one_finding(project: Path) -> None:
    [found] = offline(project, "stack=teem")
    assert found.kind == "configuration"
    assert "did you mean 'team'" in found.what
    [found] = offline(project, "stack.compute.kind=cloud")
    assert "stack.compute.kind = 'cloud'" in found.what


# What answers and what does not


@pytest.fixture
def nobody() -> str:
    """An address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def silent() -> Iterator[str]:
    """An address where somebody listens and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def test_services_that_do_not_answer_are_named_in_bounded_time(
    company: Path, monkeypatch: pytest.MonkeyPatch, nobody: str, silent: str
) -> None:
    monkeypatch.setattr(stack_probes, "SECONDS", 0.5)
    monkeypatch.setenv("MLOPS_SHARED_TRACKING_URI", f"http://{silent}")
    monkeypatch.setenv("PREFECT_API_URL", f"http://{nobody}/api")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{nobody}")
    ledger = f"stack.ledger=postgresql+psycopg://mlops@{nobody}/mlops"
    found = of("unreachable", list(check(company, ["stack=team", ledger])))
    assert set(found) == {
        "PREFECT_API_URL",
        "stack.anchor",
        "stack.artifact_root",
        "stack.ledger",
        "stack.tracking_uri",
    }
    assert all("does not answer" in each for each in found.values()), found
    assert CANARY not in str(found)


def test_a_client_that_hangs_does_not_hold_the_check() -> None:
    import threading

    never = threading.Event()

    def hang() -> list[str]:
        never.wait()
        return []

    probes: dict[str, Callable[[], list[str]]] = {"a": hang, "b": lambda: [], "c": lambda: ["no"]}
    found = stack_probes.ask_all(probes, seconds=0.3)
    never.set()
    assert found == {"a": ["no answer within 0.3 s"], "c": ["no"]}


def test_a_probe_that_breaks_is_an_answer() -> None:
    def broken() -> list[str]:
        raise RuntimeError("the client broke\nwith many lines")

    assert stack_probes.ask_all({"a": broken}) == {"a": ["the client broke"]}


def test_folders_are_looked_at_without_being_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert stack_probes.place(str(tmp_path / "new" / "folder")) == []
    assert stack_probes.place(f"file://{tmp_path}/new") == []
    assert stack_probes.database(f"sqlite:///{tmp_path}/new/ledger.db") == []
    assert stack_probes.place(str(tmp_path / "file" / "below")) == [f"{tmp_path}/file is a file"]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file"]
    assert stack_probes.database("no url") == ["not an SQLAlchemy URL"]


def command(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["stack", *words], env={"COLUMNS": "200"})
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def test_the_command_tells_a_table_or_json_and_exits_with_three(project: Path) -> None:
    folder = str(project)
    code, out, err = command("check", "--project", folder)
    assert (code, out) == (0, ""), out
    assert "nothing to put right" in err
    code, out, err = command("check", "stack=aws", "--offline", "--project", folder)
    assert code == REFUSED
    assert "MLOPS_ECS_CLUSTER" in out
    assert "problems" in err
    code, out, _ = command("check", "stack=aws", "--offline", "--json", "--project", folder)
    assert code == REFUSED
    assert {"kind", "key", "what"} == set(json.loads(out)[0])


def shown(*words: str) -> Any:
    code, out, _ = command("show", *words)
    assert code == 0
    assert "&id" not in out, "no anchors: people read it"
    return yaml.safe_load(out)


def test_a_stack_is_shown_in_the_words_of_prefect_and_of_kubernetes(company: Path) -> None:
    folder = ["--project", str(company)]
    variables = shown("stack=kubernetes", "--as", "prefect", *folder)
    assert variables["cpu_limit"] == "2"
    assert variables["env"]["MLOPS_BUCKET"] == "s3://flights"
    assert variables == shown("stack=kubernetes", "--json", *folder)
    job = shown("stack=kubernetes", "--as", "kubernetes", *folder)
    [container] = job["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"cpu": "2", "memory": "4Gi"}
    import kubernetes_validate

    kubernetes_validate.validate(job, "1.37", strict=True)
    done = CliRunner().invoke(app, ["stack", "show", "stack=team", "--as", "kubernetes", *folder])
    assert "cannot be made for a target of kind 'process'" in str(done.exception)


def test_a_secret_is_never_shown(company: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack_probes, "SECONDS", 0.2)
    monkeypatch.setenv("MLOPS_SHARED_TRACKING_URI", f"https://ada:{CANARY}@mlflow.invalid")
    monkeypatch.setenv("PREFECT_API_URL", f"https://ada:{CANARY}@prefect.invalid/api")
    for words in (["check", "stack=aws"], ["check", "stack=aws", "--json"], ["show", "stack=aws"]):
        done = CliRunner().invoke(app, ["stack", *words, "--project", str(company)])
        assert done.exit_code != 0
        assert CANARY not in done.output + str(done.exception)
