"""The command line: each verb reads its arguments, calls one function of the package and prints what it returned.

Everything heavy is imported inside the verbs, so that `--help` and `list` stay quick.
Exit status: 0 ok, 1 a wrong result, 2 bad usage or input, 130 interrupted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import re
import sys
from pathlib import Path
from typing import Any

import click

import convbench
from convbench import console
from convbench.errors import ArgumentError, ConvbenchError, GateError, StorageError, UnsupportedError, one_of

MODES = ("full", "same", "valid")  # convbench.problem has them too, but takes numpy along
PRESETS = ("quick", "standard", "gpu", "full")
DTYPES = ("float32", "float64", "complex64", "complex128")
EVERY_DTYPE = (*DTYPES, "float16", "bfloat16")
AXES = ("threads", "image", "kernel")


class _Verbs(click.Group):
    """Turns errors of convbench into one line on stderr and an exit status."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConvbenchError as error:
            if ctx.params.get("traceback"):
                raise
            click.echo("Error: " + " ".join(str(error).split()), err=True)
            ctx.exit(1 if isinstance(error, GateError) else 2)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(130)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--traceback", is_flag=True, envvar="CONVBENCH_TRACEBACK", help="Show where an error was raised.")
@click.version_option(convbench.__version__, prog_name="convbench")
def main(traceback: bool) -> None:
    """Which convolution should I use, is it right, and why is it that fast?

    Measured on this machine, and only after the result was checked. Start with
    `convbench compare sample --kernel gaussian:sigma=3`.
    """


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, seconds and bytes, instead of a table.")


@main.command("list")
@click.option("--device", help="Only backends that run there: cpu, cuda or cuda:N.")
@click.option("--dtype", type=click.Choice(EVERY_DTYPE), help="Only backends that take it.")
@as_json
def list_(device: str | None, dtype: str | None, as_json: bool) -> None:
    """List all backends, installed or not."""
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device or "cpu"):
        raise one_of("device", device, ("cpu", "cuda", "cuda:0", "cuda:1"))
    kind = (device or "cpu").partition(":")[0]
    chosen = [
        b for b in convbench.list_backends() if (not device or kind in b.devices) and (not dtype or dtype in b.dtypes)
    ]
    rows = [console.facts(backend) for backend in chosen]
    if as_json:
        console.print_json(rows)
        return
    columns = ("name", "family", "library", "version", "dtypes", "dims", "threads", "devices")
    console.print_table(columns, [[console.words(row[c]) for c in columns] for row in rows])


@main.command()
@click.argument("backends", nargs=-1, metavar="[BACKEND | MODULE:FUNCTION]...")
@click.option("--ndim", type=click.IntRange(1, 2), help="Number of axes; all that a backend takes by default.")
@click.option("--mode", "modes", type=click.Choice(MODES), multiple=True, help="May be repeated; all by default.")
@click.option(
    "--dtype", "dtypes", type=click.Choice(EVERY_DTYPE), multiple=True, help="May be repeated; all by default."
)
@click.option("--device", default="cpu", help="cpu or cuda:N.")
def check(
    backends: tuple[str, ...], ndim: int | None, modes: tuple[str, ...], dtypes: tuple[str, ...], device: str
) -> None:
    """Check results against the definition of convolution.

    All backends by default; exit status 1 if a result was wrong.
    MODULE:FUNCTION or FILE.py:FUNCTION is a function of your own, taking (image, kernel) or (image, kernel, mode).
    """
    from convbench.gate import check as judge

    subjects: list[Any] = [_subject(name) for name in backends] or convbench.list_backends()
    wrong = checked = 0
    for subject in subjects:
        for axes in [ndim] if ndim else getattr(subject, "ndims", (2,)):
            verdict = judge(subject, ndim=axes, modes=modes or MODES, dtypes=dtypes or None, device=device)
            click.echo(f"{axes}-D {verdict}")
            wrong += bool(verdict.failures)
            checked += bool(verdict.ok or verdict.failures)
    if wrong:
        raise GateError(f"{wrong} of {checked} checked are wrong; they must not be timed")
    if not checked:
        raise UnsupportedError("nothing could be checked, see above; `convbench list` shows what is installed")


