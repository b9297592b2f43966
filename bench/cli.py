"""The command line: `python -m bench COMMAND`. Imports jax only where a command needs it here."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from bench import store
from bench.bad_input import SuiteError
from bench.display import Display
from bench.doctor import check_machine
from bench.executors import modules_of, run_suite
from bench.folder_check import check_run
from bench.opening import place_for
from bench.parent import BAD_INPUT, CELLS_FAILED, FOLDER, NO_DEVICE, REGRESSION
from bench.reporting import show_table, write_report
from bench.size import Room, size_of
from bench.store import FolderError
from bench.suite import Suite, load_suite, narrowed

DEVICES = ("auto", "cpu", "gpu")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Which batch size and which decay schedule reaches the target loss soonest, on this device, and how sure are we?

    Exit codes: 0 fine, 2 bad input, 3 some cells failed, 4 results folder, 5 device missing, 6 regression,
    130 interrupted.
    """


@cli.command()
@click.argument("suite")
@click.option("--problem", "problems", metavar="NAME", multiple=True, help="Only this problem of SUITE; repeatable.")
@click.option("--optimizer", "optimizers", metavar="NAME", multiple=True, help="Only this optimizer; repeatable.")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="Where the lanes run.")
@click.option("--out", type=Path, help="Run folder [default: results/SUITE-DEVICE-TIME].")
@click.option("--resume", is_flag=True, help="Go on with the run in --out; starts it where there is none.")
@click.option("--force-new", is_flag=True, help="Where --out is used or can't be resumed, run in a new folder beside.")
@click.option("--yes", is_flag=True, help="Run a very large suite too, and where memory or disk look short.")
def run(suite: str, problems: tuple[str, ...], optimizers: tuple[str, ...], device: str, out: Path | None,
        resume: bool, force_new: bool, yes: bool) -> None:
    """Run SUITE, a shipped name (see list) or a TOML file, and report."""
    display = Display()
    try:
        loaded = narrowed(load_suite(suite), problems, optimizers)
    except SuiteError as error:
        display.error(str(error))
        sys.exit(BAD_INPUT)
    if (resume or force_new) and out is None:
        display.error(f"error: {'--resume' if resume else '--force-new'}: needs the folder of the run (got no --out). "
                      "Add --out DIR.")
        sys.exit(BAD_INPUT)
    size = size_of(loaded)
    if loaded.claims is None:
        display.line(f"{loaded.name}: {size}")
    if size.too_large and not yes:
        display.error(f"error: {suite}: is very large (got {size}). Shorten its axes, or add --yes.")
        sys.exit(BAD_INPUT)
    try:
        folder = out or default_folder(loaded, device)
        room = Room.beside(folder)  # refuses a path that can't be looked at
        folder = place_for(loaded, folder, device, resume) if force_new else folder
    except FolderError as error:
        display.error(f"error: {error}")
        sys.exit(FOLDER)
    display.line(f"run folder: {folder} ({room})")
    short = room.lacks(size)
    if short is not None:
        display.error(f"{'warning' if yes else 'error'}: {short}{'' if yes else ', or add --yes'}.")
        if not yes:
            sys.exit(FOLDER)
    code = run_suite(loaded, folder, device, resume)
    if code and code not in (FOLDER, NO_DEVICE, BAD_INPUT):
        part = [f"--problem={name}" for name in problems] + [f"--optimizer={name}" for name in optimizers]
        again = ["python", "-m", "bench", "run", suite, *part, "--device", device, "--out", str(folder), "--resume"]
        display.line(f"to go on: {shlex.join(again)}")
    sys.exit(code)


@cli.command()
@click.argument("folder", metavar="DIR", type=Path)
@click.option("--table", "style", type=click.Choice(["latex", "markdown"]),
              help="Print the winners as a table for a paper, and write nothing.")
def report(folder: Path, style: str | None) -> None:
    """Make tables and report of the run in DIR again from its finished parts."""
    display = Display()
    try:
        if style is not None:
            show_table(folder, style, display)
            return
        modules = modules_of(store.read_run(folder)["config"])
        for text in store.collect(folder):
            display.line(f"warning: {text}")
        sys.exit(0 if write_report(folder, modules.report, display) else 1)
    except FolderError as error:
        display.error(f"error: {error}")
        sys.exit(FOLDER)


@cli.command()
@click.argument("a", metavar="DIR_A", type=Path)
@click.argument("b", metavar="DIR_B", type=Path)
@click.option("--out", type=Path, help="Where the comparison goes [default: results/compare-A-B].")
@click.option("--fail-above", type=click.FloatRange(min=1.0, max=1e6), metavar="RATIO",
              help="Exit 6 when a cell of B takes more than RATIO times as long as in A, beyond noise.")
