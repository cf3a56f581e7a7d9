"""Is what is installed what the project's lock file says? Told, or refused, as the policy wants.

Looks at names, versions and commits, not into the files of a package: who may write there is the
affair of the machine. What the lock says is `lock_file`'s affair.

Guarantees, each held by a test: a package that is missing, of another version or commit, or not in
the lock is named; under `policy.environment=refuse` a run does not begin with one, nor without a
lock, and the refusal is an event; whatever the policy, the lineage says how it was.
"""

import json
import os
import platform
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

from mlops_tasks.encoding import digest
from mlops_tasks.errors import GovernanceError, ProjectError
from mlops_tasks.governance.events import Event
from mlops_tasks.governance.lock_file import LOCK_FILE, Lock, Locked, read_lock
from mlops_tasks.governance.record import actor, record
from mlops_tasks.settings.schema import Settings

ENVIRONMENT = "environment"
AS_LOCKED = "as locked"
NO_LOCK = f"no {LOCK_FILE}"
NONE = "none"
MOST = 10  # packages that a message names
SHORT = 12  # characters of a commit
INSTALLERS = frozenset({"pip", "uv"})  # they put packages there; a venv may bring them along
# `name-version.dist-info`: opening the file inside for both costs fifty times as much.
_FOLDER = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+)\.dist-info")


@dataclass(frozen=True, slots=True)
class Standing:
    """How an environment stands to its lock. `state` is one bounded sentence."""

    lock_digest: str
    state: str

    @property
    def as_locked(self) -> bool:
        """Whether nothing differs."""
        return self.state == AS_LOCKED


def installed(paths: Iterable[str] | None = None) -> dict[str, Locked]:
    """Normal name, version and commit of every distribution that an import could find.

    Parameters
    ----------
    paths
        Where to look, first come first served; `sys.path` unless told.
    """
    found: dict[str, Locked] = {}
    for folder in sys.path if paths is None else paths:
        for name, package in _in_folder(folder or os.curdir):
            found.setdefault(name, package)
    return found


def environment_digest() -> str:
    """SHA-256 of the Python version and the name and version of every installed distribution."""
    packages = {f"{name}=={each.version}" for name, each in installed().items()}
    return digest([platform.python_version(), *sorted(packages)])


def standing(root: Path) -> Standing:
    """How this interpreter's environment stands to the lock of a project; never raises.

    Parameters
    ----------
    root
        The project's folder.
    """
    from packaging.markers import default_environment

    try:
        text = (root / LOCK_FILE).read_text(encoding="utf-8")
        values = {name: str(value) for name, value in default_environment().items()}
        lock = read_lock(text, values)
    except FileNotFoundError:
        return Standing(NONE, NO_LOCK)
    except (OSError, UnicodeDecodeError) as error:
        return Standing(NONE, f"{LOCK_FILE} cannot be read: {type(error).__name__}")
    except ProjectError as error:
        return Standing(NONE, error.what)
    different = differences(lock, installed(), platform.python_version())
    if not different:
        return Standing(lock.digest, AS_LOCKED)
    told = [*different[:MOST], *([f"{len(different) - MOST} more"] if different[MOST:] else [])]
    return Standing(lock.digest, f"differs: {', '.join(told)}")


def differences(lock: Lock, found: Mapping[str, Locked], python: str) -> list[str]:
    """What is not as locked, each in a few words; packages that are needed come first.

    Parameters
    ----------
    lock
        What should be there.
    found
        What is there, by normal name.
    python
        The version of the interpreter.
    """
    from packaging.specifiers import SpecifierSet

    told = []
    if not SpecifierSet(lock.python).contains(python, prereleases=True):
        told.append(f"Python {python} (lock: {lock.python})")
    known = {**lock.allowed, **lock.required}
    for name in sorted(known, key=lambda name: (name not in lock.required, name)):
        if name in found:
            if not _same(known[name], found[name]):
                told.append(f"{name} {_told(found[name])} (lock: {_told(known[name])})")
        elif name in lock.required:
            told.append(f"{name} is missing (lock: {_told(known[name])})")
    extra = sorted(found.keys() - known.keys() - INSTALLERS)
    return [*told, *(f"{name} {_told(found[name])} (not in the lock)" for name in extra)]


def require_locked(root: Path, settings: Settings) -> str:
    """Refuse to begin in another environment than the locked one, if the policy says so.

    Parameters
    ----------
    root
        The project's folder.
    settings
        Its resolved configuration; `policy.environment` decides.

    Returns
    -------
    str
        What is to be told to the user; empty where nothing is.

    Raises
    ------
    GovernanceError
        Under `refuse`, if something differs or there is no lock; after it was recorded.
    """
    policy = settings.policy.environment
    if policy == "ignore":
        return ""
    found = standing(root)
    if found.as_locked:
        return ""
    what = f"the environment is not the locked one: {found.state}"
    remedy = "uv lock" if found.lock_digest == NONE else "uv sync --frozen"
    if policy == "warn":
        return f"{what}; `{remedy}` in {root} puts it right"
    digests = {} if found.lock_digest == NONE else {"lock": found.lock_digest}
    record(
        settings.stack,
        Event(actor(), ENVIRONMENT, settings.project, "refused", found.state, digests=digests),
    )
    raise GovernanceError(
        what,
        where=f"{root / LOCK_FILE}, policy.environment=refuse",
        next_step=f"`{remedy}` in {root}" + (", then `uv sync`" if remedy == "uv lock" else ""),
    )


def _same(locked: Locked, found: Locked) -> bool:
    from packaging.version import InvalidVersion, Version

    if locked.commit and locked.commit != found.commit:
        return False
    if not locked.version or locked.version == found.version:
        return True
    try:
        return Version(locked.version) == Version(found.version)
    except InvalidVersion:
        return False


def _told(package: Locked) -> str:
    commit = f" at {package.commit[:SHORT]}" if package.commit else ""
    return f"{package.version or 'any'}{commit}"


def _in_folder(folder: str) -> Iterator[tuple[str, Locked]]:
    try:
        with os.scandir(folder) as entries:
            names = [each.name for each in entries if each.name.endswith("-info")]
    except OSError:  # a zip file, or a folder that is not there
        return
    for name in sorted(names):
        path = Path(folder, name)
        if matched := _FOLDER.fullmatch(name):
            commit = _commit(path) if (path / "direct_url.json").is_file() else ""
            yield _normal(matched["name"]), Locked(matched["version"], commit)
        elif name.endswith((".dist-info", ".egg-info")):
            package: Distribution = PathDistribution(path)
            if package.metadata["Name"]:
                yield _normal(package.metadata["Name"]), Locked(package.version)


def _commit(info: Path) -> str:
    """The commit that a package was installed from, if git had it."""
    try:
        told = json.loads((info / "direct_url.json").read_text(encoding="utf-8"))
        return str(told["vcs_info"]["commit_id"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
