"""Generation as most people meet it: questions on a terminal, answered one after the other."""

import contextlib
import json
import os
import pty
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from conftest import Desk

ROOT = Path(__file__).parents[2]
PROMPTS: dict[str, Any] = json.loads((ROOT / "cookiecutter.json").read_text("utf-8"))["__prompts__"]
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def asked(name: str) -> str:
    prompt = PROMPTS[name]
    return prompt if isinstance(prompt, str) else prompt["__prompt__"]


def answer(desk: "Desk", lines: list[str]) -> tuple[int, str]:
    """Type the lines on a terminal of cookiecutter's own; the exit code and all that is shown."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "cookiecutter", str(desk.template)],
        cwd=desk.out,
        env=desk.env | {"PWD": str(desk.out), "TERM": "xterm", "COLUMNS": "200"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    os.write(ours, "".join(f"{line}\n" for line in lines).encode())
    shown = b""
    with contextlib.suppress(OSError):  # how a terminal ends whose last process has gone
        while more := os.read(ours, 65536):
            shown += more
    os.close(ours)
    return process.wait(), ESCAPES.sub("", shown.decode()).replace("\r\n", "\n")


def test_every_question_is_asked_in_words_and_every_answer_has_its_effect(desk: "Desk") -> None:
    url = "https://gitlab.com/acme/trains.git"
    typed = ["Late Trains", "", "Ada Lovelace", "2", "3", "2", url, "eu-west-1", "s3://trains/dvc"]
    code, shown = answer(desk, typed)
    assert code == 0, shown

    places = [shown.find(asked(name)) for name in PROMPTS]
    assert -1 not in places, shown
    assert places == sorted(places)
    for choice in ("boosting: gradient-boosted trees", "linear: logistic regression", "GitLab CI"):
        assert choice in shown
    assert "cookiecutter." not in shown

    project = desk.out / "late-trains"
    about = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]
    assert about["name"] == "late-trains", "what was left blank follows from the name"
    assert about["description"] == "Late Trains"
    assert about["authors"] == [{"name": "Ada Lovelace"}]
    assert about["requires-python"].startswith(">=3.13")
    assert about["urls"] == {"Repository": url}
    assert about["dependencies"] == ["mlops-tasks[s3,serving,tuning]"]
    assert {"model": "boosting"} in conf(project, "config")["defaults"]
    assert conf(project, "data/flights")["regions"] == ["eu-west-1"]
    assert (
        "s3://trains/dvc" in conf(project, "policy/default")["residency"]["public"]["uri_prefixes"]
    )
    assert (project / ".gitlab-ci.yml").is_file()
    assert not (project / ".github").exists()
    assert desk.git("status", "--porcelain", cwd=project) == ""


def test_return_alone_gives_what_the_first_page_shows(desk: "Desk") -> None:
    code, shown = answer(desk, [""] * len(PROMPTS))
    assert code == 0, shown
    interactive = (desk.out / "flight-delay").rename(desk.base / "interactive")
    silent = desk.make()
    names = desk.git("ls-files", cwd=silent)
    assert names == desk.git("ls-files", cwd=interactive)
    for name in names.splitlines():
        assert (interactive / name).read_bytes() == (silent / name).read_bytes(), name


@pytest.mark.parametrize(("number", "name", "typed"), [(1, "project_slug", "Late Trains")])
def test_a_wrong_answer_is_told_before_anything_is_written(
    desk: "Desk", number: int, name: str, typed: str
) -> None:
    lines = [""] * len(PROMPTS)
    lines[number] = typed
    code, shown = answer(desk, lines)
    assert code == 1
    assert f"{name} is '{typed}': lowercase letters and digits" in shown
    assert list(desk.out.iterdir()) == []


def conf(project: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((project / "conf" / f"{name}.yaml").read_text("utf-8"))
    return content
