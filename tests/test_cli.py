from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import choosing
import numpy as np
import pytest
from click.testing import CliRunner, Result
from fakes import Absent, Right, Threaded, Wrong, use

import convbench
from convbench import cli
from convbench.errors import StorageError

HEAVY = ("torch", "pandas", "matplotlib", "scipy", "numba", "pyfftw", "asv", "tensorflow", "jax", "cv2", "PIL")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, arguments)


def fails(result: Result, status: int, *parts: str) -> None:
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    for part in parts:
        assert part in result.stderr


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Right(), Threaded(), Absent())
    monkeypatch.setattr("convbench.machine.warnings", lambda *_: ["something is busy: run `stop it`"])


@pytest.fixture
def image(tmp_path: Path) -> str:
    np.save(tmp_path / "image.npy", np.random.default_rng(0).uniform(0, 1, (24, 30)))
    return str(tmp_path / "image.npy")


# -- start-up ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "also"),
    [
        (["--help"], ("numpy", "rich")),
        (["--version"], ("numpy", "rich")),
        (["compare", "--help"], ("numpy",)),
        (["identify", "--help"], ("numpy",)),
        (["list"], ()),
        (["list", "--json"], ()),
    ],
)
def test_start_up_loads_nothing_heavy(arguments: list[str], also: tuple[str, ...]) -> None:
    code = f"""
import sys
from convbench.cli import main
main({arguments!r}, standalone_mode=False)
print([m for m in {(*HEAVY, *also)!r} if m in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert done.stdout


def test_the_choices_are_those_of_the_package() -> None:
    from convbench import grid, problem

    assert cli.MODES == problem.MODES
    assert cli.DTYPES == problem.DTYPES
    assert cli.EVERY_DTYPE == problem.EVERY_DTYPE
    assert tuple(grid.PRESETS) == cli.PRESETS


def test_help_names_every_verb_and_version_is_the_packages() -> None:
    text = call("--help").output
    for verb in ("list", "check", "compare", "identify", "run", "report", "machine"):
        assert f"  {verb} " in text
        assert call(verb, "-h").exit_code == 0
    assert convbench.__version__ in call("--version").output


def test_help_names_every_kernel() -> None:
    from convbench.kernels import KERNELS

    text = call("compare", "--help").output
    assert all(name in text for name in KERNELS)


# -- list --------------------------------------------------------------------------------------------------------


def test_list_shows_what_is_installed_and_how_to_install_the_rest() -> None:
    result = call("list")
    assert result.exit_code == 0
    assert np.__version__ in result.stdout
    assert "not installed: pip install no-such-library" in result.stdout
    for word in ("name", "family", "library", "dtypes", "dims", "threads", "devices", "right-threaded", "many"):
        assert word in result.stdout


def test_list_json_and_filters() -> None:
    rows = json.loads(call("list", "--json").stdout)
    assert [row["name"] for row in rows] == ["right", "right-threaded", "absent"]
    assert rows[0]["dtypes"] == list(cli.DTYPES)
    assert rows[2]["installed"] is False
    assert json.loads(call("list", "--json", "--device", "cuda:0").stdout) == []
    assert len(json.loads(call("list", "--json", "--dtype", "complex64", "--device", "cpu").stdout)) == 3


def test_list_refuses_what_it_does_not_know() -> None:
    fails(call("list", "--device", "tpu"), 2, "unknown device 'tpu'", "allowed: cpu, cuda")
    fails(call("list", "--dtype", "int8"), 2, "'int8'", "float32")
    fails(call("lits"), 2, "No such command 'lits'")


# -- identify ----------------------------------------------------------------------------------------------------


def test_identify_describes_draws_and_writes_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "response.svg"
    result = call(
        *("identify", "scipy.signal:correlate2d", "--mode", "same"),
        *("--to", "scipy.signal.convolve2d", "--save", str(path)),
    )
    assert result.exit_code == 0, result.output
    assert "cross-correlation: it does not flip the kernel" in result.stdout
    assert "6 5 4" in result.stdout
    assert "tensorflow tf.nn.conv2d SAME" in result.stdout
    assert "def correlate2d_by_convolve2d(image, kernel):" in result.stdout
    assert path.read_text().startswith("<?xml")


def test_identify_json() -> None:
    found = json.loads(call("identify", "numpy:convolve", "--ndim", "1", "--json", "--to", "numpy.correlate").stdout)
    assert found["flips"] is True
    assert found["offset"] == "0"
    assert "numpy.correlate" in found["recipe"]


def test_identify_of_what_is_no_convolution_has_status_1() -> None:
    result = call("identify", "numpy:maximum")
    assert result.exit_code == 1
    assert "not linear" in result.stdout
    assert "Traceback" not in result.output


def test_identify_refuses_what_it_does_not_know() -> None:
    fails(call("identify", "numpy"), 2, "MODULE:FUNCTION")
    fails(call("identify", "numpy:convolveee", "--ndim", "1"), 2, "unknown function of numpy")
    fails(call("identify", "nothing_of_that_name:f"), 2, "cannot import")
    fails(call("identify", "numpy:convolve", "--layout", "NCHX"), 2, "unknown layout 'NCHX'", "NCHW")
    fails(call("identify", "numpy:convolve", "--time-limit", "0"), 2, "time-limit")
    fails(call("identify", "numpy:convolve", "--save", "x.gif"), 2, ".png or .svg")
    fails(
        call("identify", "numpy:convolve", "--ndim", "1", "--to", "scipy.signal.convolve2d"),
        2,
        "2-D input only",
    )
    fails(
        call("identify", "numpy:convolve", "--ndim", "1", "--to", "numpy.convolve", "--to-mode", "wrap"),
        2,
        "full, same, valid",
    )


# -- check -------------------------------------------------------------------------------------------------------


def test_check_of_all_backends_passes_over_what_is_not_installed() -> None:
    result = call("check", "--dtype", "float64", "--mode", "same")
    assert result.exit_code == 0, result.output
    assert "1-D right: ok" in result.stdout
    assert "2-D right-threaded: ok" in result.stdout
    assert "pip install no-such-library" in result.stdout


def test_check_of_a_wrong_backend_exits_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Right(), Wrong())
    result = call("check", "wrong", "--ndim", "2", "--dtype", "float64")
    fails(result, 1, "1 of 1 checked are wrong")
    assert "the kernel was not flipped" in result.stdout
    assert call("check", "right", "--ndim", "2", "--dtype", "float64").exit_code == 0


def test_check_of_functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = """
from scipy import signal
def good(image, kernel, mode):
    starts = {"full": 0, "same": 1, "valid": None}
    return signal.convolve(image, kernel, "full") if mode == "full" else signal.convolve(image, kernel, mode)