@main.command()
@click.argument("function", metavar="MODULE:FUNCTION")
@click.option("--ndim", type=click.IntRange(1, 2), default=2, help="Number of axes.", show_default=True)
@click.option("--mode", help="The third argument, for a function (image, kernel, mode).")
@click.option("--layout", help="plain, NCHW or NHWC, one channel; detected by default.")
@click.option("--time-limit", type=click.FloatRange(0, min_open=True), default=10.0, help="Seconds in all.")
@click.option(
    "--to", metavar="FUNCTION", help="Print Python that turns it into e.g. scipy.signal.convolve2d, and back."
)
@click.option("--to-mode", help="The mode of --to; same by default, where it has that.")
@click.option("--save", "path", metavar="FILE", help="Write the picture there: .png or .svg.")
@as_json
def identify(function: str, to: str | None, to_mode: str, path: str | None, as_json: bool, **settings: Any) -> None:
    """Find out what a function (image, kernel) really computes.

    MODULE:FUNCTION or FILE.py:FUNCTION is any function of yours, or e.g. scipy.signal:correlate2d. Exit status 1 if it
    is no convolution.
    """
    from convbench.files import atomic_write
    from convbench.identification import picture
    from convbench.identification.recipe import target_of

    if ":" not in function:
        near = function.rpartition(".")
        raise ArgumentError(f"identify takes MODULE:FUNCTION, e.g. {near[0] or 'mymodule'}:{near[2]}, got {function!r}")
    if path and (Path(path).suffix not in (".png", ".svg") or not Path(path).absolute().parent.is_dir()):
        raise ArgumentError(f"--save takes a .png or .svg file in a folder that exists, got {path!r}")
    if to:
        target_of(to, to_mode, settings["ndim"])
    subject = _subject(function)
    with contextlib.redirect_stdout(sys.stderr):  # what the function prints is no part of the answer
        found = convbench.identify(subject, **settings)
    found = dataclasses.replace(found, name=function.rpartition(":")[2])
    recipe = found.recipe(to, to_mode) if to and found.is_convolution else None
    if as_json:
        console.print_json({**found.as_dict(), **({"recipe": recipe} if recipe else {})})
    else:
        click.echo("\n\n".join(filter(None, (found.describe(), picture.text(found)))))
        console.print_table(("what", "found"), console.identified(found))
        if recipe:
            click.echo(f"\n{recipe}")
    if to and not recipe:
        click.echo(f"no recipe for {to}: this is not known to be a convolution", err=True)
    if path and found.response is None:
        click.echo(f"{path} was not written: there is no response to draw", err=True)
    elif path:
        atomic_write(Path(path), picture.figure(found, Path(path).suffix[1:]))
        click.echo(f"wrote {path}", err=as_json)
    if not found.is_convolution:
        raise SystemExit(1)


@main.command()
@click.argument("image")
@click.option(
    "--kernel", "spec", required=True, help="name:parameter=value,..., e.g. gaussian:sigma=3, or a .npy file."
)
@click.option("--backend", "backends", multiple=True, metavar="NAME", help="May be repeated; all by default.")
@click.option("--mode", type=click.Choice(MODES), default="same")
@click.option("--dtype", type=click.Choice(DTYPES), default="float32")
@click.option("--threads", type=click.IntRange(min=1), default=1)
@click.option("--device", default="cpu", help="cpu or cuda:N.")
@click.option(
    "--budget", type=click.FloatRange(0, min_open=True), default=10.0, help="Seconds that one execution may take."
)
@click.option("--save", "folder", metavar="DIR", help="Write the result, a figure and the table there.")
@as_json
def compare(
    image: str, spec: str, backends: tuple[str, ...], budget: float, folder: str | None, as_json: bool, **settings: Any
) -> None:
    """Check and time backends on your own image.

    IMAGE is a .png, .jpg or .npy file, or the word `sample` for a photograph that comes with matplotlib.
    Kernels: gaussian, box, sobel, laplacian, log, motion, airy, random. Exit status 1 if a result was wrong.
    """
    from convbench import compare as comparing
    from convbench.images import read_image, sample_photograph
    from convbench.kernels import named_kernel

    data = read_image(sample_photograph() if image == "sample" else image)
    kernel = named_kernel(spec)
    if folder and Path(folder).exists() and not Path(folder).is_dir():
        raise StorageError(f"--save takes a folder, got the file {folder!r}; give another name")
    console.warn()
    with console.progress() as progress:
        found = comparing.compare(data, kernel, backends, budget=budget, progress=progress, **settings)
    if as_json:
        console.print_json(found.as_dict())
    else:
        shape = " x ".join(map(str, data.shape))
        title = f"{image} ({shape}) * {spec} ({' x '.join(map(str, kernel.shape))}), " + ", ".join(
            f"{key} {value}" for key, value in settings.items()
        )
        console.print_table(console.COMPARED, [console.compared(row) for row in found.rows], title)
    if folder and found.best:
        for path in comparing.save(found, folder):
            click.echo(f"wrote {path}", err=as_json)
    wrong = [row.backend for row in found.rows if row.status == "failed"]
    if wrong:
        raise GateError(f"wrong, so not timed: {', '.join(wrong)}; `convbench check {wrong[0]}` tries small examples")
    if found.best is None:
        raise UnsupportedError("no backend could run this, see above; `convbench list` shows what is installed")


