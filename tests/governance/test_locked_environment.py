"""A run says when what is installed is not what is locked; by policy it does not begin."""

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_tasks.errors import GovernanceError
from mlops_tasks.governance.ledger import Ledger, Wanted
from mlops_tasks.governance.lock_file import Lock, Locked, read_lock
from mlops_tasks.governance.locked_environment import (
    AS_LOCKED,
    MOST,
    NO_LOCK,
    Standing,
    differences,
    environment_digest,
    installed,
    require_locked,
    standing,
)
from mlops_tasks.settings import Settings
from mlops_tasks.settings.compose import compose
from tests.governance.locks import lock_of, write_wheel
from tests.governance.test_lock_file import HERE

PYTHON = platform.python_version()


# ---- what differs


def lock(**allowed: Locked) -> Lock:
    required = {"six": Locked("1.17.0"), "library": Locked("0.1.0", "a" * 40)}
    return Lock("d" * 64, ">=3.11", required, {"pytest": Locked("9.0"), "mine": Locked("")})


AS_IT_SHOULD_BE = {"six": Locked("1.17.0"), "library": Locked("0.1.0", "a" * 40)}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, []),
        ({"pytest": Locked("9.0"), "mine": Locked("7")}, []),
        ({"pip": Locked("25.0"), "uv": Locked("0.13")}, []),
        ({"six": Locked("1.17")}, []),  # the same version, written otherwise
        ({"six": Locked("1.16.0")}, ["six 1.16.0 (lock: 1.17.0)"]),
        ({"six": Locked("1.17.0+cpu")}, ["six 1.17.0+cpu (lock: 1.17.0)"]),
        ({"six": Locked("what?")}, ["six what? (lock: 1.17.0)"]),
        ({"six": None}, ["six is missing (lock: 1.17.0)"]),
        ({"pytest": Locked("8.0")}, ["pytest 8.0 (lock: 9.0)"]),
        ({"evil": Locked("1.0")}, ["evil 1.0 (not in the lock)"]),
        (
            {"library": Locked("0.1.0", "b" * 40)},
            [f"library 0.1.0 at {'b' * 12} (lock: 0.1.0 at {'a' * 12})"],
        ),
        ({"library": Locked("0.1.0")}, [f"library 0.1.0 (lock: 0.1.0 at {'a' * 12})"]),
        (
            {"six": None, "evil": Locked("1"), "pytest": Locked("8")},
            [
                "six is missing (lock: 1.17.0)",
                "pytest 8 (lock: 9.0)",
                "evil 1 (not in the lock)",
            ],
        ),
    ],
)
def test_what_differs_is_named(change: dict[str, Locked | None], told: list[str]) -> None:
    found = {name: each for name, each in (AS_IT_SHOULD_BE | change).items() if each}
    assert differences(lock(), found, PYTHON) == told


def test_another_python_than_the_lock_is_for_is_named() -> None:
    assert differences(lock(), AS_IT_SHOULD_BE, "3.10.2") == ["Python 3.10.2 (lock: >=3.11)"]


