"""The environment variables that a configuration reads, and that its jobs elsewhere need too.

Addresses of a company stand in the environment and not in `conf/stack/*.yaml`; a flow that a worker
runs composes the same configuration, so its job is given them.

Guarantees, each held by a test: all that are missing are named at once, and what looks like a
secret is not carried, because job variables are stored with the deployment.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlops_tasks.errors import SettingsError
from mlops_tasks.infrastructure.problem import OBSERVED
from mlops_tasks.infrastructure.secrets import is_secret
from mlops_tasks.settings.compose import environment_read


@dataclass(frozen=True, slots=True)
class Read:
    """What a configuration reads from the environment.

    `missing` are names that must be set and are not; `secret` those that would be carried to a job
    and look like secrets, by name or by value; `carried` are the others that are set, but
    for the region of this process, which is not that of the job.
    """

    carried: Mapping[str, str]
    missing: tuple[str, ...]
    secret: tuple[str, ...]


def read(
    root: Path, overrides: Sequence[str] = (), environment: Mapping[str, str] = os.environ
) -> Read:
    """Look at what a project's configuration reads.

    Parameters
    ----------
    root
        The project's folder.
    overrides
        Hydra overrides such as `stack=team`.
    environment
        Where the values are looked for.

    Raises
    ------
    SettingsError
        If the configuration cannot be composed.
    """
    names = environment_read(root, overrides)
    found = {name: environment[name] for name in names if environment.get(name)}
    secret = tuple(name for name, value in found.items() if is_secret(name, value))
    return Read(
        carried={name: value for name, value in found.items() if name not in (*secret, OBSERVED)},
        missing=tuple(name for name, needed in names.items() if needed and name not in found),
        secret=secret,
    )


def job_environment(
    root: Path, overrides: Sequence[str] = (), environment: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """What a job needs to compose the same configuration, for `translation.job_variables`.

    Parameters
    ----------
    root, overrides, environment
        As for `read`.

    Raises
    ------
    SettingsError
        If variables are not set, or are secrets; with all their names.
    """
    found = read(root, overrides, environment)
    wrong = [f"{name} is not set" for name in found.missing]
    wrong += [f"{name} is a secret, and would be stored with the job" for name in found.secret]
    if wrong:
        raise SettingsError(
            "; ".join(wrong),
            where="the environment, as conf/stack/*.yaml reads it",
            next_step="set them, or take secrets out of conf/; see `mlops stack check`",
        )
    return dict(found.carried)
