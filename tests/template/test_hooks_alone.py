"""The hooks need nothing but Python itself and git: no package, no network, no other program.

Cookiecutter starts them here with an interpreter that has the standard library alone, and watches
each import, each use of a socket and each program through Python's audit events.
"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Desk

GUARD = """
import json, os, runpy, sys
LOG = open({log!r}, "a")
def note(kind, what):
    print(json.dumps([kind, what]), file=LOG, flush=True)
def watch(event, given):
    if event == "import":
        root = given[0].partition(".")[0]
        if root not in sys.stdlib_module_names:
            note("import", root)
            raise ImportError(root)
    elif event.startswith(("socket.", "urllib.", "http.", "ftplib.", "smtplib.")):
        note("network", event)
        raise OSError("the network is cut")
    elif event in ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "pty.spawn"):
        note("program", event)
        raise OSError(event)
    elif event == "subprocess.Popen":
        note("git" if os.path.basename(given[0]) == "git" else "program", given[1])
note("path", sys.path)
sys.addaudithook(watch)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
COOKIECUTTER = """
import sys
sys.executable = {alone!r}
from cookiecutter.__main__ import main
main()
"""
OFFLINE = {"init", "remote", "rev-parse", "config", "add", "commit"}


class Watched:
    """Cookiecutter whose hooks run alone, and what they did."""

    def __init__(self, desk: "Desk") -> None:
        self.desk = desk
        self.log = desk.base / "log.jsonl"
        guard, alone = desk.base / "guard.py", desk.base / "python-alone"
        guard.write_text(GUARD.format(log=str(self.log)))
        # -S leaves out site-packages, -I the user's and the working folder and PYTHONPATH.
        alone.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "{guard}" "$@"\n')
        alone.chmod(0o755)
        self.start = COOKIECUTTER.format(alone=str(alone))
        desk.env["GIT_ALLOW_PROTOCOL"] = "none"  # git would say no to every address

    def generate(self, template: Path | None = None) -> Any:
        words = ("--no-input", template or self.desk.template)
        return self.desk.run(sys.executable, "-c", self.start, *words)

    def seen(self, kind: str) -> list[Any]:
        lines = self.log.read_text("utf-8").splitlines() if self.log.exists() else []
        return [what for is_kind, what in map(json.loads, lines) if is_kind == kind]


@pytest.fixture
def watched(desk: "Desk") -> Watched:
    return Watched(desk)


def test_both_hooks_run_with_the_standard_library_and_git_alone(
    desk: "Desk", watched: Watched
) -> None:
    done = watched.generate()
    assert done.returncode == 0, done.stdout + done.stderr
    project = desk.out / "flight-delay"
    assert desk.git("rev-list", "--count", "HEAD", cwd=project) == "1"
    assert desk.git("status", "--porcelain", cwd=project) == ""

    assert len(watched.seen("path")) == 2, "both went through the guard"
    assert not [each for path in watched.seen("path") for each in path if "-packages" in each]
    assert watched.seen("import") == []
    assert watched.seen("network") == []
    assert watched.seen("program") == []
    commands = [subcommand(words) for words in watched.seen("git")]
    assert set(commands) <= OFFLINE
    assert {"init", "commit"} <= set(commands)


def subcommand(words: list[str]) -> str:
    """`commit` of `git -c a=b -C folder commit -q`."""
    rest = iter(words[1:])
    for word in rest:
        if word not in ("-c", "-C"):
            return word
        next(rest)
    raise AssertionError(words)


@pytest.mark.parametrize(
    ("hook", "line", "kind"),
    [
        ("pre_gen_project", "import yaml", "import"),
        ("post_gen_project", "import jinja2", "import"),
        ("pre_gen_project", "import socket; socket.create_connection(('127.0.0.1', 9))", "network"),
        ("post_gen_project", "import subprocess; subprocess.run(['true'])", "program"),
    ],
)
def test_the_guard_would_notice(
    desk: "Desk", watched: Watched, tmp_path: Path, hook: str, line: str, kind: str
) -> None:
    import shutil

    template = desk.base / "spoiled"
    shutil.copytree(desk.template, template)
    file = template / "hooks" / f"{hook}.py"
    text = file.read_text("utf-8")
    file.write_text(text.replace("def main(", f"{line}\n\n\ndef main(", 1))
    watched.generate(template)
    assert watched.seen(kind) != []
