"""Why a configuration is refused, in words that name file, key, value and what is allowed."""

import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mlops_tasks.errors import SettingsError
from mlops_tasks.settings.choices import did_you_mean, listed, options
from mlops_tasks.settings.schema import Settings


def not_valid(error: ValidationError, files: dict[str, Path], conf: Path) -> SettingsError:
    """Every problem pydantic found, each with its key, value, file and what is allowed."""
    lines, places = [], []
    for problem in error.errors(include_url=False):
        key = ".".join(str(part) for part in problem["loc"])
        line = f"{key}: {problem['msg']}"
        if problem["type"] == "extra_forbidden":
            line = f"{key} = {_short(problem['input'])}: no such key"
            line += did_you_mean(str(problem["loc"][-1]), _leaf_keys(Settings))
        elif problem["type"] != "missing":
            line = f"{key} = {_short(problem['input'])}: {problem['msg']}"
        lines.append(line)
        places += _places(problem["loc"], files)
    return SettingsError(
        "the configuration is not valid: " + "; ".join(lines),
        where=", ".join(dict.fromkeys(places)) + " or an override",
        next_step=f"correct it and look with `mlops config`; the groups are {listed(conf)}",
    )


def _places(loc: tuple[int | str, ...], files: dict[str, Path]) -> list[str]:
    """The chosen files that have the key, or the file where it belongs.

    Besides the file of its group these are files that may set any key: `config.yaml`, experiments.
    """
    group, key = (str(loc[0]), str(loc[-1])) if loc else ("", "")
    own = files.get(group, files[""])
    if len(loc) == 1 and group in files:
        return [str(own)]
    able = [own, *(file for name, file in files.items() if name not in Settings.model_fields)]
    texts = {file: file.read_text(encoding="utf-8") for file in able if file.is_file()}
    mentioned = re.compile(rf"\b{re.escape(key)}\b[\"']?\s*:")
    found = [str(file) for file, text in texts.items() if mentioned.search(text)]
    return list(dict.fromkeys(found)) or [str(own)]


def not_composed(error: Exception, conf: Path) -> SettingsError:
    """What Hydra itself refuses: an option of a group that does not exist, bad grammar."""
    told: BaseException = error
    while not str(told).strip() and told.__cause__ is not None:
        told = told.__cause__
    text = " ".join(str(told).partition("Config search path")[0].split())[:300]
    group, _, name = str(getattr(error, "missing_cfg_file", "")).rpartition("/")
    return SettingsError(
        text + did_you_mean(name, options(conf.parent).get(group, [])),
        where=str(conf),
        next_step=f"choose from {listed(conf)}",
    )


def _leaf_keys(model: Any) -> list[str]:
    names: list[str] = []
    for name, info in model.model_fields.items():
        names.append(name)
        if hasattr(info.annotation, "model_fields"):
            names.extend(_leaf_keys(info.annotation))
    return names


def _short(value: object, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def first_line(error: Exception) -> str:
    """The first line of an error that says something."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))
