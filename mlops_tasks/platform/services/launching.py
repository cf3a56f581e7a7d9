"""Start the services of one platform one by one, remembering what was started.

Guarantees: each start is on record before it is waited for, so that a killed command leaves nothing
unknown behind; what a killed service left is ended before it is started again; a port that another
program takes meanwhile is given up for a free one, unless it was asked for; `take_back` ends what
was started here, and only that.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from mlops_tasks.errors import PlatformError
from mlops_tasks.local_platform import lives
from mlops_tasks.platform.services import embedded, ports
from mlops_tasks.platform.services.processes import answers, end, start
from mlops_tasks.platform.services.programs import Program
from mlops_tasks.platform.services.readiness import Ended, wait
from mlops_tasks.platform.services.record import Record, Service, folder_of, save

SERVICES = ("prefect", "mlflow", "worker")  # in the order of their ports
HUNG_SECONDS = 20.0  # a process that runs and does not answer for so long is started again
Tell = Callable[[str, str], None]
Make = Callable[[int], Program]
Ready = Callable[[Service], bool]


@dataclass
class Start:
    """One call of `up`: the record as it grows, and what was started."""

    home: Path
    record: Record
    port_base: int | None
    tell: Tell
    started: list[str] = field(default_factory=list)

    def keep(self, record: Record) -> None:
        """Go on with another record, and write it down."""
        self.record = record
        save(self.home, record)

    def runs(self, name: str) -> bool:
        """Whether a service is alive."""
        service = self.record.service(name)
        return service is not None and lives(service.pid, service.started)


def mark_of(home: Path, name: str) -> str:
    """What the processes of a service are known by."""
    return f"{name}@{home}"


def launch(call: Start, name: str, make: Make) -> None:
    """Start a service unless it runs; does not wait for it.

    Raises
    ------
    PlatformError
        If the port that is asked for is taken, or it runs on another.
    """
    asked = None if call.port_base is None else call.port_base + SERVICES.index(name)
    had = call.record.ports.get(name)
    if call.runs(name):
        if asked not in (None, had):
            raise PlatformError(
                f"{name} runs already, on port {had} and not on {asked}",
                where=f"--port-base {call.port_base}",
                next_step="mlops down, then this command again",
            )
        return
    end(mark_of(call.home, name))  # what a killed one left behind would keep its port
    port = ports.choose(name, asked=asked, had=had)
    call.tell(name, f"starting on port {port}")
    program = make(port)
    log = folder_of(call.home) / f"{name}.log"
    mark = mark_of(call.home, name)
    call.started.append(name)
    pid, started = start(program.command, program.environment, mark=mark, log=log)
    service = Service(
        name=name,
        pid=pid,
        started=started,
        since=datetime.now(UTC).isoformat(timespec="seconds"),
        address=program.address,
        health=program.health,
        log=str(log),
    )
    record = replace(call.record, ports={**call.record.ports, name: port})
    call.keep(record.with_service(service))


def settle(call: Start, name: str, make: Make, online: Callable[[], bool] | None = None) -> Service:
    """Wait until a launched service is ready; start it again, once, where that may help.

    Parameters
    ----------
    call
        What is under way.
    name, make
        The service, and its program on a port.
    online
        What must be true besides, for one that was started just now.

    Raises
    ------
    PlatformError
        If it does not become ready.
    """
    fresh = name in call.started

    def ready(service: Service) -> bool:
        return answers(service) and (online is None or not fresh or online())

    try:
        if fresh:
            wait(_of(call, name), ready)
        else:
            wait(_of(call, name), ready, seconds=HUNG_SECONDS)
    except Ended:
        if call.port_base is not None or ports.is_free(call.record.ports[name]):
            raise
        call.tell(name, "its port was taken meanwhile: trying another")
        _again(call, name, make, ready)
    except PlatformError:
        if fresh:
            raise
        call.tell(name, "it runs and does not answer: starting it again")
        end(mark_of(call.home, name))
        _again(call, name, make, ready)
    service = _of(call, name)
    call.tell(name, f"ready: {service.address}")
    return service


def take_back(call: Start, before: Record) -> None:
    """End what this call started, the last first; what ran before goes on as it was."""
    for name in reversed(call.started):
        service = call.record.service(name)
        if name != embedded.NAME:
            end(mark_of(call.home, name))
        elif service is not None:
            embedded.end(service)
        call.record = call.record.without(name)
    call.keep(replace(before, services=call.record.services))


def _again(call: Start, name: str, make: Make, ready: Ready) -> None:
    call.keep(call.record.without(name))
    launch(call, name, make)
    wait(_of(call, name), ready)


def _of(call: Start, name: str) -> Service:
    service = call.record.service(name)
    if service is None:
        raise PlatformError(f"{name} was not started", where=str(call.home), next_step="mlops up")
    return service
