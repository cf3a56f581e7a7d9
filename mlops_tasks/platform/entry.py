"""How a flow begins, by whatever way it was started: on a laptop, by a worker, from Python."""

from collections.abc import Sequence
from pathlib import Path

from mlops_tasks.governance import residency
from mlops_tasks.governance.locked_environment import require_locked
from mlops_tasks.platform.answering import answer
from mlops_tasks.platform.closed import require_closed_api
from mlops_tasks.platform.deployments import checkout
from mlops_tasks.registry.client import reach
from mlops_tasks.settings import Settings
from mlops_tasks.settings.compose import compose


def enter(root: Path, overrides: Sequence[str] | None = None, alarm: str = "") -> Settings:
    """Compose the configuration, and refuse to begin where something is open or out of place.

    Parameters
    ----------
    root
        The project's folder.
    overrides
        Hydra overrides such as `model=forest`.
    alarm
        What the flow answers, if it is one: only one run does, see `answering`.

    Raises
    ------
    ProjectError
        If the project's package was imported from elsewhere.
    SettingsError
        If the configuration is not valid.
    PlatformError, RegistryError
        If a server does not answer or, on a stack that is not local, lets in anybody.
    ResidencyRefused
        If data would be processed or kept where it may not be.
    GovernanceError
        If the environment is not the locked one, under `policy.environment=refuse`.
    Abort
        If another run answers the alarm.
    """
    checkout.prefer(root)
    settings = compose(root, overrides or [], placed=False)  # a refusal here would leave no trace
    require_closed_api(settings.stack)
    reach(settings.stack)
    _tell(require_locked(root, settings))
    residency.enter(settings)
    if alarm:
        answer(settings, alarm)
    return settings


def _tell(note: str) -> None:
    """Write a note into the log of the flow run, which is where a worker's runs are looked at."""
    from prefect.exceptions import MissingContextError
    from prefect.logging import get_logger, get_run_logger

    if not note:
        return
    try:
        get_run_logger().warning(note)
    except MissingContextError:
        get_logger("mlops_tasks").warning(note)
