"""A stack that is not local keeps its runs and models behind a server that asks who one is.

Guarantee: without an MLflow server that refuses strangers, and without credentials in the
environment, nothing is read from or written to such a stack. Nothing here checks that the
credentials are the right ones; the server does, on the first call.
"""

import os
from collections.abc import Mapping

from mlops_tasks.doors import is_local, is_server, refuse_secrets_in, require_shut
from mlops_tasks.errors import RegistryError
from mlops_tasks.settings.schema import StackSettings

QUESTION = "/api/2.0/mlflow/experiments/search"
SWITCH_ON = "start the server with `--app-name basic-auth`, see docs/reference.md, Roles"


def require_keepable(stack: StackSettings, environment: Mapping[str, str] = os.environ) -> None:
    """Check what can be checked without the network.

    Parameters
    ----------
    stack
        Where work is tracked.
    environment
        Where credentials are looked for; MLflow itself reads the same variables.

    Raises
    ------
    RegistryError
        If an address carries a secret (on any stack), the store is not a server, or there are no
        credentials.
    """
    for name in ("tracking_uri", "artifact_root", "store", "predictions", "anchor"):
        refuse_secrets_in(getattr(stack, name), f"stack.{name}", RegistryError)
    if is_local(stack):
        return
    if not is_server(stack.tracking_uri):
        raise RegistryError(
            f"stack {stack.name!r} tracks without a server: nobody can be kept out of a file",
            where=stack.tracking_uri,
            next_step="set stack.tracking_uri to an MLflow server with access control",
        )
    pair = environment.get("MLFLOW_TRACKING_USERNAME") and environment.get(
        "MLFLOW_TRACKING_PASSWORD"
    )
    if not (pair or environment.get("MLFLOW_TRACKING_TOKEN")):
        raise RegistryError(
            f"stack {stack.name!r} asks who you are, and the environment does not say",
            where=stack.tracking_uri,
            next_step="set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, "
            "or MLFLOW_TRACKING_TOKEN",
        )


def require_closed(stack: StackSettings) -> None:
    """Ask the server of a stack that is not local for data, as a stranger.

    Raises
    ------
    RegistryError
        If it answers with anything but a refusal.
    OSError
        If nobody answers.
    """
    if not is_local(stack):
        address = stack.tracking_uri.rstrip("/") + QUESTION
        require_shut(address, f"the tracking server of stack {stack.name!r}",
                     RegistryError, SWITCH_ON)  # fmt: skip
