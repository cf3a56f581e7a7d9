"""Take the local platform down.

Guarantees: what was started is ended, with what it started itself, and nothing else; when it
returns nothing of it runs; called again it does nothing. Data, ports and the choice of a database
stay.
"""

from dataclasses import replace
from pathlib import Path

from mlops_tasks.local_platform import lives
from mlops_tasks.platform.services import embedded
from mlops_tasks.platform.services.launching import SERVICES, Tell, mark_of
from mlops_tasks.platform.services.locking import alone
from mlops_tasks.platform.services.processes import end
from mlops_tasks.platform.services.record import Record, folder_of, load, save


def down(home: Path, *, tell: Tell = lambda service, what: None) -> tuple[str, ...]:
    """End the services of a home: the worker first, the database last.

    Parameters
    ----------
    home
        `MLOPS_HOME`.
    tell
        Called with a service and what happens to it.

    Returns
    -------
    tuple of str
        The services that ran.

    Raises
    ------
    PlatformError
        If the record cannot be written.
    """
    with alone(folder_of(home), lambda: tell("platform", "another command is at it: waiting")):
        found = load(home)
        record = found or Record()
        ran = tuple(s.name for s in record.services if lives(s.pid, s.started))
        for name in reversed(SERVICES):
            if name in ran:
                tell(name, "stopping")
            end(mark_of(home, name))
        database = record.service(embedded.NAME)
        if database is not None:
            tell(embedded.NAME, "stopping")
            embedded.end(database)
        if found is not None:
            save(home, replace(record, services=()))
    return ran
