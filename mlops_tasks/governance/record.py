"""Write an event into the ledger of a stack, and have its length witnessed outside of it.

Everything that governs goes through here, so that who acted is told in one way.
"""

import getpass
import os
import socket
import subprocess
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from mlops_tasks.errors import LedgerError
from mlops_tasks.governance.anchors import read_anchor, write_anchor
from mlops_tasks.governance.chain import Verdict, verify
from mlops_tasks.governance.checkpoints import is_genuine, sign
from mlops_tasks.governance.events import Entry, Event
from mlops_tasks.governance.keys import KeyPair, key_pair, public_key
from mlops_tasks.governance.ledger import Ledger
from mlops_tasks.settings.addresses import carries_secret
from mlops_tasks.settings.schema import StackSettings

ACTOR = "MLOPS_ACTOR"
LEDGER_KEY = "ledger"
GIT_SECONDS = 20


@cache
def _opened(url: str, process: int) -> Ledger:
    return Ledger(url)


def ledger_of(stack: StackSettings) -> Ledger:
    """The stack's ledger, opened once in each process.

    Raises
    ------
    LedgerError
        If it cannot be opened, or its address carries a password.
    """
    refuse_password(stack.ledger)
    return _opened(stack.ledger, os.getpid())


def refuse_password(url: str) -> None:
    """Refuse an address that would carry a password into runs and logs, without repeating it.

    Raises
    ------
    LedgerError
        If it does.
    """
    if carries_secret(url):
        raise LedgerError(
            "the address of the ledger must not carry a password",
            where="stack.ledger",
            next_step="take it out, and set PGPASSWORD or use a ~/.pgpass file",
        )


def record(stack: StackSettings, event: Event) -> Entry:
    """Append an event.

    Raises
    ------
    LedgerError
        If it cannot be written: what was to be recorded must then not be done.
    """
    return ledger_of(stack).append(event)


def ledger_key(stack: StackSettings) -> KeyPair:
    """The key that signs checkpoints."""
    return key_pair(Path(stack.key_folder), LEDGER_KEY, "ed25519")


def witness(stack: StackSettings) -> None:
    """Sign how long the ledger is now, and keep that outside the database."""
    length, head, _ = ledger_of(stack).head()
    if length:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        write_anchor(stack.anchor, sign(length, head, now, ledger_key(stack).private))


def audit(stack: StackSettings, auditors_key: Path | None = None) -> Verdict:
    """Verify the whole ledger against all checkpoints.

    Parameters
    ----------
    stack
        Names ledger, anchor and keys.
    auditors_key
        The ledger's public key as the auditor was given it; that of the stack otherwise.
    """
    found, unreadable = read_anchor(stack.anchor)
    genuine, forged = [], [f"{name} cannot be read" for name in unreadable]
    if found:
        key = auditors_key or public_key(Path(stack.key_folder), LEDGER_KEY)
    for each in found:
        if is_genuine(each, key):
            genuine.append(each)
        else:
            forged.append(f"the signature of that of length {each.length} is not the ledger's")
    return verify(ledger_of(stack).rows(), genuine, forged)


@cache
def actor() -> str:
    """Who acts: `MLOPS_ACTOR`, or git's user.email, or the user of this machine.

    A claim, not a proof: what must be proved is signed, see `approvals`.
    """
    if named := os.environ.get(ACTOR):
        return named
    try:
        done = subprocess.run(
            ["git", "config", "user.email"], capture_output=True, text=True, timeout=GIT_SECONDS
        )
        if email := done.stdout.strip():
            return email
    except (OSError, subprocess.SubprocessError):
        pass
    return f"{getpass.getuser()}@{socket.gethostname()}"
