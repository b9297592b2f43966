"""The worker: the only process that imports JAX. It plans a suite, runs its groups, times its programs."""

from __future__ import annotations

import importlib
import os
import statistics
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import jax
import pandas as pd

import gdjax
from bench import clock, store
from bench.bad_input import closest
from bench.cells import group_name, timing_group
from bench.experiment import Group, measure, target_losses
from bench.suite import Suite, suite_from

INSTALL_HINT = "Install a GPU build: pip install -e '.[cuda12]' or '.[cuda13]', or use --device cpu."
SCORING_MARKS = 8  # marks of a run that times scoring
SCORING_REPEATS = 3  # its share of the run time needs no interval
COMPILE_WEIGHT_S = 3.0  # guess of a group's compile time, for the progress bar only
STEP_WEIGHT_S = 2.5e-7  # and of a lane-step per example of the batch, at best
MESSAGE_LIMIT = 500


class Stopped(BaseException):
    """The parent asked for the end; no handler of a cell's own errors may take it for one."""


def main(connection: Connection, payload: dict[str, object]) -> None:
    """Run what is missing of a suite; messages to the parent tell what happens (see bench.child.Message)."""
    serve(Worker, connection, payload)


def serve(kind: type[Worker], connection: Connection, payload: dict[str, object]) -> None:
    """Run a worker of this kind until it is through, is told to stop, or can't write."""
    suite = suite_from(payload["suite"])  # type: ignore[arg-type]
    worker = kind(connection, suite, Path(str(payload["folder"])), set(payload["finished"]))  # type: ignore[call-overload]
    try:
        worker.run(str(payload["device"]))
    except Stopped:
        return
    except OSError as error:
        worker.say(kind="error", code=4, text=f"{worker.folder}: cannot be written (got {error}). "
                                              "Finished cells are kept: make room and use --resume.")


