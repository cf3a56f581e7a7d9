"""Writes the manifests of a model's present split into a folder.

What stands in them is the affair of `manifests`; here the present champion and split are asked for.
"""

from pathlib import Path

from mlops_tasks.errors import StorageError
from mlops_tasks.registry.history import standing_champion
from mlops_tasks.serving.traffic.manifests import as_yaml, manifests
from mlops_tasks.serving.traffic.pods import Deployed
from mlops_tasks.serving.traffic.state import traffic_of
from mlops_tasks.serving.traffic.trust import refused
from mlops_tasks.settings.schema import Settings


def write_manifests(
    settings: Settings,
    out: Path,
    *,
    image: str,
    replicas: int,
    cpu: str,
    memory: str,
    secret: str = "",
    keys_secret: str = "",
    overrides: tuple[str, ...] = (),
) -> tuple[Path, ...]:
    """Render champion and canary as they stand now; see `Deployed` for the parameters.

    A file of a canary that is no more is removed.

    Raises
    ------
    PromotionRefused
        If there is no champion.
    StorageError
        If a file cannot be written.
    """
    model = settings.registered_model
    if standing_champion(settings.stack, model) is None:
        raise refused(settings, "there is no champion to deploy", "`mlops promote` makes one")
    deployed = Deployed(
        name=model.replace(".", "-"),
        image=image,
        replicas=replicas,
        cpu=cpu,
        memory=memory,
        secret=secret,
        keys_secret=keys_secret,
        overrides=overrides,
    )
    files = manifests(deployed, traffic_of(settings.stack, model))
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "kserve-2-canary.yaml").unlink(missing_ok=True)
        for name, documents in files.items():
            (out / name).write_text(as_yaml(documents), encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"the manifests cannot be written: {error.strerror or error}",
            where=str(out),
            next_step="name another folder with --out",
        ) from error
    return tuple(out / name for name in files)
