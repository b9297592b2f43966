"""The gate: run the benchmarks, keep the run, compare it with the last kept one of the same machine.

Three fresh processes of pytest-benchmark run all of `bench/test_*.py`, one after the other, so that each benchmark is
measured at three times. pytest-benchmark saves them; what a save is worth is in its name: NNNN_new-TIME-K is not yet
judged, gate-TIME-K passed and is what the next run is compared with, slower-TIME-K did not and is kept but never
compared with, or a regression would pass the gate at the second try. The rule: `bench.analysis.regressions`.
"""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from rich import box
from rich.table import Table

from bench import environment, files, machines
from bench.analysis.regressions import Change, changes, confirm
from bench.analysis.verdicts import FASTER, NOISY, SAME, SLOWER
from bench.analysis.words import seconds_number
from bench.display import Display
from bench.parent import BAD_INPUT, CELLS_FAILED, FOLDER, REGRESSION

PROCESSES = 3
PASSED, NEW, AGAIN = "gate", "new", "again"  # and SLOWER
SAVE = re.compile(r"\d+_(?P<word>[a-z]+)-(?P<time>\d{8}-\d{6})-(?P<process>\d+)\.json")
RULE = (f"slower: by more than max(10 %, 2 × the spread between the {PROCESSES} processes of either run), "
        "and again in one more process")

Measure = Callable[[Path, str, Sequence[str]], str | None]  # folder, name of the save, tests -> what went wrong


@dataclass(frozen=True)
class Process:
    """What one process of pytest-benchmark saved: the machine, the commit and seconds by benchmark."""

    path: Path
    machine: Mapping[str, object]
    commit: str
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class Session:
    """The processes of one run of the gate, by its time (UTC)."""

    time: str
    processes: tuple[Process, ...]

    @property
    def machine(self) -> dict[str, str]:
        """Fingerprint of the machine that it ran on."""
        return fingerprint(self.processes[0].machine)

    @property
    def words(self) -> str:
        """When and at which commit, for people."""
        when = datetime.strptime(self.time, "%Y%m%d-%H%M%S")
        return f"the run of {when:%Y-%m-%d %H:%M:%S} UTC (commit {self.processes[0].commit})"


def gate(folder: Path, display: Display, measure: Measure | None = None) -> int:
    """Measure, save, compare; returns the exit code.

    Args:
        folder: of the saves.
        display: where to write.
        measure: runs tests in a fresh process that saves in the folder; pytest unless told.

    Returns:
        0 nothing got slower, or nothing to compare with; 2 pytest-benchmark is missing; 3 a benchmark failed; 4 the
        folder can't be used; 6 something got slower.
    """
    if find_spec("pytest_benchmark") is None:
        display.error("error: gate: a package is missing (got no pytest-benchmark). "
                      "Install it with: make install, or pip install -e '.[bench,test]'.")
        return BAD_INPUT
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files.probe(folder)
    except OSError as error:
        display.error(f"error: {folder}: cannot be written (got {error.strerror or error}). Use another --out.")
        return FOLDER
    busy = machines.busy(environment.now())
    if busy is not None:
        display.line(f"warning: the load, {busy}, is above half the cores. Times will be noisy: stop other programs.")
    display.line(RULE)
    return _measured(folder.absolute(), display, measure or run_pytest)


def accept(folder: Path, display: Display) -> int:
    """Let the last run that was slower be what the next one is compared with.

    Exit code 2 where there is none, or a later one of its machine has passed.
    """
    last = max(saves(folder, SLOWER), default=None)
    if last is None:
        display.error(f"error: --accept: no run was slower (got nothing to accept in {folder}). "
                      "Leave it out to run the gate.")
        return BAD_INPUT
    paths = saves(folder, SLOWER)[last]
    try:
        passed = last_run(folder, fingerprint(read_save(paths[0]).machine), display.line)
    except ValueError as error:
        display.error(f"error: --accept: {error}. Run the gate again.")
        return BAD_INPUT
    if passed is not None and passed.time > last:
        display.error(f"error: --accept: a later run has passed and is what the next one is compared with (got the "
                      f"slower one of {last}, then {passed.words}). Leave it out to run the gate.")
        return BAD_INPUT
    _rename(paths, PASSED)
    display.line(f"accepted: the run of {last} is what the next one is compared with")
    return 0


