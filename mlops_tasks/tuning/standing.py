"""How a study stands: what was tried in each place, what runs, and what is best so far."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlops_tasks.registry.trials import Trial
from mlops_tasks.tuning.study import ERROR, SLOT, WORKER, Search, places, read, unsettled

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial


@dataclass(frozen=True, slots=True)
class Standing:
    """A study at a moment.

    `running` maps the name of a worker to the place it fills. `left` counts places without a
    result.
    """

    name: str
    metric: str
    wanted: int
    trials: tuple[Trial, ...]
    running: Mapping[str, int]
    left: int
    best: Trial | None
    counts: Mapping[str, int] = field(default_factory=dict)


def standing(study: "optuna.Study", search: Search, wanted: int) -> Standing:
    """Look at a study.

    Parameters
    ----------
    study, search
        The study, and what it looks for.
    wanted
        How many places it shall have; more that an earlier run asked for are counted as well.
    """
    known = read(study)
    found, left = places(known), set(unsettled(known, wanted))
    trials = tuple(
        _trial(place, trial)
        for place, trial in sorted(found.items())
        if trial.state.is_finished() and place not in left
    )
    running = {
        str(trial.user_attrs[WORKER]): int(trial.user_attrs[SLOT])
        for trial in known
        if trial.state.name == "RUNNING" and WORKER in trial.user_attrs
    }
    sign = -1.0 if search.direction == "maximize" else 1.0
    complete = [trial for trial in trials if trial.value is not None]
    # The first of equals: which worker was quicker must not decide.
    best = min(complete, key=lambda each: (sign * _known(each), each.place), default=None)
    return Standing(
        study.study_name,
        search.settings.evaluation.primary,
        wanted,
        trials,
        running,
        len(left),
        best,
        Counter(trial.state for trial in trials),
    )


def _known(trial: Trial) -> float:
    assert trial.value is not None
    return trial.value


def _trial(place: int, trial: "FrozenTrial") -> Trial:
    state = trial.state.name.lower()
    state = "failed" if state == "fail" else state
    params: dict[str, Any] = dict(trial.params)
    return Trial(
        place,
        state,
        params,
        dict(trial.intermediate_values),
        trial.value if state == "complete" else None,
        _milliseconds(trial.datetime_start),
        _milliseconds(trial.datetime_complete),
        str(trial.user_attrs.get(WORKER, "")),
        str(trial.user_attrs.get(ERROR, "")),
    )


def _milliseconds(moment: datetime | None) -> int:
    return int(moment.timestamp() * 1000) if moment else 0
