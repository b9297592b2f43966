"""One group of cells: tune every schedule on some starts, report the chosen settings on others."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
import pandas as pd

import gdjax
from bench.size import lanes_of
from bench.suite import Settings, Suite
from bench.suite_fields import Sampling
from bench.tuning import Grid, choose, grid, horizon_of, schedules_of, wider

TUNING, REPORTED = 0, 1  # folded into the seed: the two splits share no start
MEMBERS = 16  # settings that share a batch: one program serves range test, tuning and report
RANGE_SHARE = 0.1  # of the budget, for the range test
RANGE_STEPS = 50  # at least so many steps, where the budget has them


@dataclass(frozen=True)
class Group:
    """All schedules of one (problem, optimizer, batch size) on one device."""

    suite: Suite
    settings: Settings
    problem: gdjax.Problem
    optimizer: str
    batch_size: int
    device: str

    @property
    def sampling(self) -> str | gdjax.Stream:
        """How examples are drawn."""
        return sampling_of(self.settings.sampling)

    @property
    def streamed(self) -> bool:
        """Whether the examples are read in buffers, as memory can't hold them."""
        return isinstance(self.sampling, gdjax.Stream)

    @property
    def losses(self) -> Callable[[Any], tuple[np.ndarray, np.ndarray]] | None:
        """What scores starts before the run; None: all examples, which the device holds unless they are streamed."""
        return self.program().measure if self.streamed else None

    @property
    def steps(self) -> int:
        """Budget of a lane in steps."""
        return self.settings.budget(self.problem.examples, self.batch_size)

    @property
    def steps_per_epoch(self) -> float:
        """Steps in a pass over the data."""
        return self.problem.examples / self.batch_size

    @property
    def devices(self) -> int:
        """How many share the lanes, of all hosts."""
        return self.suite.devices if isinstance(self.suite.devices, int) else jax.device_count()

    @property
    def key(self) -> dict[str, str | int]:
        """The columns that name the group in every table."""
        return {"problem": self.problem.name, "optimizer": self.optimizer, "batch_size": self.batch_size}

    @property
    def lane_counts(self) -> tuple[int, int]:
        """Lanes tuned on the first grid, and at most reported."""
        each = lanes_of(self.suite, self.settings)
        return len(self.suite.schedules) * each.tuned, len(self.suite.schedules) * each.reported

    @property
    def most_lanes(self) -> int:
        """Lanes where the grid is widened as often as it may be, at both ends."""
        return len(self.suite.schedules) * sum(lanes_of(self.suite, self.settings))

    def program(self, solo: bool = False) -> gdjax.Program:
        """The compiled program of the group: full width over all devices, or one lane on one of this host."""
        return gdjax.compile(self.problem, batch_size=self.batch_size, optimizer=self.optimizer,
                             schedules=self.suite.schedules, marks=self.suite.marks, settings=1 if solo else MEMBERS,
                             width=1 if solo else self.suite.width, sampling=self.sampling,
                             devices=None if solo or self.streamed else self.devices,
                             target_on=gdjax.goals.LOSS if solo else self.settings.target_on)


class Work(NamedTuple):
    """What runs computed: lane-marks scored, lane-steps that their slots computed, and those that lanes needed."""

    scored: int = 0
    lane_steps_run: int = 0
    lane_steps_needed: int = 0

    def and_of(self, runs: gdjax.Runs) -> Work:
        """The sum of this and of one more call."""
        return Work(self.scored + int(np.isfinite(runs.curve).sum()), self.lane_steps_run + runs.lane_steps_run,
                    self.lane_steps_needed + runs.lane_steps_needed)


@dataclass(frozen=True)
class Result:
    """Tables of a finished group, and what its clock needs to know; its range test is not in the work."""

    tables: dict[str, pd.DataFrame]
    run_s: float
    work: Work
    mark_ratio: float
    widened: int


def sampling_of(given: Sampling) -> str | gdjax.Stream:
    """How examples are drawn as a suite says it, as `gdjax.minibatch` takes it; raises ValueError for a bad stream."""
    if isinstance(given, dict):
        return gdjax.Stream(**given)
    return gdjax.Stream() if given == "stream" else given


