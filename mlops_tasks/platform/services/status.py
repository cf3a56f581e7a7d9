"""How the local platform is, seen from outside. Changes nothing and waits for nobody's lock."""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from mlops_tasks.local_platform import EMBEDDED, lives
from mlops_tasks.platform.services import embedded
from mlops_tasks.platform.services.launching import SERVICES
from mlops_tasks.platform.services.processes import answers
from mlops_tasks.platform.services.record import Record, load


@dataclass(frozen=True, slots=True)
class Standing:
    """How one service is: `ready`, `not answering`, `dead` or `stopped`."""

    service: str
    state: str
    address: str = ""
    pid: int | None = None
    since: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """How the platform is, and in which versions it runs that this environment does not have."""

    home: str
    database: str
    services: tuple[Standing, ...]
    outdated: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether all of it does its work."""
        return all(each.state == "ready" for each in self.services)

    @property
    def running(self) -> bool:
        """Whether anything of it is alive."""
        return any(each.state in ("ready", "not answering") for each in self.services)


def status(home: Path) -> Status:
    """Ask every service of a home.

    Parameters
    ----------
    home
        `MLOPS_HOME`.
    """
    record = load(home) or Record()
    wanted = (embedded.NAME, *SERVICES) if record.database == EMBEDDED else SERVICES
    services = tuple(_standing(record, name) for name in wanted)
    return Status(str(home), record.database, services, _outdated(record))


def _standing(record: Record, name: str) -> Standing:
    service = record.service(name)
    if service is None:
        return Standing(name, "stopped")
    if not lives(service.pid, service.started):
        return Standing(name, "dead", service.address)
    state = "ready" if answers(service) else "not answering"
    return Standing(name, state, service.address, service.pid, service.since)


def _outdated(record: Record) -> tuple[str, ...]:
    if not record.services:
        return ()
    return tuple(
        f"{name} {old}, here is {version(name)}"
        for name, old in record.versions.items()
        if old != version(name)
    )
