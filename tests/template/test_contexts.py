"""Other answers than the default ones: linted, typed and tested as a whole.

A handful in which every choice occurs at least once, mixed so that no two are always together. What
a single answer changes is the affair of `test_generation`.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Desk

ROOT = Path(__file__).parents[2]
REGIONS = ("local", "eu-west-1")
REMOTES = ("", "folder", "s3://team/x", "gs://team", "azure://team/x")
REPOSITORIES = ("", "https://git.acme.com/ml/flights", "git@git.acme.com:ml/flights.git")


@dataclass(frozen=True)
class Context:
    """What somebody may answer."""

    model: str
    python_version: str
    ci: str
    data_remote: str
    repository_url: str
    data_region: str

    def __str__(self) -> str:
        scheme = self.data_remote.partition(":")[0] or "home"
        return "-".join((self.model, self.python_version, self.ci, scheme))


CONTEXTS = [
    Context("forest", "3.11", "gitlab", REMOTES[1], REPOSITORIES[1], "eu-west-1"),
    Context("boosting", "3.11", "github", REMOTES[3], REPOSITORIES[2], "local"),
    Context("tree", "3.12", "gitlab", REMOTES[4], REPOSITORIES[0], "local"),
    Context("linear", "3.13", "github", REMOTES[2], REPOSITORIES[0], "eu-west-1"),
    Context("boosting", "3.13", "gitlab", REMOTES[0], REPOSITORIES[1], "local"),
]


def test_every_choice_occurs_and_no_two_are_always_together() -> None:
    offered = json.loads((ROOT / "cookiecutter.json").read_text("utf-8"))
    domains = {name: tuple(offered[name]) for name in ("model", "python_version", "ci")}
    domains |= {"data_remote": REMOTES, "repository_url": REPOSITORIES}
    domains |= {"data_region": REGIONS}
    for name, domain in domains.items():
        assert {getattr(each, name) for each in CONTEXTS} == set(domain), name
    pairs = {
        (one, getattr(each, one), other, getattr(each, other))
        for each in CONTEXTS
        for one, other in combinations(domains, 2)
    }
    most = len(CONTEXTS) * len(list(combinations(domains, 2)))
    assert len(pairs) > 0.9 * most, "hardly a pair is tried twice"


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("context", CONTEXTS, ids=str)
def test_it_is_linted_typed_and_tested(desk: "Desk", context: Context) -> None:
    uv = [sys.executable, "-m", "uv"]
    version = context.python_version
    if subprocess.run([*uv, "python", "find", version], capture_output=True).returncode:
        pytest.skip(f"no Python {version} here")
    answers = dict(vars(context))
    if context.data_remote == "folder":
        answers["data_remote"] = str(desk.base / "a folder")
    project = desk.make(**answers)

    for name in ("VIRTUAL_ENV", "PYTHONPATH", "PREFECT_API_URL"):
        desk.env.pop(name, None)
    desk.ok(*uv, "sync", "--quiet", "--python", version, cwd=project)
    programs = project / ".venv" / "bin"
    said = desk.ok(programs / "python", "--version", cwd=project)
    assert said.startswith(f"Python {version}.")
    desk.ok(programs / "ruff", "check", cwd=project)
    desk.ok(programs / "ruff", "format", "--check", cwd=project)
    desk.ok(programs / "mypy", "--strict", cwd=project)
    assert "23 passed" in desk.ok(programs / "pytest", "-q", cwd=project)
    shown = json.loads(desk.ok(programs / "mlops", "config", "--json", cwd=project))
    assert shown["model"]["name"] == context.model