class Worker:
    """One pass over a suite."""

    def __init__(self, connection: Connection, suite: Suite, folder: Path, finished: set[str]) -> None:
        self.connection, self.suite, self.folder, self.finished = connection, suite, folder, finished
        self.done = 0.0
        self.total = 0.0
        self.results: dict[str, tuple[float, int]] = {}  # group -> wall seconds, lane-marks scored

    def run(self, device: str) -> None:
        """Open the device, then do the work."""
        began = time.perf_counter()
        platform = self._open_device(device)
        if platform is None:
            return
        warnings.showwarning = lambda message, *_, **__: self.say(kind="warning", text=str(message)[:MESSAGE_LIMIT])
        self.work(platform, began)

    def work(self, platform: str, began: float) -> None:
        """Plan, then every problem: its groups, then its step times."""
        groups, errors = self._groups(platform)
        if errors:
            self.say(kind="error", code=2, text="\n".join(errors))
            return
        self._plan(groups, platform, time.perf_counter() - began)
        for name in dict.fromkeys(group.problem.name for group in groups):
            mine = [group for group in groups if group.problem.name == name]
            for group in mine:
                self._run_group(group)
            self._time_problem(name, mine)
        self.say(kind="done")

    def say(self, **message: object) -> None:
        """A message to the parent; a parent that asked for the end is obeyed here."""
        self.connection.send(message)
        if self.connection.poll() and self.connection.recv().get("kind") == "stop":
            raise Stopped

    def memory_hint(self) -> str:
        """What to do where memory did not suffice."""
        return f" Try width = {max(1, self.suite.width // 2)} in the suite."

    def facts(self, opened_s: float) -> dict[str, object]:
        """What only this process knows of the environment; `opened_s`: seconds until the plan."""
        return {"backend": jax.default_backend(), "device_kind": jax.devices()[0].device_kind,
                "device_count": jax.device_count(), "x64": jax.config.read("jax_enable_x64"),
                "matmul_precision": self.suite.matmul_precision, "dtype": self.suite.dtype, "worker_opened_s": opened_s}

    def _open_device(self, device: str) -> str | None:
        jax.config.update("jax_enable_compilation_cache", False)  # a cached program would hide its compile time
        jax.config.update("jax_enable_x64", self.suite.dtype == "float64")
        precision = self.suite.matmul_precision
        jax.config.update("jax_default_matmul_precision", None if precision == "default" else precision)
        if device == "cpu":
            jax.config.update("jax_platforms", "cpu")
        try:
            platform = jax.devices()[0].platform
        except (RuntimeError, AssertionError) as error:
            platform, found = "", f"none: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        else:
            found = ", ".join(str(each) for each in jax.devices())
        if not platform or (device == "gpu" and platform != "gpu"):
            self.say(kind="error", code=5, text=f"--device: no {device} device (got {found}). {INSTALL_HINT}")
            return None
        return platform

    def _groups(self, platform: str) -> tuple[list[Group], list[str]]:
        suite = self.suite
        groups: list[Group] = []
        errors: list[str] = []
        for field, names, known in (("schedules", suite.schedules, gdjax.schedules.names()),
                                    ("optimizers", suite.optimizers, gdjax.optimizers.names())):
            errors += [f"{field}[{i}]: unknown name (got {name!r}). {closest(name, known)}"
                       for i, name in enumerate(names) if name not in known]
        for i, name in enumerate(suite.problems):
            settings = suite.settings_for(name)
            try:
                problem = self._problem(name)
                gdjax.preflight(problem)
                if any(group.problem.name == problem.name for group in groups):
                    raise ValueError(f"another problem of the suite has this name (got {problem.name!r}). Rename one.")
                if problem.optimum is None and settings.targets is None:
                    raise ValueError(f"problem {name!r}: its optimum is not known, so gaps have no meaning "
                                     f'(got no targets). Give targets = {{ "{name}" = [loss, …] }}.')
            except (ValueError, TypeError) as error:
                errors.append(f"problems[{i}]: {error}")
                continue
            for size in settings.batch_sizes:
                count = problem.examples if size == "all" else int(size)
                if count > problem.examples:
                    errors.append(f"batch_sizes: {name} has {problem.examples} examples (got {count}). "
                                  'Use "all" for the full batch.')
                    continue
                for optimizer in suite.optimizers:
                    group = Group(suite, settings, problem, optimizer, count, platform)
                    if group not in groups:
                        groups.append(group)
        return groups, errors

    def _problem(self, name: str) -> gdjax.Problem:
        if ":" not in name:
            return gdjax.problems.get(name)
        module, _, function = name.partition(":")
        if not (module and function):
            raise ValueError(f"must be a problem's name or module:function (got {name!r}).")
        sys.path.insert(0, os.getcwd())  # a module beside the suite, as python -m would find it
        self.say(kind="warning", text=f"runs code of yours: {name}")
        try:
            problem = getattr(importlib.import_module(module), function)()
        except Exception as error:  # whatever a user's module raises is a fault of the suite, not of the worker
            raise ValueError(f"{name}: cannot be made (got {type(error).__name__}: {error}). "
                             "Call the function by hand to see why.") from error
        if not isinstance(problem, gdjax.Problem):
            raise TypeError(f"{name} must return a gdjax.Problem (got {type(problem).__name__}).")
        return problem

    def _plan(self, groups: list[Group], platform: str, opened_s: float) -> None:
        suite = self.suite
        cells = [{**group.key, "schedule": schedule, "device": platform, "status": "pending", "note": ""}
                 for group in groups for schedule in suite.schedules]
        self.total = sum(_weight(group) + _timing_weight(suite) for group in groups)
        problems = {}
        for problem in dict.fromkeys(group.problem for group in groups):
            mine = [group for group in groups if group.problem is problem]
            problems[problem.name] = {
                "examples": problem.examples, "optimum": problem.optimum,
                "optimum_tolerance": problem.optimum_tolerance,
                "initial_loss": None if problem.optimum is None else gdjax.initial_loss(problem),
                "source": problem.source,
                "data_sha256": None if problem.data is None else gdjax.data.fingerprint(problem.data),
                "targets": [{"target": target, "gap": gap}
                            for target, gap in target_losses(problem, mine[0].settings)],
                "budgets": {str(group.batch_size): {
                    "steps": group.steps, "epochs": group.steps * group.batch_size / problem.examples,
                } for group in mine},
            }
        lanes = sum(sum(group.lane_counts) for group in groups)
        self.say(kind="plan", cells=cells, problems=problems, environment=self.facts(opened_s), total=self.total,
                 device=platform, lines=[f"{suite.name}: {len(cells)} cells ({len(groups)} groups), {lanes:,} "
                                         f"lanes on {platform}"])

    def _run_group(self, group: Group) -> None:
        name = _name(group)
        if name not in self.finished:
            self._progress(group, f"{group.problem.name}, batch {group.batch_size}: tuning and reporting")
            try:
                result = measure(group)
            except Exception as error:  # one group's failure must not cost the others
                self._failed(name, error)
            else:
                store.write_group(self.folder, name, result.tables)
                self.results[name] = (result.run_s, result.scored)
                self.say(kind="group", group=name, mark_ratio={name: result.mark_ratio})
        self.done += _weight(group)

    def _time_problem(self, problem: str, groups: list[Group]) -> None:
        name = timing_group(problem)
        if name not in self.finished:
            self._progress(groups[0], f"{problem}: step times", group=name)
            try:
                table = pd.DataFrame(list(self._timings(groups)))
            except (Stopped, OSError):
                raise
            except Exception as error:  # tables without seconds are still worth keeping
                self._failed(name, error)
            else:
                store.write_group(self.folder, name, {"timing": table})
                self.say(kind="group", group=name)
        self.done += _timing_weight(self.suite) * len(groups)

    def _timings(self, groups: list[Group]) -> Iterator[dict[str, object]]:
        suite, jobs, facts = self.suite, [], {}
        self.say(kind="quiet", on=True)
        for number, group in enumerate(groups):
            for solo in (True, False):
                program = group.program(solo)
                settings = [gdjax.Setting(gdjax.schedules.get(name), 1e-3) for name in suite.schedules]
                run = program.stepper(settings, key=suite.seed, max_steps=group.steps)
                label = (str(number), "solo" if solo else "batched")
                first_s, _ = clock.once(run, 1)
                facts[label] = (program, first_s)
                jobs.append(clock.calibrate((*label, "step"), run, suite.min_sample_s, suite.repeats))
                if not solo:
                    jobs.append(clock.calibrate((*label, "scoring"), _scoring(run), suite.min_sample_s,
                                                min(suite.repeats, SCORING_REPEATS)))
        samples = []
        for sample in clock.samples(jobs, suite.seed):
            samples.append(sample)
            if self.connection.poll():  # the parent wants the end: heard by the next word to it
                self.say(kind="quiet", on=True)
        step_s = {job.label[0]: _step_median(samples, job.label)
                  for job in jobs if job.label[1:] == ("batched", "step")}
        for sample in samples:
            index, kind, quantity = sample.label
            group, (program, _) = groups[int(index)], facts[index, kind]
            seconds = sample.seconds / (sample.count * program.width)
            if quantity == "scoring":
                seconds = max(seconds / SCORING_MARKS - step_s[index] / program.width, 0.0)
            yield _row(group, kind, program.width, quantity, seconds, repeat=sample.repeat,
                       warmup=sample.warmup, voided=sample.voided, order=sample.order, steps=sample.count)
        for (index, kind), (program, first_s) in facts.items():
            group = groups[int(index)]
            for quantity, seconds in (("trace", program.trace_s), ("compile", program.compile_s),
                                      ("first_run", first_s)):
                yield _row(group, kind, program.width, quantity, seconds)
            if kind == "batched" and _name(group) in self.results:
                run_s, scored = self.results[_name(group)]
                yield _row(group, kind, program.width, "run", run_s)
                yield _row(group, kind, program.width, "scored", 0.0, steps=scored)
        self.say(kind="quiet", on=False)

    def _progress(self, of: Group, text: str, group: str | None = None) -> None:
        self.say(kind="progress", done=self.done, total=self.total, text=text, group=group or _name(of))

    def _failed(self, name: str, error: Exception) -> None:
        traceback.print_exc()
        text = f"{type(error).__name__}: {error}"[:MESSAGE_LIMIT]
        memory = isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text
        if memory:
            text += self.memory_hint()
        self.say(kind="failed", group=name, status="oom" if memory else "failed", note=text)


