"""The command line: `python -m bench COMMAND`. Imports jax only where a command needs it here."""

from __future__ import annotations

import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from bench import files, store
from bench.bad_input import SuiteError
from bench.cli_pictures import DEVICES, basins, growth, stream
from bench.cli_targets import find_targets
from bench.cluster import EXECUTORS, cluster_from, run_over
from bench.command import command
from bench.display import Display
from bench.doctor import check_machine
from bench.executors import modules_of, run_suite
from bench.folder_check import check_run
from bench.follow import follow
from bench.meeting import WAIT_S, meeting_from
from bench.merge import merge_folders
from bench.opening import place_for
from bench.parent import BAD_INPUT, FOLDER, NO_DEVICE, REGRESSION
from bench.reporting import show_table, write_report
from bench.shards import Shard, shard_from, shards_for, suite_words
from bench.size import Room, size_of
from bench.store import FolderError
from bench.suite import Suite, load_suite, narrowed
from bench.suite_fields import ALL


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
@click.option("--devices", type=click.IntRange(1, 10_000), metavar="N",
              help="How many devices share the lanes [default: the suite's; with --coordinator all of all hosts].")
@click.option("--shard", "part", metavar="k/K", help="Only shard k of K of SUITE, in a folder of its own; see merge.")
@click.option("--executor", type=click.Choice(EXECUTORS), default="local", show_default=True,
              help="What runs the shards of a sweep: this machine, Dask workers, SLURM jobs.")
@click.option("--shards", type=click.IntRange(1, 100_000), metavar="K",
              help="Into how many shards dask or slurm divide SUITE [default: 8, or one for each group].")
@click.option("--scheduler", metavar="ADDRESS", help="Of Dask's scheduler [default: a worker of this machine].")
@click.option("--slurm", "parameters", metavar="NAME=VALUE", multiple=True,
              help="Parameter of submitit, such as slurm_partition=gpu; repeatable.")
@click.option("--coordinator", metavar="HOST:PORT",
              help="Run on several hosts as one program that meet there: this command on each; auto asks the cluster.")
@click.option("--processes", type=click.IntRange(1, 10_000), metavar="N", help="How many meet there.")
@click.option("--process-id", "process", type=int, metavar="I",
              help="Number of this one, from 0; 0 is at --coordinator and has the run folder, the others follow.")
@click.option("--wait", "wait_s", type=click.FloatRange(1, 86_400), metavar="SECONDS",
              help=f"How long they wait for each other [default: {WAIT_S:g}].")
