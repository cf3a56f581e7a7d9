"""How a flow begins, by whatever way it was started: on a laptop, by a worker, from Python."""

from collections.abc import Sequence
from pathlib import Path

from mlops_tasks.governance import residency
from mlops_tasks.platform.closed import require_closed_api
from mlops_tasks.registry.client import reach
from mlops_tasks.settings import Settings
from mlops_tasks.settings.compose import compose


def enter(root: Path, overrides: Sequence[str] | None = None) -> Settings:
    """Compose the configuration, and refuse to begin where something is open or out of place.

    Parameters
    ----------
    root
        The project's folder.
    overrides
        Hydra overrides such as `model=forest`.

    Raises
    ------
    SettingsError
        If the configuration is not valid.
    PlatformError, RegistryError
        If a server does not answer or, on a stack that is not local, lets in anybody.
    ResidencyRefused
        If data would be processed or kept where it may not be.
    """
    settings = compose(root, overrides or [], placed=False)  # a refusal here would leave no trace
    require_closed_api(settings.stack)
    reach(settings.stack)
    residency.enter(settings)
    return settings
