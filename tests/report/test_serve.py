"""The server of the pages: what it shows, to whom, and what it never shows."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from convbench.errors import ArgumentError, StorageError
from convbench.report.serve import HOST, serve, server


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    folder = tmp_path / "reports"
    (folder / "asv" / "vendor").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / ".git").mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "to-secret.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "index.html").write_text("<title>überblick</title>", encoding="utf-8")
    (folder / "asv" / "index.html").write_text("<title>asv</title>")
    for name in ("a b.svg", "x.js", "x.css", "x.json", "x.csv", "x.parquet", "x.png", ".hidden", ".git/config"):
        (folder / name).write_text("content")
    return folder


@pytest.fixture
def port(pages: Path) -> Iterator[int]:
    with server(pages) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running.server_address[1]
        running.shutdown()
        thread.join()


def ask(port: int, path: str, method: str = "GET", host: str | None = None) -> tuple[int, str, str]:
    """Status, type and text of the answer; the path is sent as it is, unlike a browser does it."""
    connection = http.client.HTTPConnection(HOST, port, timeout=20)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host if host is not None else f"{HOST}:{port}")
    connection.endheaders()
    answer = connection.getresponse()
    found = answer.status, answer.headers.get("Content-Type", ""), answer.read().decode()
    connection.close()
    return found


def test_pages_are_shown(port: int) -> None:
    assert ask(port, "/") == (200, "text/html; charset=utf-8", "<title>überblick</title>")
    assert ask(port, "/index.html?image=1024#x")[0] == 200
    assert ask(port, "/asv/") == (200, "text/html; charset=utf-8", "<title>asv</title>")
    assert ask(port, "/asv")[0] == 301
    assert ask(port, "/", "HEAD") == (200, "text/html; charset=utf-8", "")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a%20b.svg", "image/svg+xml"), ("x.js", "text/javascript; charset=utf-8"), ("x.css", "text/css; charset=utf-8"),
        ("x.json", "application/json"), ("x.csv", "text/csv; charset=utf-8"), ("x.png", "image/png"),
        ("x.parquet", "application/vnd.apache.parquet"),
    ],
)  # fmt: skip
def test_files_have_their_types(port: int, name: str, kind: str) -> None:
    assert ask(port, f"/{name}") == (200, kind, "content")


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt", "/%2e%2e/secret.txt", "/asv/../../secret.txt", "//../secret.txt", "/..%2fsecret.txt",
        "/to-secret.txt", "/.hidden", "/.git/config", "/asv/../.hidden", "/%2ehidden", "/empty/", "/none", "/x.js/", "/a%00b",
    ],
)  # fmt: skip
def test_nothing_else_is_shown(port: int, path: str) -> None:
    status, _, text = ask(port, path)
    assert status == 404
    assert "secret.txt" not in text
    assert "content" not in text.replace("content-type", "").replace('content="', "")


@pytest.mark.parametrize(
    "host", ["evil.example:{}", "127.0.0.1.evil.example:{}", "", "127.0.0.1", "localhost:1", "[::1]:{}"]
)
def test_other_names_are_refused(port: int, host: str) -> None:
    assert ask(port, "/", host=host.format(port))[0] == 403
    assert ask(port, "/", host=f"localhost:{port}")[0] == 200


def test_nothing_can_be_written(port: int) -> None:
    assert ask(port, "/", "POST")[0] == 501
    assert ask(port, "/x.js", "DELETE")[0] == 501


def test_it_listens_on_this_machine_only(pages: Path) -> None:
    with server(pages) as running:
        assert running.socket.getsockname()[0] == "127.0.0.1"


def test_a_port_that_is_taken_and_others_that_cannot_be(pages: Path) -> None:
    with server(pages) as running:
        taken = running.server_address[1]
        with pytest.raises(ArgumentError, match=rf"port {taken} .*another program.*--serve --port 0"):
            server(pages, taken)
    for port in (-1, 65536):
        with pytest.raises(ArgumentError, match="from 0"):
            server(pages, port)


def test_a_port_can_be_used_again_at_once(pages: Path) -> None:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        free = probe.getsockname()[1]
    for _ in range(2):
        with server(pages, free) as running:
            assert running.server_address[1] == free


def test_without_pages_there_is_nothing_to_serve(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="`convbench report` builds them"):
        serve(tmp_path / "none")


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_an_interrupt_ends_it_quietly(pages: Path) -> None:
    code = f"""
import signal
from convbench.report.serve import serve
signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background may have inherited to ignore it
serve({str(pages)!r}, 0, lambda url: print(url, flush=True))
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        url = child.stdout.readline().strip()
        assert ask(int(url.rstrip("/").rpartition(":")[2]), "/")[0] == 200
        child.send_signal(signal.SIGINT)
        _, told = child.communicate(timeout=60)
    assert (child.returncode, told) == (0, "")
