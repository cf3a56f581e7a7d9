"""The one place that knows Hydra: `conf/` and overrides in, frozen `Settings` out.

Guarantees: composing never runs code named in the configuration, is safe to call from several
threads, leaves Hydra's global state as it found it, and every refusal names file, key, value and
what is allowed.
"""

import difflib
import os
import re
import threading
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mlops_tasks.environment import home
from mlops_tasks.errors import ResidencyRefused, SettingsError
from mlops_tasks.settings.schema import Settings

_HYDRA_IS_NOT_THREAD_SAFE = threading.Lock()


def compose(root: Path, overrides: Sequence[str] = (), *, placed: bool = True) -> Settings:
    """Compose and validate a project's configuration.

    Parameters
    ----------
    root
        The project's folder; its `conf/config.yaml` is the primary configuration.
    overrides
        Hydra overrides such as `model=forest` or `data.split.comparison_fraction=0.3`.
    placed
        Whether to check where data would be; False for what handles none, as a rollback.

    Raises
    ------
    SettingsError
        If a file, group or key does not exist or a value is not allowed.
    ResidencyRefused
        If data would be where it may not be, with every reason.
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
        settings = Settings.model_validate(plain)
    except ValidationError as error:
        raise _explain(error, files, conf) from error
    if placed and settings.misplaced:
        raise ResidencyRefused(
            "; ".join(settings.misplaced),
            where=str(conf),
            next_step="correct regions and policy.residency, see docs/governance.md",
        )
    return settings


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
            _refuse_hydras_own_keys(overrides, conf)
            with initialize_config_dir(str(conf.absolute()), version_base="1.3"):
                composed = hydra_compose(
                    "config", overrides=_lenient(overrides, conf), return_hydra_config=True
                )
                chosen: Any = OmegaConf.to_container(composed.hydra.runtime.choices)
                _refuse_missing_options(chosen, conf)
                with read_write(composed), open_dict(composed):
                    del composed["hydra"]
                plain = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
        # ValueError: a file that is not UTF-8, a group that is null
        except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:
            raise _unknown(error, conf) from error
        finally:
            GlobalHydra.instance().hydra = before
    assert isinstance(plain, dict)
    files = {"": conf / "config.yaml"} | {
        str(group): _option_file(conf, group, choice)
        for group, choice in chosen.items()
        if choice and not str(group).startswith("hydra/")
    }
    return {str(key): value for key, value in plain.items()}, files


def _refuse_hydras_own_keys(overrides: list[str], conf: Path) -> None:
    """Nothing here runs by Hydra, and `hydra.searchpath` would import what a file names."""
    import yaml

    with (conf / "config.yaml").open(encoding="utf-8") as stream:
        written = yaml.safe_load(stream)
    named = [each for each in overrides if re.match(r"[+~]*hydra\b", each.strip())]
    if named or (isinstance(written, dict) and "hydra" in written):
        raise SettingsError(
            f"{named[0] if named else 'hydra'}: Hydra's own settings cannot be changed",
            where="an override" if named else str(conf / "config.yaml"),
            next_step="leave it out",
        )


def _refuse_missing_options(chosen: dict[str, Any], conf: Path) -> None:
    """Hydra itself says nothing where an `optional` group is given an option that is not there."""
    known = options(conf.parent)
    for group, choice in chosen.items():
        if choice is None or group not in known:
            continue
        if not _option_file(conf, group, choice).is_file():
            raise SettingsError(
                f"{group} = {choice!r}: no such option{_did_you_mean(str(choice), known[group])}",
                where=str(conf / group),
                next_step=f"choose from {', '.join(known[group])}",
            )


def _option_file(conf: Path, group: str, choice: str) -> Path:
    return conf / group / f"{choice.removesuffix('.yaml')}.yaml"


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
    told: BaseException = error
    while not str(told).strip() and told.__cause__ is not None:
        told = told.__cause__
    text = " ".join(str(told).partition("Config search path")[0].split())[:300]
    group, _, name = str(getattr(error, "missing_cfg_file", "")).rpartition("/")
    return SettingsError(
        text + _did_you_mean(name, options(conf.parent).get(group, [])),
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
        line = f"{key}: {problem['msg']}"
        if problem["type"] == "extra_forbidden":
            line = f"{key} = {_short(problem['input'])}: no such key"
            line += _did_you_mean(str(problem["loc"][-1]), _leaf_keys(Settings))
        elif problem["type"] != "missing":
            line = f"{key} = {_short(problem['input'])}: {problem['msg']}"
        lines.append(line)
        places += _places(problem["loc"], files)
    return SettingsError(
        "the configuration is not valid: " + "; ".join(lines),
        where=", ".join(dict.fromkeys(places)) + " or an override",
        next_step=f"correct it and look with `mlops config`; the groups are {_choices(conf)}",
    )


def _places(loc: tuple[int | str, ...], files: dict[str, Path]) -> list[str]:
    """The chosen files that mention the key, or the file where it belongs.

    Besides the file of its group these are files that may set any key: `config.yaml`, experiments.
    """
    group, key = (str(loc[0]), str(loc[-1])) if loc else ("", "")
    own = files.get(group, files[""])
    if len(loc) == 1 and group in files:
        return [str(own)]
    able = [own, *(file for name, file in files.items() if name not in Settings.model_fields)]
    texts = {file: file.read_text(encoding="utf-8") for file in able if file.is_file()}
    mentioned = re.compile(rf"\b{re.escape(key)}\b")
    found = [str(file) for file, text in texts.items() if mentioned.search(text)]
    return list(dict.fromkeys(found)) or [str(own)]


def _did_you_mean(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


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
