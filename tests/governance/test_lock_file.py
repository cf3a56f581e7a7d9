"""A lock file is read as uv reads it, and is named by what it locks, not by where that lies."""

import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.markers import default_environment
from packaging.requirements import Requirement

from mlops_tasks.errors import ProjectError
from mlops_tasks.governance.lock_file import Locked, read_lock
from tests.governance.locks import lock_of

REPO = Path(__file__).parents[2]
LOCK = (REPO / "uv.lock").read_text(encoding="utf-8")
HERE = {name: str(value) for name, value in default_environment().items()}
WINDOWS = HERE | {
    "python_version": "3.12",
    "python_full_version": "3.12.4",
    "sys_platform": "win32",
    "platform_system": "Windows",
    "os_name": "nt",
    "platform_machine": "AMD64",
}
MAC = HERE | {
    "python_version": "3.13",
    "python_full_version": "3.13.1",
    "sys_platform": "darwin",
    "platform_system": "Darwin",
    "platform_machine": "arm64",
}


def exported(environment: dict[str, str], *words: str) -> set[tuple[str, str]]:
    """What uv itself would install from this repository's lock file, its own packages left out."""
    command = [sys.executable, "-m", "uv", "export", "--frozen", "--offline", "--no-hashes"]
    command += ["--no-annotate", "--no-header", "--no-emit-project", *words]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True)
    wanted = [Requirement(line) for line in done.stdout.splitlines() if not line.startswith("#")]
    return {
        (each.name, str(each.specifier).removeprefix("=="))
        for each in wanted
        if each.marker is None or each.marker.evaluate(environment)
    }


@pytest.mark.parametrize("environment", [HERE, WINDOWS, MAC], ids=["here", "windows", "mac"])
def test_it_asks_for_what_uv_installs(environment: dict[str, str]) -> None:
    lock = read_lock(LOCK, environment)
    required = {(name, each.version) for name, each in lock.required.items()}
    assert required == exported(environment, "--no-dev")
    everything = {(name, each.version) for name, each in {**lock.allowed, **lock.required}.items()}
    also = exported(environment, "--all-extras", "--all-groups")
    assert {each for each in everything if each[0] != "mlops-tasks"} == also
    assert len(required) < len(also)


def shuffled(text: str) -> str:
    head, *packages = text.split("[[package]]\n")
    random.Random(3).shuffle(packages)
    return "[[package]]\n".join([head, *(f"{each.rstrip()}\n\n" for each in packages)])


SAME = {
    "another index": lambda text: re.sub(r"https://[^\"/]+/", "https://mirror.example/a/", text),
    "other addresses of archives": lambda text: re.sub(r'url = "[^"]+/', 'url = "file:///', text),
    "no sizes and times": lambda text: re.sub(r', (size|upload-time) = ("[^"]*"|\d+)', "", text),
    "hash before address": lambda text: re.sub(
        r'(url = "[^"]+"), (hash = "[^"]+")', r"\2, \1", text
    ),
    "another order": shuffled,
    "Windows line ends": lambda text: text.replace("\n", "\r\n"),
    "a newer revision of the format": lambda text: text.replace("revision = 5", "revision = 9"),
}
OTHER = {
    "a version": lambda text: text.replace('version = "2.1.1"', 'version = "2.1.2"', 1),
    "a hash": lambda text: re.sub(r"sha256:[0-9a-f]", "sha256:x", text, count=1),
    "one archive less": lambda text: re.sub(r"\n    \{ url = [^\n]+", "", text, count=1),
    "a marker": lambda text: text.replace("sys_platform == 'win32'\" }", "os_name == 'nt'\" }", 1),
    "a dependency": lambda text: text.replace('    { name = "aiohttp" },\n', "", 1),
    "Python": lambda text: text.replace(
        'requires-python = ">=3.11', 'requires-python = ">=3.12', 1
    ),
}


@pytest.mark.parametrize("change", SAME)
def test_its_digest_is_not_of_places_and_order(change: str) -> None:
    changed = SAME[change](LOCK)
    assert changed != LOCK
    assert read_lock(changed, HERE).digest == read_lock(LOCK, HERE).digest