def compare(a: Path, b: Path, out: Path | None, fail_above: float | None) -> None:
    """Compare the runs in DIR_A and DIR_B by cell: how many times faster B is, and whether it does the same."""
    from bench.compare import NotComparable  # only here: it draws
    from bench.compare import compare as work
    from bench.scale import compare as scaling

    display = Display()
    out = out or Path("results") / re.sub(r"[^A-Za-z0-9._-]+", "_", f"compare-{a.name}-{b.name}")[:120]
    try:
        if scaling.is_scale(a) or scaling.is_scale(b):
            for text in scaling.write(a, b, out):
                display.line(text)
            return
        found = work(a, b, out)
    except (NotComparable, scaling.CompareError) as error:
        display.error("\n".join(f"error: {text}" for text in str(error).splitlines()))
        sys.exit(BAD_INPUT)
    except ValueError as error:
        display.error(f"error: {error}")
        sys.exit(FOLDER)
    except OSError as error:
        display.error(f"error: --out: {out}: cannot be written (got {error.strerror or error}). Use another --out.")
        sys.exit(FOLDER)
    display.show(found.table)
    for text in found.lines:
        display.line(text)
    display.line(f"comparison: {out / 'compare.html'}")
    slower = found.slower_than(fail_above) if fail_above is not None else []
    if slower:
        display.error("\n".join(f"error: --fail-above: slower than allowed (got {text}, {fail_above:g}× is allowed)."
                                for text in slower))
        sys.exit(REGRESSION)


@cli.command()
@click.argument("problem")
@click.option("--starts", type=int, default=512 * 512, show_default=True, help="At least so many, on a square grid.")
@click.option("--rate", type=float, help="Learning rate [default: by a range test].")
@click.option("--optimizer", default="sgd", show_default=True, help="A name (see list).")
@click.option("--steps", type=int, default=2000, show_default=True, help="At most so many a start.")
@click.option("--out", type=click.Path(path_type=Path), help="PNG file [default: results/basins-PROBLEM.png].")
def basins(problem: str, starts: int, rate: float | None, optimizer: str, steps: int, out: Path | None) -> None:
    """Draw where descent ends from every start of PROBLEM, which has two parameters: basins, paths, minima, shares."""
    from bench import basins as work  # only here: it imports jax

    display = Display()
    try:
        request = work.check(problem, optimizer, starts, rate, steps, out)
    except (ValueError, ImportError) as error:
        display.error(f"error: {error}")
        sys.exit(BAD_INPUT)
    found = work.find(request, display.line)
    for text in work.words(found):
        display.line(text)
    from bench import basins_picture
    from bench.report.files import write_whole

    try:
        write_whole(request.out, basins_picture.draw(found))
    except OSError as error:
        display.error(f"error: --out: can't be written (got {error}). Give a file in a folder that can.")
        sys.exit(FOLDER)
    display.line(f"picture: {request.out}")


@cli.command()
@click.argument("folder", metavar="[DIR]", default=Path("results"), type=Path)
@click.option("--out", type=Path, metavar="FILE.png",
              help="Where the picture goes, an .svg beside it [default: DIR/history.png].")
def history(folder: Path, out: Path | None) -> None:
    """List the runs below DIR, oldest first, and draw their seconds to target over time [default: results]."""
    display = Display()
    if out is not None and out.suffix != ".png":
        display.error(f"error: --out: must end in .png (got {out}). The .svg goes beside it.")
        sys.exit(BAD_INPUT)
    from bench import history as work  # only here: pandas and matplotlib take a second to import
    from bench import history_picture

    try:
        found = work.read(folder)
    except FolderError as error:
        display.error(f"error: {error}")
        sys.exit(FOLDER)
    display.show(work.table(found))
    for text in work.lines(found):
        display.line(text)
    if not found.series():
        display.line("no picture: no run has come to its end with a headline")
        return
    out = out or folder / "history.png"
    try:
        paths = history_picture.draw(found, out.with_suffix(""))
    except OSError as error:
        display.error(f"error: --out: {out}: cannot be written (got {error.strerror or error}). Name another file.")
        sys.exit(FOLDER)
    display.line(f"picture: {' and '.join(map(str, paths))}")


@cli.command()
@click.option("--out", type=Path, default=Path("results/benchmarks"), show_default=True, help="Where runs are kept.")
@click.option("--accept", is_flag=True, help="Measure nothing: let the last run that was slower be the one to beat.")
def gate(out: Path, accept: bool) -> None:
    """Time the benchmarks, keep the run, exit 6 when one is slower than in the last run of this machine."""
    from bench import gate as work  # only here: nothing else needs it

    display = Display()
    sys.exit(work.accept(out, display) if accept else work.gate(out, display))


@cli.command()
@click.argument("problem")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="Where the lanes run.")
@click.option("--out", type=Path, help="Folder [default: results/scale-PROBLEM-DEVICE-TIME].")
@click.option("--minutes", type=float, default=5.0, show_default=True, help="Time limit; the rest is skipped.")
@click.option("--max-lanes", type=int, default=1 << 20, show_default=True, help="No corner has more.")
def scale(problem: str, device: str, out: Path | None, minutes: float, max_lanes: int) -> None:
    """Measure throughput, memory and share of the device's ceilings of PROBLEM by lane count and batch size."""
    from bench.scale import session  # only here: the other commands need none of it

    sys.exit(session.run(problem, out or _folder_of(f"scale-{problem}", device), device, minutes, max_lanes))


