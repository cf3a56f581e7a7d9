"""Turn the rendered files into a project: one CI, a pinned library, data versions, a first commit.

Guarantees: no network, only the standard library, no program but git; when git is missing or
refuses, says so and leaves a project that works. Does not start DVC, which takes longer than all
the rest: it writes DVC's files itself. What may be answered is `pre_gen_project`'s affair.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

# JSON inside a JSON string: whatever the answers hold, Python reads one plain string here.
OPTIONS = json.loads({{ cookiecutter | jsonify | jsonify }})

CI_FILES = {"github": [".github"], "gitlab": [".gitlab", ".gitlab-ci.yml"]}
HOSTS = {"gh": "https://github.com/", "gl": "https://gitlab.com/", "bb": "https://bitbucket.org/"}
CLONED = re.compile(r"(git\+)?(git|ssh|file|https?):|\w+@[\w.]+|[\w-]{2,}:(?![\\/])")
REPIN = 'uv add "mlops-tasks @ git+https://<where your team keeps it>" --tag <tag>'
GIT = shutil.which("git")
# The user's hooks, signing and ignore rules are for the user's own commits.
GIT_OPTIONS = ["-c", "commit.gpgSign=false", "-c", "core.hooksPath=.git/none",
               "-c", "core.excludesFile=.git/none", "-c", "gc.auto=0"]
# Inside another repository's hook these would send every command to that repository.
GIT_SENT_ELSEWHERE = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"}


def main() -> None:
    sys.stdout.reconfigure(errors="backslashreplace")
    remove_other_ci(OPTIONS["ci"])
    pin_library(Path("pyproject.toml"))
    has_git = start_repository(OPTIONS["repository_url"])
    track_data(Path("data") / "flights.parquet", OPTIONS["data_remote"], has_git)
    if has_git:
        commit(OPTIONS["author_name"], f"{OPTIONS['project_slug']}@localhost")
    near = Path(OPTIONS["_output_dir"]) == started_in()[0]
    project = Path.cwd().name if near else str(Path.cwd())
    print(f'cd "{project}"' if " " in project else f"cd {project}")
    print("uv sync", "uv run mlops train", sep="\n", flush=True)


def say(sentence: str) -> None:
    print(f"note: {sentence}")


def remove_other_ci(chosen: str) -> None:
    for path in CI_FILES["gitlab" if chosen == "github" else "github"]:
        shutil.rmtree(path) if os.path.isdir(path) else Path(path).unlink(missing_ok=True)


def pin_library(pyproject: Path) -> None:
    """Say in pyproject.toml where uv finds `mlops-tasks`."""
    if "[tool.uv.sources]" in pyproject.read_text(encoding="utf-8"):
        return
    prefix, _, rest = OPTIONS["_template"].partition(":")
    template = HOSTS[prefix] + rest if prefix in HOSTS else OPTIONS["_template"]
    folder = template_folder(Path(OPTIONS["_repo_dir"]).expanduser())
    if template.lower().endswith(".zip") or template.startswith("hg+") or folder is None:
        say(f"mlops-tasks is not pinned, because {template} is no git repository and no folder "
            f"that stays. Before anything else, type this in the project: {REPIN}")
        return
    source = git_source(template, folder) if CLONED.match(template) else path_source(folder)
    with pyproject.open("a", encoding="utf-8", newline="\n") as file:
        file.write(f"\n[tool.uv.sources]\nmlops-tasks = {source}\n")


def git_source(template: str, folder: Path) -> str:
    """The very commit the template was cloned at; git knows the address behind an abbreviation."""
    url = git("-C", str(folder), "config", "--get", "remote.origin.url") or template
    url = url[4:] if url.startswith("git+") else url
    short = re.fullmatch(r"(\w[\w.-]*@[\w.-]+):/?(.*)", url)  # uv reads only URLs
    url = f"ssh://{short[1]}/{short[2]}" if short else url
    public = re.sub(r"^(https?://)[^/@]*@", r"\1", url)
    if public != url:
        say("the user name or password in the template's address is left out of pyproject.toml.")
    revision = git("-C", str(folder), "rev-parse", "HEAD") or OPTIONS["_checkout"]
    if not revision:
        say(f"git does not tell the template's commit, so the library is not pinned to it: {REPIN}")
    return "{ git = " + toml(public) + (f", rev = {toml(revision)}" if revision else "") + " }"


def path_source(folder: Path) -> str:
    say(f"mlops-tasks is taken from {folder}, which only this computer has. To share the project, "
        f"type in it: {REPIN}")
    return "{ path = " + toml(folder.as_posix()) + ", editable = false }"


def toml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def started_in() -> list[Path]:
    """Where Cookiecutter was started, likeliest first: it runs hooks in the project."""
    output = Path(OPTIONS["_output_dir"])
    return [Path(os.environ.get("PWD") or output), output, *output.parents]


def template_folder(name: Path) -> Path | None:
    # An absolute name replaces the folder it is joined to.
    places = (base / name for base in started_in())
    return next((p.resolve() for p in places if (p / "cookiecutter.json").is_file()), None)


def track_data(data: Path, remote: str, has_git: bool) -> None:
    """What `dvc init`, `dvc remote add -d storage`, `dvc add` and `dvc push` would leave behind."""
    is_folder = "://" not in remote
    if is_folder:
        folder = remote or os.path.join(os.environ.get("MLOPS_HOME") or "~/.mlops", "dvc")
        remote = (started_in()[0] / Path(folder).expanduser()).as_posix()
    url = f'"{remote}"' if set(remote) & set(",#'") else remote
    write_new(Path(".dvc/config"), "[core]\n    analytics = false\n    remote = storage\n"
              + ("" if has_git else "    no_scm = true\n")
              + f"['remote \"storage\"']\n    url = {url}\n")
    write_new(Path(".dvc/.gitignore"), "/config.local\n/tmp\n/cache\n")
    write_new(data.parent / ".gitignore", f"/{data.name}\n")
    content = data.read_bytes()
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    pointer = f"outs:\n- md5: {md5}\n  size: {len(content)}\n  hash: md5\n  path: {data.name}\n"
    Path(f"{data}.dvc").write_text(pointer, encoding="utf-8", newline="\n")
    keep(content, md5, Path(".dvc/cache"))
    if not is_folder:
        say(f"the data is not at {remote} yet: `uv run dvc push` takes it there.")
        return
    try:
        keep(content, md5, Path(remote))
    except OSError as error:
        say(f"the data cannot be copied to {remote} ({error.strerror}): correct `url` in "
            ".dvc/config, then `uv run dvc push`.")


def write_new(path: Path, text: str) -> None:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")


def keep(content: bytes, md5: str, store: Path) -> None:
    """Put content under its digest, read-only and whole, as DVC does."""
    place = store / "files" / "md5" / md5[:2] / md5[2:]
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        unfinished = place.with_name(f"{place.name}.{os.getpid()}")
        unfinished.write_bytes(content)
        unfinished.chmod(0o444)
        unfinished.replace(place)


def git(*words: str, task: str = "") -> str | None:
    """What a git command prints, or None if it fails; a failed `task` is told to the user."""
    if GIT is None:
        return None
    kept = {name: value for name, value in os.environ.items() if name not in GIT_SENT_ELSEWHERE}
    done = subprocess.run([GIT, *GIT_OPTIONS, *words], env=kept, stdin=subprocess.DEVNULL,
                          capture_output=True, encoding="utf-8", errors="replace")
    if done.returncode and task:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        say(f"git could not {task} ({reason}); that is left for you to do.")
    return None if done.returncode else done.stdout.strip()


def start_repository(url: str) -> bool:
    """A repository of the project's own, also inside another one's folder."""
    # git before 2.28 does not know -b.
    if git("init", "-qb", "main") is None and git("init", "-q", task="start a repository") is None:
        say(f"{'nothing is committed' if GIT else 'git is not installed, so nothing is committed'}."
            " Later: delete `no_scm = true` in .dvc/config, then `git init -b main`, `git add -A`, "
            "`git commit`.")
        return False
    if url:
        git("remote", "add", "origin", url, task=f"name {url} as origin")
    return True


def commit(author: str, email: str) -> None:
    if git("rev-parse", "-q", "--verify", "HEAD") is not None:
        say("this folder has commits already, so nothing is committed: look at `git status`.")
        return
    identity = [] if git("config", "user.name") else ["-c", f"user.name={author}"]
    identity += [] if git("config", "user.email") else ["-c", f"user.email={email}"]
    if identity and not {"GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL"} <= os.environ.keys():
        say(f"git does not know you: the first commit says {author} <{email}>. Set user.name and "
            "user.email, then `git commit --amend --no-edit --reset-author`.")
    if git("add", "-A", task="add the files") is not None:
        message = f"Start {OPTIONS['project_name']} from the template"
        git(*identity, "commit", "-q", "--no-verify", "-m", message, task="make the first commit")


if __name__ == "__main__":
    main()
