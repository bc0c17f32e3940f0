"""Which commit are results kept under, and which configuration makes asv do so?"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from convbench.errors import ConvbenchError
from convbench.files import atomic_write


def find_root(start: Path | None = None) -> Path:
    """The nearest folder upwards that holds asv.conf.json; raises ConvbenchError where there is none."""
    here = (start or Path.cwd()).absolute()
    for folder in (here, *here.parents):
        if (folder / "asv.conf.json").is_file():
            return folder
    raise ConvbenchError(
        f"no asv.conf.json in {here} or above it; the suite runs from a clone of convbench: change to its folder first "
        f"(`convbench compare` and `convbench check` work anywhere)"
    )


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def repository(root: Path) -> tuple[Path, str, list[str]]:
    """asv's configuration, the commit that results are kept under, and what the user should know about it.

    Without a repository or without commits, results are kept under the only commit of a small repository of our own.
    """
    commit = _git(root, "rev-parse", "HEAD")
    if commit and _git(root, "rev-parse", "--show-toplevel") == str(root.resolve()):
        dirty = _git(root, "status", "--porcelain", "--untracked-files=no", "--", "convbench", "benchmarks")
        notes = (
            [f"uncommitted changes are measured and kept under commit {commit[:8]}: commit them first"] if dirty else []
        )
        return root / "asv.conf.json", commit, notes
    stand_in = root / ".asv" / "unversioned"
    if _git(stand_in, "rev-parse", "HEAD") is None or not (stand_in / ".git").exists():
        stand_in.mkdir(parents=True, exist_ok=True)
        who = ["-c", "user.name=convbench", "-c", "user.email=convbench@localhost"]
        dates = {"GIT_AUTHOR_DATE": "2000-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2000-01-01T00:00:00Z"}
        try:
            for step in (["init", "-q"], [*who, "commit", "-q", "--allow-empty", "-m", "unversioned"]):
                subprocess.run(
                    ["git", *step], cwd=stand_in, check=True, capture_output=True, env={**os.environ, **dates}
                )
        except (OSError, subprocess.CalledProcessError) as error:
            raise ConvbenchError(
                f"asv needs git, and it failed ({error}); install git, then run the same command again"
            ) from error
    from asv.util import load_json

    conf = load_json(str(root / "asv.conf.json"), js_comments=True)
    conf |= {"repo": str(stand_in)} | {
        k: str(root / conf[k]) for k in ("benchmark_dir", "env_dir", "results_dir", "html_dir")
    }
    path = root / ".asv" / "unversioned.conf.json"
    atomic_write(path, json.dumps(conf))
    commit = _git(stand_in, "rev-parse", "HEAD") or ""
    note = f"no git commit here: results are kept under the label 'unversioned' ({commit[:8]}); commit to track changes"
    return path, commit, [note]