def target_losses(group: Group) -> list[tuple[float, float]]:
    """(target, gap) pairs, highest first; gap NaN where targets are losses."""
    settings = group.settings
    if settings.targets is not None:
        return [(target, math.nan) for target in sorted(settings.targets, reverse=True)]
    gaps = sorted(settings.gaps, reverse=True)
    return list(zip(gdjax.targets(group.problem, gaps, group.losses), gaps, strict=True))


def schedule_errors(groups: Sequence[Group]) -> list[str]:
    """What is wrong with schedules over the whole budget of any group, at any horizon: the first for each schedule."""
    errors = {}
    for group in {(group.steps, group.steps_per_epoch): group for group in groups}.values():
        for place, name in enumerate(group.suite.schedules):
            if name in errors:
                continue
            try:
                gdjax.check_schedules(schedules_of(group.suite, name), group.steps, group.steps_per_epoch)
            except ValueError as error:
                errors[name] = (f"schedules[{place}]: {group.problem.name}, batch size {group.batch_size}: "
                                f"{str(error).removeprefix('schedules: ')}")
    return list(errors.values())


def measure(group: Group) -> Result:
    """Range test, tuning and report of one group.

    The settings chosen for every (schedule, target) on the tuning starts run on the reported starts; all schedules
    share starts and batch order, so differences are paired.
    """
    suite, program = group.suite, group.program()
    began = time.perf_counter()
    seed = jax.random.key(suite.seed)
    targets, key = target_losses(group), jax.random.fold_in(seed, TUNING)
    tuned = _tune(group, program, grid(suite, _centre(group, program, key)), targets, key)
    chosen = tuned.chosen
    keep = set(zip(chosen.schedule, chosen.horizon, chosen.rate, strict=True))
    winners = {setting: name for setting, name in _named(tuned.grid).items()
               if (name, horizon_of(name, setting), setting.rate) in keep}
    reported = _run(group, program, winners, suite.starts, jax.random.fold_in(seed, REPORTED))
    tables = _tables(group, reported, winners, "reported", targets)
    run_s = time.perf_counter() - began
    curves = _curves(tables["lanes"], reported)
    chosen = chosen.assign(**group.key, device=group.device)
    return Result(
        tables={
            "lanes": pd.concat([tuned.tables["lanes"], tables["lanes"]], ignore_index=True),
            "hits": pd.concat([tuned.tables["hits"], tables["hits"]], ignore_index=True),
            "curves": curves,
            "chosen": chosen[["problem", "optimizer", "batch_size", "schedule", "device", "target", "gap", "rate",
                              "horizon", "tuning_ert", "tuning_hits", "edge_of_grid"]],
        },
        run_s=run_s,
        work=tuned.work.and_of(reported),
        mark_ratio=float(np.median(reported.marks[1:] / reported.marks[:-1])) if len(reported.marks) > 1 else math.nan,
        widened=tuned.widened,
    )


def _centre(group: Group, program: gdjax.Program, key: jax.Array) -> float:
    """The rate that the grid is centred on, by a short range test; NaN where the suite gives the rates."""
    suite = group.suite
    if not isinstance(suite.rates, int):
        return math.nan
    short = max(min(group.steps, RANGE_STEPS), int(RANGE_SHARE * group.steps))
    itself = "constant" in suite.schedules  # else the program lacks what a range test runs: it gets one of its own
    return gdjax.range_test(group.problem, batch_size=group.batch_size, key=key, optimizer=group.optimizer,
                            max_steps=short, sampling=group.sampling, width=suite.width,
                            program=program if itself else None, devices=None if group.streamed else group.devices)


@dataclass(frozen=True)
class _Tuned:
    """What tuning tried, in which tables, and chose; how often it widened the grid, and what it computed."""

    grid: dict[str, list[gdjax.Setting]]
    tables: dict[str, pd.DataFrame]
    chosen: pd.DataFrame
    widened: int
    work: Work