def fingerprint(machine: Mapping[str, object]) -> dict[str, str]:
    """What must be equal for times to be compared: processor, cores, Python, JAX, device, compiler's flags.

    Args:
        machine: `machine_info` of a save of pytest-benchmark, with "gdjax" of `bench/conftest.py`.

    Example:
        >>> fingerprint({"gdjax": {"cpu_model": "A", "affinity": [0, 1]}})["affinity"]
        '[0, 1]'
    """
    facts = _table(machine.get("gdjax"))
    versions, settings = _table(facts.get("versions")), _table(facts.get("settings"))
    found = {key: facts.get(key) for key in ("cpu_model", "cores_logical", "affinity", "python", "backend",
                                             "device_kind", "device_count", "x64", "matmul_precision")}
    found |= {key: versions.get(key) for key in ("jax", "jaxlib")} | {"XLA_FLAGS": settings.get("XLA_FLAGS")}
    return {key: str(value) for key, value in found.items()}


def saves(folder: Path, word: str) -> dict[str, list[Path]]:
    """Saves of a word by the time of their run, each in the order of its processes."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*/*.json")):
        name = SAVE.fullmatch(path.name)
        if name and name["word"] == word:
            found.setdefault(name["time"], []).append(path)
    return found


def last_run(folder: Path, machine: Mapping[str, str], warn: Callable[[str], None]) -> Session | None:
    """The last run that passed on a machine of this fingerprint; what can't be read is named and passed over."""
    others: list[str] = []
    for moment, paths in sorted(saves(folder, PASSED).items(), reverse=True):
        if len(paths) < PROCESSES:
            warn(f"run of {moment}: passed over, it has {len(paths)} of {PROCESSES} processes")
            continue
        try:
            session = Session(moment, tuple(map(read_save, paths)))
        except ValueError as error:
            warn(f"run of {moment}: passed over, {error}")
            continue
        differs = [f"{key} {then} there, {machine.get(key)} here" for key, then in session.machine.items()
                   if then != machine.get(key)]
        if not differs:
            return session
        others.append(f"the run of {moment} is of another machine ({'; '.join(differs)})")
    if others:
        warn(others[0] + (f", and {len(others) - 1} before it" if others[1:] else ""))
    return None


def read_save(path: Path) -> Process:
    """A save of pytest-benchmark; raises ValueError where it is none."""
    try:
        found = json.loads(path.read_bytes())
        seconds = {each["fullname"]: float(each["stats"]["median"]) for each in found["benchmarks"]}
        machine = found["machine_info"]
        facts = machine["gdjax"]
        commit = str(facts["git_commit"])[:7] + " and changes" * bool(facts["git_dirty"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path.name} can't be read (got {type(error).__name__}: {str(error)[:100]})") from None
    if not seconds or not all(0 < value < math.inf for value in seconds.values()):
        raise ValueError(f"{path.name} holds no times, or times that are none")
    return Process(path, machine, commit, seconds)


def run_pytest(folder: Path, name: str, tests: Sequence[str]) -> str | None:
    """Run tests in a fresh process, whose times pytest-benchmark saves; returns the end of its output if it failed."""
    alone = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_XDIST")}
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--benchmark-only",
                           f"--benchmark-storage=file://{folder}", f"--benchmark-save={name}", *tests],
                          cwd=environment.ROOT, env=alone, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", check=False)
    return None if done.returncode == 0 else "\n".join(done.stdout.splitlines()[-30:])


