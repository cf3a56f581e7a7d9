"""With the network watched, a training asks nobody outside this machine for anything."""

from pathlib import Path

import pytest

from tests.conftest import Generated

pytestmark = pytest.mark.slow

WATCH = """
import os, socket
_log = os.environ["WATCHED"]
def _note(where):
    with open(_log, "a") as file:
        file.write(repr(where) + "\\n")
_connect, _resolve = socket.socket.connect, socket.getaddrinfo
def connect(self, address):
    if self.family != socket.AF_UNIX and not str(address[0]).startswith(("127.", "::1")):
        _note(address)
        raise OSError("the network is cut")
    return _connect(self, address)
def resolve(host, *rest, **more):
    if host not in (None, "localhost", "127.0.0.1", "::1", b"127.0.0.1"):
        _note(host)
        raise socket.gaierror("the network is cut")
    return _resolve(host, *rest, **more)
socket.socket.connect, socket.getaddrinfo = connect, resolve
"""


def watched(project: Generated, folder: Path) -> dict[str, str]:
    """Environment in which every Python process, children too, notes what it asks for."""
    (folder / "sitecustomize.py").write_text(WATCH)
    return {"PYTHONPATH": str(folder), "WATCHED": str(folder / "asked.txt")}


def test_the_watch_notices(project: Generated, tmp_path: Path) -> None:
    code = "import urllib.request as u\ntry: u.urlopen('http://example.org')\nexcept OSError: pass"
    project.run("python", "-c", code, **watched(project, tmp_path))
    assert "example.org" in (tmp_path / "asked.txt").read_text()


def test_training_and_scoring_ask_nobody(project: Generated, tmp_path: Path) -> None:
    ours = project.with_home(tmp_path / "home")
    environment = watched(project, tmp_path)
    # Its own in-process server too: that is where Prefect's telemetry would start.
    environment["PREFECT_API_URL"] = ""
    ours.run("mlops", "train", "model=linear", **environment)
    ours.run("mlops", "compare", **environment)
    ours.run("dvc", "status", **environment, DVC_NO_ANALYTICS="1")
    asked = tmp_path / "asked.txt"
    assert not asked.exists(), asked.read_text()
