from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from convbench.errors import ArgumentError, StorageError
from convbench.files import atomic_write, read_bytes


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_bytes_and_text_are_written_whole(tmp_path: Path) -> None:
    assert atomic_write(tmp_path / "a", b"\x00\x01").read_bytes() == b"\x00\x01"
    assert atomic_write(tmp_path / "a", "naïve ×\n").read_bytes() == "naïve ×\n".encode()
    assert _names(tmp_path) == ["a"]


def test_missing_folders_are_made(tmp_path: Path) -> None:
    atomic_write(tmp_path / "new" / "newer" / "a.json", "{}")
    assert (tmp_path / "new" / "newer" / "a.json").read_text() == "{}"


def test_permissions_and_links_survive(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("old")
    target.chmod(0o640)
    (tmp_path / "link").symlink_to(target)
    atomic_write(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert target.read_text() == "new"
    assert target.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EROFS, "another folder"),
        (errno.EACCES, "permissions"),
        (errno.EIO, "disk"),
    ],
)
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch, number: int, remedy: str, step: str
) -> None:
    path = tmp_path / "a"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(StorageError) as caught:
        atomic_write(path, "new")
    for part in (str(path), os.strerror(number), "unchanged", remedy):
        assert part in str(caught.value)
    assert path.read_text() == "old"
    assert _names(tmp_path) == ["a"]


def test_an_interrupt_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "a"
    path.write_text("old")

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        atomic_write(path, "new")
    assert path.read_text() == "old"
    assert _names(tmp_path) == ["a"]


def test_a_real_limit_on_file_sizes(tmp_path: Path) -> None:
    code = """
import resource, sys
from convbench.errors import StorageError
from convbench.files import atomic_write
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    atomic_write(sys.argv[1], b"x" * 100_000)
except StorageError as error:
    print(error)
"""
    path = tmp_path / "a"
    path.write_text("old")
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert "File too large" in done.stdout
    assert "ulimit" in done.stdout
    assert path.read_text() == "old"
    assert _names(tmp_path) == ["a"]


def test_a_read_only_file_stays(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everything
    with pytest.raises(StorageError, match=r"read-only.*permissions"):
        atomic_write(path, "new")
    assert path.read_text() == "old"


def test_folders_and_files_out_of_place(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="not of a folder"):
        atomic_write(tmp_path, "x")
    (tmp_path / "file").write_text("old")
    with pytest.raises(StorageError, match="a part of the path is a file"):
        atomic_write(tmp_path / "file" / "a", "x")
    with pytest.raises(StorageError, match="shorter name"):
        atomic_write(tmp_path / ("x" * 300), "x")


def test_writers_at_the_same_time_never_mix(tmp_path: Path) -> None:
    contents = [bytes([65 + i]) * 200_000 for i in range(4)]
    threads = [threading.Thread(target=atomic_write, args=(tmp_path / "a", content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "a").read_bytes() in contents
    assert _names(tmp_path) == ["a"]


def test_reading_says_what_is_wrong(tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(ArgumentError, match=r"image file not found: .*nowhere.*check the path"):
        read_bytes("image", tmp_path / "nowhere")
    with pytest.raises(ArgumentError, match="got the folder"):
        read_bytes("image", tmp_path)
    (tmp_path / "empty").touch()
    with pytest.raises(ArgumentError, match=r"is empty \(0 bytes\)"):
        read_bytes("image", tmp_path / "empty")
    with pytest.raises(ArgumentError, match="is not a path"):
        read_bytes("image", "a\0b")

    def refuse(_: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(StorageError, match=r"cannot read .*Permission denied.*permissions"):
        read_bytes("image", tmp_path / "empty")