def _measured(folder: Path, display: Display, measure: Measure) -> int:
    moment = f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
    try:
        now = Session(moment, tuple(_processes(folder, display, measure, moment)))
        before = last_run(folder, now.machine, display.line)
        if before is None:
            _rename(saves(folder, NEW)[moment], PASSED)
            display.line(f"saved in {folder}: the first run of this machine, nothing to compare with")
            return 0
        found = changes([each.seconds for each in before.processes], [each.seconds for each in now.processes])
        suspects = [each.name for each in found if each.suspect]
        if suspects:
            display.line(f"slower at first sight: {len(suspects)}; once more in a fresh process")
            found = confirm(found, _process(folder, measure, f"{AGAIN}-{moment}-1", suspects).seconds)
    except ValueError as error:
        display.error(f"error: gate: {error}")
        return CELLS_FAILED
    slower = any(each.slower for each in found)
    _rename(saves(folder, NEW)[moment], SLOWER if slower else PASSED)
    _show(display, found, before, now)
    if slower:
        display.line(f"all of them: python -m pytest_benchmark --storage=file://{folder} compare --between=median "
                     f"'*/*{before.time}*' '*/*{moment}*'")
        display.line("if it is meant to be: python -m bench gate --accept")
    return REGRESSION if slower else 0


def _processes(folder: Path, display: Display, measure: Measure, moment: str) -> Iterator[Process]:
    tests = [str(path.relative_to(environment.ROOT)) for path in sorted(environment.ROOT.glob("bench/test_*.py"))]
    for place in range(1, PROCESSES + 1):
        began = time.monotonic()
        process = _process(folder, measure, f"{NEW}-{moment}-{place}", tests)
        display.line(f"process {place} of {PROCESSES}: {len(process.seconds)} benchmarks in "
                     f"{time.monotonic() - began:.0f} s")
        yield process


def _process(folder: Path, measure: Measure, name: str, tests: Sequence[str]) -> Process:
    trouble = measure(folder, name, tests)
    if trouble is not None:
        raise ValueError(f"the benchmarks failed (got the output below). Mend them first.\n{trouble}")
    paths = list(folder.glob(f"*/*_{name}.json"))
    if len(paths) != 1:
        raise ValueError(f"pytest-benchmark saved {len(paths)} files of {name} (expected one). Look in {folder}.")
    return read_save(paths[0])


def _show(display: Display, found: Sequence[Change], before: Session, now: Session) -> None:
    told = [each for each in found if each.verdict != SAME]
    if told:
        table = Table(box=box.SIMPLE_HEAD)
        for heading in ("benchmark", "before", "now", "change", "limit", "verdict"):
            table.add_column(heading, justify="left" if heading in ("benchmark", "verdict") else "right",
                             overflow="fold")
        for each in sorted(told, key=lambda each: (not each.slower, -each.share)):
            table.add_row(each.name.rpartition("::")[2], seconds_number(each.before), seconds_number(each.now),
                          f"{100 * each.share:+.0f} %", f"{100 * each.limit:.0f} %", each.verdict)
        display.show(table)
    old, new = (set().union(*(process.seconds for process in run.processes)) for run in (before, now))
    for words, names in (("new, not compared", new - old), ("gone, not compared", old - new)):
        if names:
            display.line(f"{words}: {', '.join(name.rpartition('::')[2] for name in sorted(names))}")
    counts = {word: sum(each.verdict == word for each in found)
              for word in (SLOWER, FASTER, NOISY, SAME)}
    limits = [100 * each.limit for each in found]
    display.line(f"{len(found)} benchmarks against {before.words}: "
                 f"{', '.join(f'{count} {word}' for word, count in counts.items() if count)}"
                 + (f"; limits {min(limits):.0f} to {max(limits):.0f} %" if limits else ""))


def _rename(paths: Sequence[Path], word: str) -> None:
    for path in paths:
        number, _, rest = path.name.partition("_")
        path.rename(path.with_name(f"{number}_{word}-{rest.partition('-')[2]}"))


def _table(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
