"""The groups below `conf/` and the options in each: what can be chosen, and what was meant."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlops_tasks.errors import SettingsError


def options(root: Path) -> dict[str, list[str]]:
    """The groups below `conf/`, each with the names that can be chosen."""
    return {
        folder.name: sorted(file.stem for file in folder.glob("*.yaml"))
        for folder in sorted((root / "conf").iterdir())
        if folder.is_dir()
    }


def listed(conf: Path) -> str:
    """All groups and their options in one line."""
    groups = options(conf.parent)
    return "; ".join(f"{group}: {', '.join(names)}" for group, names in groups.items())


def refuse_missing_options(chosen: dict[str, Any], conf: Path) -> None:
    """Hydra itself says nothing where an `optional` group is given an option that is not there."""
    known = options(conf.parent)
    for group, choice in chosen.items():
        if choice is None or group not in known:
            continue
        if not option_file(conf, group, choice).is_file():
            raise SettingsError(
                f"{group} = {choice!r}: no such option{did_you_mean(str(choice), known[group])}",
                where=str(conf / group),
                next_step=f"choose from {', '.join(known[group])}",
            )


def option_file(conf: Path, group: str, choice: str) -> Path:
    """The file of an option."""
    return conf / group / f"{choice.removesuffix('.yaml')}.yaml"


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """A guess in brackets, or nothing."""
    near = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
