"""On a stack that is not local, flows run against a Prefect server that asks who one is.

Guarantee: `require_closed_api` lets a flow start there only if the API in PREFECT_API_URL turns
strangers away and the environment has a key for it. Without an address Prefect would start a server
of its own in the process, unseen by anybody: that is refused too.
"""

import os
from collections.abc import Mapping

from mlops_tasks.doors import is_local, is_server, refuse_secrets_in, require_shut
from mlops_tasks.errors import PlatformError
from mlops_tasks.settings.schema import StackSettings

QUESTION = "/flows/filter"
KEYS = ("PREFECT_API_AUTH_STRING", "PREFECT_API_KEY")


def require_closed_api(stack: StackSettings, environment: Mapping[str, str] = os.environ) -> None:
    """Check the Prefect API that flows of a stack would talk to.

    Parameters
    ----------
    stack
        Where work is tracked; a local one may use any API.
    environment
        Where address and key are looked for.

    Raises
    ------
    PlatformError
        If there is no address or key, the address carries a secret, nobody answers, or strangers
        are let in.
    """
    url = environment.get("PREFECT_API_URL", "")
    refuse_secrets_in(url, "PREFECT_API_URL", PlatformError)
    if is_local(stack):
        return
    if not is_server(url):
        raise PlatformError(
            f"stack {stack.name!r} needs a Prefect server, and there is no address of one",
            where="PREFECT_API_URL",
            next_step="set it to the API of a server with PREFECT_SERVER_API_AUTH_STRING",
        )
    if not any(environment.get(key) for key in KEYS):
        raise PlatformError(
            f"stack {stack.name!r} asks who you are, and the environment does not say",
            where=url,
            next_step=f"set {' or '.join(KEYS)}",
        )
    try:
        require_shut(
            url.rstrip("/") + QUESTION,
            f"the Prefect API of stack {stack.name!r}",
            PlatformError,
            "start its server with PREFECT_SERVER_API_AUTH_STRING, see docs/reference.md, Roles",
        )
    except (OSError, ValueError) as error:
        raise PlatformError(
            f"the Prefect API does not answer: {error}",
            where=url,
            next_step="start it, or correct PREFECT_API_URL",
        ) from error
