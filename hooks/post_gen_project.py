"""Turn the rendered files into a project: one CI, a pinned library, data versions, a first commit.

Guarantees: needs no network and only the standard library; starts no program but git; when git is
missing or refuses, says so and leaves a project that works. DVC's files are written here, because
starting DVC takes longer than everything else together; the tests compare them with DVC's own.
What may be answered is `pre_gen_project`'s affair.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# JSON inside a JSON string: whatever the answers hold, Python reads one plain string here.
OPTIONS = json.loads({{ cookiecutter | jsonify | jsonify }})

CI_FILES = {"github": [".github"], "gitlab": [".gitlab", ".gitlab-ci.yml"]}
HOSTS = {"gh": "https://github.com/{}.git", "gl": "https://gitlab.com/{}.git",
         "bb": "https://bitbucket.org/{}"}
CLONED = re.compile(r"(git\+)?(git|ssh|file|https?):|\w+@[\w.]+:|[\w-]{2,}:(?![\\/])")
REPIN = 'uv add "mlops-tasks @ git+https://<where your team keeps it>" --tag <tag>'
DATA = Path("data") / "flights.parquet"
DVCIGNORE = """\
# Add patterns of files dvc should ignore, which could improve
# the performance. Learn more at
# https://dvc.org/doc/user-guide/dvcignore
"""
GIT = shutil.which("git")
# The user's hooks, signing and ignore rules are for the user's own commits.
GIT_OPTIONS = ["-c", "init.defaultBranch=main", "-c", "commit.gpgSign=false", "-c", "gc.auto=0",
               "-c", "core.hooksPath=.git/none", "-c", "core.excludesFile=.git/none"]


def main() -> None:
    sys.stdout.reconfigure(errors="backslashreplace")
    remove_other_ci(OPTIONS["ci"])
    pin_library(Path("pyproject.toml"))
    has_git = start_repository()
    track_data(DATA, has_git)
    if has_git:
        commit()
    say_next_steps()


def say(sentence: str) -> None:
    print(f"note: {sentence}")


def remove_other_ci(chosen: str) -> None:
    for path in (Path(name) for ci, names in CI_FILES.items() if ci != chosen for name in names):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


# ---- the library: the commit that this template came with


def pin_library(pyproject: Path) -> None:
    """Say in pyproject.toml where uv finds `mlops-tasks`."""
    if "[tool.uv.sources]" in pyproject.read_text(encoding="utf-8"):
        return
    template = OPTIONS["_template"]
    prefix, _, rest = template.partition(":")
    template = HOSTS[prefix].format(rest) if prefix in HOSTS else template
    if template.lower().endswith(".zip") or template.startswith("hg+"):
        say("mlops-tasks cannot be pinned to an archive. Before anything else, type this in the "
            f"project: {REPIN}")
        return
    folder = template_folder()
    source = git_source(template, folder) if CLONED.match(template) else path_source(folder)
    if source:
        with pyproject.open("a", encoding="utf-8", newline="\n") as file:
            file.write(f"\n[tool.uv.sources]\nmlops-tasks = {source}\n")


def git_source(template: str, folder: Path | None) -> str:
    """The very commit the template was cloned at. `git` knows the URL of any abbreviation."""
    cloned = ["-C", str(folder or ".")]
    url = git(*cloned, "config", "--get", "remote.origin.url") or template
    rev = git(*cloned, "rev-parse", "HEAD") or OPTIONS["_checkout"]
    if not rev:
        say(f"git does not tell the template's commit, so the library is not pinned. Pin it: {REPIN}")
    without_secret = re.sub(r"^(https?://)[^/@]*@", r"\1", url)
    if without_secret != url:
        say("the user name or password in the template's address is left out of pyproject.toml.")
    revision = f", rev = {toml(rev)}" if rev else ""
    return f"{ {'git': 0} and '{'} git = {toml(as_url(without_secret))}{revision} }}"


def path_source(folder: Path | None) -> str:
    if folder is None:
        say(f"the template's folder {OPTIONS['_repo_dir']!r} is not found again, so the library is "
            f"not pinned. Before anything else, type this in the project: {REPIN}")
        return ""
    say(f"mlops-tasks is taken from {folder}, which only this computer has. To share the project, "
        f"type in it: {REPIN}")
    return f"{ {'path': 0} and '{'} path = {toml(folder.as_posix())}, editable = false }}"


def as_url(address: str) -> str:
    """uv reads URLs only, not git's short form user@host:path."""
    address = address[4:] if address.startswith("git+") else address
    short = re.fullmatch(r"(\w[\w.-]*@[\w.-]+):(.*)", address)
    return f"ssh://{short[1]}/{short[2].lstrip('/')}" if short else address


