"""The command `targets`: a pilot in a process of its own, and the lines with its targets, printed or put in a suite."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from bench import suite_file, targets
from bench.bad_input import SuiteError
from bench.child import Child, Message, Signals
from bench.cli_pictures import DEVICES
from bench.display import Display
from bench.parent import BAD_INPUT, CELLS_FAILED, FINE, INTERRUPTED, guarded, listen
from bench.target_on import LOSS, NOUNS
from bench.targets import Pilot, Request
from bench.watch import ran_out_of_memory

WORKER = "bench.pilot"
TIMEOUT_S = 3600.0  # for a range test, or for the steps up to one share


@click.command("targets")
@click.argument("problem")
@click.option("--suite", metavar="FILE", help="Put them into this suite file of yours, which names PROBLEM.")
@click.option("--force", is_flag=True, help="Replace targets that --suite has for PROBLEM.")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="Where the pilot runs.")
@click.option("--batch-size", type=int, help="Examples of a step [default: 32, or all where there are fewer].")
@click.option("--rate", type=float, help="Constant learning rate [default: by a range test].")
@click.option("--epochs", type=float, default=10.0, show_default=True, help="Passes over the data.")
@click.option("--starts", type=int, default=8, show_default=True, help="Random starts, of whose losses the median is.")
@click.option("--shares", default="10,40,90", show_default=True, help="Percentages of the epochs, a target at each.")
@click.option("--on", type=click.Choice(list(NOUNS)), help="What they are on; error is 1 − accuracy [default: what "
              "--suite says, else loss].")
@click.option("--seed", type=int, default=0, show_default=True, help="Of starts and batches.")
def find_targets(problem: str, suite: str | None, force: bool, device: str, batch_size: int | None,
                 rate: float | None, epochs: float, starts: int, shares: str, on: str | None, seed: int) -> None:
    """Find targets for PROBLEM, a name or my_module:make_problem: losses (or errors) on the way of a pilot.

    The pilot's starts are none that a suite tunes or reports on. Lines for a suite go to stdout, all else to stderr.
    Exit code 3 where the pilot diverged or its loss did not fall.
    """
    display = Display(sys.stderr)
    if force and suite is None:
        display.error("error: --force: replaces targets of a suite (got no --suite). Add --suite FILE.")
        sys.exit(BAD_INPUT)

    def work() -> int:
        try:
            request = targets.check(problem, device, batch_size, rate, epochs, starts, shares, seed,
                                    on or LOSS)
            if suite is not None:
                known = suite_file.check(suite, problem, force, on)
                own = known.settings_for(problem)
                request = replace(request, dtype=known.dtype, matmul_precision=known.matmul_precision,
                                  target_on=own.target_on, sampling=own.sampling)
        except ValueError as error:
            display.error(str(error) if isinstance(error, SuiteError) else f"error: {error}")
            return BAD_INPUT
        with Signals() as signals, TemporaryDirectory(prefix="gdjax-targets-") as folder:
            return _Session(request, display, signals).execute(Path(folder), suite, force)

    sys.exit(guarded(work, Path(suite or "."), display, kept="nothing was written.",
                     mend="Mend it, or leave --suite out: the lines are then printed."))


class _Session:
    """One pilot, and what came of it."""

    def __init__(self, request: Request, display: Display, signals: Signals) -> None:
        self.request, self.display, self.signals = request, display, signals
        self.pilot: Pilot | None = None
        self.code = FINE

    def execute(self, folder: Path, suite: str | None, force: bool) -> int:
        """The pilot with its log in a folder, then the lines; the exit code."""
        child = Child(WORKER, {"request": self.request}, folder, name="pilot")
        how = listen(child, self.signals, TIMEOUT_S, hear=self._hear, stop=self._stop, may_wait=lambda: True)
        self.display.close()
        if how is not None:
            todo = "Try fewer --starts or a smaller --batch-size" if ran_out_of_memory(how) else "Mend what it tells of"
            self.display.error(f"error: pilot: did not come to its end (got {how[:1000]}). {todo}.")
            return CELLS_FAILED
        if self.pilot is None:
            return self.code
        self.signals.finish()
        return self._tell(self.pilot, suite, force)

    def _tell(self, pilot: Pilot, suite: str | None, force: bool) -> int:
        problem = self.request.problem
        try:
            found = targets.targets_of(self.request, pilot)
        except ValueError as error:
            self.display.error(f"error: {error}")
            return CELLS_FAILED
        if pilot.diverged:
            self.display.line(f"warning: {pilot.diverged} of {self.request.starts} starts diverged at rate "
                              f"{pilot.rate:g}; a smaller --rate would lose none")
        lines = targets.lines_of(self.request, pilot, found)
        if suite is None and self.request.target_on != LOSS:
            lines.append(f'target_on = "{self.request.target_on}"')
        shown = Display()
        for text in (targets.header(problem), *lines):
            shown.line(text)
        if suite is not None:
            try:
                suite_file.put(suite, problem, lines, force)
            except SuiteError as error:
                self.display.error(str(error))
                return BAD_INPUT
            self.display.line(f"written into {suite}")
        return FINE

    def _stop(self) -> None:
        self.code = INTERRUPTED
        self.display.close()
        self.display.line("stopping: nothing was written.")

    def _hear(self, message: Message) -> None:
        kind = message["kind"]
        if kind == "progress":
            self.display.progress(message["done"], message["total"], message["text"])
        elif kind == "warning":
            self.display.line(f"warning: {message['text']}")
        elif kind == "error":
            self.code = self.code or message["code"]
            self.display.error(f"error: {message['text']}")
        elif kind == "done":
            self.pilot = Pilot(**message["facts"])  # type: ignore[arg-type]