@main.command()
@click.option("--image", metavar="ROWSxCOLUMNS", help="Shape of the image, e.g. 1024x768; one number for a signal.")
@click.option("--kernel", metavar="ROWSxCOLUMNS", help="Shape of the kernel.")
@click.option("--dtype", type=click.Choice(DTYPES), default="float32")
@click.option("--images", type=int, help="How many with the same kernel; without it planning costs nothing.")
@click.option("--separable", is_flag=True, help="The kernel is an outer product.")
@click.option("--threads", type=click.IntRange(min=1), default=1, help="The most to use.")
@click.option("--device", default="cpu", help="cpu or cuda:N.")
@click.option("--mode", type=click.Choice(MODES), default="same")
@click.option("--table", metavar="FILE", help="A table that --export wrote; by default this machine's measurements.")
@click.option("--results", metavar="DIR", help="Answer from this folder of results.")
@click.option("--export", metavar="FILE", help="Write the table, for programs without convbench; needs no image.")
@as_json
def recommend(
    image: str | None, kernel: str | None, table: str | None, results: str | None, export: str | None, as_json: bool,
    **settings: Any,
) -> None:  # fmt: skip
    """Say which backend to use for an image and a kernel of these shapes; nothing is timed."""
    from convbench import recommendation
    from convbench.files import atomic_write

    if export:
        chooser, _ = recommendation.find(table, results)
        if chooser is None:
            raise ArgumentError("there is no table to export: nothing was measured here; `convbench run` measures")
        atomic_write(export, recommendation.as_json(chooser.table))
        click.echo(f"wrote {export}", err=as_json)
    if image is None or kernel is None:
        if export and image is kernel is None:
            return
        raise ArgumentError("recommend needs --image and --kernel, e.g. --image 1024x1024 --kernel 31x31")
    shapes = recommendation.parse_shape("--image", image), recommendation.parse_shape("--kernel", kernel)
    found = recommendation.recommend(*shapes, table=table, results=results, **settings)
    if as_json:
        console.print_json(found.as_dict())
    else:
        click.echo(str(found))


@main.command()
@click.option("--family", "families", nargs=2, metavar="A B", required=True,
              help="Two of direct, separable, fft, framework.")  # fmt: skip