def toml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def started_in() -> list[Path]:
    """Where Cookiecutter was probably started: it runs hooks in the project and does not say."""
    output = Path(OPTIONS["_output_dir"])
    shell = os.environ.get("PWD")
    return [*([Path(shell)] if shell else []), output, *output.parents]


def template_folder() -> Path | None:
    name = Path(OPTIONS["_repo_dir"]).expanduser()
    places = [name] if name.is_absolute() else [base / name for base in started_in()]
    return next((p.resolve() for p in places if (p / "cookiecutter.json").is_file()), None)


# ---- data versions


def track_data(data: Path, has_git: bool) -> None:
    """What `dvc init`, `dvc remote add -d storage`, `dvc add` and `dvc push` would leave behind."""
    remote = OPTIONS["data_remote"]
    is_folder = "://" not in remote
    if is_folder:
        home = Path(os.environ.get("MLOPS_HOME") or "~/.mlops")
        folder = (Path(remote) if remote else home / "dvc").expanduser()
        remote = (started_in()[0] / folder).as_posix()
    write_once(Path(".dvc/config"), dvc_config(remote, has_git))
    write_once(Path(".dvc/.gitignore"), "/config.local\n/tmp\n/cache\n")
    write_once(Path(".dvcignore"), DVCIGNORE)
    write_once(data.parent / ".gitignore", f"/{data.name}\n")
    content = data.read_bytes()
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    pointer = f"outs:\n- md5: {md5}\n  size: {len(content)}\n  hash: md5\n  path: {data.name}\n"
    Path(f"{data}.dvc").write_text(pointer, encoding="utf-8", newline="\n")
    keep(content, md5, Path(".dvc/cache"))
    try:
        keep(content, md5, Path(remote)) if is_folder else say(
            f"the data is not at {remote} yet: `uv run dvc push` takes it there.")
    except OSError as error:
        say(f"the data cannot be copied to {remote} ({error.strerror}): correct `url` in "
            ".dvc/config, then `uv run dvc push`.")


def dvc_config(url: str, has_git: bool) -> str:
    value = f'"{url}"' if set(url) & set(",#'") else url
    no_scm = "" if has_git else "    no_scm = true\n"
    return (f"[core]\n    analytics = false\n    remote = storage\n{no_scm}"
            f"['remote \"storage\"']\n    url = {value}\n")


def write_once(path: Path, text: str) -> None:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")


def keep(content: bytes, md5: str, store: Path) -> None:
    """Put content under its digest, read-only and whole, as DVC does."""
    place = store / "files" / "md5" / md5[:2] / md5[2:]
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=place.parent)
        with open(handle, "wb") as file:
            file.write(content)
        os.chmod(name, 0o444)
        os.replace(name, place)


# ---- git


def git(*words: str) -> str | None:
    """What a git command prints, or None if it fails or git is missing."""
    if GIT is None:
        return None
    # Inside another repository's hook these would send every command to that repository.
    other = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX")
    done = subprocess.run(
        [GIT, *GIT_OPTIONS, *words], capture_output=True, encoding="utf-8", errors="replace",
        env={name: value for name, value in os.environ.items() if name not in other},
    )
    return done.stdout.strip() if done.returncode == 0 else None
