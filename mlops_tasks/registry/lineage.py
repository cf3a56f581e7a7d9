"""What a model came from: git, data, configuration, code and environment, each as a digest.

Nothing here fails a training for lack of git: an unknown commit is recorded as "none", and the
auditor sees that.
"""

import subprocess
from pathlib import Path

from mlops_tasks import __version__
from mlops_tasks.artifacts import Code, Dataset, Lineage
from mlops_tasks.encoding import digest
from mlops_tasks.governance.locked_environment import environment_digest, standing
from mlops_tasks.governance.residency import observed_region
from mlops_tasks.settings.schema import Settings

MACHINE_SPECIFIC = {
    "stack": {
        "compute",
        "runner",
        "tracking_uri",
        "artifact_root",
        "store",
        "predictions",
        "ledger",
        "anchor",
        "key_folder",
    }
}
GIT_SECONDS = 20


def trace(root: str, settings: Settings, data: Dataset, models: Code) -> Lineage:
    """Collect the lineage of a training.

    Parameters
    ----------
    root
        The project's folder.
    settings
        The resolved configuration.
    data
        The snapshot that was trained on.
    models
        The project's table of models.
    """
    environment = standing(Path(root))
    return Lineage(
        git_commit=_git(root, "rev-parse", "HEAD") or "none",
        git_dirty=_git(root, "status", "--porcelain") != "",
        dvc_rev=data.dvc_rev,
        data_digest=data.digest,
        config_digest=config_digest(settings),
        environment_digest=environment_digest(),
        code_digest=models.digest,
        library_version=__version__,
        seed=settings.seed,
        region=observed_region(settings.stack),
        lock_digest=environment.lock_digest,
        environment_state=environment.state,
    )


def config_digest(settings: Settings) -> str:
    """SHA-256 of the configuration without the addresses that differ from machine to machine."""
    return digest(settings.model_dump(mode="json", exclude=MACHINE_SPECIFIC))


def _git(root: str, *words: str) -> str | None:
    """What git prints, or None where it cannot answer."""
    try:
        done = subprocess.run(
            ["git", "-C", str(Path(root)), *words],
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
