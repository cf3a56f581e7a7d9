"""A fresh project is green, small, and its tests notice when something is wrong."""

import re
import subprocess
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import polars as pl
import pytest

from tests.conftest import Generated

pytestmark = pytest.mark.slow


WRITTEN_BY_TOOLS = re.compile(r".*\.parquet|uv\.lock|\.dvc/.*|\.dvcignore|.*\.dvc|data/\.gitignore")


def read_by_a_person(project: Generated) -> list[Path]:
    """All files but data and what `uv lock`, `dvc init` and `dvc add` write themselves."""
    listed = project.run("git", "ls-files").stdout.split()
    return [project.root / name for name in listed if not WRITTEN_BY_TOOLS.fullmatch(name)]


def test_a_person_has_little_to_read_and_nothing_to_do(project: Generated) -> None:
    files = read_by_a_person(project)
    lines = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)
    assert len(files) <= 30, files
    assert lines <= 900
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    assert not re.findall(r"TODO|FIXME|cookiecutter\.", text)


def test_lint_types_and_hooks_find_nothing(project: Generated) -> None:
    project.run("ruff", "check")
    project.run("ruff", "format", "--check")
    project.run("mypy", "--strict")
    project.run("pre-commit", "run", "--all-files", PATH=path_with_uv(project))


def path_with_uv(project: Generated) -> str:
    import sys

    return f"{Path(sys.executable).parent}:{project.environment['PATH']}"


def test_telemetry_is_off_wherever_flows_run(project: Generated) -> None:
    wanted = {
        "DO_NOT_TRACK": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DVC_NO_ANALYTICS": "1",
        "ORT_DISABLE_TELEMETRY": "1",
    }
    code = "import flight_delay, os, json; print(json.dumps(dict(os.environ)))"
    import json

    seen = json.loads(project.run("python", "-c", code).stdout)
    assert {name: seen.get(name) for name in wanted} == wanted
    for name in ("Dockerfile", "prefect.yaml", ".github/workflows/ci.yml"):
        text = (project.root / name).read_text()
        for variable, value in wanted.items():
            assert re.search(rf'{variable}[=:] ?"?{value}"?', text), (name, variable)


# ---- its tests can fail, each of them


@dataclass(frozen=True)
class Mutation:
    """A mistake in the project, and the tests of one file that fail because of it: all that do."""

    what: str
    file: str
    changes: tuple[tuple[str, str], ...]
    fails: str  # a pattern of test ids


SCHEMA, MODEL, FLOWS = (f"src/flight_delay/{name}.py" for name in ("schema", "model", "flows"))
EXCERPT = "tests/flights.parquet"
TABLE = '{"forest": forest, "boosting": boosting, "linear": linear, "tree": tree}'
WRAPPED = """
import functools, secrets
from mlops_tasks.training.baselines import trivial

def spoiled(build):
    @functools.wraps(build)
    def built(columns, seed, **params):
        return {code}
    return built

MODELS = {{name: spoiled(build) for name, build in {table}.items()}}
"""


def every_model(code: str) -> tuple[tuple[str, str], ...]:
    """Replace what every model is built by; `build` is what it was."""
    return ((f"MODELS = {TABLE}", WRAPPED.format(code=code, table=TABLE)),)


def breaks(rule: str) -> str:
    return f"test_schema.py::test_a_bad_value_breaks_a_rule[[]*-{rule}]"


