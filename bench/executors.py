"""Running a suite: the parent starts the worker, keeps the manifest, and survives whatever happens to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from bench import environment, machines, store
from bench.cells import group_of, groups_of, noise_group, timing_group_of
from bench.child import LOG, Child, Message, Signals
from bench.command import command
from bench.display import Display
from bench.hosts import Hosts, gathered
from bench.meeting import Meeting, share
from bench.noise import picked_by_shard, processes_of
from bench.opening import check_plan, opened
from bench.parent import CELLS_FAILED, FINE, FOLDER, INTERRUPTED, REPORT_FAILED, guarded, listen
from bench.reporting import write_report
from bench.shards import Shard
from bench.store import Run
from bench.suite import Suite
from bench.watch import ran_out_of_memory

ATTEMPTS = 2  # a group that kills its worker is tried once more
DIED = ("worker killed", "worker hung")  # another worker may fare better; one that raised would raise again
NOTE_LIMIT = 2_000  # characters


def run_suite(suite: Suite, folder: Path, device: str = "auto", resume: bool = False, shard: Shard | None = None, *,
              reported: bool = True, yes: bool = False, meeting: Meeting | None = None, worker: str | None = None,
              report: str | None = None, noise: str | None = None) -> int:
    """Run what is missing of a suite in a folder, write the report, and return the exit code.

    Args:
        suite: what to run.
        folder: where parts, tables and report go; missing or empty, or with `resume` a folder of the same suite.
        device: "auto", "cpu" or "gpu".
        resume: go on with the run in the folder; starts one where there is none.
        shard: the share of the suite's groups to run; None: all of them.
        reported: whether tables and report are made at the end.
        yes: run a very long suite too.
        meeting: where the other hosts of the run come to, of which this is process 0; None: there are no others.
        worker: module with `main(connection, payload)`, run in a process of its own; None: the suite's.
        report: module with `write_report(folder)`, which returns what to show at the end; None: the suite's.
        noise: module that times a sample again in fresh processes (A/A), run like a worker; None: the suite's, and none
            beside a `worker` that is not the suite's.

    Returns:
        0 fine, 1 the report failed, 2 bad input, 3 some cells failed, 4 the folder, 5 no such device, 130 interrupted.
    """
    display = Display()

    def work() -> int:
        with (Signals() as signals, gathered(meeting, suite, device, signals, display) as hosts,
              store.locked(folder)):
            run = opened(suite, folder, device, resume, shard, hosts.processes)
            busy = machines.busy(environment.now())
            if busy is not None:
                display.line(f"warning: the load, {busy}, is above half the cores. Timings will be noisy: stop other "
                             "programs.")
            for note in suite.notes:
                display.line(f"note: {note}")
            own = modules_of(suite.config())
            modules = Modules(worker or own.worker, report or own.report, noise or (None if worker else own.noise))
            return _Session(suite, folder, device, run, modules, display, signals, hosts, yes).execute(reported)

    return guarded(work, folder, display, mend="Finished cells are kept: mend it and use --resume.",
                   kept="finished cells are kept, --resume goes on.")


class Modules(NamedTuple):
    """Names of the modules that run and report a suite, and of the one that repeats a sample of it, if any."""

    worker: str
    report: str
    noise: str | None


def modules_of(config: Mapping[str, object]) -> Modules:
    """Who runs and reports a suite: those of cells, or those of claims.

    >>> modules_of({"name": "textbook", "claims": "all"}).report
    'bench.study.report'
    """
    return Modules("bench.study.worker", "bench.study.report", None) if "claims" in config else Modules(
        "bench.worker", "bench.report.report", "bench.noise_worker")


class _Session:
    """One run of the parent over a folder: workers come and go, the manifest stays right."""

    def __init__(self, suite: Suite, folder: Path, device: str, run: Run, modules: Modules,
                 display: Display, signals: Signals, hosts: Hosts, yes: bool) -> None:
        self.yes = yes
        self.suite, self.folder, self.run = suite, folder, run
        self.device = run["device"] if device == "auto" else device  # a resumed "auto" stays where it was
        self.modules, self.display, self.signals, self.hosts = modules, display, signals, hosts
        self.planned = False
        self.whole: list[str] = []  # groups that were finished when the worker began; who looks later disturbs it
        self.there: set[str] = set()  # groups with a part, at the last look
        self.given_up: dict[str, tuple[str, str]] = {}  # group -> status and why it is not tried again
        self.widths = dict(run.get("widths", {}))  # group -> lanes side by side, where memory ran out at the suite's
        self.deaths: dict[str | None, int] = {}  # group that was running -> workers lost
        self.running: str | None = None
        self.machine = 0  # place of this one among those of a merged run
        self.code = FINE

    def execute(self, wanted: bool) -> int:
        """Workers until nothing is left to try, then tables and report where wanted; returns the exit code."""
        while True:
            outcome = self._run_worker()
            self.display.quiet(False)
            if outcome is None or not self._try_again(outcome):
                break
        if not self.planned and self.code:
            self.hosts.over(self.code)
            if self.code != CELLS_FAILED and "resumed" not in self.run:
                store.discard(self.folder)  # nothing to keep: the same command can be given again
            return self.code
        self._settle()
        self._repeat()
        code = self.code or (CELLS_FAILED if self._failed() else FINE)
        self.hosts.over(code)  # they need not wait for the report
        hurried = self.signals.count > 1
        self.signals.finish()
        reported = self._finish(tables=wanted and not hurried, report=wanted and self.code != INTERRUPTED)
        return code or (FINE if reported else REPORT_FAILED)

    def _run_worker(self) -> str | None:
        """One worker over all that is missing; None when it ended in order, else how it died."""
        self.whole = groups = store.finished_groups(self.folder, self._warn)
        self.running = None
        return self._listen("worker", self.modules.worker, {
            "device": self.device, "finished": sorted({*groups, *self.given_up}), "given_up": sorted(self.given_up),
            "widths": self.widths, "yes": self.yes, "shard": self.run.get("shard"), "shards": self._shards()},
            self._hear)

    def _shards(self) -> dict[str, str]:
        """Group -> label of the shard that it is marked by, in a merged run."""
        return {group_of(cell): cell["shard"] for cell in self.run["cells"] if "claim" not in cell and "shard" in cell}

    def _repeat(self) -> None:
        """A/A: a sample of the programs timed again in fresh processes; what goes wrong there is a warning."""
        if self.modules.noise is None or self.code:
            return
        groups, total = store.finished_groups(self.folder, self._warn), processes_of(self.suite.config())
        picks = picked_by_shard(self.suite, self.run, groups)
        for shard, process in ((shard, process) for shard in picks for process in range(1, total + 1)):
            group = noise_group(process, shard)
            if group in groups or self.code:
                continue
            how = self._listen("noise", self.modules.noise, {
                "device": self.run["device"], "finished": groups, "process": process, "processes": total,
                "picks": picks[shard], "shard": shard}, self._hear_repeat)
            self.display.quiet(False)
            if how is not None and not self.code:
                self._warn(f"{group}: not repeated: {how}. The run is whole without it; --resume tries again.")

    def _listen(self, work: str, module: str, payload: dict[str, object], hear: Callable[[Message], None]
                ) -> str | None:
        """One process from start to end, on every host; None when it ended in order, else how it died."""
        payload = {**self.hosts.begin(work, {"suite": self.suite.config(), **payload}), "folder": str(self.folder),
                   "settings": environment.worker_settings(self.suite.deterministic, str(payload["device"]),
                                                           share(self.suite.devices, self.hosts.processes))}
        return listen(Child(module, payload, self.folder), self.signals, self.suite.timeout_s, hear=hear,
                      stop=self._stop, may_wait=lambda: self.run["device"] == "gpu", peers=self.hosts)

    def _stop(self) -> None:
        self.code = INTERRUPTED
        self.display.close()
        self.display.line("stopping: finished cells are kept; a second signal stops at once.")

    def _hear(self, message: Message) -> None:
        kind = message["kind"]
        if kind == "progress":
            self.running = message.get("group", self.running)
            self.display.progress(message["done"], message["total"], message.get("text", ""))
        elif kind == "quiet":
            self.display.quiet(message["on"])
        elif kind == "plan":
            self._plan(message)
        elif kind == "group":
            self._group(message["group"], "finished", message.get("note", ""))
            if "mark_ratio" in message:
                self.run["mark_ratio"].update(message["mark_ratio"])
            if "widened" in message:
                self.run["widened"] = {**self.run.get("widened", {}), **message["widened"]}
            if message.get("widths"):
                self.run["widths"] = {**self.run.get("widths", {}), **message["widths"]}
            if "made_on" in self.run:
                self.run["made_on"][message["group"]] = self.machine
            store.write_run(self.folder, self.run)
        elif kind == "failed":
            group, status, note = message["group"], message.get("status", "failed"), message.get("note", "")
            self.hosts.agree(message.get("shared", False), group, note, lambda: self._give_up(group, status, note))
        elif kind == "warning":
            self._warn(message["text"])
        elif kind == "error":
            self.code, self.hosts.text = self.code or message["code"], message["text"]
            self.display.error("\n".join(text if text.startswith("error: ") else f"error: {text}"
                                         for text in message["text"].splitlines()))

    def _hear_repeat(self, message: Message) -> None:
        """As `_hear`, but only a folder that can't be written is more than a warning."""
        if message["kind"] == "failed" or (message["kind"] == "error" and message["code"] != FOLDER):
            group, note = message.get("group", "A/A"), message.get("note") or message.get("text", "")
            self.hosts.agree(message.get("shared", False), group, note,
                             lambda: self._warn(f"{group}: not repeated: {note}"))
        else:
            self._hear(message)

    def _plan(self, message: Message) -> None:
        run, again = self.run, self.planned or bool(self.run["cells"])
        if again:
            check_plan(self.folder, self.run, message)
        notes = {group_of(cell): cell["note"] for cell in run["cells"] if cell["status"] == "finished"}
        run["cells"] = message["cells"]
        run["problems"] = message["problems"]
        if "plan" in message:
            run["plan"] = message["plan"]
        if "environments" in run:
            self.machine = machines.place_of(run["environments"], environment.describe(message["environment"]))
            run["made_on"] = {group: run["made_on"].get(group, self.machine) for group in self.whole}
        run["device"] = message.get("device") or (run["cells"][0]["device"] if run["cells"] else run["device"])
        if not again:
            run["environment"].update(message["environment"])
        self.planned = True
        for cell in run["cells"]:
            group = group_of(cell)
            cell["status"] = "finished" if group in self.whole else "pending"
            cell["note"] = notes.get(group, "") if group in self.whole else ""
        for group, (status, note) in self.given_up.items():
            self._mark_given_up(group, status, note)
        store.write_run(self.folder, run)
        for text in message.get("lines", []):
            self.display.line(text)

    def _group(self, group: str, status: str, note: str) -> None:
        for cell in self.run["cells"]:
            if group_of(cell) == group:
                cell["status"], cell["note"] = status, note[:NOTE_LIMIT]

    def _give_up(self, group: str, status: str, note: str) -> None:
        self.given_up[group] = status, note[:NOTE_LIMIT]
        if group not in groups_of(self.run["cells"]):
            self._warn(f"{group}: {status}: {note[:300]} (the run is whole without it; --resume tries again).")
            return
        self.display.line(f"{group}: {status}: {note[:300]}")
        self._mark_given_up(group, status, note)
        store.write_run(self.folder, self.run)

    def _mark_given_up(self, group: str, status: str, note: str) -> None:
        self._group(group, status, note)
        for cell in self.run["cells"]:
            if timing_group_of(cell) == group and cell["status"] == "finished":
                cell["status"], cell["note"] = status, f"step times: {note}"[:NOTE_LIMIT]

    def _try_again(self, how: str) -> bool:
        """After a death: whether another worker may get further; what killed two is given up."""
        if self.hosts.meeting is not None:  # one worker can't come back without those of all hosts
            self.code, text = self.hosts.why(how, met=self.planned)
            self.run["warnings"].append(text)
            self.display.error(f"error: {text}")
            if self.running is not None and ran_out_of_memory(text):
                self._give_up(self.running, "oom", text)
            return False
        if not self.planned:
            self._warn(how)
            self.deaths[None] = self.deaths.get(None, 0) + 1
            if how.startswith(DIED) and self.deaths[None] < ATTEMPTS and not self.signals.count:
                return True
            self.display.error(f"error: worker: ended before it had a plan (got {how}). See {self.folder / LOG}.")
            self.code = CELLS_FAILED
            return False
        if self.signals.count:
            self.code = INTERRUPTED
            return False
        self._settle()
        self.deaths[self.running] = self.deaths.get(self.running, 0) + 1
        status, again = self._after(how)
        if self.deaths[self.running] < ATTEMPTS:
            self._warn(f"{self.running or 'worker'}: {how} (trying once more{again}).")
            return True
        lost = [self.running] if self.running is not None else self._unfinished()
        for group in lost:
            self._give_up(group, status, f"{how}. Try width = {self.widths[group]} in the suite."
                          if group in self.widths and status == "oom" else how)
        return self.running is not None and bool(self._unfinished())

    def _after(self, how: str) -> tuple[str, str]:
        """The status that a death means, and how the group is tried again: at half the width where memory ran out."""
        if not ran_out_of_memory(how):
            return "failed", ""
        if self.running is not None and self.suite.claims is None:  # a claim has no width of its own
            self.widths[self.running] = max(1, self.widths.get(self.running, self.suite.width) // 2)
            return "oom", f" at width {self.widths[self.running]}"
        return "oom", ""

    def _unfinished(self) -> list[str]:
        """Groups that have no part on the disk and were not given up, as `_settle` found it."""
        return [group for group in groups_of(self.run["cells"]) if group not in {*self.there, *self.given_up}]

    def _settle(self) -> None:
        """Parts on the disk are the truth: a part written just before the end counts."""
        self.there = finished = set(store.finished_groups(self.folder, self._warn))
        for cell in self.run["cells"]:
            if cell["status"] == "pending" and group_of(cell) in finished:
                cell["status"] = "finished"
        if "made_on" in self.run:
            self.run["made_on"] = {**dict.fromkeys(finished, self.machine), **self.run["made_on"]}

    def _failed(self) -> bool:
        return any(cell["status"] != "finished" for cell in self.run["cells"]) or any(
            group in self.given_up for group in groups_of(self.run["cells"]))

    def _finish(self, tables: bool, report: bool) -> bool:
        """The manifest, and what is made again from the parts where there is time; whether there is a report."""
        run, done = self.run, [cell for cell in self.run["cells"] if cell["status"] == "finished"]
        left = self._unfinished()
        untimed = [cell for cell in done if timing_group_of(cell) in left]
        if not left:
            run["finished"] = environment.utc_now()
        run["environment"]["load_after"] = environment.load()
        several = machines.several(run)
        if several is not None:
            run["warnings"] = [text for text in run["warnings"] if not text.startswith(machines.SEVERAL)]
            self._warn(several)
        store.write_run(self.folder, run)
        for text in store.collect(self.folder) if tables else ():
            self._warn(text)
        if report:
            reported = write_report(self.folder, self.modules.report, self.display)
        else:
            reported = True
            self.display.line(f"no report: {command('report', self.folder)} makes one of what is finished.")
        unit = "claims" if self.suite.claims else "cells"
        self.display.line(f"{len(done)} of {len(run['cells'])} {unit} finished in {self.folder}"
                          + (f", {len(untimed)} of them without step times" if untimed else ""))
        return reported

    def _warn(self, text: str) -> None:
        if text not in self.run["warnings"]:
            self.run["warnings"].append(text)
            store.write_run(self.folder, self.run)
        self.display.line(f"warning: {text[:500]}")
