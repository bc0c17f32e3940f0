"""The two commits: found by what git calls them, their packages side by side in .asv/track/trees."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from convbench.errors import ArgumentError, ConvbenchError, StorageError

WORKTREE = "worktree"
"""In the place of a revision: the files as they are."""
PACKAGE = "convbench"
_SHOWN = 5  # commits that an error lists
_LONGEST = 50  # characters of each
_NAME = 12  # characters of a tree's name: all of one length, for a path's length can move a program's memory


@dataclass(frozen=True)
class Commit:
    """A commit whose package lies in *folder*, to be put on Python's path.

    given: as the user wrote it. label: eight digits of the hash, or "worktree". tree: a digest of the package's files,
    the same wherever these are the same.
    """

    given: str
    label: str
    subject: str
    tree: str
    folder: Path

    def about(self) -> dict[str, str]:
        """All but where it lies, which is nobody else's business."""
        return {"given": self.given, "label": self.label, "subject": self.subject, "tree": self.tree}


def unpack(root: Path, given: str, trees: Path) -> Commit:
    """Take a commit's package, or the one of the working tree, into the folder *trees*.

    Raises ArgumentError for what is no revision or has no package, ConvbenchError where git does not work here.
    """
    if given == WORKTREE:
        label, subject = WORKTREE, "the files as they are"
    else:
        full = _resolve(root, given)
        label, subject = full[:8], _git(root, "log", "-1", "--format=%s", full).stdout.decode(errors="replace").strip()
    try:
        trees.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=trees, prefix=".") as scratch:
            package = Path(scratch) / "tree" / PACKAGE
            if given == WORKTREE:
                shutil.copytree(root / PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                _extract(root, full, package)
            tree = digest(package, "**/*")
            if not (trees / tree).exists():
                os.replace(package.parent, trees / tree)
    except OSError as error:
        raise StorageError(
            f"cannot lay out {given} in {trees}: {error.strerror or error}; make room or make it writable"
        ) from error
    return Commit(given, label, subject, tree, trees / tree)


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=False)
    except OSError as error:
        raise ConvbenchError(f"track needs git, and it cannot be run ({error}); install git, then run again") from error


def _resolve(root: Path, given: str) -> str:
    """The full hash of a revision."""
    if _git(root, "rev-parse", "--verify", "--quiet", "HEAD").returncode:
        why = _git(root, "rev-parse", "HEAD").stderr.decode(errors="replace").strip().splitlines()
        raise ConvbenchError(
            f"track compares two commits, and git knows none in {root} ({why[-1] if why else 'no reason given'}); "
            f"run `git log` there to see more"
        )
    found = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{given}^{{commit}}")
    if found.returncode or not given:
        lines = _git(root, "log", f"-{_SHOWN}", "--format=%h %s").stdout.decode(errors="replace").splitlines()
        latest = ", ".join(line[:_LONGEST] for line in lines)
        shallow = _git(root, "rev-parse", "--is-shallow-repository").stdout.strip() == b"true"
        more = " This clone has no older ones: `git fetch --unshallow` brings them." if shallow else ""
        raise ArgumentError(
            f"unknown revision {given!r}; allowed: a commit, branch or tag, or the word {WORKTREE}. "
            f"The latest commits: {latest}. `git log --oneline` lists them all.{more}"
        )
    return found.stdout.decode().strip()


def _extract(root: Path, commit: str, package: Path) -> None:
    done = _git(root, "archive", "--format=tar", f"{commit}:./{PACKAGE}")
    if done.returncode:
        raise ArgumentError(f"commit {commit[:8]} is too old: it has no package {PACKAGE}; give a later one")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(package, filter="data")


def digest(package: Path, *patterns: str) -> str:
    """Of the files of a package that match one of the patterns."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in package.glob(pattern) if path.is_file()}):
        digest.update(f"{path.relative_to(package).as_posix()}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:_NAME]
