"""The worker: the only process that imports JAX. It plans a suite, runs its groups, times its programs."""

from __future__ import annotations

import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn, TypeVar

import jax
import pandas as pd

from bench import device, store, together
from bench.cells import gradient_group, group_name, timing_group
from bench.experiment import Group, measure
from bench.gradient_noise import has_noise, noise_scale_rows, references
from bench.meeting import Host
from bench.memory import Meter, device_peak_bytes
from bench.planning import facts_of, groups_of
from bench.shards import Shard, assigned, too_many
from bench.size import timing_s, too_long
from bench.speaker import MESSAGE_LIMIT, Speaker, Stopped
from bench.step_times import step_times
from bench.suite import Suite, suite_from
from bench.tables import COLUMNS
from bench.watch import ran_out_of_memory

COMPILE_WEIGHT_S = 3.0  # guess of a group's compile time, for the progress bar only
STEP_WEIGHT_S = 2.5e-7  # and of a lane-step per example of the batch, at best
READ_BYTES_S = 1e9  # of a file, at best
Done = TypeVar("Done")


def main(connection: Connection, payload: dict[str, object]) -> None:
    """Run what is missing of a suite; messages to the parent tell what happens (see bench.child.Message)."""
    serve(Worker, connection, payload)


def serve(kind: type[Worker], connection: Connection, payload: dict[str, object]) -> None:
    """Run a worker of this kind until it is through, is told to stop, or can't write."""
    suite = suite_from(payload["suite"])  # type: ignore[arg-type]
    worker = kind(connection, suite, Path(str(payload["folder"])), set(payload["finished"]))  # type: ignore[call-overload]
    worker.host = payload.get("host")  # type: ignore[assignment]
    worker.take(payload)
    with suppress(Stopped), together.joined(worker.host):
        try:
            worker.run(str(payload["device"]))
        except OSError as error:
            worker.refuse(4, f"{worker.folder}: cannot be written (got {error}). "
                             "Finished cells are kept: make room and use --resume.")


