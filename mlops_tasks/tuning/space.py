"""Where parameters are looked for: one value of each, suggested within the ends of its dimension.

What a space looks like in the configuration is `settings.tuning`'s affair.
"""

from typing import TYPE_CHECKING, Any

from mlops_tasks.artifacts import Code, Columns
from mlops_tasks.errors import SettingsError, TrainingError
from mlops_tasks.settings.schema import ModelSettings, Settings
from mlops_tasks.settings.tuning import Dimension
from mlops_tasks.training.fit import build

if TYPE_CHECKING:
    from optuna.trial import Trial

Space = dict[str, Dimension]


def space_of(settings: Settings, models: Code, columns: Columns) -> Space:
    """The space of the configured model, known to fit its builder.

    Raises
    ------
    SettingsError
        If the model has no space, or the space names a parameter that the model does not have.
    TrainingError
        If there is no such model.
    """
    name, spaces = settings.model.name, settings.tuning.spaces
    space = spaces.get(name, {})
    if not space:
        raise SettingsError(
            f"nothing is said about which parameters of {name!r} to vary",
            where=f"tuning.spaces.{name}",
            next_step="add them in conf/config.yaml, under `tuning.spaces`"
            + (f", or choose from model={', '.join(sorted(spaces))}" if spaces else ""),
        )
    build(models, settings.model.model_copy(update={"params": {}}), columns, settings.seed)
    first = {key: dimension.first for key, dimension in space.items()}
    try:
        build(models, ModelSettings(name=name, params=first), columns, settings.seed)
    except TrainingError as error:
        raise SettingsError(
            error.what, where=f"tuning.spaces.{name}", next_step=error.next_step
        ) from error
    return space


def suggest(trial: "Trial", space: Space) -> dict[str, Any]:
    """One value for each parameter of a space, in the order of their names."""
    return {name: _value(trial, name, space[name]) for name in sorted(space)}


def _value(trial: "Trial", name: str, dimension: Dimension) -> Any:
    low, high, step, log = dimension.low, dimension.high, dimension.step, dimension.log
    if dimension.choices:
        return trial.suggest_categorical(name, list(dimension.choices))
    assert low is not None and high is not None  # noqa: PT018  # Dimension has checked it
    if dimension.whole:
        return trial.suggest_int(name, int(low), int(high), step=int(step or 1), log=log)
    return trial.suggest_float(name, low, high, step=step, log=log)
