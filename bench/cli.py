"""The command line: `python -m bench run|report|list|doctor`. Imports neither jax nor gdjax, except to list."""

from __future__ import annotations

import re
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from bench import doctor as checks
from bench import store
from bench.bad_input import SuiteError
from bench.display import Display
from bench.executors import BAD_INPUT, FOLDER, NO_DEVICE, modules_of, run_suite, write_report
from bench.size import size_of
from bench.store import FolderError
from bench.suite import Suite, load_suite, shipped_suites

DEVICES = ("auto", "cpu", "gpu")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Which batch size and which decay schedule reaches the target loss soonest, on this device, and how sure are we?

    Exit codes: 0 fine, 2 bad input, 3 some cells failed, 4 results folder, 5 device missing, 130 interrupted.
    """


@cli.command()
@click.argument("suite")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="Where the lanes run.")
@click.option("--out", type=click.Path(path_type=Path), help="Run folder [default: results/SUITE-DEVICE-TIME].")
@click.option("--resume", is_flag=True, help="Go on with the run in --out; starts it where there is none.")
@click.option("--yes", is_flag=True, help="Run a very large suite too.")
def run(suite: str, device: str, out: Path | None, resume: bool, yes: bool) -> None:
    """Run SUITE, a shipped name (see list) or a TOML file, and report."""
    display = Display()
    try:
        loaded = load_suite(suite)
    except SuiteError as error:
        display.error(str(error))
        sys.exit(BAD_INPUT)
    if resume and out is None:
        display.error("error: --resume: needs the folder of the run (got no --out). Add --out DIR.")
        sys.exit(BAD_INPUT)
    if loaded.claims is None:
        size = size_of(loaded)
        display.line(f"{loaded.name}: {size}")
        if size.too_large and not yes:
            display.error(f"error: {suite}: is very large (got {size}). Shorten its axes, or add --yes.")
            sys.exit(BAD_INPUT)
    folder = out or default_folder(loaded, device)
    display.line(f"run folder: {folder}")
    code = run_suite(loaded, folder, device, resume)
    if code and code not in (FOLDER, NO_DEVICE, BAD_INPUT):
        again = ["python", "-m", "bench", "run", suite, "--device", device, "--out", str(folder), "--resume"]
        display.line(f"to go on: {shlex.join(again)}")
    sys.exit(code)


@cli.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def report(folder: Path) -> None:
    """Make tables and report of the run in DIR again from its finished parts."""
    display = Display()
    try:
        modules = modules_of(store.read_run(folder)["config"])
        for text in store.collect(folder):
            display.line(f"warning: {text}")
    except FolderError as error:
        display.error(f"error: {error}")
        sys.exit(FOLDER)
    sys.exit(0 if write_report(folder, modules.report, display) else 1)


@cli.command("list")
def list_() -> None:
    """Problems, schedules, optimizers, claims and suites, one line each."""
    import gdjax  # only here: it imports jax
    from bench.study.registry import known_claims  # so does this

    display = Display()
    problems = {}
    for name in gdjax.problems.names():
        problem = gdjax.problems.get(name)
        size = "no data" if problem.data is None else f"{problem.examples:,} examples"
        problems[name] = f"{size}. {problem.source}"
    schedules = {name: getattr(gdjax.schedules, name) for name in gdjax.schedules.names()}
    _section(display, "problems", problems)
    _section(display, "schedules", {name: _first_line(each) for name, each in schedules.items()})
    _section(display, "optimizers", {name: _of(gdjax.optimizers.get(name)) for name in gdjax.optimizers.names()})
    _section(display, "claims", {f"{each.number:>2} {each.name}": each.statement for each in known_claims().values()})
    _section(display, "suites", {name: _comment(path) for name, path in shipped_suites().items()})


@cli.command()
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
def doctor(folder: Path | None) -> None:
    """Check this machine, or the run in DIR: what is missing and how to mend it."""
    display = Display()
    found = checks.check_machine() if folder is None else checks.check_run(folder)
    for text in found.lines:
        display.line(text)
    sys.exit(found.code)


def default_folder(suite: Suite, device: str) -> Path:
    """Where a run goes unless told: results/<suite>-<device>-<UTC time>."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", suite.name).strip("._-")[:60] or "suite"
    return Path("results") / f"{name}-{device}-{datetime.now(UTC):%Y%m%d-%H%M%S}"


def _section(display: Display, title: str, entries: dict[str, str]) -> None:
    display.line(f"{title}:")
    width = max((len(name) for name in entries), default=0)
    for name, text in entries.items():
        display.line(f"  {name:<{width}}  {text}".rstrip())


def _first_line(function: object) -> str:
    return (getattr(function, "__doc__", None) or "").strip().split("\n")[0]


def _of(optimizer: object) -> str:
    fixed = getattr(optimizer, "keywords", {})  # of a functools.partial
    return " ".join([_first_line(getattr(optimizer, "func", optimizer)), *(f"{key}={fixed[key]}" for key in fixed)])


def _comment(path: Path) -> str:
    first = path.read_text(encoding="utf-8").split("\n")[0]
    return first.lstrip("# ") if first.startswith("#") else ""
