"""Do the services of a stack answer? Each is asked once, all at the same time, for seconds at most.

What is asked costs nothing and changes nothing: the health of a server, the head of a bucket, a
connection to a database, whether a folder can be written.

Guarantees, each held by a test: a service that never answers ends the check all the same, and no
sentence repeats a password.
"""

import contextlib
import json
import os
import queue
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mlops_tasks.doors import NO, is_server
from mlops_tasks.infrastructure.credentials import scheme_of
from mlops_tasks.settings.residency import without_secrets

SECONDS = 5.0
ALL_SECONDS = 12.0
Probe = Callable[[], list[str]]


def ask_all(probes: Mapping[str, Probe], seconds: float = ALL_SECONDS) -> dict[str, list[str]]:
    """Run probes at the same time, and give up on those that take too long.

    Parameters
    ----------
    probes
        Key of the configuration to a function that returns what is wrong, in sentences.
    seconds
        How long to wait for all of them.
    """
    answers: queue.Queue[tuple[str, list[str]]] = queue.Queue()

    def run(key: str, probe: Probe) -> None:
        try:
            answers.put((key, probe()))
        except Exception as error:  # whatever a client of a service raises is its answer
            answers.put((key, [_said(error)]))

    for key, probe in probes.items():
        # Daemons: a client that hangs must not keep the command from ending.
        threading.Thread(target=run, args=(key, probe), daemon=True).start()
    found: dict[str, list[str]] = {}
    until = time.monotonic() + seconds
    while len(found) < len(probes):
        try:
            key, wrong = answers.get(timeout=max(until - time.monotonic(), 0.001))
        except queue.Empty:
            break
        found[key] = wrong
    silent = {key: [f"no answer within {seconds:g} s"] for key in probes if key not in found}
    return {key: wrong for key, wrong in (found | silent).items() if wrong}


def place(uri: str) -> list[str]:
    """What keeps a folder or bucket from being used."""
    scheme = scheme_of(uri)
    if scheme in ("", "file", "sqlite"):
        return _folder(uri)
    if is_server(uri):
        return server(uri)
    if scheme == "s3":
        return _bucket(uri)
    return _filesystem(uri)


def server(address: str) -> list[str]:
    """What keeps a server from answering; any answer at all will do."""
    try:
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(address, timeout=SECONDS).close()
    except (OSError, ValueError) as error:
        return [f"does not answer: {_said(error)}"]
    return []


def database(url: str) -> list[str]:
    """What keeps an SQLAlchemy URL from being connected to."""
    if url.startswith("sqlite"):
        return _folder(url)
    from sqlalchemy import NullPool, create_engine, text
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    try:
        patience = {"connect_timeout": max(int(SECONDS), 1)}
        engine = create_engine(url, poolclass=NullPool, connect_args=patience)
        with engine.connect() as connection:
            connection.execute(text("select 1"))
    except ModuleNotFoundError as error:
        return [f"its driver is not installed: {error.name}; `pip install mlops-tasks[postgres]`"]
    except ArgumentError:
        return ["not an SQLAlchemy URL"]
    except SQLAlchemyError as error:
        return [f"does not answer: {_said(getattr(error, 'orig', None) or error)}"]
    return []


def work_pool(api: str, name: str, environment: Mapping[str, str]) -> dict[str, Any] | None:
    """A work pool as the Prefect API describes it; None if there is none of this name.

    Raises
    ------
    PermissionError
        If the API does not accept the credentials.
    OSError
        If it does not answer.
    """
    headers = {}
    if secret := environment.get("PREFECT_API_AUTH_STRING"):
        import base64

        headers["Authorization"] = f"Basic {base64.b64encode(secret.encode()).decode()}"
    elif secret := environment.get("PREFECT_API_KEY"):
        headers["Authorization"] = f"Bearer {secret}"
    from urllib.parse import quote

    request = urllib.request.Request(f"{api.rstrip('/')}/work_pools/{quote(name)}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            found: dict[str, Any] = json.loads(answer.read())
            return found
    except urllib.error.HTTPError as refusal:
        with refusal:
            if refusal.code == 404:
                return None
            if refusal.code in NO:
                raise PermissionError("the API does not accept these credentials") from None
            raise OSError(f"the API answered {refusal.code}") from None


def _folder(uri: str) -> list[str]:
    path = Path(uri.partition("://")[2].removeprefix("/") if "sqlite" in uri[:7] else uri)
    if uri.startswith("file://"):
        path = Path(uri.removeprefix("file://"))
    folder = path.parent if uri.startswith("sqlite") else path
    existing = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not existing.is_dir():
        return [f"{existing} is a file"]
    return [] if os.access(existing, os.W_OK) else [f"{existing} may not be written"]


def _bucket(uri: str) -> list[str]:
    try:
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.session import get_session
    except ModuleNotFoundError:
        return ["no client for S3 is installed: `pip install mlops-tasks[s3]`"]
    name = uri.partition("://")[2].partition("/")[0]
    patience = Config(
        connect_timeout=SECONDS, read_timeout=SECONDS, retries={"total_max_attempts": 1}
    )
    try:
        get_session().create_client("s3", config=patience).head_bucket(Bucket=name)
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        why = {"404": "there is no such bucket", "403": "these credentials may not read it"}
        return [why.get(code, f"the store answered {code}")]
    except (BotoCoreError, ValueError) as error:
        return [f"does not answer: {_said(error)}"]
    return []


def _filesystem(uri: str) -> list[str]:
    from upath import UPath

    try:
        UPath(uri).parent.exists()
    except ImportError as error:
        return [f"no client for {scheme_of(uri)} is installed: {error}"]
    return []


def _said(error: BaseException) -> str:
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return without_secrets(first) or type(error).__name__
