"""What `uv.lock` says: which packages an interpreter should find here, and the lock's own digest.

Reads the file and asks nobody: no index, no network, no uv. What is installed, and what becomes of
a difference, is `locked_environment`'s affair.

Guarantees, each held by a test: the digest is of names, versions, hashes, commits and dependencies,
not of the addresses where a machine gets them, nor of their order; markers are those of the
interpreter that is asked about; what only development needs may be there and may be missing.

Not for locks with extras that exclude each other: their markers are taken as false.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from mlops_tasks.encoding import digest
from mlops_tasks.errors import ProjectError

LOCK_FILE = "uv.lock"
HERE = ("editable", "virtual", "directory")
# A wheel or source archive on one line, as uv writes it. Its hash alone is parsed three times as
# quickly, and what is written otherwise is read all the same.
_ARCHIVE = re.compile(
    r'\{ url = "[^"\\]*", hash = ("sha256:[0-9a-f]{64}")(?:, [a-z-]+ = (?:\d+|"[^"\\]*"))* \}'
)

Table = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Locked:
    """One package. `version` is empty where its sources decide, `commit` where it is not git's."""

    version: str
    commit: str = ""


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock file, as it applies to one interpreter.

    `required` is what the project needs to run, `allowed` what it may have besides: itself, its
    extras and its development groups. `python` is the versions of Python it is for.
    """

    digest: str
    python: str
    required: Mapping[str, Locked]
    allowed: Mapping[str, Locked]


def read_lock(text: str, environment: Mapping[str, str]) -> Lock:
    """Read a lock file.

    Parameters
    ----------
    text
        Its content.
    environment
        The values of markers, as `packaging.markers.default_environment` gives them.

    Raises
    ------
    ProjectError
        If it is not a lock file of a project in its own folder.
    """
    from packaging.specifiers import SpecifierSet

    try:
        content = tomllib.loads(_ARCHIVE.sub(r"\1", text))
        packages: list[Table] = content["package"]
        project = next(each for each in packages if _is_project(each))
        walk = _Walk(packages, dict(environment) | {"extra": ""})
        required = dict(walk.reached(_dependencies(project)))
        more = [
            each
            for group in ("optional-dependencies", "dev-dependencies")
            for dependencies in project.get(group, {}).values()
            for each in dependencies
        ]
        allowed = dict(walk.reached(more)) | {str(project["name"]): Locked("")}
        python = str(SpecifierSet(content.get("requires-python", "")))
        return Lock(_digest(python, packages), python, required, allowed)
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        why = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        why = "it does not fit together" if isinstance(error, StopIteration) else why
        raise ProjectError(
            f"the lock file cannot be read: {why[:200]}",
            where=LOCK_FILE,
            next_step="restore it from git, or write it anew with `uv lock`",
        ) from error


class _Walk:
    """The packages of a lock, followed from what needs them to what they need."""

    def __init__(self, packages: list[Table], environment: dict[str, str]) -> None:
        self.environment = environment
        self.named: dict[str, list[Table]] = {}
        for each in packages:
            self.named.setdefault(each["name"], []).append(each)

    def reached(self, dependencies: list[Table]) -> Iterator[tuple[str, Locked]]:
        """All that these need in this environment, each once."""
        waiting, seen = list(dependencies), set()
        while waiting:
            wanted = waiting.pop()
            if not _holds(wanted.get("marker", ""), self.environment):
                continue
            package = self._package(wanted)
            for extra in ("", *wanted.get("extra", ())):
                step = (package["name"], package.get("version", ""), extra)
                if step in seen:
                    continue
                seen.add(step)
                if extra:
                    waiting += package.get("optional-dependencies", {}).get(extra, [])
                    continue
                waiting += _dependencies(package)
                if "virtual" not in package["source"]:
                    yield package["name"], Locked(package.get("version", ""), _commit(package))

    def _package(self, wanted: Table) -> Table:
        """The package that a dependency means; its version is said where there are several."""
        found = self.named[wanted["name"]]
        return next(each for each in found if wanted.get("version") in (None, each.get("version")))


def _is_project(package: Table) -> bool:
    return any(package["source"].get(kind) == "." for kind in HERE)


def _dependencies(package: Table) -> list[Table]:
    return list(package.get("dependencies", ()))


def _commit(package: Table) -> str:
    """The commit of a git source, which uv writes behind its address."""
    return str(package["source"].get("git", "")).rpartition("#")[2]


def _holds(marker: str, environment: dict[str, str]) -> bool:
    return not marker or _marker(marker).evaluate(environment)


@lru_cache(maxsize=4096)
def _marker(text: str) -> Any:
    from packaging.markers import Marker

    return Marker(text)


def _digest(python: str, packages: list[Table]) -> str:
    """SHA-256 of what is locked, wherever it comes from and in whatever order it is written."""
    return digest([python, *sorted(map(_content, packages), key=_place)])


def _place(content: Table) -> tuple[Any, ...]:
    return tuple(content[name] for name in ("name", "version", "commit", "hashes"))


def _content(package: Table) -> Table:
    archives = [*package.get("wheels", ()), package.get("sdist", "")]
    return {
        "name": package["name"],
        "version": package.get("version", ""),
        "commit": _commit(package),
        "hashes": sorted({_hash(each) for each in archives} - {""}),
        "needs": _edges(_dependencies(package)),
        "more": {
            f"{group} {name}": _edges(dependencies)
            for group in ("optional-dependencies", "dev-dependencies")
            for name, dependencies in package.get(group, {}).items()
        },
    }


def _edges(dependencies: list[Table]) -> list[list[Any]]:
    """Each dependency without the address of its source."""
    return sorted(
        [
            each["name"],
            each.get("version", ""),
            each.get("marker", ""),
            sorted(each.get("extra", ())),
        ]
        for each in dependencies
    )


def _hash(archive: Table | str) -> str:
    return archive if isinstance(archive, str) else str(archive.get("hash", ""))
