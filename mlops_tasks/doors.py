"""Is the door of a service shut? Found out by asking for data as a stranger.

Who has a key may do what is `registry.roles`' affair; here a service is only asked, without any
credentials, for something that strangers must not see.

Guarantees: a door counts as shut only after an explicit "no" (401 or 403), so a redirect, an error
page and silence are no proof; nothing secret is sent, and no address that carries a password is
repeated in an error.
"""

import urllib.error
import urllib.request
from http.client import HTTPMessage
from typing import IO
from urllib.parse import urlsplit

from mlops_tasks.errors import MlopsError
from mlops_tasks.settings.addresses import carries_secret
from mlops_tasks.settings.schema import StackSettings

LOCAL = "local"
PROBE_SECONDS = 5
NO = (401, 403)
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def is_local(stack: StackSettings) -> bool:
    """Whether a stack is one person's own machine: named so, and no server elsewhere in it."""
    server = is_server(stack.tracking_uri)
    here = not server or urlsplit(stack.tracking_uri).hostname in LOOPBACK
    return stack.name == LOCAL and here


def is_server(address: str) -> bool:
    """Whether something listens at an address that can tell one person from another."""
    return address.lower().startswith(("http://", "https://"))


def refuse_secrets_in(address: str, key: str, error: type[MlopsError]) -> None:
    """Refuse an address with a secret in it, and do not repeat it.

    Raises
    ------
    MlopsError
        Of the kind that is given.
    """
    if carries_secret(address):
        raise error(
            "an address must not carry a user name, password or key: it would end up in logs and "
            "runs",
            where=key,
            next_step="take it out and set it in the environment",
        )


def require_shut(address: str, what: str, error: type[MlopsError], next_step: str) -> None:
    """Ask for data without credentials, and be content only with a refusal.

    Parameters
    ----------
    address
        A POST with an empty JSON object to it would answer with data.
    what
        How the service is called in the error.
    error
        The kind of error to raise.
    next_step
        What the operator should do about an open door.

    Raises
    ------
    MlopsError
        If strangers are let in, or it cannot be told; of the kind that is given.
    OSError
        If nobody answers.
    """
    status = answer_to_a_stranger(address)
    if status in NO:
        return
    if status < 300:
        problem = f"{what} lets in anybody: it answered a request without credentials"
    else:
        problem = f"{what} cannot be told to keep anybody out: it answered {status}"
        next_step = "give the address of the service itself, the one that answers 401 to strangers"
    raise error(problem, where=address, next_step=next_step)


def answer_to_a_stranger(address: str) -> int:
    """The status that a POST without credentials gets; redirects are not followed."""
    request = urllib.request.Request(
        address, data=b"{}", headers={"Content-Type": "application/json"}, method="POST"
    )
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=PROBE_SECONDS) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code


class _Stay(urllib.request.HTTPRedirectHandler):
    """A redirect says nothing about what is behind it."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> None:
        return None