@click.option("--out", type=Path, help="Run folder [default: results/SUITE-DEVICE-TIME].")
@click.option("--resume", is_flag=True, help="Go on with the run in --out; starts it where there is none.")
@click.option("--force-new", is_flag=True, help="Where --out is used or can't be resumed, run in a new folder beside.")
@click.option("--report/--no-report", "wanted", default=True, help="Write the report too [default: yes].")
@click.option("--yes", is_flag=True, help="Run a very large suite too, and where memory or disk look short.")
def run(suite: str, problems: tuple[str, ...], optimizers: tuple[str, ...], device: str, devices: int | None,
        part: str | None, executor: str, shards: int | None, scheduler: str | None, parameters: tuple[str, ...],
        coordinator: str | None, processes: int | None, process: int | None, wait_s: float | None, out: Path | None,
        resume: bool, force_new: bool, wanted: bool, yes: bool) -> None:
    """Run SUITE, a shipped name (see list) or a TOML file, and report."""
    display = Display()
    try:
        loaded = load_suite(suite)
        meeting = meeting_from(coordinator, processes, process, wait_s, suite=loaded, device=device, devices=devices,
                               shard=part, executor=executor)
        loaded = narrowed(loaded, problems, optimizers, devices or (ALL if meeting else None))
        shard = None if part is None else shard_from(part, loaded)
        cluster = cluster_from(executor, scheduler, parameters, shards, part)
        shards = shards_for(loaded, shards) if cluster else None
    except SuiteError as error:
        display.error(str(error))
        sys.exit(BAD_INPUT)
    follows = meeting is not None and meeting.process > 0
    if (resume or force_new) and out is None and not follows:
        display.error(f"error: {'--resume' if resume else '--force-new'}: needs the folder of the run (got no --out). "
                      "Add --out DIR.")
        sys.exit(BAD_INPUT)
    size = size_of(loaded) if shard is None else size_of(loaded).share(shard.of)
    if loaded.claims is None and not follows:
        display.line(f"{suite_words(loaded.name, shard)}: {size}")
    if size.too_large and not yes:
        display.error(f"error: {suite}: is very large (got {size}). Shorten its axes, or add --yes.")
        sys.exit(BAD_INPUT)
    if meeting is not None and follows:
        sys.exit(follow(loaded, device, meeting))
    try:
        folder = out or default_folder(loaded, device, shard)
        room = Room.beside(folder)  # refuses a path that can't be looked at
        if force_new:
            folder = place_for(loaded, folder, device, resume, shard, meeting.processes if meeting else 1)
    except FolderError as error:
        display.error(f"error: {error}")
        sys.exit(FOLDER)
    display.line(f"run folder: {folder} ({room})")
    short = room.lacks(size)
    if short is not None:
        display.error(f"{'warning' if yes else 'error'}: {short}{'' if yes else ', or add --yes'}.")
        if not yes:
            sys.exit(FOLDER)
    which = [*(f"--problem={name}" for name in problems), *(f"--optimizer={name}" for name in optimizers),
             "--device", device, *([f"--devices={devices}"] if devices else []), *(["--yes"] if yes else [])]
    if cluster and shards:
        sys.exit(run_over(cluster, loaded, device, ["run", suite, *which], folder, shards, resume, wanted))
    code = run_suite(loaded, folder, device, resume, shard, reported=wanted, yes=yes, meeting=meeting)
    if code and code not in (FOLDER, NO_DEVICE, BAD_INPUT):
        which += [] if shard is None else [f"--shard={shard}"]
        which += [] if meeting is None else meeting.options
        where = "" if meeting is None else " (on every host, with its --process-id)"
        display.line(f"to go on{where}: {command('run', suite, *which, '--out', folder, '--resume')}")
    sys.exit(code)


@cli.command()
@click.argument("folders", metavar="DIR...", nargs=-1, required=True, type=Path)
@click.option("--out", required=True, type=Path, help="Run folder to make.")
@click.option("--report/--no-report", "wanted", default=True, help="Write the report too [default: yes].")
def merge(folders: tuple[Path, ...], out: Path, wanted: bool) -> None:
    """Merge the shards of a suite, or interrupted runs of it, into one new run folder; they stay as they are.

    Exit code 3 where cells are missing: they are named, and the rest is merged.
    """
    sys.exit(merge_folders(folders, out, report=wanted))


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
        known = store.read_run(folder)
        bare = store.without_parts(folder, known["cells"])
        if bare is not None:  # the tables that are there would be written over by empty ones
            raise FolderError(bare)
        modules = modules_of(known["config"])
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
    out = out or Path("results") / files.safe_name(f"compare-{a.name}-{b.name}", 120)
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
    """Measure throughput, memory and share of the device's ceilings of PROBLEM by lane count and batch size.

    PROBLEM is a name or my_module:make_problem.
    """
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


cli.add_command(basins)
cli.add_command(growth)
cli.add_command(stream)
cli.add_command(find_targets)


def default_folder(suite: Suite, device: str, shard: Shard | None = None) -> Path:
    """Where a run goes unless told: results/<suite>-<device>-<shard-k-of-K where it is one>-<UTC time>."""
    return _folder_of(suite.name, device if shard is None else f"{device}-shard-{shard.label}")


def _folder_of(name: str, device: str) -> Path:
    return Path("results") / f"{files.safe_name(name) or 'suite'}-{device}-{datetime.now(UTC):%Y%m%d-%H%M%S}"


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