def _tune(group: Group, program: gdjax.Program, settings: dict[str, list[gdjax.Setting]],
          targets: list[tuple[float, float]], key: jax.Array) -> _Tuned:
    """Tune on a grid, and on the settings next to it while a winner is at its end and the suite allows.

    All on the same starts and batches.
    """
    tried: dict[str, list[gdjax.Setting]] = {name: [] for name in settings}
    parts: list[dict[str, pd.DataFrame]] = []
    widened = lanes = 0
    work = Work()
    while True:
        named = _named(settings)
        runs = _run(group, program, named, group.suite.tuning_starts, key)
        part = _tables(group, runs, named, "tuning", targets)
        parts.append({name: table.assign(lane=table.lane + lanes) for name, table in part.items()})
        work = work.and_of(runs)
        lanes += len(part["lanes"])
        for name, each in settings.items():
            tried[name] += each
        tables = {name: pd.concat([each[name] for each in parts], ignore_index=True) for name in part}
        chosen = choose(tables["lanes"], tables["hits"], group.settings.target_on)
        settings = wider(group.suite, tried, chosen) if widened < group.suite.widenings else {}
        if not settings:
            return _Tuned(tried, tables, chosen, widened, work)
        widened += 1


def _named(settings: Grid) -> dict[gdjax.Setting, str]:
    """Each setting once, with its schedule as the suite names it."""
    return {setting: name for name, each in settings.items() for setting in each}


def _run(
    group: Group, program: gdjax.Program, settings: Mapping[gdjax.Setting, str], starts: int, key: jax.Array
) -> gdjax.Runs:
    runs = gdjax.minibatch(group.problem, batch_size=group.batch_size, rates=None, settings=list(settings),
                           starts=starts, key=key, optimizer=group.optimizer, max_steps=group.steps,
                           marks=group.suite.marks, sampling=group.sampling, program=program,
                           target_on=group.settings.target_on,
                           targets=[target for target, _ in target_losses(group)])
    given = [(setting.schedule.label, setting.rate) for setting in settings]
    if list(zip(runs.schedules, runs.rates, strict=True)) != given:  # lanes are named after the settings, in this order
        raise RuntimeError(f"settings: not those that were given (got {len(runs.rates)}, wanted {len(given)}). "
                           "Report it with the suite.")
    return runs


def _tables(
    group: Group, runs: gdjax.Runs, settings: Mapping[gdjax.Setting, str], split: str,
    targets: list[tuple[float, float]],
) -> dict[str, pd.DataFrame]:
    frame = runs.frame()
    names = pd.Series(list(settings.values())).to_numpy()
    horizons = np.array([horizon_of(name, setting) for setting, name in settings.items()])
    lanes = pd.DataFrame({
        **group.key, "schedule": names[runs.setting], "horizon": horizons[runs.setting], "rate": frame.rate,
        "device": group.device, "split": split, "lane": frame.lane, "start": frame.start, "status": frame.status,
        "steps": frame.steps, "examples": frame.examples, "final_loss": frame.final_loss, "best_loss": frame.best_loss,
        "grad_norm": frame.grad_norm, **{name: frame.get(name, math.nan) for name in ("held_out_loss", "accuracy")},
        "max_steps": group.steps,
    })
    gaps = dict(targets)
    hits = runs.hits()
    hits["gap"] = hits.target.map(gaps)
    hits["steps_spent"] = hits.steps.where(hits.hit, group.steps)
    hits = hits.merge(_keys(lanes), on="lane")
    return {"lanes": lanes, "hits": hits[["problem", "optimizer", "batch_size", "schedule", "horizon", "rate", "device",
                                          "split", "lane", "start", "target", "gap", "hit", "steps_before", "steps",
                                          "steps_after", "examples", "steps_spent"]]}


def _curves(lanes: pd.DataFrame, runs: gdjax.Runs) -> pd.DataFrame:
    curves = runs.curves()
    curves["score"] = math.nan if runs.target_on == gdjax.goals.LOSS else curves[runs.target_on]
    curves = curves.merge(_keys(lanes), on="lane")
    return curves[["problem", "optimizer", "batch_size", "schedule", "horizon", "rate", "device", "split", "lane",
                   "start", "step", "examples", "loss", "score"]]


def _keys(lanes: pd.DataFrame) -> pd.DataFrame:
    return lanes[["lane", "problem", "optimizer", "batch_size", "schedule", "horizon", "rate", "device", "split",
                  "start"]]
