"""A study is so many places, each to be filled by one trial; whoever fills them.

Guarantees, each held by a test: every place ends with exactly one trial that counts, whatever is
killed or cut off on the way, and however far the clocks of hosts are apart; a study that is run
again goes on where it was, and only the places that are missing are tried; other data, code, seed
or space is another study.

A trial that ran into an error has settled its place: it would again. One whose process has given no
sign of life is tried again with the same parameters, `RETRIES` times.
"""

import contextlib
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from mlops_tasks.artifacts import Code, Split
from mlops_tasks.encoding import digest
from mlops_tasks.evaluation.metrics import METRICS
from mlops_tasks.governance.leases import lease
from mlops_tasks.governance.record import ledger_of
from mlops_tasks.settings.schema import Settings
from mlops_tasks.tuning.storage import open_storage

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

RETRIES = 3
STARTUP = 8  # trials at random before the sampler believes that it knows something
SLOT, WORKER, ERROR, WATCHED = "slot", "worker", "error", "watched"


@dataclass(frozen=True)
class Search:
    """What is looked for: the best parameters of one model on the rows of one training part."""

    settings: Settings
    split: Split
    models: Code

    @cached_property
    def name(self) -> str:
        """Says all that decides what a trial comes to; the number of trials does not."""
        settings, tuning = self.settings, self.settings.tuning
        inputs = [self.split.train.digest, self.split.columns, self.split.kind, self.models]
        inputs += [settings.model, settings.seed, settings.evaluation.primary, tuning.folds]
        space = tuning.spaces.get(settings.model.name, {})
        content = digest([*inputs, {key: each.model_dump() for key, each in space.items()}])
        return f"{settings.registered_model}-{settings.model.name}-{content[:12]}"

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """Which way the primary metric is better."""
        better = METRICS[self.settings.evaluation.primary].higher_is_better
        return "maximize" if better else "minimize"


def open_study(search: Search) -> "optuna.Study":
    """The study of a search, made on first use.

    Raises
    ------
    RegistryError
        If its database does not answer.
    """
    import optuna

    from mlops_tasks.tuning.sampling import SeededBySlot

    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    return optuna.create_study(
        study_name=search.name,
        storage=open_storage(search.settings.stack, search.settings.tuning.grace_seconds),
        sampler=SeededBySlot(search.settings.seed, STARTUP, SLOT),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP, n_warmup_steps=0),
        direction=search.direction,
        load_if_exists=True,
    )


def read(study: "optuna.Study") -> list["FrozenTrial"]:
    """All trials that fill a place, in the order in which they were queued."""
    trials = study.get_trials(deepcopy=False)
    return [trial for trial in trials if SLOT in trial.user_attrs]  # others had nothing to do


def places(trials: Iterable["FrozenTrial"]) -> dict[int, "FrozenTrial"]:
    """The trial that counts in each place: the latest."""
    return {int(trial.user_attrs[SLOT]): trial for trial in trials}


def unsettled(trials: Sequence["FrozenTrial"], wanted: int) -> list[int]:
    """The places below `wanted` that have no result yet."""
    tries = Counter(int(trial.user_attrs[SLOT]) for trial in trials)
    found = places(trials)
    return [
        place
        for place in range(wanted)
        if place not in found or not _is_settled(found[place], tries[place])
    ]


def tidy(study: "optuna.Study", search: Search, wanted: int) -> None:
    """Give up trials of dead processes, and queue every place below `wanted` that nobody is trying.

    One process at a time: a place is queued once.
    """
    import optuna
    from optuna.trial import TrialState

    with lease(ledger_of(search.settings.stack), f"study:{search.name}"):
        optuna.storages.fail_stale_trials(study)
        _watch_unborn(study)
        known = read(study)
        found = places(known)
        for place in unsettled(known, wanted):
            last = found.get(place)
            if last is None or last.state == TrialState.FAIL:
                params: dict[str, Any] = last.params if last else {}
                study.enqueue_trial(params, user_attrs={SLOT: place})


def idle_seconds(settings: Settings) -> float:
    """How long to wait, with nothing to do, before asking again who is dead."""
    return min(5.0, settings.tuning.grace_seconds / 5)


def _watch_unborn(study: "optuna.Study") -> None:
    """Give trials without a sign of life one: it goes stale if their process is dead.

    When they began is told by the clock of another host, which may be an hour off.
    """
    from optuna.exceptions import UpdateFinishedTrialError
    from optuna.trial import TrialState

    storage: Any = study._storage
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if WORKER not in trial.user_attrs and WATCHED not in trial.user_attrs:
            with contextlib.suppress(UpdateFinishedTrialError):
                storage.record_heartbeat(trial._trial_id)
                storage.set_trial_user_attr(trial._trial_id, WATCHED, True)


def _is_settled(trial: "FrozenTrial", tries: int) -> bool:
    from optuna.trial import TrialState

    if trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
        return True
    return trial.state == TrialState.FAIL and (ERROR in trial.user_attrs or tries > RETRIES)