def _scoring(run: Callable[..., object]) -> Callable[[int], object]:
    """So many runs of eight steps with a mark after each: less the steps, what scoring costs."""
    return lambda count: [run(SCORING_MARKS, SCORING_MARKS) for _ in range(count)]


def _step_median(samples: list[clock.Sample], label: tuple[str, ...]) -> float:
    return statistics.median(sample.seconds / sample.count
                             for sample in samples if sample.label == label and not sample.warmup)


def _name(group: Group) -> str:
    return group_name(group.problem.name, group.optimizer, group.batch_size)


def _weight(group: Group) -> float:
    return COMPILE_WEIGHT_S + sum(group.lane_counts) * group.steps * STEP_WEIGHT_S * max(1, group.batch_size**0.75)


def _timing_weight(suite: Suite) -> float:
    return 3 * suite.min_sample_s * (suite.repeats + clock.WARMUPS) * 1.2 + COMPILE_WEIGHT_S


def _row(
    group: Group, program: str, width: int, quantity: str, seconds: float, *, repeat: int = 0, warmup: bool = False,
    voided: bool = False, order: int = 0, steps: int = 0,
) -> dict[str, object]:
    return {**group.key, "device": group.device, "program": program, "width": width, "quantity": quantity,
            "repeat": repeat, "warmup": warmup, "voided": voided, "order": order, "steps": steps, "seconds": seconds}
