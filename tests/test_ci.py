"""The workflow does nothing that a clone cannot do: every step is one command, which exists and is explained."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml", reason="needs PyYAML, which comes with asv")

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCRIPTS = sorted((ROOT / "tools" / "ci").glob("*.sh"))


def load(path: Path) -> dict[Any, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in WORKFLOWS:
        for name, job in load(path)["jobs"].items():
            for step in job["steps"]:
                yield f"{path.name}/{name}", step


COMMANDS = sorted({step["run"] for _, step in steps() if "run" in step})


@pytest.mark.parametrize("command", COMMANDS)
def test_every_step_is_one_command_that_works_in_a_clone(command: str) -> None:
    assert "\n" not in command
    assert "${{" not in command, "what a pull request says must not become part of a command: pass it in env"
    program, *arguments = command.split()
    if program == "make":
        targets = re.findall(r"^([\w.-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert arguments
        assert set(arguments) <= set(targets)
    else:
        assert (ROOT / program) in SCRIPTS
        assert os.access(ROOT / program, os.X_OK)
    assert f"`{command}`" in (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")


def test_the_workflow_has_the_steps_that_the_page_explains() -> None:
    assert len(COMMANDS) >= 5
    named = {step["name"] for _, step in steps() if "run" in step}
    explained = re.findall(r"^\| ([A-Z][^|]+) \|", (ROOT / "docs" / "ci.md").read_text(), re.MULTILINE)
    assert named == set(map(str.strip, explained))


def test_one_wrong_cell_does_not_cost_the_comparison() -> None:
    """It takes place wherever the installation succeeded, and what failed before it still fails the job."""
    found = load(ROOT / ".github" / "workflows" / "benchmark.yml")["jobs"]["compare"]["steps"]
    named = {step["name"]: step for step in found if "name" in step}
    assert named["Install"]["id"] == "install"
    assert named["Compare with the base"]["if"] == "(success() || failure()) && steps.install.outcome == 'success'"
    assert not any("continue-on-error" in step for step in found)


def test_actions_are_pinned() -> None:
    used = [step["uses"] for _, step in steps() if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", name) for name in used)


def test_only_the_job_that_publishes_may_write() -> None:
    for path in WORKFLOWS:
        workflow = load(path)
        assert workflow["permissions"] == {"contents": "read"}
        assert "pull_request_target" not in workflow[True]  # YAML 1.1 reads the key `on` so
        writing = {name: job["permissions"] for name, job in workflow["jobs"].items() if "permissions" in job}
        assert writing == {"publish": {"pages": "write", "id-token": "write"}}
        assert all("timeout-minutes" in job for job in workflow["jobs"].values())


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_sound(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert "set -euo pipefail" in text
    subprocess.run(["bash", "-n", script], check=True)
    assert f"tools/ci/{script.name}" in COMMANDS


def clone(folder: Path, convbench: str) -> Path:
    """The scripts beside a convbench that does as it is told."""
    (folder / "tools").mkdir()
    (folder / "tools" / "ci").symlink_to(SCRIPTS[0].parent)
    program = folder / ".venv" / "bin" / "convbench"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\n{convbench}\n")
    program.chmod(0o755)
    return folder


@pytest.mark.parametrize(("told", "status"), [(0, 0), (1, 1), (2, 2), (3, 0)])
def test_slower_fails_and_noise_does_not(tmp_path: Path, told: int, status: int) -> None:
    root = clone(tmp_path, f'echo "table of $*"; exit {told}')
    environment = {**os.environ, "BASE": "aaa", "HEAD": "bbb", "CELLS": "x.*y", "ROUNDS": "4"}
    done = subprocess.run([root / "tools/ci/compare.sh"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    kept = (root / "build/ci/compare.txt").read_text()
    assert kept == done.stdout
    assert kept.startswith("table of track aaa bbb --bench x.*y --rounds 4 --strict\n")
    assert ("noise" in kept) == (told == 3)


def test_the_summary_shows_the_table(tmp_path: Path) -> None:
    root, page = clone(tmp_path, "exit 0"), tmp_path / "summary.md"
    environment = {**os.environ, "GITHUB_STEP_SUMMARY": str(page)}
    for table, shown in ((None, "nothing was compared"), ("a slower", "a slower")):
        if table:
            (root / "build/ci").mkdir(parents=True)
            (root / "build/ci/compare.txt").write_text(table + "\n")
        page.unlink(missing_ok=True)
        subprocess.run([root / "tools/ci/summary.sh"], env=environment, check=True)
        assert shown in page.read_text()


def test_a_failed_cell_does_not_cost_the_report(tmp_path: Path) -> None:
    root = clone(tmp_path, 'echo "$1"; test "$1" = report')
    done = subprocess.run([root / "tools/ci/quick.sh"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "run\nreport\n")
