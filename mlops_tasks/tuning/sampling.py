"""Which parameters a trial tries: Optuna's TPE, seeded by the trial's place in the study.

A sampler that is seeded once draws the same again when a study is resumed, and the same in every
worker. Seeded by place, an undisturbed study with one worker suggests the same parameters each time
it is run, also if it was stopped and resumed in between.

Bergstra et al. (2011), Algorithms for Hyper-Parameter Optimization.
"""

import hashlib
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState


class SeededBySlot(BaseSampler):
    """TPE that begins anew with each trial; `startup` trials are drawn at random before it.

    The trial's user attribute of the name `slot` is its place. The study's storage must take signs
    of life.
    """

    def __init__(self, seed: int, startup: int, slot: str) -> None:
        self._seed, self._startup, self._slot = seed, startup, slot
        self._inner = self._for(0)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Give the trial its first sign of life, and seed by its place."""
        storage: Any = study._storage
        storage.record_heartbeat(trial._trial_id)
        self._inner = self._for(int(trial.user_attrs.get(self._slot, 0)))

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """As TPE does."""
        return self._inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As TPE does."""
        return self._inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: Any
    ) -> Any:
        """As TPE does."""
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        """As TPE does."""
        self._inner.after_trial(study, trial, state, values)

    def _for(self, slot: int) -> TPESampler:
        drawn = hashlib.blake2b(f"{self._seed}/{slot}".encode(), digest_size=4).digest()
        # Trials that run elsewhere count as bad ones: workers do not all try the same place.
        return TPESampler(
            seed=int.from_bytes(drawn, "big"),
            n_startup_trials=self._startup,
            constant_liar=True,
        )
