"""A desk to generate projects at: a copy of the template, and no settings of the user's."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import jinja2
import pytest
import yaml

ROOT = Path(__file__).parents[2]
PARTS = ("cookiecutter.json", "hooks", "{{cookiecutter.project_slug}}", "mlops_tasks")
FILES = ("pyproject.toml", "README.md", "LICENSE")
NOT_COPIED = shutil.ignore_patterns("__pycache__", ".*_cache", ".venv")


@dataclass
class Desk:
    """One user's computer: home, git identity, folder to work in, and the template."""

    base: Path
    template: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def out(self) -> Path:
        return self.base / "work"

    @property
    def config(self) -> Path:
        return self.base / "cookiecutter.yaml"

    def run(self, *words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command as this user. PWD is what a shell would say."""
        cwd = cwd or self.out
        return subprocess.run(
            [str(word) for word in words],
            cwd=cwd,
            env=self.env | {"PWD": str(cwd)},
            capture_output=True,
            encoding="utf-8",
            stdin=subprocess.DEVNULL,
        )

    def ok(self, *words: str | Path, cwd: Path | None = None) -> str:
        done = self.run(*words, cwd=cwd)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def cookiecutter(
        self, *options: str | Path, template: str | Path | None = None, **answers: str
    ) -> subprocess.CompletedProcess[str]:
        words: list[str | Path] = [sys.executable, "-m", "cookiecutter", "--no-input", *options]
        words.append(template or self.template)
        return self.run(*words, *(f"{name}={value}" for name, value in answers.items()))

    def replay(self, **answers: Any) -> subprocess.CompletedProcess[str]:
        """Answers that no command line could carry, taken from a file and not checked before."""
        defaults = json.loads((self.template / "cookiecutter.json").read_text("utf-8"))
        defaults.pop("__prompts__")
        first = {k: v[0] if isinstance(v, list) and k[0] != "_" else v for k, v in defaults.items()}
        first |= {"project_slug": "flight-delay", "__package_name": "flight_delay"}
        file = self.base / "answers.json"
        file.write_text(json.dumps({"cookiecutter": first | answers}), "utf-8")
        python = (sys.executable, "-m", "cookiecutter")
        return self.run(*python, "--replay-file", file, self.template)

    def make(self, *options: str | Path, **answers: str) -> Path:
        """Generate a project and return its folder."""
        done = self.cookiecutter(*options, **answers)
        assert done.returncode == 0, done.stdout + done.stderr
        (project,) = self.out.iterdir()
        return project

    def git(self, *words: str | Path, cwd: Path | None = None) -> str:
        return self.ok("git", *words, cwd=cwd)

    def dvc(self, *words: str | Path, cwd: Path) -> str:
        return self.ok(sys.executable, "-m", "dvc", *words, cwd=cwd)

    def write_git_config(self, text: str) -> None:
        Path(self.env["GIT_CONFIG_GLOBAL"]).write_text(text, "utf-8")

    def write_config(self, **more: Any) -> None:
        folders = {
            "cookiecutters_dir": str(self.base / "cookiecutters"),
            "replay_dir": str(self.base / "replay"),
        }
        self.config.write_text(yaml.safe_dump(folders | more), "utf-8")


IDENTITY = "[user]\n\tname = Ada Tester\n\temail = ada@example.com\n"


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("original") / "mlops-template"
    copy.mkdir()
    for name in PARTS:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=NOT_COPIED)
        else:
            shutil.copy(source, copy / name)
    for name in FILES:
        shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture
def desk(tmp_path: Path, template: Path) -> Desk:
    desk = Desk(tmp_path, template)
    desk.env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    desk.env |= {
        "COOKIECUTTER_CONFIG": str(desk.config),
        "DO_NOT_TRACK": "true",
        "DVC_NO_ANALYTICS": "1",
        "ORT_DISABLE_TELEMETRY": "1",
        "DVC_SITE_CACHE_DIR": str(tmp_path / "dvc-site"),
        "GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "HOME": str(tmp_path),
        "MLOPS_HOME": str(tmp_path / "mlops home"),
        "PYTHONUTF8": "1",
    }
    desk.out.mkdir()
    desk.write_git_config(IDENTITY)
    desk.write_config()
    return desk


@dataclass(frozen=True)
class Hosted:
    """The template in a bare repository, its release one commit behind main."""

    folder: Path
    release: str
    main: str

    @property
    def url(self) -> str:
        return self.folder.as_uri()


@pytest.fixture
def hosted(desk: Desk) -> Hosted:
    checkout = desk.base / "checkout"
    shutil.copytree(desk.template, checkout)
    desk.git("init", "-q", cwd=checkout)
    desk.git("add", "-A", cwd=checkout)
    desk.git("commit", "-qm", "release", cwd=checkout)
    desk.git("tag", "v1.0", cwd=checkout)
    release = desk.git("rev-parse", "HEAD", cwd=checkout)
    (checkout / "CHANGES").write_text("later\n")
    desk.git("add", "-A", cwd=checkout)
    desk.git("commit", "-qm", "later", cwd=checkout)
    main = desk.git("rev-parse", "HEAD", cwd=checkout)
    folder = desk.base / "host" / "acme" / "template.git"
    desk.git("clone", "-q", "--bare", checkout, folder)
    return Hosted(folder, release, main)


def load_hook(name: str, answers: dict[str, Any]) -> ModuleType:
    """A hook as Cookiecutter would render it, without running it."""
    env = jinja2.Environment(keep_trailing_newline=True)
    env.filters["jsonify"] = lambda value: json.dumps(value, sort_keys=True, indent=4)
    source = (ROOT / "hooks" / f"{name}.py").read_text("utf-8")
    module = ModuleType(name)
    exec(compile(env.from_string(source).render(cookiecutter=answers), name, "exec"), vars(module))
    return module


@pytest.fixture
def pre_hook() -> ModuleType:
    return load_hook("pre_gen_project", {})
