"""The process that listens: it says where, ends when told to, and says what it cannot do."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from mlops_tasks.cli import app
from mlops_tasks.errors import PlatformError, StorageError
from mlops_tasks.serving.online.keys import read_keys
from mlops_tasks.serving.online.server import open_door, serve
from tests.registry.life import Life
from tests.serving.online.conftest import STILL, placed, wait

PROGRAM = """
import sys
from mlops_tasks.serving.online.server import serve
from mlops_tasks.settings import Settings
settings = Settings.model_validate_json(open(sys.argv[1]).read())
serve(settings, port=0, listening=lambda url: print(url, flush=True))
print("ended", flush=True)
"""


@pytest.mark.slow
def test_a_server_says_where_it_listens_and_ends_when_told_to(
    trained: Life, tmp_path: Path
) -> None:
    (tmp_path / "settings.json").write_text(placed(trained).model_dump_json())
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "settings.json")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        wait(lambda: httpx.get(f"{url}/readyz").status_code == 200, "not ready")
        assert httpx.post(f"{url}/predict", json={"x": 0.1, "y": 0.2}).status_code == 200

        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=60)

    assert (process.returncode, said) == (0, "ended\n")


def test_a_port_that_is_taken_is_said_before_anything_is_begun(trained: Life) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(PlatformError, match="use"):
        serve(placed(trained), STILL, port=taken.getsockname()[1])


def test_a_log_that_cannot_be_opened_is_said(trained: Life, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    settings = placed(trained)
    raw = settings.model_dump()
    raw["stack"]["predictions"] = str(tmp_path / "file")
    raw["policy"]["residency"]["open"]["uri_prefixes"] += (str(tmp_path),)

    with pytest.raises(StorageError):
        serve(type(settings).model_validate(raw), STILL, port=0)


def test_answers_do_not_wait_for_acknowledgements() -> None:
    """asyncio sets TCP_NODELAY on sockets that name their protocol, and on no others."""
    with open_door("127.0.0.1", 0) as door:
        assert door.proto == socket.IPPROTO_TCP


def test_keys_are_made_shown_once_listed_and_removed_by_command(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    call = CliRunner().invoke

    made = call(app, ["keys", "add", "shop", "--scope", "predict", "--keys", str(file)])
    assert made.exit_code == 0
    assert made.stdout.strip().startswith("mlops_shop_")
    secret = made.stdout.strip().removeprefix("mlops_shop_")
    listed = call(app, ["keys", "list", "--keys", str(file)])
    assert listed.stdout.startswith("shop  predict  since 2")
    assert secret not in listed.stdout + file.read_text()
    assert call(app, ["keys", "remove", "shop", "--keys", str(file)]).exit_code == 0
    assert read_keys(file) == []


def test_a_key_without_a_scope_is_wrong_usage(tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["keys", "add", "shop", "--keys", str(tmp_path / "k")])

    assert found.exit_code == 2
