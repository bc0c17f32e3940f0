"""Shows the pages on this machine, to nobody else: a small web server on 127.0.0.1."""

from __future__ import annotations

import errno
import functools
import http.client
import http.server
import io
import posixpath
import urllib.parse
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

from convbench.errors import ArgumentError, StorageError

HOST = "127.0.0.1"
_NAMES = (HOST, "localhost")
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".csv": "text/csv; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".parquet": "application/vnd.apache.parquet",
}


class Pages(http.server.SimpleHTTPRequestHandler):
    """Answers with files below the folder and nothing else: no listing, no hidden file, no link that leads out."""

    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, **_TYPES}  # noqa: RUF012
    server_version = "convbench"
    sys_version = ""

    def send_head(self) -> io.BytesIO | None:  # type: ignore[override]  # of GET and of HEAD
        if not self._is_for_us():
            self.send_error(HTTPStatus.FORBIDDEN, "this server answers to 127.0.0.1 and localhost only")
            return None
        if not self._may_be_seen():
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        return super().send_head()  # type: ignore[return-value]

    def list_directory(self, path: object) -> None:  # type: ignore[override]
        self.send_error(HTTPStatus.NOT_FOUND, "no index.html in this folder")

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")  # a report that was built anew is seen at once
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""

    def _is_for_us(self) -> bool:
        """Whether the page was asked for by the name of this machine.

        A stranger's page may let its own name lead here (DNS rebinding), and would then read the answers.
        """
        port = self.server.server_port  # type: ignore[attr-defined]
        ours = {f"{name}:{port}" for name in _NAMES} | (set(_NAMES) if port == http.client.HTTP_PORT else set())
        return self.headers.get("Host", "") in ours

    def _may_be_seen(self) -> bool:
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        if any(part.startswith(".") for part in posixpath.normpath(path).split("/")) or "\0" in path:
            return False
        root = Path(self.directory).resolve()
        return Path(self.translate_path(self.path)).resolve().is_relative_to(root)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True  # a browser that keeps its connection does not keep the program

    def server_bind(self) -> None:
        self.allow_reuse_address = True
        super(http.server.HTTPServer, self).server_bind()  # HTTPServer's own asks the network for the machine's name
        self.server_name, self.server_port = HOST, self.server_address[1]


def server(folder: str | Path, port: int = 0) -> http.server.ThreadingHTTPServer:
    """A server of the pages in a folder, bound to 127.0.0.1 and not yet running; port 0 is any that is free.

    Raises StorageError if there are no pages, ArgumentError if the port cannot be used.
    """
    root = Path(folder)
    if not (root / "index.html").is_file():
        raise StorageError(f"no pages in {root}: it has no index.html; `convbench report` builds them from results")
    if not 0 <= port <= 65535:
        raise ArgumentError(f"port must be from 0 (any that is free) to 65535, got {port}")
    try:
        return _Server((HOST, port), functools.partial(Pages, directory=str(root.absolute())))
    except OSError as error:
        why = {errno.EADDRINUSE: "another program listens there", errno.EACCES: "only root may listen there"}
        raise ArgumentError(
            f"cannot listen on port {port} of {HOST}: {why.get(error.errno or 0, error.strerror)}; "
            f"`convbench report --serve --port 0` takes one that is free"
        ) from error


def serve(folder: str | Path, port: int = 8000, ready: Callable[[str], object] = print) -> None:
    """Show the pages until the user interrupts (Ctrl-C), which ends it quietly.

    ready: called with the address of the first page once it can be opened. Raises as `server` does.
    """
    with server(folder, port) as running:
        ready(f"http://{HOST}:{running.server_address[1]}/")
        try:
            running.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            return