def bad(image, kernel):
    return signal.correlate(image, kernel, "full")
number = 3
"""
    (tmp_path / "my_functions.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    assert call("check", "my_functions:good", "--mode", "full").exit_code == 0
    fails(call("check", "my_functions:bad", "--mode", "full"), 1, "wrong")
    fails(call("check", f"{tmp_path / 'my_functions.py'}:bad"), 1, "wrong")
    fails(call("check", "my_functions:god"), 2, "unknown function of my_functions 'god'", "Did you mean 'good'")
    fails(call("check", "my_functions:number"), 2, "unknown function of my_functions 'number'")
    fails(call("check", "no_such_module_here:f"), 2, "cannot import 'no_such_module_here'", "MODULE:FUNCTION")
    (tmp_path / "broken_functions.py").write_text("1 / 0")
    fails(call("check", "broken_functions:f"), 2, "ZeroDivisionError", "MODULE:FUNCTION")
    fails(call("check", "missing.py:f"), 2, "cannot import 'missing.py'")


def test_check_of_what_cannot_be_checked() -> None:
    fails(call("check", "absent"), 2, "nothing could be checked", "convbench list")
    fails(call("check", "rigth"), 2, "unknown backend 'rigth'", "Did you mean 'right'")
    fails(call("check", "--ndim", "3"), 2, "--ndim", "3 is not in the range")
    fails(call("check", "--mode", "sane"), 2, "'sane'", "full")


# -- compare -----------------------------------------------------------------------------------------------------


def test_compare_ranks_gates_and_saves(image: str, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    result = call("compare", image, "--kernel", "gaussian:sigma=1", "--dtype", "float64", "--save", str(folder))
    assert result.exit_code == 0, result.output
    for word in ("rank", "time, ms", "99 % interval", "Mpixel/s", "one-shot", "error / bound", "right-threaded"):
        assert word in result.stdout
    assert "24 x 30" in result.stdout
    assert "n/a: no-such-library is not installed" in result.stdout
    assert "Warning: something is busy" in result.stderr
    for name in ("result.npy", "result.png", "figure.png", "table.json"):
        assert f"wrote {folder / name}" in result.stdout
    assert np.load(folder / "result.npy").shape == (24, 30)


def test_compare_json_is_json_alone(image: str, tmp_path: Path) -> None:
    result = call(
        "compare", image, "--kernel", "sobel", "--backend", "right", "--json", "--save", str(tmp_path / "out")
    )
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["mode"] == "same"
    assert found["dtype"] == "float32"
    (row,) = found["rows"]
    assert row["rank"] == 1
    assert row["time"] > 0


def test_compare_takes_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    from convbench import compare

    seen: list[Any] = []

    def fake(data: Any, kernel: Any, backends: Any, **settings: Any) -> Any:
        seen.append((data.shape, kernel.shape, backends, settings))
        raise StorageError("a message\nof two lines")

    monkeypatch.setattr(compare, "compare", fake)
    fails(
        call("compare", "sample", "--kernel", "box:size=5", "--threads", "2", "--budget", "3"),
        2,
        "a message of two lines",
    )
    ((shape, kernel, backends, settings),) = seen
    assert shape == (600, 512, 3)
    assert kernel == (5, 5)
    assert backends == ()
    del settings["progress"]
    assert settings == {"mode": "same", "dtype": "float32", "threads": 2, "device": "cpu", "budget": 3.0}


def test_compare_with_a_wrong_backend_exits_with_1(image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Right(), Wrong())
    result = call("compare", image, "--kernel", "sobel", "--dtype", "float64")
    fails(result, 1, "wrong, so not timed: wrong", "convbench check wrong")
    assert "failed: gate" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["nowhere.png", "--kernel", "sobel"], ["image file not found", "'nowhere.png'"]),
        (["image.tiff", "--kernel", "sobel"], ["unknown image file ending '.tiff'", "allowed: .png"]),
        (["IMAGE"], ["Missing option '--kernel'"]),
        (["--kernel", "sobel"], ["Missing argument 'IMAGE'"]),
        (["IMAGE", "--kernel", "soble"], ["unknown kernel 'soble'", "Did you mean 'sobel'"]),
        (["IMAGE", "--kernel", "sobel:axis=q"], ["must be x or y", "got 'q'"]),
        (["IMAGE", "--kernel", "sobel", "--backend", "rite"], ["unknown backend 'rite'", "convbench list"]),
        (["IMAGE", "--kernel", "sobel", "--backend", "absent"], ["no backend could run this", "convbench list"]),
        (["IMAGE", "--kernel", "sobel", "--mode", "sane"], ["'sane'", "same"]),
        (["IMAGE", "--kernel", "sobel", "--dtype", "int8"], ["'int8'", "float32"]),
        (["IMAGE", "--kernel", "sobel", "--threads", "0"], ["--threads", "0 is not in the range"]),
        (["IMAGE", "--kernel", "sobel", "--threads", "two"], ["--threads", "'two'"]),
        (["IMAGE", "--kernel", "sobel", "--device", "gpu"], ["unknown device 'gpu'"]),
        (["IMAGE", "--kernel", "sobel", "--budget", "-1"], ["--budget", "-1"]),
        (["IMAGE", "--kernel", "sobel", "--save", "IMAGE"], ["--save takes a folder", "image.npy"]),
        (["IMAGE", "--kernel", "box:size=99", "--mode", "valid"], ["no longer than the image", "(99, 99)"]),
    ],
)
def test_compare_refuses_wrong_input_in_one_line(image: str, arguments: list[str], parts: list[str]) -> None:
    fails(call("compare", *(image if a == "IMAGE" else a for a in arguments)), 2, *parts)


def test_a_traceback_may_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert call("--traceback", "check", "rigth").exception is not None
    assert "unknown backend" in str(call("--traceback", "check", "rigth").exception)
    monkeypatch.setenv("CONVBENCH_TRACEBACK", "1")
    assert "unknown backend" in str(call("check", "rigth").exception)


# -- run, report -------------------------------------------------------------------------------------------------


@pytest.fixture
def suite(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """A suite that does nothing but remember how it was called; set .outcome to change what it returns."""
    module: Any = ModuleType("convbench.suite")
    calls: list[tuple[Any, ...]] = []
    module.outcome = SimpleNamespace(
        counts={"ok": 7, "n/a": 2},
        failed=[],
        resumed=3,
        left=0,
        warnings=["uncommitted changes: commit them"],
        evidence=Path("e"),
    )

    def run(
        preset: str, *, bench: str | None, fresh: bool, progress: Any, devices: tuple[str, ...], minutes: float
    ) -> Any:
        calls.append((preset, bench, fresh, devices, minutes))
        progress(1, 9, "image 256x256: gate right")
        if isinstance(module.outcome, BaseException):
            raise module.outcome
        return module.outcome

    module.run = run
    monkeypatch.setitem(sys.modules, "convbench.suite", module)
    monkeypatch.setattr(convbench, "suite", module, raising=False)
    return calls


def test_run_passes_its_arguments_on_and_says_what_happened(suite: list[tuple[Any, ...]]) -> None:
    result = call("run", "--preset", "quick", "--bench", "image.*right", "--fresh")
    assert result.exit_code == 0, result.output
    assert call("run").exit_code == 0
    assert suite == [("quick", "image.*right", True, (), math.inf), ("quick", None, False, (), math.inf)]
    assert "the time was up" not in result.stdout
    assert "[1/9] image 256x256: gate right" in result.stderr
    assert "Warning: something is busy" in result.stderr
    assert "Warning: uncommitted changes" in result.stderr
    assert "7 ok, 2 n/a (resumed: 3 were measured before the interruption)" in result.stdout
    assert "convbench report" in result.stdout


def test_run_takes_devices_and_a_time(suite: list[tuple[Any, ...]]) -> None:
    sys.modules["convbench.suite"].outcome.left = 12
    result = call("run", "--preset", "gpu", "--device", "cuda:1", "--device", "cuda:0", "--minutes", "8.5")
    assert suite == [("gpu", None, False, ("cuda:1", "cuda:0"), 8.5)]
    assert "the time was up: 12 cells are left; the same command goes on with them" in result.stdout
    fails(call("run", "--minutes", "0"), 2, "--minutes", "0")


def test_run_exits_with_1_if_a_cell_failed(suite: list[tuple[Any, ...]]) -> None:
    sys.modules["convbench.suite"].outcome.failed.append("image wrong: gate: off by one")
    result = call("run")
    fails(result, 1, "1 cells failed")
    assert "failed: image wrong: gate: off by one" in result.stdout


def test_run_interrupted_exits_with_130(suite: list[tuple[Any, ...]]) -> None:
    sys.modules["convbench.suite"].outcome = KeyboardInterrupt()  # type: ignore[attr-defined]
    result = call("run")
    assert result.exit_code == 130
    assert "Interrupted" in result.stderr


def test_run_refuses_wrong_arguments(suite: list[tuple[Any, ...]]) -> None:
    fails(call("run", "--preset", "tiny"), 2, "'tiny'", "quick")
    assert suite == []


def test_report_builds_and_says_where_to_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = ModuleType("convbench.report")

    def build_report(results: Path, out: Path, *, progress: Any, backends: Any, workers: int) -> Path:
        progress(1, 1, "page")
        assert backends["right"]["convention"].startswith("Computes convolution")
        assert workers >= 1
        return out / "index.html"

    module.build_report = build_report
    monkeypatch.setitem(sys.modules, "convbench.report", module)
    (tmp_path / "results").mkdir()
    result = call("report", "--results", str(tmp_path / "results"))
    assert result.exit_code == 0, result.output
    assert f"open {tmp_path / 'reports' / 'index.html'}" in result.stdout
    result = call("report", "--results", str(tmp_path / "results"), "--out", str(tmp_path / "elsewhere"))
    assert f"open {tmp_path / 'elsewhere' / 'index.html'}" in result.stdout


def test_report_without_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fails(call("report", "--results", str(tmp_path / "none")), 2, "no folder of results", "convbench run")
    monkeypatch.chdir(tmp_path)
    fails(call("report"), 2, "asv.conf.json")


def test_report_can_be_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []
    monkeypatch.setattr("convbench.report.serve.serve", lambda *arguments: shown.append(arguments[:2]))
    monkeypatch.setattr("convbench.report.build_report", lambda results, out, **_: out / "index.html")
    (tmp_path / "results").mkdir()
    result = call("report", "--results", str(tmp_path / "results"), "--serve", "--port", "0")
    assert result.exit_code == 0, result.output
    assert shown == [(tmp_path / "reports", 0)]


# -- decisions ---------------------------------------------------------------------------------------------------


@pytest.fixture
def table(tmp_path: Path) -> str:
    """A chooser's table in which `right` is the quickest everywhere."""
    laws = {
        "right": choosing.Law("direct", lambda n, k: 1e-9 * n * n),
        "right-threaded": choosing.Law("direct", lambda n, k: 2e-9 * n * n),
    }
    made = choosing.table_of(choosing.cells(laws))
    (tmp_path / "chooser.json").write_text(json.dumps(made))
    return str(tmp_path / "chooser.json")