class Worker(Speaker):
    """One pass over a suite; on every host of a run, where all call the same and process 0 alone keeps what came."""

    host: Host | None = None  # where the run has several

    def __init__(self, connection: Connection, suite: Suite, folder: Path, finished: set[str]) -> None:
        super().__init__(connection)
        self.suite, self.folder, self.finished = suite, folder, finished
        self.done = 0.0
        self.total = 0.0
        self.results: dict[str, tuple[float, int]] = {}  # group -> wall seconds, lane-marks scored
        self.widths: dict[str, int] = {}  # group -> lanes side by side, where not the suite's
        self.given_up: set[str] = set()  # groups among the finished ones that have no part
        self.shard: Shard | None = None  # None: all groups
        self.shards: dict[str, str] = {}  # group -> label of its shard
        self.fresh = True  # no group has run in this process
        self.yes = False  # a very long run is wanted
        self.warned: set[str] = set()  # what warnings of the library said, without their values

    def take(self, payload: dict[str, object]) -> None:
        """What else the parent says at the start."""
        self.widths = dict(payload.get("widths", {}))  # type: ignore[call-overload]
        self.given_up = set(payload.get("given_up", []))  # type: ignore[call-overload]
        self.shards = dict(payload.get("shards", {}))  # type: ignore[call-overload]
        self.yes = bool(payload.get("yes"))
        shard = payload.get("shard")
        self.shard = Shard(*shard) if isinstance(shard, list) else None

    @property
    def leads(self) -> bool:
        """Whether this process is the one that has the run folder."""
        return self.host is None or self.host.process == 0

    def refuse(self, code: int, text: str) -> NoReturn:
        """Tell the parent of an error, with the exit code that it means, and end."""
        self.say(kind="error", code=code, text=text)
        raise Stopped

    def warn(self, text: str) -> None:
        """Tell the parent what is worth a word."""
        self.say(kind="warning", text=text[:MESSAGE_LIMIT])

    def take_up(self, warning: str) -> None:
        """Tell the parent of a warning of the library, unless only its value is new: each group has its own."""
        what = warning.partition(" (got ")[0]
        if what not in self.warned:
            self.warned.add(what)
            self.warn(warning)

    def run(self, asked: str) -> None:
        """Open the device asked for ("auto", "cpu", "gpu"), then do the work."""
        began = time.perf_counter()
        opened = device.open_device(asked, self.suite.dtype, self.suite.matmul_precision, self.suite.devices)
        if opened.trouble:
            self.refuse(5, opened.trouble)
        if opened.warning:
            self.warn(opened.warning)
        warnings.showwarning = lambda message, *_, **__: self.take_up(str(message))
        self.work(opened.platform, began)

    def work(self, platform: str, began: float) -> None:
        """Plan, then every problem: its groups, its step times, its gradient noise scale."""
        whole, errors = groups_of(self.suite, platform, self.warn)
        if self.shard is not None and self.shard.of > len(whole) and not errors:
            errors = [too_many(self.shard, len(whole))]
        if errors:
            self.refuse(2, "\n".join(errors))
        groups = self._plan(whole, platform, time.perf_counter() - began)
        for name in dict.fromkeys(group.problem.name for group in groups):
            mine = [group for group in groups if group.problem.name == name]
            for group in mine:
                self._run_group(group)
            timed: dict[str | None, list[Group]] = {}
            for group in mine:
                timed.setdefault(self.shards.get(_name(group)), []).append(group)
            for label, each in timed.items():
                self._time_problem(timing_group(name, label), each)
            if len(mine) == sum(group.problem.name == name for group in whole):  # a shard can't follow what others ran
                self._measure_gradients(name, mine)
        self.say(kind="done")

    def memory_hint(self, width: int) -> str:
        """What to do where memory runs out at a width, as the end of an error text."""
        return f" Try width = {max(1, width // 2)} in the suite."

    def facts(self, opened_s: float) -> dict[str, object]:
        """What only this process knows of the environment; `opened_s`: seconds until the plan."""
        return {**device.facts(), "matmul_precision": self.suite.matmul_precision, "dtype": self.suite.dtype,
                "deterministic": self.suite.deterministic, "worker_opened_s": opened_s}

    def _plan(self, whole: list[Group], platform: str, opened_s: float) -> list[Group]:
        """Tell the parent of the groups that are this run's, and return them: all, or those of its shard."""
        suite, groups, plan = self.suite, whole, {}
        if self.shard is not None:
            numbers = assigned([_weight(group) + _timing_weight(suite) for group in whole], self.shard.of)
            groups = [group for group, number in zip(whole, numbers, strict=True) if number == self.shard.number]
            self.shards = dict.fromkeys(map(_name, groups), self.shard.label)
            plan = {"plan": [(*group.key.values(), number) for group, number in zip(whole, numbers, strict=True)]}
        cells = [{**group.key, "schedule": schedule, "device": platform, "status": "pending", "note": "",
                  **({"shard": self.shards[_name(group)]} if _name(group) in self.shards else {})}
                 for group in groups for schedule in suite.schedules]
        self.total = sum(_weight(group) + _timing_weight(suite) for group in groups)
        try:
            problems = facts_of(groups, whole)
        except ValueError as error:  # an optimum that starts are below: known once they are scored
            self.refuse(2, str(error))
        errors = together.unlike(problems)
        text = None if self.yes else too_long(self.total)
        if errors or text:
            self.refuse(2, "\n".join(errors + ([text] if text else [])))
        lanes = sum(group.most_lanes for group in groups)
        part = "" if self.shard is None else f", shard {self.shard}"
        self.say(kind="plan", cells=cells, problems=problems, environment=self.facts(opened_s), total=self.total,
                 device=platform, lines=[f"{suite.name}{part}: {len(cells)} cells ({len(groups)} groups), up to "
                                         f"{lanes:,} lanes on {platform}"], **plan)
        return groups

    def _run_group(self, group: Group) -> None:
        name = _name(group)
        if name not in self.finished:
            self._progress(group, f"{group.problem.name}, batch {group.batch_size}: tuning and reporting", name)
            meter = Meter.begin()
            done = self._at_widths(name, lambda width: measure(at_width(group, width)))
            if done is not None:
                result, width = done
                memory = {**group.key, "device": group.device, "width": width, "fresh": self.fresh,
                          "before_bytes": meter.before_bytes, "peak_bytes": meter.peak_bytes(),
                          "device_peak_bytes": device_peak_bytes(jax.local_devices()[0].memory_stats()),
                          "lane_steps_run": result.work.lane_steps_run,
                          "lane_steps_needed": result.work.lane_steps_needed}
                table = pd.DataFrame([memory]).astype(COLUMNS["memory"])
                self.results[name] = (result.run_s, result.work.scored)
                self._forget_times(timing_group(group.problem.name, self.shards.get(name)))
                self.keep(name, {**result.tables, "memory": table}, mark_ratio={name: result.mark_ratio},
                          widened={name: result.widened}, note=_narrowed(width, self.suite.width),
                          widths={} if width == self.suite.width else {name: width})
            self.fresh = False
        self.done += _weight(group)

    def _forget_times(self, timing: str) -> None:
        """Step times are those of one interleaved session: with one more group they are all taken anew."""
        if timing in self.finished:
            self.finished.discard(timing)
            if self.leads:
                store.withdraw(self.folder, timing)

    def _time_problem(self, name: str, every: list[Group]) -> None:
        """Step times of the groups that have results: what failed there would fail here too, and take all along."""
        groups = [group for group in every if _name(group) in self.results
                  or _name(group) in self.finished - self.given_up]
        if groups and name not in self.finished:
            self.fresh = False
            self._progress(groups[0], f"{groups[0].problem.name}: step times", name, expected_s=self._timing_s(groups))
            known = {place: self.results[_name(group)] for place, group in enumerate(groups)
                     if _name(group) in self.results}
            self.say(kind="quiet", on=True)
            whole = self.suite.width
            done = self._at_widths(name, lambda width: pd.DataFrame(list(step_times(
                [at_width(group, max(1, self.widths.get(_name(group), whole) * width // whole)) for group in groups],
                known, self.listen))))
            self.say(kind="quiet", on=False)
            if done is not None:
                self.keep(name, {"timing": done[0]})
        self.done += _timing_weight(self.suite) * len(every)

    def _measure_gradients(self, problem: str, groups: list[Group]) -> None:
        """The gradient noise scale of a problem that has one; the run is whole without it."""
        name = gradient_group(problem)
        if name in self.finished or not has_noise(groups[0]) or not self.leads:  # one device is enough for it
            return
        self._progress(groups[0], f"{problem}: gradient noise scale", name, expected_s=COMPILE_WEIGHT_S)
        try:
            tables = [noise_scale_rows(followed) for followed in references(self.folder, groups)]
        except Exception as error:  # one problem's failure must not cost the others
            self.failed(name, error)
            return
        if tables:
            self.keep(name, {"noise_scale": pd.concat(tables, ignore_index=True)})

    def keep(self, name: str, tables: dict[str, pd.DataFrame], **more: object) -> None:
        """Store the part of a finished group, where this process has the run folder, and tell the parent."""
        if self.leads:
            store.write_group(self.folder, name, tables)
        self.say(kind="group", group=name, **more)

    def _at_widths(self, name: str, work: Callable[[int], Done]) -> tuple[Done, int] | None:
        """What the work gives and the width it ran at: half of it where memory runs out. None when it failed."""
        width = asked = self.widths.get(name, self.suite.width)
        while True:
            try:
                done = work(width)
            except Stopped:
                raise
            except Exception as error:  # one group's failure must not cost the others
                if self.host is not None or width < asked or width == 1 or not _is_for_memory(error):
                    self.failed(name, error, width, shared=True)
                    return None
                traceback.print_exc()
            else:
                self.widths[name] = width
                return done, width
            width //= 2  # after the except block, which held what filled the memory
            jax.clear_caches()
            self.warn(f"{name}: memory ran out at width {width * 2} (trying once more at {width}).")

    def _progress(self, of: Group, text: str, group: str, expected_s: float | None = None) -> None:
        self.say(kind="progress", done=self.done, total=self.total, text=text, group=group,
                 expected_s=_weight(of) if expected_s is None else expected_s)

    def _timing_s(self, groups: list[Group]) -> float:
        return _timing_weight(self.suite) * len(groups)

    def failed(self, name: str, error: Exception, width: int | None = None, shared: bool = False) -> None:
        """Tell the parent that a group failed, and whether memory was what it lacked.

        Args:
            shared: whether all hosts of the run were at it: then none goes on before all have failed there.
        """
        traceback.print_exc()
        short, shared = _is_for_memory(error), shared and self.host is not None
        # not `say`, which takes what the parent says: here it is waited for
        self.connection.send({"kind": "failed", "group": name, "status": "oom" if short else "failed", "shared": shared,
                              "note": _text(error) + (self.memory_hint(width or self.suite.width) if short else "")})
        if shared and self.connection.recv()["kind"] == "stop":
            raise Stopped


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:MESSAGE_LIMIT]


def _is_for_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or ran_out_of_memory(_text(error))


def at_width(group: Group, width: int) -> Group:
    """The group at so many lanes side by side."""
    if width == group.suite.width:
        return group
    return replace(group, suite=group.suite.model_copy(update={"width": width}))


def _narrowed(width: int, wanted: int) -> str:
    if width == wanted:
        return ""
    return (f"ran at width {width}, memory ran out at {wanted}: losses may differ in the last digits from a run at "
            "another width, and seconds per lane-step too")


def _name(group: Group) -> str:
    return group_name(group.problem.name, group.optimizer, group.batch_size)


def _weight(group: Group) -> float:
    steps_s = sum(group.lane_counts) * group.steps * STEP_WEIGHT_S * max(1, group.batch_size**0.75)
    return COMPILE_WEIGHT_S + steps_s + _reading_s(group)


def _reading_s(group: Group) -> float:
    """Of a file that is streamed: a range test, tuning and report, whose starts, marks and ends are passes over it."""
    if not group.streamed:
        return 0.0
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(group.problem.data))
    return (2 + 2 * (group.suite.marks + 1) + 2 * group.steps / group.steps_per_epoch) * size / READ_BYTES_S


def _timing_weight(suite: Suite) -> float:
    return timing_s(suite) + COMPILE_WEIGHT_S