@cli.command()
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="Where JAX runs.")
@click.option("--out", type=Path, help="Folder [default: results/peers-DEVICE-TIME].")
@click.option("--only", multiple=True, metavar="WORKLOAD", help="This workload only; may be given several times.")
@click.option("--repeats", type=int, default=10, show_default=True, help="Samples of each; fewer where they are long.")
def peers(device: str, out: Path | None, only: tuple[str, ...], repeats: int) -> None:
    """Time the same work in PyTorch, optimistix, scikit-learn, NumPy and plain JAX beside gdjax."""
    from bench.peers import session  # only here: the other commands need none of it

    sys.exit(session.run(out or _folder_of("peers", device), device, only, repeats))


@cli.command()
@click.argument("problem", default="himmelblau")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="Where the lanes run.")
@click.option("--most", type=int, default=1_000_000, show_default=True, help="Lanes: 1,000, 10,000, … up to so many.")
@click.option("--rate", type=float, default=0.003, show_default=True, help="Learning rate of BGD.")
@click.option("--tolerance", type=float, default=1e-3, show_default=True, help="Gradient norm at which a lane ends.")
@click.option("--steps", type=int, default=5_000, show_default=True, help="Most steps of a lane.")
@click.option("--repeats", type=int, default=5, show_default=True, help="Samples of each number of lanes.")
@click.option("--out", type=Path, metavar="FILE.png",
              help="Picture; .svg and .csv go beside it [default: results/growth-PROBLEM.png].")
def growth(problem: str, device: str, most: int, rate: float, tolerance: float, steps: int, repeats: int,
           out: Path | None) -> None:
    """Measure how time and memory of PROBLEM grow with the number of lanes [default: himmelblau]."""
    from bench import growth as work  # only here: it imports jax

    display = Display()
    try:
        request = work.check(problem, device, most, rate, tolerance, steps, repeats, out)
    except (ValueError, ImportError) as error:
        display.error(f"error: {error}")
        sys.exit(BAD_INPUT)
    found, code = [], 0
    try:
        for point in work.points(request, display.line):
            found.append(point)
    except RuntimeError as error:  # what was measured before is kept
        display.error(f"error: {error}")
        code = NO_DEVICE if isinstance(error, work.NoDeviceError) else CELLS_FAILED
    if not found:
        sys.exit(code)
    from bench import growth_picture

    for text in work.words(request, found):
        display.line(text)
    try:
        request.out.parent.mkdir(parents=True, exist_ok=True)
        work.write_table(found, request.out.with_suffix(".csv"))
        growth_picture.write(request, found)
    except OSError as error:
        display.error(f"error: --out: can't be written (got {error}). Give a file in a folder that can.")
        sys.exit(FOLDER)
    display.line(f"picture: {request.out}")
    sys.exit(code)


@cli.command("list")
@click.option("--schedules", "draw", is_flag=True, help="The schedules alone, and a picture of them.")
@click.option("--out", type=Path, metavar="FILE.png",
              help="Where --schedules draws, an .svg beside it [default: schedules.png].")
def list_(draw: bool, out: Path | None) -> None:
    """Problems, schedules, optimizers, claims and suites, one line each."""
    display = Display()
    if out is not None and not draw:
        display.error(f"error: --out: is for the picture of the schedules (got {out}). Add --schedules.")
        sys.exit(BAD_INPUT)
    if out is not None and out.suffix != ".png":
        display.error(f"error: --out: must end in .png (got {out}). The .svg goes beside it.")
        sys.exit(BAD_INPUT)
    width = shutil.get_terminal_size().columns
    from bench import listing  # only here: it imports jax

    if draw:
        _draw(display, out or Path("schedules.png"), width)
        return
    for title, entries in listing.sections().items():
        for text in listing.lines(title, entries, width):
            display.line(text)


@cli.command()
@click.argument("folder", metavar="[DIR]", required=False, type=Path)
def doctor(folder: Path | None) -> None:
    """Check this machine, or the run in DIR: what is missing and how to mend it."""
    display = Display()
    found = check_machine() if folder is None else check_run(folder)
    for text in found.lines:
        display.line(text)
    sys.exit(found.code)


def default_folder(suite: Suite, device: str) -> Path:
    """Where a run goes unless told: results/<suite>-<device>-<UTC time>."""
    return _folder_of(suite.name, device)


def _folder_of(name: str, device: str) -> Path:
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._-")[:60] or "suite"
    return Path("results") / f"{name}-{device}-{datetime.now(UTC):%Y%m%d-%H%M%S}"


def _draw(display: Display, out: Path, width: int) -> None:
    from bench import listing, schedule_plot

    for text in listing.lines("schedules", schedule_plot.in_words(), width):
        display.line(text)
    try:
        paths = schedule_plot.draw(out.with_suffix(""))
    except OSError as error:
        display.error(f"error: {out}: cannot be written (got {error.strerror or error}). Name another file with --out.")
        sys.exit(FOLDER)
    display.line(f"picture: {' and '.join(map(str, paths))}")