def test_recommend_answers_from_a_table(table: str, tmp_path: Path) -> None:
    result = call("recommend", "--image", "256x256", "--kernel", "7x7", "--table", table)
    assert result.exit_code == 0, result.output
    assert "use right" in result.stdout
    assert "runner-up: right-threaded, +100 %" in result.stdout
    told = json.loads(call("recommend", "--image", "256x256", "--kernel", "7x7", "--table", table, "--json").stdout)
    assert told["backend"] == "right"
    assert told["low"] < told["seconds"] < told["high"]
    copy = tmp_path / "copy.json"
    assert call("recommend", "--table", table, "--export", str(copy)).exit_code == 0
    assert json.loads(copy.read_text()) == json.loads(Path(table).read_text())


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--image", "100x100"], ["needs --image and --kernel"]),
        (["--image", "100x", "--kernel", "3x3"], ["--image", "'100x'"]),
        (["--image", "0x5", "--kernel", "3x3"], ["--image", "'0x5'"]),
        (["--image", "9x9x9", "--kernel", "3x3"], ["--image", "'9x9x9'"]),
        (["--image", "64", "--kernel", "3x3"], ["axes"]),
        (["--image", "64x64", "--kernel", "3x3", "--images", "0"], ["images"]),
        (["--image", "64x64", "--kernel", "3x3", "--table", "nowhere.json"], ["nowhere.json"]),
        (["--image", "64x64", "--kernel", "3x3", "--results", "nowhere"], ["nowhere"]),
    ],
)
def test_recommend_refuses_what_it_cannot_answer(arguments: list[str], parts: list[str]) -> None:
    fails(call("recommend", *arguments), 2, *parts)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--family", "direct", "direct"], ["direct"]),
        (["--family", "direct", "magic"], ["magic", "separable"]),
        (["--family", "direct", "fft", "--image", "64"], ["64"]),
        (["--family", "direct", "fft", "--signal", "64", "--rows"], ["--signal takes the place"]),
        (["--family", "direct", "fft", "--min", "9", "--max", "3"], ["9"]),
        (["--family", "direct", "fft", "--save", "/no/such/folder/x.json"], ["--save"]),
        (["--family", "direct", "framework"], ["framework"]),  # none is there
    ],
)
def test_crossover_refuses_what_it_cannot_search(arguments: list[str], parts: list[str]) -> None:
    fails(call("crossover", *arguments), 2, *parts)