@pytest.mark.parametrize("change", OTHER)
def test_its_digest_is_of_what_is_locked(change: str) -> None:
    changed = OTHER[change](LOCK)
    assert changed != LOCK
    assert read_lock(changed, HERE).digest != read_lock(LOCK, HERE).digest


def test_its_digest_is_the_same_for_every_machine() -> None:
    assert len({read_lock(LOCK, each).digest for each in (HERE, WINDOWS, MAC)}) == 1


NAMES = st.from_regex(r"[a-z][a-z0-9]{0,5}(-[a-z0-9]{1,3})?", fullmatch=True)
NUMBERS = st.from_regex(r"[0-9]\.[0-9]{1,2}(\.post1|rc1|\+cpu)?", fullmatch=True)
PACKAGES = st.dictionaries(NAMES.filter("flight-delay".__ne__), NUMBERS.map(Locked), max_size=5)


@given(PACKAGES, PACKAGES)
@settings(deadline=None)
def test_locks_of_the_same_packages_have_the_same_digest(
    one: dict[str, Locked], other: dict[str, Locked]
) -> None:
    first, second = read_lock(lock_of(one), HERE), read_lock(lock_of(other), HERE)
    assert first.required == one
    assert (first.digest == second.digest) == (one == other)
    turned = dict(reversed(one.items()))
    assert read_lock(lock_of(turned), HERE).required == one


GIT = """
[[package]]
name = "flight-delay"
source = { editable = "." }
dependencies = [{ name = "lib", extra = ["more"] }, { name = "lib", marker = "os_name == 'x'" }]

[[package]]
name = "lib"
version = "0.1.0"
source = { git = "ssh://git@host/lib?rev=v1#COMMIT" }

[package.optional-dependencies]
more = [{ name = "six" }]

[[package]]
name = "six"
source = { directory = "../six" }
"""


def test_a_source_from_git_is_its_commit_and_a_folder_has_no_version() -> None:
    lock = read_lock(GIT.replace("COMMIT", "a" * 40), HERE)
    assert lock.required == {"lib": Locked("0.1.0", "a" * 40), "six": Locked("")}
    moved = GIT.replace("COMMIT", "a" * 40).replace("ssh://git@host/lib", "https://other/lib")
    assert read_lock(moved.replace("../six", "/elsewhere"), HERE).digest == lock.digest
    assert read_lock(GIT.replace("COMMIT", "b" * 40), HERE).digest != lock.digest


def test_what_excludes_each_other_is_chosen_by_the_markers() -> None:
    text = lock_of({"numpy": Locked("1.0")}) + (
        '\n[[package]]\nname = "numpy"\nversion = "2.0"\nsource = { registry = "x" }\n'
    )
    text = text.replace(
        '{ name = "numpy" }',
        '{ name = "numpy", version = "1.0", marker = "python_full_version < \'3.12\'" },\n'
        '{ name = "numpy", version = "2.0", marker = "python_full_version >= \'3.12\'" }',
    )
    found = [
        read_lock(text, HERE | {"python_full_version": number}).required["numpy"].version
        for number in ("3.11.7", "3.12.1", "3.13.0")
    ]
    assert found == ["1.0", "2.0", "2.0"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "version = 1",
        "[[package",
        "package = 3",
        'package = ["six"]',
        '[[package]]\nname = "six"',
        '[[package]]\nname = "six"\nsource = { registry = "x" }',
        lock_of({"six": Locked("1.0")}).replace('name = "six"\nversion', 'name = "seven"\nversion'),
        re.sub(r'(?s)\[\[package\]\]\nname = "adlfs".*?\n\n', "", LOCK, count=1),  # others need it
        lock_of({}, python="nonsense"),
        lock_of({"six": Locked("1")}).replace('{ name = "six" }', '{ name = "six", marker = "?" }'),
        lock_of({"six": Locked("1")}).replace('{ name = "six" }', '{ nom = "six" }'),
    ],
)
def test_what_is_no_lock_file_is_told(text: str) -> None:
    with pytest.raises(ProjectError, match="lock file cannot be read") as told:
        read_lock(text, HERE)
    assert "uv lock" in told.value.next_step