# ---- with uv itself


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that uv has locked and installed, from wheels in a folder."""
    root = tmp_path_factory.mktemp("synced")
    for version in ("1.0", "2.0"):
        write_wheel(root / "wheels", "alpha", version, "beta")
    for name in ("beta", "gamma", "delta"):
        write_wheel(root / "wheels", name, "1.0")
    (root / "pyproject.toml").write_text(
        '[project]\nname = "mine"\nversion = "0"\nrequires-python = ">=3.11"\n'
        'dependencies = ["alpha"]\n[dependency-groups]\ndev = ["gamma"]\n'
        '[tool.uv]\npackage = false\nno-index = true\nfind-links = ["wheels"]\n'
    )
    uv(root, "sync", "--python", sys.executable)
    return root


def uv(root: Path, *words: str) -> None:
    command = [sys.executable, "-m", "uv", "--offline", "--quiet", *words]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def differs(root: Path) -> list[str]:
    sites = [str(each) for each in (root / ".venv" / "lib").glob("*/site-packages")]
    lock = read_lock((root / "uv.lock").read_text(), HERE)
    return differences(lock, installed(sites), PYTHON)


def test_what_uv_installs_is_as_locked_with_and_without_development(synced: Path) -> None:
    assert differs(synced) == []
    uv(synced, "sync", "--frozen", "--no-dev")
    assert differs(synced) == []
    uv(synced, "sync", "--frozen")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["install", "alpha==1.0"], "alpha 1.0 (lock: 2.0)"),
        (["uninstall", "beta"], "beta is missing (lock: 1.0)"),
        (["install", "delta"], "delta 1.0 (not in the lock)"),
    ],
)
def test_the_next_step_puts_right_what_was_changed_by_hand(
    synced: Path, words: list[str], told: str
) -> None:
    uv(synced, "pip", words[0], "--python", ".venv", *words[1:])
    assert differs(synced) == [told]
    uv(synced, "sync", "--frozen")
    assert differs(synced) == []


def test_a_commit_of_git_is_seen_where_uv_installed_it(tmp_path: Path) -> None:
    info = tmp_path / "lib_x-0.1.0.dist-info"
    info.mkdir()
    told = {"url": "https://host/lib", "vcs_info": {"vcs": "git", "commit_id": "c" * 40}}
    (info / "direct_url.json").write_text(json.dumps(told))
    assert installed([str(tmp_path)]) == {"lib-x": Locked("0.1.0", "c" * 40)}
    (info / "direct_url.json").write_text('{"url": "file:///x", "dir_info": {}}')
    assert installed([str(tmp_path)]) == {"lib-x": Locked("0.1.0")}


def test_what_an_import_finds_first_is_what_counts(tmp_path: Path) -> None:
    for folder, version in (("first", "1.0"), ("second", "2.0")):
        (tmp_path / folder / f"lib-{version}.dist-info").mkdir(parents=True)
    old = tmp_path / "second" / "Old_Style.egg-info"
    old.mkdir()
    (old / "PKG-INFO").write_text("Metadata-Version: 1.0\nName: Old.Style\nVersion: 3\n")
    paths = [str(tmp_path / each) for each in ("nowhere", "first", "second")]
    assert installed(paths) == {"lib": Locked("1.0"), "old-style": Locked("3")}


def test_the_packages_are_those_that_python_itself_knows() -> None:
    from importlib.metadata import distributions

    normal = {
        each.metadata["Name"].replace("_", "-").replace(".", "-").lower()
        for each in distributions()
    }
    assert installed().keys() == normal


# ---- what becomes of a run


@pytest.fixture
def project(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (root / "uv.lock").write_text(lock_of(installed()))
    return root


def under(policy: str, project: Path) -> Settings:
    return compose(project, [f"policy.environment={policy}"])


def spoil(project: Path, name: str = "polars") -> None:
    found = installed()
    (project / "uv.lock").write_text(lock_of(found | {name: Locked("0.0.1")}))


def events(settings: Settings) -> list[tuple[str, str]]:
    wanted = Wanted(action=("environment",))
    found = Ledger(settings.stack.ledger).entries(wanted)
    return [(each.event.outcome, each.event.reason) for each in found]


def test_as_locked_nothing_is_said(project: Path) -> None:
    found = standing(project)
    assert (found.state, found.as_locked) == (AS_LOCKED, True)
    for policy in ("warn", "refuse", "ignore"):
        assert require_locked(project, under(policy, project)) == ""


def test_by_default_a_difference_is_told(project: Path) -> None:
    spoil(project)
    settings = compose(project, [])
    assert settings.policy.environment == "warn"
    told = require_locked(project, settings)
    assert "polars" in told
    assert "(lock: 0.0.1)" in told
    assert "`uv sync --frozen`" in told


def test_a_policy_that_refuses_lets_nothing_begin_and_records_it(project: Path) -> None:
    spoil(project)
    settings = under("refuse", project)
    with pytest.raises(GovernanceError, match=r"polars .* \(lock: 0.0.1\)") as refusal:
        require_locked(project, settings)
    assert "uv sync --frozen" in refusal.value.next_step
    assert events(settings) == [("refused", standing(project).state)]


def test_a_run_that_is_refused_has_not_entered(project: Path) -> None:
    from mlops_tasks.platform.entry import enter

    spoil(project)
    with pytest.raises(GovernanceError, match="not the locked one"):
        enter(project, ["policy.environment=refuse"])
    ledger = Ledger(compose(project, []).stack.ledger)
    assert [each.event.action for each in ledger.entries(Wanted())] == ["environment"]


def test_a_policy_that_ignores_says_nothing(project: Path) -> None:
    spoil(project)
    assert require_locked(project, under("ignore", project)) == ""


def test_a_project_without_a_lock_is_told_so(project: Path) -> None:
    (project / "uv.lock").unlink()
    assert standing(project) == Standing("none", NO_LOCK)
    assert NO_LOCK in require_locked(project, under("warn", project))
    settings = under("refuse", project)
    with pytest.raises(GovernanceError, match=NO_LOCK) as refusal:
        require_locked(project, settings)
    assert "uv lock" in refusal.value.next_step
    assert events(settings) == [("refused", NO_LOCK)]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[[package", b"version = 1"])
def test_a_lock_that_cannot_be_read_is_none(project: Path, content: bytes) -> None:
    (project / "uv.lock").write_bytes(content)
    found = standing(project)
    assert (found.lock_digest, found.as_locked) == ("none", False)
    assert "cannot be read" in found.state
    with pytest.raises(GovernanceError, match="cannot be read"):
        require_locked(project, under("refuse", project))


def test_a_message_is_bounded(project: Path) -> None:
    many = {f"package-{number:03}": Locked("1.0") for number in range(500)}
    (project / "uv.lock").write_text(lock_of(installed() | many))
    state = standing(project).state
    assert state.count("is missing") == MOST
    assert state.endswith(f", {500 - MOST} more")


def test_the_digest_of_the_environment_is_of_versions(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = environment_digest()
    assert environment_digest() == before
    (tmp_path / "site" / "extra_one-1.0.dist-info").mkdir(parents=True)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    after = environment_digest()
    assert after != before
    (tmp_path / "site" / "extra_one-1.0.dist-info").rename(
        tmp_path / "site" / "extra_one-1.1.dist-info"
    )
    assert environment_digest() not in (before, after)
    assert standing(project).state == "differs: extra-one 1.1 (not in the lock)"
