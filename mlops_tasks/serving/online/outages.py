"""Why a version could not be taken: for its own sake, or because what keeps it was out of reach.

Whether to ask a server again at once is the affair of `patience`; this is asked when that is over.

Guarantee, held by a test: a missing file, an altered one and a model that cannot score are no
outage; a store, a registry or a ledger that refuses the connection, answers 5xx, hangs up or says
nothing is one, and so is a machine without space, memory or file handles.
"""

import errno
from typing import TYPE_CHECKING, Literal

from mlops_tasks.errors import LedgerError
from mlops_tasks.patience import ABSENT, causes, may_pass

if TYPE_CHECKING:
    from mlflow import MlflowClient

Cause = Literal["version", "outage"]
OF_DATABASES = frozenset({"OperationalError"})  # of SQLAlchemy and of every driver
PASSING = frozenset(
    {
        *(errno.EIO, errno.ESTALE, errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE),
        *(errno.ENOMEM, errno.EAGAIN, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ETIMEDOUT),
    }
)


def cause_of(error: BaseException) -> Cause:
    """Whether the error says something of the version, or only that something was away.

    Examples
    --------
    >>> cause_of(ConnectionRefusedError()), cause_of(FileNotFoundError())
    ('outage', 'version')
    """
    chain = list(causes(error))
    names = {kind.__name__ for each in chain for kind in type(each).__mro__}
    passing = any(isinstance(each, OSError) and each.errno in PASSING for each in chain)
    away = isinstance(error, LedgerError) or bool(names & (ABSENT | OF_DATABASES))
    return "outage" if passing or away or may_pass(error) else "version"


def cause_at(client: "MlflowClient", run_id: str, error: BaseException) -> Cause:
    """The same for the files of a run: MLflow tells of a failed download in words only.

    Where it did, it is asked for the list of them, which it has also where they are gone.
    """
    found = cause_of(error)
    if found == "version" and any(
        type(each).__name__ == "MlflowException" for each in causes(error)
    ):
        try:
            client.list_artifacts(run_id)
        except Exception:  # in words again, whatever it was
            return "outage"
    return found