@click.option("--image", metavar="HxW", help="Pixels, with k x k kernels. [default: 1024x1024]")
@click.option("--signal", type=click.IntRange(min=1), metavar="N", help="Instead of an image a signal, with k taps.")
@click.option("--rows", is_flag=True, help="1 x k kernels on the image.")
@click.option("--dtype", type=click.Choice(DTYPES), default="float32")
@click.option("--threads", type=click.IntRange(min=1), default=1)
@click.option("--device", default="cpu", help="cpu or cuda:N.")
@click.option("--backend", "backends", multiple=True, metavar="NAME", help="May be repeated; all of both families.")
@click.option("--min", "smallest", type=click.IntRange(min=1), default=3, help="Smallest kernel size.")
@click.option("--max", "largest", type=click.IntRange(min=1), help="Largest. [default: 101; signals and rows 1025]")
@click.option("--budget", type=click.FloatRange(0, min_open=True), default=1.0, help="Seconds an execution may take.")
@click.option("--all-kinds", "every_kind", is_flag=True, help="Even, FFT-friendly and unfriendly sizes at any cost.")
@click.option("--save", "path", metavar="FILE", help="Write the JSON there.")
@as_json
def crossover(
    image: str | None, signal: int | None, families: tuple[str, str], path: str | None, as_json: bool, **settings: Any
) -> None:
    """Find the kernel size at which one family overtakes another, with few measurements."""
    import json

    from convbench.calibration import machine_noise
    from convbench.crossover import answer, find_crossover
    from convbench.crossover.find import PROCESSES, RULE
    from convbench.crossover.lengths import read_shape
    from convbench.files import atomic_write
    from convbench.processes import Processes

    if signal is not None and (image is not None or settings["rows"]):
        raise ArgumentError("--signal takes the place of --image and --rows; give one of them")
    if path and (Path(path).is_dir() or not Path(path).absolute().parent.is_dir()):
        raise ArgumentError(f"--save takes a file in a folder that exists, got {path!r}")
    shape = (signal,) if signal is not None else read_shape(image or "1024x1024")
    console.warn()
    noise = machine_noise().of(PROCESSES)
    with Processes(PROCESSES, RULE, settings["budget"]) as several, console.progress(lines=True) as progress:
        found = find_crossover(families, shape, measure=several.measure, noise=noise, progress=progress, **settings)
    if as_json:
        console.print_json(answer.as_dict(found))
    else:
        click.echo(answer.sentence(found))
        console.print_table(answer.columns(found), answer.rows(found))
        for text in answer.remarks(found):
            click.echo(text)
    if path:
        atomic_write(Path(path), json.dumps(answer.as_dict(found), indent=1) + "\n")
    if found.interrupted:
        raise SystemExit(130)
    if found.failed:
        raise GateError(f"wrong, so not timed: {', '.join(found.failed)}; `convbench check` tries small examples")
    if not found.cells:
        raise UnsupportedError("nothing could be timed, see above; `convbench list` shows what is installed")


