"""A real HTTP proxy that has bad moments: it answers 500, says nothing, or hangs up half way."""

import contextlib
import http.client
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "proxy-connection"}


class Flaky:
    """What the proxy does now, and what it has seen."""

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream)
        self.url = ""
        self.mode, self.until = "well", 0.0
        self.seen: list[tuple[str, str, str]] = []
        self.methods: tuple[str, ...] = ()

    def be(self, mode: str, seconds: float, *methods: str) -> None:
        """Be "unwell" (500), "mute" or "gone" (hangs up after the work) for some time."""
        self.mode, self.until, self.methods = mode, time.monotonic() + seconds, methods
        self.seen.clear()

    def well(self) -> None:
        """Be well again."""
        self.until = 0.0

    def now(self, method: str, path: str) -> str:
        bad = time.monotonic() < self.until
        if bad and self.methods and not any(f"{method} {path}".startswith(m) for m in self.methods):
            bad = False
        mode = self.mode if bad else "well"
        self.seen.append((method, path, mode))
        return mode


@contextlib.contextmanager
def flaky(upstream: str) -> Iterator[Flaky]:
    """A proxy before a server, on a free port of loopback."""
    state = Flaky(upstream)
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *words: Any) -> None:
            pass

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            mode = state.now(self.command, self.path)
            if mode == "mute":
                while time.monotonic() < state.until and not over.wait(0.1):
                    pass
                self.close_connection = True
                return
            if mode == "unwell":
                self._answer(500, {}, b"I am not well")
                return
            self._forward(body, mode)

        def _forward(self, body: bytes, mode: str) -> None:
            names = {k: v for k, v in self.headers.items() if k.lower() not in HOP}
            connection = http.client.HTTPConnection(
                state.upstream.hostname or "", state.upstream.port, timeout=120
            )
            connection.putrequest(
                self.command, self.path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in names.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            content = answer.read()
            if mode == "gone":
                self.close_connection = True
                connection.close()
                return
            headers = {k: v for k, v in answer.getheaders() if k.lower() not in HOP}
            self._answer(answer.status, headers, content)
            connection.close()

        def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
            self.send_response_only(status)
            length = headers.get("Content-Length") if self.command == "HEAD" else None
            for name, value in headers.items():
                if name.lower() != "content-length":
                    self.send_header(name, value)
            self.send_header("Content-Length", length or str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_PATCH = _handle  # noqa: N815

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        over.set()
        server.shutdown()
        server.server_close()
