"""Where the platform keeps its state: SQLite files, a PostgreSQL server, or one of our own.

Guarantees: an address with a password in it is refused and not repeated, since the record, logs and
process lists would show it; three programs never share a database, since two of them keep their
migrations in a table of the same name. What lies in SQLite is not moved to PostgreSQL, nor back.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from mlops_tasks.doors import refuse_secrets_in
from mlops_tasks.errors import PlatformError
from mlops_tasks.local_platform import EMBEDDED

SQLITE = "sqlite"
SCHEMES = ("postgresql", "postgres")
PARTS = ("prefect", "mlflow", "ledger")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
PASSWORD = "put the password in PGPASSWORD or ~/.pgpass, and leave it out of the address"


@dataclass(frozen=True, slots=True)
class Addresses:
    """SQLAlchemy URLs: what each server opens, and what commands are told besides.

    An empty `prefect` is its own file in PREFECT_HOME.
    """

    prefect: str
    mlflow: str
    clients: Mapping[str, str] = field(default_factory=dict)


def sqlite(home: Path) -> Addresses:
    """The files that commands without a platform use too: there is one history."""
    return Addresses(prefect="", mlflow=f"sqlite:///{home / 'mlflow.db'}")


def postgres(url: str) -> Addresses:
    """Three databases beside each other on a server; see `names` for what they are called.

    Commands open the databases themselves, as they open SQLite's files: where data lie is then in
    the address, and the policy can judge it.
    """
    mlflow = _with(url, "postgresql+psycopg", _database(url, "mlflow"))
    ledger = _with(url, "postgresql+psycopg", _database(url, "ledger"))
    return Addresses(
        prefect=_with(url, "postgresql+asyncpg", _database(url, "prefect")),
        mlflow=mlflow,
        clients={"MLOPS_TRACKING_URI": mlflow, "MLOPS_LEDGER_URI": ledger},
    )


def on_socket(folder: Path) -> str:
    """The URL of a server that listens on a socket in a folder."""
    return f"postgresql://postgres@/mlops?host={quote(str(folder))}"


def names(url: str) -> tuple[str, ...]:
    """The databases that must be there: the one that is named, with a suffix for each program."""
    return tuple(_database(url, part) for part in PARTS)


def require_usable(choice: str) -> str:
    """Check the user's word for a database.

    Returns
    -------
    str
        `sqlite`, `embedded`, or a URL that begins with `postgresql://`.

    Raises
    ------
    PlatformError
        If it is none of these, has a password in it or names no database.
    """
    if choice in (SQLITE, EMBEDDED):
        return choice
    scheme, separator, rest = choice.partition("://")
    if not separator or scheme not in SCHEMES:
        raise PlatformError(
            "this is not a database that the platform can use",
            where="--database",
            next_step="give sqlite, embedded or postgresql://user@host:5432/name",
        )
    try:
        refuse_secrets_in(choice, "--database", PlatformError)
    except PlatformError as error:
        raise PlatformError(error.what, where=error.where, next_step=PASSWORD) from None
    url = f"postgresql://{rest}"
    if not NAME.fullmatch(urlsplit(url).path.lstrip("/")):
        raise PlatformError(
            "the address names no database, or one with signs other than letters, digits, _ and -",
            where="--database",
            next_step="end it in a name: postgresql://user@host:5432/mlops",
        )
    return url


def create(url: str) -> None:
    """Make the databases that are missing.

    Raises
    ------
    PlatformError
        If the server does not answer, does not let us in, or does not let us make them.
    """
    try:
        import psycopg
        from psycopg import sql
    except ImportError as error:
        raise PlatformError(
            f"the driver of PostgreSQL is missing: {error}",
            where="--database",
            next_step="uv add 'mlops-tasks[postgres]'",
        ) from error
    wanted = names(url)
    try:
        with psycopg.connect(_with(url, "postgresql", "postgres"), autocommit=True) as connection:
            for name in wanted:
                query = "SELECT 1 FROM pg_database WHERE datname = %s"
                if connection.execute(query, (name,)).fetchone() is None:
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    except psycopg.Error as error:
        raise PlatformError(
            f"the databases cannot be opened or made: {str(error).strip().splitlines()[0]}",
            where=url,
            next_step=f"start the server; {PASSWORD}; "
            f"or let somebody who may: createdb {'; createdb '.join(wanted)}",
        ) from error


def _database(url: str, part: str) -> str:
    return f"{urlsplit(url).path.lstrip('/')}_{part}"


def _with(url: str, scheme: str, database: str) -> str:
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    return f"{scheme}://{parts.netloc}/{database}{query}"