def test_track_tells_and_has_an_exit_status(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    found = SimpleNamespace(
        notes=["two rounds"], table=lambda: [["c", "1", "2", "2.0", "slower", "4"]], not_compared=lambda: ["d: n/a"],
        summary=lambda: "1 slower", exit_status=lambda strict: 3 if strict else 1, as_dict=lambda: {"cells": []},
    )  # fmt: skip
    monkeypatch.setattr("convbench.tracking.track", lambda *a, **k: seen.append((a, k["margin"], k["rounds"])) or found)
    result = call("track", "main", "--margin", "10%", "--rounds", "4")
    assert result.exit_code == 1
    assert seen == [(("main", "HEAD"), 0.1, 4)]
    assert "slower" in result.stdout
    assert "not compared: d: n/a" in result.stdout
    assert "Note: two rounds" in result.stderr
    assert call("track", "main", "--strict").exit_code == 3
    assert json.loads(call("track", "main", "--json").stdout) == {"cells": []}
    fails(call("track", "main", "--margin", "much"), 2, "much")


# -- machine -----------------------------------------------------------------------------------------------------


def test_machine_shows_facts_versions_and_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    result = call("machine")
    assert result.exit_code == 0, result.output
    for word in ("cpu", "caches", "blas", "numpy", np.__version__, "Warning: something is busy"):
        assert word in result.stdout
    monkeypatch.setattr("convbench.machine.warnings", list)
    assert "nothing found that would disturb" in call("machine").stdout


@pytest.fixture
def _peaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convbench.cost.ceilings_file", lambda: tmp_path / "for-auto.json")
    monkeypatch.setattr(
        "convbench.ceilings.ceilings", lambda n: {"fma_float32": 100.0 * n, "l2_bytes": 2.0**20, "copy": 20.5}
    )
    monkeypatch.setattr("convbench.machine.cores", lambda: 4)


@pytest.mark.usefixtures("_peaks")
def test_machine_ceilings_and_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = " ".join(call("machine", "--ceilings", "--threads", "2").stdout.split())
    assert "ceiling unit 2 threads" in text
    assert "fma_float32 GFLOP/s 200.0 l2_bytes bytes 1,048,576 copy GB/s 20.5" in text
    assert "Nothing was stored: no asv.conf.json in" in text
    result = call("machine", "--json", "--ceilings")
    found = json.loads(result.stdout)
    assert set(found) == {"machine", "versions", "warnings", "ceilings"}
    assert list(found["ceilings"]) == ["1", "4"]
    assert found["ceilings"]["4"]["fma_float32"] == 400.0
    assert "Nothing was stored" in result.stderr
    assert "ceilings" not in json.loads(call("machine", "--json").stdout)
    fails(call("machine", "--ceilings", "--threads", "0"), 2, "--threads")


@pytest.mark.usefixtures("_peaks")
def test_machine_ceilings_are_stored_with_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convbench.session.asv_machine", lambda: "lab")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "asv.conf.json").write_text("{}")
    assert "there is no folder" in call("machine", "--ceilings").stdout
    (tmp_path / "results").mkdir()
    path = tmp_path / "results" / "lab" / "ceilings.jsonl"
    assert f"stored in {path}" in call("machine", "--ceilings").stdout
    assert json.loads((tmp_path / "for-auto.json").read_text()) == {"fma_float32": 100.0, "copy": 20.5}
    assert json.loads(path.read_text())["ceilings"]["4"] == {"fma_float32": 400.0, "l2_bytes": 2.0**20, "copy": 20.5}
    path.write_text("{")
    result = call("machine", "--ceilings", "--threads", "1")
    assert result.exit_code == 0
    assert "Warning: ceilings.jsonl holds no ceilings" in result.stdout
    assert list(json.loads(path.read_text())["ceilings"]) == ["1"]
    path.unlink()
    path.mkdir()
    result = call("machine", "--ceilings", "--threads", "1")
    assert result.exit_code == 0
    assert "Nothing was stored: " in result.stdout
