"""Hosts that are network namespaces: each with an address and a name of its own, on one wire."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

SERVER, WIRE = "10.77.0.1", "br0"
# What comes to a port goes to the socket of a server whose files everybody sees.
FORWARD = """
import asyncio, sys
async def pipe(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data); await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
async def served(reader, writer):
    there, back = await asyncio.open_unix_connection(sys.argv[2])
    await asyncio.gather(pipe(reader, back), pipe(there, writer))
async def main():
    server = await asyncio.start_server(served, sys.argv[1], 5432)
    print("ready", flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


@dataclass(frozen=True)
class Host:
    """A namespace with one network card, `eth0`."""

    name: str

    @property
    def prefix(self) -> list[str]:
        """Put before a command, it runs there, under the host's name."""
        named = ["sh", "-c", 'hostname "$0" && exec "$@"', self.name]
        return ["ip", "netns", "exec", self.name, "unshare", "--uts", *named]

    def unplug(self) -> None:
        """Nothing leaves or reaches the host from now on; its processes go on."""
        _ip("-n", self.name, "link", "set", "eth0", "down")


@contextlib.contextmanager
def hosts(count: int, socket: str) -> Iterator[list[Host]]:
    """So many hosts that reach port 5432 of `SERVER`, and nothing else; behind it is a socket."""
    names = [f"mlops-{os.getpid()}-{number}" for number in range(count + 1)]
    with contextlib.ExitStack() as running:
        for name in names:
            _made(name)
            running.callback(_ip, "netns", "del", name)
            _ip("-n", name, "link", "set", "lo", "up")
        server = names[-1]
        _ip("-n", server, "link", "add", WIRE, "type", "bridge")
        _ip("-n", server, "address", "add", f"{SERVER}/24", "dev", WIRE)
        _ip("-n", server, "link", "set", WIRE, "up")
        for number, name in enumerate(names[:-1]):
            card = f"to{number}"
            pair = ["type", "veth", "peer", "name", "eth0", "netns", name]
            _ip("-n", server, "link", "add", card, *pair)
            _ip("-n", server, "link", "set", card, "master", WIRE, "up")
            _ip("-n", name, "address", "add", f"10.77.0.{number + 2}/24", "dev", "eth0")
            _ip("-n", name, "link", "set", "eth0", "up")
        command = ["ip", "netns", "exec", server, sys.executable, "-c", FORWARD, SERVER, socket]
        gate = running.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
        running.callback(gate.kill)
        assert gate.stdout is not None
        assert gate.stdout.readline() == b"ready\n"
        yield [Host(name) for name in names[:-1]]


def _made(name: str) -> None:
    if os.geteuid() or not shutil.which("ip"):
        pytest.skip("network namespaces are made by root, with `ip`")
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"network namespaces cannot be made here: {made.stderr.strip()}")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
