"""One process of a study: it fills places until none is left. Any number of them may run anywhere.

A worker talks to the database of studies and the store, and to nothing else; who starts workers,
and who tells what they found, is the affair of others.
"""

import os
import socket
import time
from typing import TYPE_CHECKING

from mlops_tasks.artifacts import Code, Split
from mlops_tasks.settings.schema import Settings
from mlops_tasks.tuning.storage import answering
from mlops_tasks.tuning.study import (
    ERROR,
    SLOT,
    WORKER,
    Search,
    idle_seconds,
    open_study,
    read,
    tidy,
    unsettled,
)

if TYPE_CHECKING:
    from optuna.trial import Trial

LOOK_SECONDS = 0.3  # how long the last trial may have ended before this process ends too


def try_parameters(
    settings: Settings, split: Split, models: Code, trials: int, worker: int = 0
) -> int:
    """Try parameters until `trials` places of the study have a result.

    Parameters
    ----------
    settings
        Names model, space, metric, seed and database.
    split
        Its training part is learned from and judged on; the comparison set is not read.
    models
        The project's table of builders.
    trials
        How many places the study shall have.
    worker
        Its number, to be told from others of the same host.

    Returns
    -------
    int
        How many trials were done here.

    Raises
    ------
    SettingsError
        If the space does not fit the model.
    DataError
        If the rows cannot be divided into folds.
    RegistryError
        If the database of studies does not answer any more.
    """
    from optuna.exceptions import StorageInternalError, TrialPruned, UpdateFinishedTrialError
    from optuna.trial import TrialState

    from mlops_tasks.tuning.objective import pairs_of, worth
    from mlops_tasks.tuning.space import space_of

    search = Search(settings, split, models)
    space = space_of(settings, models, split.columns)
    pairs, study = pairs_of(search), open_study(search)
    name, done = f"{socket.gethostname()}/{os.getpid()}/{worker}", 0
    latest: int | None = None

    def objective(trial: "Trial") -> float:
        nonlocal done, latest
        latest = trial.number
        if SLOT not in trial.user_attrs:
            raise _NothingToDo
        trial.set_user_attr(WORKER, name)
        done += 1
        try:
            return worth(search, pairs, space, trial)
        except (TrialPruned, StorageInternalError):  # the database's fault is not the model's
            raise
        except Exception as error:  # the model is the project's: it may fail in any way
            trial.set_user_attr(ERROR, f"{type(error).__name__}: {error}"[:500])
            raise

    with answering():
        tidy(study, search, trials)
        tidied = time.monotonic()
        while unsettled(known := read(study), trials):
            if not any(trial.state == TrialState.WAITING for trial in known):
                time.sleep(LOOK_SECONDS)
                if time.monotonic() - tidied > idle_seconds(settings):
                    tidy(study, search, trials)
                    tidied = time.monotonic()
                continue
            latest = None
            try:
                study.optimize(objective, n_trials=1, catch=(Exception,))
            except UpdateFinishedTrialError:  # given up by others: this process was silent too long
                continue
            except ValueError:  # the same, seen by Optuna at another moment
                if latest is None or not study.trials[latest].state.is_finished():
                    raise
    return done


class _NothingToDo(Exception):
    """Another worker was quicker."""
