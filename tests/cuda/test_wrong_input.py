"""What a user may get wrong about devices, on the command line, with no card and with cards that are none: every error
says what was wrong, what was given, what is there, and what to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from convbench.backends import get_backend
from convbench.cli import main
from convbench.cuda import facts

NUMBA = ("check", "numba-cuda-direct", "--dtype", "float32", "--mode", "same", "--device")
CUPY = ("check", "cupy-fft", "--ndim", "1", "--dtype", "float32", "--mode", "same", "--device")


@pytest.fixture
def call(monkeypatch):
    """A call that must fail with this status, in one line of error without a traceback; returns all that it printed."""
    for name in ("cupy-fft", "numba-cuda-direct", "torch-tf32"):
        monkeypatch.setattr(type(get_backend(name)), "version", lambda self: "1.0")
    for where in ("_cupy._built_for", "numba_cuda.distribution_version"):
        monkeypatch.setattr(f"convbench.backends.{where}", lambda *_: "13.0")

    def run(*arguments: str, status: int = 2) -> str:
        done = CliRunner().invoke(main, list(arguments))
        assert done.exit_code == status, done.output
        assert "Traceback" not in done.output
        return " ".join(done.output.split())

    return run


NO_DRIVER = "no NVIDIA driver answers here; `nvidia-smi` shows whether there is a card"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((*NUMBA, "cuda:0"), NO_DRIVER),
        ((*CUPY, "cuda:0"), NO_DRIVER),
        ((*CUPY, "cpu"), "cupy-fft runs on cuda only, not on cpu"),
        ((*NUMBA, "gpu"), "unknown device 'gpu'; allowed: cpu, cuda:0, cuda:1, ... `convbench machine` shows them"),
        ((*NUMBA, "cuda"), "unknown device 'cuda'"),
        ((*NUMBA, "cuda:-1"), "unknown device 'cuda:-1'"),
        (("run", "--device", "cuda:0"), f"there is no cuda:0 here: convbench finds no CUDA device: {NO_DRIVER}"),
        (("run", "--device", "cuda:9"), "unknown device 'cuda:9'; allowed: cuda:0, cuda:1. Did you mean"),
        (("run", "--device", "cpu"), "unknown device 'cpu'; allowed: cuda:0, cuda:1."),
        (("run", "--minutes", "-3"), "Invalid value for '--minutes': -3"),
        (("machine", "--ceilings", "--device", "cuda:0"), "no ceilings of cuda:0: torch"),
        (("machine", "--ceilings", "--device", "cpu"), "--device takes cuda:0, cuda:1, ...; the processor's"),
        (("machine", "--ceilings", "--device", "card"), "unknown device 'card'"),
        (("list", "--device", "cuda:x"), "unknown device 'cuda:x'; allowed: cpu, cuda, cuda:0, cuda:1"),
        (
            ("check", "torch-tf32", "--dtype", "float64", "--device", "cuda:0"),
            "no float64 here: torch-tf32 takes float32",
        ),
        (("check", "torch-tf32", "--device", "cpu"), "torch-tf32 runs on cuda only, not on cpu"),
        (("check", "numba-direct", "--dtype", "float16"), "has no float16 here: numba-direct takes float32, float64"),
        (
            ("crossover", "--family", "direct", "fft", "--image", "64x64", "--device", "cuda:0"),
            "no direct backend can run this",
        ),
        (("recommend", "--image", "64x64", "--kernel", "3x3", "--device", "cuda:0"), "nothing is known of"),
    ],
)
def test_without_a_card(call, driver, arguments: tuple[str, ...], told: str) -> None:
    driver()
    assert told in call(*arguments)


def test_an_image_on_a_device_that_is_not_there(call, driver, tmp_path: Path) -> None:
    driver()
    np.save(tmp_path / "image.npy", np.ones((8, 8)))
    said = call(
        "compare", str(tmp_path / "image.npy"), "--kernel", "box:size=3", "--device", "cuda:0", "--backend", "cupy-fft"
    )
    assert NO_DRIVER in said and "no backend could run this" in said


@pytest.mark.parametrize("command", [NUMBA, CUPY])
def test_a_number_that_is_not_there(call, driver, command: tuple[str, ...]) -> None:
    driver("Card A", "Card B")
    told = "there is no cuda:7 here, but cuda:0 (Card A), cuda:1 (Card B); see `convbench machine`"
    assert told in call(*command, "cuda:7")


def test_a_run_on_a_number_that_is_not_there(call, driver) -> None:
    driver("Card A")
    assert "Error: there is no cuda:1 here, but cuda:0 (Card A); see" in call(
        "run", "--preset", "gpu", "--device", "cuda:1"
    )


@pytest.mark.parametrize("command", [NUMBA, CUPY])
def test_a_driver_that_is_too_old(call, driver, command: tuple[str, ...]) -> None:
    driver("Card A", driver="525.1", cuda=12000)
    assert "driver 525.1 runs CUDA up to 12.0: update the driver, or install" in call(*command, "cuda:0")


@pytest.mark.parametrize("command", [NUMBA, CUPY])
def test_devices_that_are_hidden(call, driver, monkeypatch, command: tuple[str, ...]) -> None:
    driver("Card A")
    monkeypatch.setenv(facts.VISIBLE, "")
    assert "CUDA_VISIBLE_DEVICES='' hides 1; unset it" in call(*command, "cuda:0")
    assert "CUDA_VISIBLE_DEVICES='' hides 1; unset it" in call("run", "--device", "cuda:0")


def test_a_library_that_is_not_installed(call, driver, monkeypatch) -> None:
    driver("Card A")
    for name, remedy in (("cupy-fft", "cupy is not installed: pip install 'convbench[cuda]'"),
                         ("numba-cuda-direct", "numba-cuda is not installed: pip install 'convbench[cuda]'")):  # fmt: skip
        monkeypatch.setattr(type(get_backend(name)), "version", lambda self: None)
        assert remedy in call("check", name, "--dtype", "float32", "--device", "cuda:0")


def test_results_that_cannot_be_merged(call, tmp_path: Path) -> None:
    target = ("--results", str(tmp_path / "results"))
    assert "no results in" in call("merge", str(tmp_path / "nowhere"), *target)
    (tmp_path / "empty").mkdir()
    assert "it should hold a folder for each machine, with machine.json" in call(
        "merge", str(tmp_path / "empty"), *target
    )
    (tmp_path / "odd" / "box").mkdir(parents=True)
    (tmp_path / "odd" / "box" / "machine.json").write_text("{")
    said = call("merge", str(tmp_path / "odd"), *target, status=1)
    assert "conflict: box/machine.json cannot be read (JSONDecodeError): folder left out" in said


def test_the_processors_ceilings_are_kept_where_a_devices_cannot_be_measured(call, driver, monkeypatch) -> None:
    driver()
    kept: list[dict[int, dict[str, float]]] = []
    monkeypatch.setattr("convbench.cli._keep", lambda measured: kept.append(measured) or "stored")
    monkeypatch.setattr("convbench.ceilings.ceilings", lambda threads: {"copy": 20.0 * threads})
    assert "no ceilings of cuda:0" in call("machine", "--ceilings", "--threads", "2", "--device", "cuda:0")
    assert kept == [{2: {"copy": 40.0}}]
    assert "no ceilings of cuda:0" in call("machine", "--ceilings", "--device", "cuda:0")
    assert len(kept) == 1