@main.command()
@click.argument("backends", nargs=-1, required=True, metavar="BACKEND [BACKEND]")
@click.option(
    "--image",
    "images",
    multiple=True,
    default=("1024x1024",),
    metavar="HxW|N|FILE",
    help="Pixels, samples of a signal, a .png, .jpg or .npy file, or `sample`.",
)
@click.option(
    "--kernel",
    "kernels",
    multiple=True,
    default=("31",),
    metavar="K|HxW|KERNEL",
    help="Its size, or a kernel as `compare` takes it.",
)
@click.option("--dtype", type=click.Choice(EVERY_DTYPE), default="float32")
@click.option("--mode", type=click.Choice(MODES), default="same")
@click.option("--threads", type=click.IntRange(min=1), default=1)
@click.option("--device", default="cpu", help="cpu or cuda:N.")
@click.option("--sweep", "sweeps", type=click.Choice(AXES), multiple=True, help="Also how the time grows with it.")
@click.option("--out", default="reports", help="The site's folder: the page goes into profiles/ there.")
@click.option("--page/--no-page", default=True, help="Write the page.")
@as_json
def profile(
    backends: tuple[str, ...],
    images: tuple[str, ...],
    kernels: tuple[str, ...],
    out: str,
    page: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Say why a backend is as fast as it is: stages, algorithm, ceilings, counters, memory, time line, scaling.

    With two backends, or --image or --kernel twice, the two are profiled and compared. Exit status 1 if a result was
    wrong: it is then not timed.
    """
    from convbench import profiling

    for folder in (Path(out), Path(out) / "profiles"):
        if folder.exists() and not folder.is_dir():
            raise StorageError(f"--out takes a folder, got the file {folder}; give another name")
    console.warn()
    with console.progress(lines=True) as progress:
        found = profiling.profiles(backends, images, kernels, progress=progress, **settings)
    if as_json:
        console.print_json(found.as_dict())
    else:
        for table in found.tables():
            console.print_table(table.columns, table.rows, table.title)
            for note in table.notes:
                click.echo(note)
    if page:
        for path in found.write(Path(out) / "profiles"):
            click.echo(f"wrote {path}", err=as_json)
    if found.interrupted:
        raise SystemExit(130)


@main.command()
@click.option("--preset", type=click.Choice(PRESETS), default="quick", help="How much to measure.")
@click.option("--bench", metavar="REGEX", help='Only cells whose name matches, e.g. "image.*numba.*float32".')
@click.option("--resume/--fresh", default=True, help="Go on where the last run stopped, or measure all again.")
@click.option("--device", "devices", multiple=True, metavar="cuda:N", help="Instead of cuda:0; may be repeated.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Begin nothing after; run again to go on.")
def run(preset: str, bench: str | None, resume: bool, devices: tuple[str, ...], minutes: float | None) -> None:
    """Run the benchmark suite and store its results. Exit status 1 if a result was wrong."""
    from convbench import suite

    told = console.warn()
    with console.progress(lines=True) as progress:
        outcome = suite.run(
            preset, bench=bench, fresh=not resume, progress=progress, devices=devices, minutes=minutes or math.inf
        )
    for text in outcome.warnings:
        if text not in told:
            click.echo(f"Warning: {text}", err=True)
    counted = ", ".join(f"{count} {status}" for status, count in outcome.counts.items())
    went_on = f" (resumed: {outcome.resumed} were measured before the interruption)" if outcome.resumed else ""
    click.echo(f"{counted}{went_on}; evidence in {outcome.evidence}; `convbench report` turns the results into pages")
    if outcome.left:
        click.echo(f"the time was up: {outcome.left} cells are left; the same command goes on with them")
    from convbench import recommendation
    from convbench.machine import machine_name

    with contextlib.suppress(ConvbenchError):  # kept for `convolve` and `recommend`, which else know less, and say so
        recommendation.remember(recommendation.table_of(outcome.evidence.parent.parent, machine_name()))
    if outcome.failed:
        for text in outcome.failed:
            click.echo(f"failed: {text}")
        raise GateError(
            f"{len(outcome.failed)} cells failed and have no time; `convbench check BACKEND` tries small examples"
        )


@main.command()
@click.argument("base", metavar="A")
@click.argument("new", metavar="[B]", default="HEAD")
@click.option("--preset", type=click.Choice(PRESETS), default="quick", help="Which cells.")
@click.option("--bench", metavar="REGEX", help="Only cells whose name matches.")
@click.option("--backend", "backends", multiple=True, metavar="NAME", help="May be repeated; all by default.")
@click.option("--rounds", type=int, default=24, help="The most rounds that a cell gets; at least 2.")
@click.option("--budget", type=click.FloatRange(0, min_open=True), help="Seconds of measuring in all.")
@click.option("--margin", default="5%", help="Differences up to which two times are the same.")
@click.option("--strict", is_flag=True, help="Exit status 3 if there is a cell of which nothing can be told.")
@click.option("--here", is_flag=True, help="In this Python, not in the environment that asv builds.")
@click.option("--fresh", is_flag=True, help="Use nothing that was measured before.")
@as_json
def track(base: str, new: str, margin: str, strict: bool, as_json: bool, **settings: Any) -> None:
    """Which of two commits is faster? A and B are revisions, or the word worktree.

    Exit status: 0 nothing is slower or wrong, 1 something is, or no longer runs in B, 2 bad usage or nothing to
    compare, 3 see --strict.
    """
    from convbench import tracking

    console.warn()
    with console.progress(lines=True) as progress:
        found = tracking.track(base, new, margin=tracking.relative(margin), progress=progress, **settings)
    for text in found.notes:
        click.echo(f"Note: {text}", err=True)
    if as_json:
        console.print_json(found.as_dict())
    else:
        console.print_table(tracking.COLUMNS, found.table())
        for text in found.not_compared():
            click.echo(f"not compared: {text}")
        click.echo(found.summary())
    if status := found.exit_status(strict):
        raise SystemExit(status)


@main.command()
@click.argument("source", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--results", type=click.Path(path_type=Path), help="Add them here; by default the project's results.")
def merge(source: Path, results: Path | None) -> None:
    """Add results that were measured elsewhere. Exit status 1 if some contradict what is there: it stays."""
    from convbench.merge import merge as add
    from convbench.repository import find_root

    done = add(source, results or find_root() / "results")
    click.echo(str(done))
    for text in done.conflicts:
        click.echo(f"conflict: {text}")
    if done.conflicts:
        raise SystemExit(1)


@main.command()
@click.option("--results", type=click.Path(path_type=Path), help="Folder of stored results; by default the project's.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the pages; by default reports beside it.")
@click.option("--serve", is_flag=True, help="Then show the pages on 127.0.0.1, to this machine only, until Ctrl-C.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, help="For --serve; 0 takes one that is free.")
def report(results: Path | None, out: Path | None, serve: bool, port: int) -> None:
    """Turn stored results into a site that can be published, with asv's own pages as its history."""
    from convbench.machine import cores
    from convbench.repository import find_root

    own = results is None and out is None
    results = results or find_root() / "results"
    out = out or results.parent / "reports"
    if not results.is_dir():
        raise ArgumentError(f"no folder of results at {str(results)!r}; `convbench run` makes one, --results names one")
    with console.progress() as progress:
        if own:  # asv reads the project's results only
            from convbench.suite import publish

            progress(0, 1, "asv publishes its pages")
            try:
                publish()
            except ConvbenchError as error:
                click.echo(f"Warning: the report goes on without asv's pages: {error}", err=True)
        from convbench.report import build_report

        index = build_report(results, out, progress=progress, backends=console.described(), workers=cores())
    _remember(out)
    click.echo(f"open {index}")
    if serve:
        from convbench.report.serve import serve as show

        show(out, port, lambda url: click.echo(f"open {url} (Ctrl-C ends)"))


def _remember(site: Path) -> None:
    """Keep this machine's table for `convolve` and `recommend`; without it they know less, and say so."""
    import json

    from convbench import recommendation

    for path in site.glob("chooser-*.json"):
        with contextlib.suppress(ConvbenchError, OSError, ValueError):
            recommendation.remember(json.loads(path.read_text()))


@main.command()
@click.option(
    "--ceilings", is_flag=True, help="Measure and keep the peaks of arithmetic, caches, memory and FFT: 10 s."
)
@click.option(
    "--threads", type=click.IntRange(min=1), multiple=True, help="For --ceilings; may be repeated. [default: 1 and all]"
)
@click.option("--device", "on", multiple=True, metavar="cuda:N", help="For --ceilings: those of devices, too.")
@as_json
def machine(ceilings: bool, threads: tuple[int, ...], on: tuple[str, ...], as_json: bool) -> None:
    """Show this machine, versions, and what disturbs it now."""
    from convbench import machine as this

    found: dict[str, Any] = {"machine": this.describe(), "versions": this.versions(), "warnings": this.warnings()}
    if ceilings:
        from convbench.ceilings import ceilings as measured
        from convbench.cuda.ceilings import device_ceilings

        usual = () if on else (1, this.cores())
        found["ceilings"] = {n: measured(n) for n in sorted({*(threads or usual)})}
        try:
            found["ceilings"] |= {name: device_ceilings(name) for name in dict.fromkeys(on)}
        except ConvbenchError:
            if found["ceilings"]:
                click.echo(_keep(found["ceilings"]), err=True)
            raise
    if as_json:
        console.print_json(found)
    else:
        facts = {**found["machine"], **found["versions"], "python": found["machine"]["python"]}
        console.print_table(("what", "value"), list(facts.items()))
        if ceilings:
            console.print_table(*console.ceilings(found["ceilings"]))
        for text in this.notes():
            click.echo(f"Note: {text}")
        for text in found["warnings"] or ["nothing found that would disturb a measurement"]:
            click.echo(f"Warning: {text}" if found["warnings"] else text)
    if ceilings:
        click.echo(_keep(found["ceilings"]), err=as_json)


def _keep(measured: dict[int | str, dict[str, float]]) -> str:
    """Keep ceilings with the machine's results, and for `convolve`; returns where the results' are, or why not."""
    from convbench import cost
    from convbench.ceilings import FILE, store_ceilings
    from convbench.repository import find_root

    if 1 in measured:
        cost.remember(measured[1])
    try:
        results = find_root() / "results"
        if not results.is_dir():
            return f"Nothing was stored: there is no folder {results}; `convbench run` makes it"
        from convbench.cuda.cards import cards_of
        from convbench.session import asv_machine

        name = asv_machine()
        told = store_ceilings(results / name, name, measured, cards_of(measured.keys()))
    except ConvbenchError as error:
        return f"Nothing was stored: {error}"
    return (f"Warning: {told}\n" if told else "") + f"stored in {results / name / FILE}"


def _subject(name: str) -> Any:
    """The backend of that name, or the function that MODULE:FUNCTION or FILE.py:FUNCTION names."""
    if ":" not in name:
        return convbench.get_backend(name)
    import importlib
    import importlib.util

    where, _, attribute = name.rpartition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        if where.endswith(".py"):
            spec = importlib.util.spec_from_file_location(Path(where).stem, where)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(where)
    except Exception as error:  # whatever a stranger's module raises
        what = f"{type(error).__name__}: {error}"
        raise ArgumentError(f"cannot import {where!r} of {name!r}: {what}; write MODULE:FUNCTION") from error
    function = getattr(module, attribute, None)
    if not callable(function):
        names = [n for n, value in vars(module).items() if callable(value) and not n.startswith("_")]
        raise one_of(f"function of {where}", attribute, names)
    return function
