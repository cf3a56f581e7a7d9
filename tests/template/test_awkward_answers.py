"""Awkward answers are read back exactly as they were typed, or refused in one sentence."""

import json
import tomllib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import jinja2
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from conftest import Desk

ROOT = Path(__file__).parents[2]
RENDERED = ROOT / "{{cookiecutter.project_slug}}"

NAMES = [
    "𠮷田 花子",  # beyond the first 65 536 characters, as in many real names
    "𝔘nicode",
    "Ünï Ñandú",
    "O'Brien",
    "O’Brien",
    "Doe, Jane (Dr.) & Co.",
    "नमस्ते",
    "e\u0301galite\u0301",
    "a  b",
    "yes",
    "1e5",
    "Ada 🚀",
    'Ada "The First" L.',
    "Ada\\Lovelace",
    "Ada\\u0041",
    "Ada: Lovelace",
    "Ada # Lovelace",
    "Ada\tLovelace",
    "Ada\u200bLovelace",
    "Ada\ufeff",
    "{Ada}",
    "${oc.env:HOME}",
    "%Ada",
    "!Ada",
    "&Ada",
    "*Ada",
    "@Ada",
    "`Ada`",
]
FOLDERS = [
    "with space",
    "𠮷",
    "Ünï",
    "a=b@c+(d)",
    "a:b",
    "~x",
    "C:\\data",
    "back\\slash",
    "new\\nline",
    "un\\u0041",
    'quo"te',
    "quo'te",
    "a,b",
    "a#b",
    "a # b",
    "{a}",
    "%(a)s",
    "$HOME",
    "🚀",
]


def read_back(project: Path) -> dict[str, Any]:
    """Every answer that a file holds, as the program that reads that file would have it."""
    about = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]
    card = yaml.safe_load((project / "conf" / "config.yaml").read_text("utf-8"))["card"]
    return {
        "author": [about["authors"][0]["name"], card["owner"]],
        "name": [about["description"], (project / "README.md").read_text("utf-8").split("\n")[0]],
    }


def prefixes(text: str) -> list[str]:
    found: list[str] = yaml.safe_load(text)["residency"]["public"]["uri_prefixes"]
    return found


@pytest.mark.parametrize("value", NAMES)
def test_a_name_is_read_back_or_refused(desk: "Desk", pre_hook: ModuleType, value: str) -> None:
    answers = {"author_name": value, "project_name": value, "project_slug": "flights"}
    said = list(pre_hook.check_names(answers))
    if said:
        assert [each.split()[0] for each in said] == ["project_name", "author_name"]
        return
    found = read_back(desk.make(**answers))
    assert found == {"author": [value, value], "name": [value, f"# {value}"]}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_is_read_back_or_refused(desk: "Desk", pre_hook: ModuleType, name: str) -> None:
    value = str(desk.base / name)
    said = list(pre_hook.check_folder(value))
    if said:
        assert [each.split()[0] for each in said] == ["data_remote"]
        return
    project = desk.make(data_remote=value)
    policy = (project / "conf" / "policy" / "default.yaml").read_text("utf-8")
    assert prefixes(policy) == ["$MLOPS_HOME", value]
    assert desk.dvc("config", "remote.storage.url", cwd=project) == value
    assert [each for each in Path(value).rglob("*") if each.is_file()], "the data is there"


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("author_name", "Ada 🚀"),
        ("author_name", 'Ada \\ "The First": # {x}'),
        ("data_remote", "C:\\data"),  # a folder on Windows alone
        ("data_remote", "/tmp/new\\nline"),
    ],
)
def test_a_refusal_is_one_sentence(desk: "Desk", answer: str, value: str) -> None:
    done = desk.cookiecutter(**{answer: value})
    assert done.returncode == 1
    assert [line.split()[0] for line in done.stderr.splitlines() if ": " in line][:1] == [answer]
    assert list(desk.out.iterdir()) == []


def test_a_windows_folder_is_the_same_in_the_policy_and_in_dvc() -> None:
    """`post_gen_project` writes it with `/`, as DVC would."""
    text = render("conf/policy/default.yaml", data_remote="C:\\new\\users", data_region="local")
    assert prefixes(text) == ["$MLOPS_HOME", "C:/new/users"]


def test_real_names_and_folders_are_not_refused(pre_hook: ModuleType) -> None:
    for name in NAMES[:9]:
        assert list(pre_hook.check_names({"project_name": name, "author_name": name})) == []
    for name in FOLDERS[:6]:
        assert list(pre_hook.check_folder(f"/srv/{name}")) == []


LETTERS = st.characters(categories=["L", "N"])
SIGNS = st.characters(categories=["L", "M", "N"]) | st.sampled_from(" -_.,'’()&+")


@given(first=LETTERS, rest=st.text(SIGNS, max_size=78))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_name_that_the_hook_accepts_is_read_back(
    pre_hook: ModuleType, first: str, rest: str
) -> None:
    name = first + rest.rstrip()
    options = {"project_name": name, "author_name": name}
    assert list(pre_hook.check_names(options)) == [] or not first.isalnum()
    about = tomllib.loads(render("pyproject.toml", **options))["project"]
    card = yaml.safe_load(render("conf/config.yaml", **options))["card"]
    assert [about["description"], about["authors"][0]["name"], card["owner"]] == [name] * 3


ANSWERS = list(json.loads((ROOT / "cookiecutter.json").read_text("utf-8")))


def render(name: str, **answers: str) -> str:
    """A file of the template with these answers; the others are empty."""
    environment = jinja2.Environment(keep_trailing_newline=True)
    environment.filters["jsonify"] = lambda value: json.dumps(value, sort_keys=True, indent=4)
    empty = dict.fromkeys(ANSWERS, "") | {"model": "forest", "project_slug": "flights"}
    text = (RENDERED / name).read_text("utf-8")
    return environment.from_string(text).render(cookiecutter=empty | answers)
