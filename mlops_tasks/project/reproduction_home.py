"""The home of a model that is made again: what it takes of the user's, and what it leaves there.

Guarantee, held by a test of `reproduce`: whatever stack a project uses, a training in such a home
writes nothing to the user's registry, store or ledger. The home itself is the caller's.
"""

import os
from pathlib import Path
from typing import Any

from mlops_tasks.artifacts import Evidence
from mlops_tasks.encoding import decode, digest
from mlops_tasks.registry.lineage import MACHINE_SPECIFIC

LOCAL = "local"
KEPT_OF_PREFECT = ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING", "PREFECT_API_KEY")
NOT_INHERITED = ("PREFECT_", "MLFLOW_", "MLOPS_HOME", "VIRTUAL_ENV", "UV_PROJECT", "GIT_", "DVC_")


def own_variables(home: Path) -> dict[str, str]:
    """The user's variables without those that lead to the user's own state."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(NOT_INHERITED) or name in KEPT_OF_PREFECT
    }
    return kept | {"MLOPS_HOME": str(home)}


def own_places(home: Path) -> list[str]:
    """Overrides, stronger than all before: whatever stack was used, everything stays in `home`."""
    places = {
        "name": LOCAL,
        "tracking_uri": f"sqlite:///{home}/mlflow.db",
        "artifact_root": f"{home}/artifacts",
        "predictions": f"{home}/predictions",
        "store": f"{home}/store",
        "ledger": f"sqlite:///{home}/ledger.db",
        "anchor": f"{home}/anchor",
        "key_folder": f"{home}/keys",
    }
    return [f"stack.{name}='{place}'" for name, place in places.items()]


def left_in(home: Path, run_id: str, stack_name: str) -> tuple[Evidence, str]:
    """What a training left in its home; the configuration under the name of the recorded stack."""
    import yaml

    files = next(home.glob(f"artifacts/*/{run_id}/artifacts"))
    evidence: Evidence = decode((files / "package" / "evidence.json").read_bytes())
    plain: Any = yaml.safe_load((files / "config.yaml").read_text(encoding="utf-8"))
    for group, names in MACHINE_SPECIFIC.items():
        plain[group] = {key: plain[group][key] for key in plain[group] if key not in names}
    plain["stack"]["name"] = stack_name
    return evidence, digest(plain)