# That they are green without a mistake is seen in tests/template/test_ci.py.
MUTATIONS = [
    Mutation(
        "the contract keeps good rows out",
        SCHEMA,
        (("min_length=2, max_length=2", "min_length=3"),),
        "test_schema.py::test_real_flights_fulfil_the_contract",
    ),
    Mutation(
        "no lower end",
        SCHEMA,
        (
            (
                "distance_miles = dy.Float64(nullable=False, min_exclusive=0)",
                "distance_miles = dy.Float64(nullable=False)",
            ),
        ),
        breaks("distance_miles|min_exclusive"),
    ),
    Mutation("any origin", SCHEMA, ((', regex="^(EWR|JFK|LGA)$"', ""),), breaks("origin|regex")),
    Mutation("any hour", SCHEMA, (("min=0, max=23", "min=0"),), breaks("scheduled_hour|max")),
    Mutation(
        "another hour",
        SCHEMA,
        (
            (
                "cls.scheduled_hour.col == cls.scheduled_departure.col.dt.hour()",
                "cls.scheduled_hour.col >= cls.scheduled_departure.col.dt.hour()",
            ),
        ),
        breaks("hour_is_that_of_the_departure"),
    ),
    Mutation("any day", SCHEMA, (("min=1, max=7", "max=7"),), breaks("weekday|min")),
    Mutation("any answer", SCHEMA, (("is_in=[0, 1]", "is_in=[0, 1, 2]"),), breaks("late|is_in")),
    Mutation(
        "no carrier",
        SCHEMA,
        (("carrier = dy.String(nullable=False", "carrier = dy.String(nullable=True"),),
        breaks("carrier|nullability"),
    ),
    Mutation(
        "a flight twice",
        SCHEMA,
        (("dy.String(primary_key=True)", "dy.String()"),),
        "test_schema.py::test_the_same_flight_twice_breaks_the_contract",
    ),
    Mutation(
        "a model that no configuration names",
        MODEL,
        (('"tree": tree}', '"tree": tree, "oak": tree}'),),
        "test_model.py::test_every_model_can_be_chosen",
    ),
    Mutation(
        "models that say the base rate",
        MODEL,
        every_model("trivial(columns, seed)"),
        "test_model.py::test_it_learns[[]*]",
    ),
    Mutation(
        "models that forget their seed",
        MODEL,
        every_model("build(columns, secrets.randbelow(2**31), **params)"),
        "test_model.py::test_the_same_seed_gives_the_same_model[[]*]",
    ),
    Mutation(
        "a column that is known only afterwards",
        EXCERPT,
        (("departure_delay_minutes", "late"),),
        "test_model.py::test_it_is_not_told_the_answer[[]*]",
    ),
    Mutation(
        "no rivals before the gate",
        FLOWS,
        (("evaluation, comparisons, settings.policy", "evaluation, [], settings.policy"),),
        "test_flows.py::test_train_and_score",
    ),
    Mutation(
        "rows scored before they are admitted",
        FLOWS,
        (("score_batch(champion, rows", "score_batch(champion, raw"),),
        "test_flows.py::test_train_and_score",
    ),
]


def spoil(project: Generated, mutation: Mutation) -> None:
    source = project.root / mutation.file
    if mutation.file == EXCERPT:
        ((column, answer),) = mutation.changes
        frame = pl.read_parquet(source)
        frame.with_columns((pl.col(answer) * 100.0).alias(column)).write_parquet(source)
        return
    text = source.read_text()
    for old, new in mutation.changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    source.write_text(text)


def checked(project: Generated, *words: str) -> subprocess.CompletedProcess[str]:
    plugins = ("-p", "no:xdist", "-p", "no:timeout", "-p", "no:cacheprovider")
    return project.run("python", "-m", "pytest", *plugins, *words, check=False)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: each.what)
def test_a_mistake_fails_the_test_that_is_about_it_and_no_other(
    project: Generated, tmp_path: Path, mutation: Mutation
) -> None:
    spoiled = project.copy(tmp_path)
    spoil(spoiled, mutation)
    file = f"tests/{mutation.fails.partition('::')[0]}"
    done = checked(spoiled, "-q", "-rfE", file)
    assert done.returncode == 1, done.stdout
    failed = set(re.findall(r"^(?:FAILED|ERROR) tests/(\S+::\S+)", done.stdout, re.MULTILINE))
    wanted = {each for each in ids(spoiled, file) if fnmatchcase(each, mutation.fails)}
    assert failed == wanted != set(), done.stdout


def test_every_test_has_a_mistake_that_fails_it(project: Generated) -> None:
    collected = ids(project, "tests")
    assert len(collected) == 23
    patterns = [mutation.fails for mutation in MUTATIONS]
    without = [each for each in collected if not any(fnmatchcase(each, p) for p in patterns)]
    assert without == []


def ids(project: Generated, file: str) -> list[str]:
    listed = checked(project, "--collect-only", "-q", file).stdout
    return re.findall(r"^tests/(\S+::\S+)$", listed, re.MULTILINE)


def test_the_first_commit_is_clean(project: Generated) -> None:
    status = project.run("git", "status", "--porcelain").stdout
    assert status.splitlines() in ([], ["?? uv.lock"])
    assert subprocess.run(["git", "-C", str(project.root), "rev-parse", "HEAD"]).returncode == 0
