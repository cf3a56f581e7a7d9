"""The one place that knows Hydra: `conf/` and overrides in, frozen `Settings` out.

Guarantees: composing never runs code named in the configuration, is safe to call from several
threads, leaves Hydra's global state as it found it, and every refusal names file, key, value and
what is allowed.
"""

import difflib
import os
import threading
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mlops_tasks.environment import home
from mlops_tasks.errors import SettingsError
from mlops_tasks.settings.schema import Settings

_HYDRA_IS_NOT_THREAD_SAFE = threading.Lock()


def compose(root: Path, overrides: Sequence[str] = ()) -> Settings:
    """Compose and validate a project's configuration.

    Parameters
    ----------
    root
        The project's folder; its `conf/config.yaml` is the primary configuration.
    overrides
        Hydra overrides such as `model=forest` or `data.split.comparison_fraction=0.3`.

    Raises
    ------
    SettingsError
        If a file, group or key does not exist or a value is not allowed.
    """
    conf = root / "conf"
    if not (conf / "config.yaml").is_file():
        raise SettingsError(
            "there is no configuration here",
            where=str(conf / "config.yaml"),
            next_step="change into a generated project, or name one with --project",
        )
    plain, files = _compose_plain(conf, list(overrides))
    try:
        return Settings.model_validate(plain)
    except ValidationError as error:
        raise _explain(error, files, conf) from error


def expand(overrides: Sequence[str]) -> list[list[str]]:
    """Turn sweep overrides into one list of plain overrides per run.

    Examples
    --------
    >>> expand(["model=a,b", "seed=1"])
    [['model=a', 'seed=1'], ['model=b', 'seed=1']]

    Raises
    ------
    SettingsError
        If an override is not in Hydra's grammar.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
        choices = [
            [f"{each.get_key_element()}={value}" for value in each.sweep_string_iterator()]
            if each.is_sweep_override()
            else [str(each.input_line)]
            for each in parsed
        ]
    except HydraException as error:
        raise SettingsError(
            _first_line(error),
            where="sweep overrides",
            next_step="for example: `mlops train -m model=linear,forest seed=1,2`",
        ) from error
    return [list(combination) for combination in product(*choices)]


def options(root: Path) -> dict[str, list[str]]:
    """The groups below `conf/`, each with the names that can be chosen."""
    return {
        folder.name: sorted(file.stem for file in folder.glob("*.yaml"))
        for folder in sorted((root / "conf").iterdir())
        if folder.is_dir()
    }


def _compose_plain(conf: Path, overrides: list[str]) -> tuple[dict[str, Any], dict[str, Path]]:
    """The resolved configuration, and the file that each chosen group came from."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf, open_dict, read_write
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    os.environ.setdefault("MLOPS_HOME", str(home()))
    with _HYDRA_IS_NOT_THREAD_SAFE:
        before = GlobalHydra.instance().hydra
        GlobalHydra.instance().clear()
        try:
            with initialize_config_dir(str(conf.absolute()), version_base="1.3"):
                composed = hydra_compose(
                    "config", overrides=_lenient(overrides, conf), return_hydra_config=True
                )
                chosen = OmegaConf.to_container(composed.hydra.runtime.choices)
                with read_write(composed), open_dict(composed):
                    del composed["hydra"]
                plain = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
        except (HydraException, OmegaConfBaseException, YAMLError) as error:
            raise _unknown(error, conf) from error
        finally:
            GlobalHydra.instance().hydra = before
    assert isinstance(plain, dict)
    assert isinstance(chosen, dict)
    files = {"": conf / "config.yaml"} | {
        str(group): conf / str(group) / f"{choice}.yaml"
        for group, choice in chosen.items()
        if choice and not str(group).startswith("hydra/")
    }
    return {str(key): value for key, value in plain.items()}, files


def _lenient(overrides: list[str], conf: Path) -> list[str]:
    """Let every value be set, also one that no file mentions: our own schema refuses the unknown.

    Hydra knows only what is written in the files; the schema knows all keys and their defaults.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import OverrideType

    groups = options(conf.parent)
    lenient = []
    for override in OverridesParser.create().parse_overrides(overrides):
        text = str(override.input_line)
        plain = override.type == OverrideType.CHANGE and override.key_or_group not in groups
        lenient.append(f"++{text}" if plain and not text.startswith("+") else text)
    return lenient


def _unknown(error: Exception, conf: Path) -> SettingsError:
    """What Hydra itself refuses: an option of a group that does not exist, bad grammar."""
    return SettingsError(
        " ".join(str(error).partition("Config search path")[0].split())[:300],
        where=str(conf),
        next_step=f"choose from {_choices(conf)}",
    )


def _choices(conf: Path) -> str:
    groups = options(conf.parent)
    return "; ".join(f"{group}: {', '.join(names)}" for group, names in groups.items())


def _explain(error: ValidationError, files: dict[str, Path], conf: Path) -> SettingsError:
    """Every problem pydantic found, each with its key, value, file and what is allowed."""
    lines, places = [], []
    for problem in error.errors(include_url=False):
        key = ".".join(str(part) for part in problem["loc"])
        group = str(problem["loc"][0]) if problem["loc"] else ""
        line = f"{key}: {problem['msg']}"
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(problem["loc"][-1]), _leaf_keys(Settings), n=1)
            line = f"{key} = {problem['input']!r}: no such key"
            line += f" (did you mean {near[0]!r}?)" if near else ""
        elif problem["type"] != "missing":
            line = f"{key} = {_short(problem['input'])}: {problem['msg']}"
        lines.append(line)
        places.append(str(files.get(group, files[""])))
    return SettingsError(
        "the configuration is not valid: " + "; ".join(lines),
        where=", ".join(dict.fromkeys(places)) + " or an override",
        next_step=f"correct it and look with `mlops config`; the groups are {_choices(conf)}",
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


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))
