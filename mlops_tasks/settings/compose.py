"""The one place that knows Hydra: `conf/` and overrides in, frozen `Settings` out.

Guarantees: composing never runs code named in the configuration, is safe to call from several
threads, leaves Hydra's global state as it found it, and every refusal names file, key, value and
what is allowed.
"""

import contextlib
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mlops_tasks.environment import home
from mlops_tasks.errors import ResidencyRefused, SettingsError
from mlops_tasks.settings.choices import option_file, refuse_missing_options
from mlops_tasks.settings.choices import options as options
from mlops_tasks.settings.refusals import first_line, not_composed, not_valid
from mlops_tasks.settings.schema import Settings

_HYDRA_IS_NOT_THREAD_SAFE = threading.Lock()
_READS_ENVIRONMENT = re.compile(r"\$\{\s*oc\.env\s*:\s*([A-Za-z_]\w*)\s*([,}])")


def compose(
    root: Path,
    overrides: Sequence[str] = (),
    *,
    placed: bool = True,
    stand_ins: Mapping[str, str] | None = None,
) -> Settings:
    """Compose and validate a project's configuration.

    Parameters
    ----------
    root
        The project's folder; its `conf/config.yaml` is the primary configuration.
    overrides
        Hydra overrides such as `model=forest` or `data.split.comparison_fraction=0.3`.
    placed
        Whether to check where data would be; False for what handles none, as a rollback.
    stand_ins
        Values for environment variables that are not set, to look at the rest of a configuration.

    Raises
    ------
    SettingsError
        If a file, group or key does not exist or a value is not allowed.
    ResidencyRefused
        If data would be where it may not be, with every reason.
    """
    conf = _conf(root)
    plain, files = _compose_plain(conf, list(overrides), stand_ins or {})
    try:
        settings = Settings.model_validate(plain)
    except ValidationError as error:
        raise not_valid(error, files, conf) from error
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
            first_line(error),
            where="sweep overrides",
            next_step="for example: `mlops train -m model=linear,forest seed=1,2`",
        ) from error
    return [list(combination) for combination in product(*choices)]


def environment_read(root: Path, overrides: Sequence[str] = ()) -> dict[str, bool]:
    """Names of the environment variables that a configuration reads, `MLOPS_HOME` left out.

    Returns
    -------
    dict of str to bool
        In alphabetical order; True for those that have no default in the configuration.

    Raises
    ------
    SettingsError
        If it cannot be composed.
    """
    found: dict[str, bool] = {}
    with _composed(_conf(root), list(overrides)) as (composed, _):
        for text in _texts(composed):
            for name, end in _READS_ENVIRONMENT.findall(text):
                found[name] = found.get(name, False) or end == "}"
    return {name: found[name] for name in sorted(found) if name != "MLOPS_HOME"}


def _conf(root: Path) -> Path:
    conf = root / "conf"
    if not (conf / "config.yaml").is_file():
        raise SettingsError(
            "there is no configuration here",
            where=str(conf / "config.yaml"),
            next_step="change into a generated project, or name one with --project",
        )
    return conf


def _compose_plain(
    conf: Path, overrides: list[str], stand_ins: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, Path]]:
    """The resolved configuration, and the file that each chosen group came from."""
    from omegaconf import OmegaConf

    with _composed(conf, overrides) as (composed, chosen), _lent(stand_ins):
        plain = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    assert isinstance(plain, dict)
    files = {"": conf / "config.yaml"} | {
        str(group): option_file(conf, group, choice)
        for group, choice in chosen.items()
        if choice and not str(group).startswith("hydra/")
    }
    return {str(key): value for key, value in plain.items()}, files


@contextlib.contextmanager
def _composed(conf: Path, overrides: list[str]) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The configuration before its interpolations are resolved, and the option of each group.

    What goes wrong inside the block is told as an error of the configuration.
    """
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
                refuse_missing_options(chosen, conf)
                with read_write(composed), open_dict(composed):
                    del composed["hydra"]
                yield composed, chosen
        # ValueError: a file that is not UTF-8, a group that is null
        except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:
            raise not_composed(error, conf) from error
        finally:
            GlobalHydra.instance().hydra = before


@contextlib.contextmanager
def _lent(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for the time of the block; those that are set are left alone."""
    lent = {name: value for name, value in values.items() if not os.environ.get(name)}
    before = {name: os.environ.get(name) for name in lent}
    os.environ.update(lent)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _texts(composed: Any) -> Iterator[str]:
    """Every text in a configuration, as it is written."""
    from omegaconf import OmegaConf

    def within(value: Any) -> Iterator[str]:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict | list):
            for each in value.values() if isinstance(value, dict) else value:
                yield from within(each)

    return within(OmegaConf.to_container(composed, resolve=False))


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
