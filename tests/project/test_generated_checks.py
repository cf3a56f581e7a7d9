"""A fresh project is green, small, and its tests notice when something is wrong."""

import re
import subprocess
from pathlib import Path

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


# That its own tests are green is seen in test_docs, where the tutorial runs them.
MUTATIONS = [
    # file, old, new, the test that must notice
    ("schema.py", "min_exclusive=0)", ")", "test_schema.py"),
    ("schema.py", "dy.String(primary_key=True)", "dy.String()", "test_schema.py"),
    ("schema.py", "is_in=[0, 1]", "is_in=[0]", "test_schema.py"),
    ("model.py", '"tree": tree}', '"tre": tree}', "test_model.py"),
    ("model.py", "min_samples_leaf=50, random_state=seed", "min_samples_leaf=800", "test_model.py"),
    ("model.py", "list(columns.numeric)", "[*columns.numeric, columns.target]", "test_model.py"),
    ("flows.py", "evaluation,\n        comparisons,", "evaluation,\n        [],", "test_flows.py"),
    ("flows.py", "score_batch(champion, rows", "score_batch(champion, raw", "test_flows.py"),
]


@pytest.mark.parametrize(("file", "old", "new", "noticed_by"), MUTATIONS)
def test_its_tests_can_fail(
    project: Generated, tmp_path: Path, file: str, old: str, new: str, noticed_by: str
) -> None:
    spoiled = project.copy(tmp_path)
    source = spoiled.root / "src" / "flight_delay" / file
    text = source.read_text()
    assert old in text
    source.write_text(text.replace(old, new))
    test = spoiled.root / "tests" / noticed_by
    done = spoiled.run(
        "python", "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:timeout", str(test), check=False
    )
    assert done.returncode == 1, done.stdout
    assert "failed" in done.stdout or "error" in done.stdout


def test_the_first_commit_is_clean(project: Generated) -> None:
    status = project.run("git", "status", "--porcelain").stdout
    assert status.splitlines() in ([], ["?? uv.lock"])
    assert subprocess.run(["git", "-C", str(project.root), "rev-parse", "HEAD"]).returncode == 0
