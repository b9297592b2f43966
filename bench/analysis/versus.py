"""Two runs against each other: per cell and over all, how many times faster B is than A, and whether that is so."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from bench.analysis.comparisons import holm
from bench.analysis.intervals import NOTHING, Estimate, percentile_interval, tied, two_sided_p
from bench.analysis.parity import DIFFER, UNKNOWN
from bench.analysis.repeats import Noise, Program, log_step_resamples, process_noise
from bench.analysis.resampling import RESAMPLES
from bench.analysis.sides import CELL, Pair
from bench.analysis.verdicts import Verdict, verdict

Array = np.ndarray
NoSpeed = Mapping[tuple[object, ...], str]  # (cell, goal) -> why its seconds to target get no verdict
TO_TARGET = ("seconds_solo", "seconds_batched")
PER_STEP = ("step_s_solo", "step_s_batched")
ONCE = {"trace_s": "trace", "compile_s": "compile", "first_run_s": "first_run", "transfer_s": "transfer"}
QUANTITIES = (*TO_TARGET, *PER_STEP, *ONCE)
COLUMNS = [*CELL, "goal", "target", "headline", "quantity", "value_a", "value_b", "ratio", "low", "high", "samples_a",
           "samples_b", "processes_a", "processes_b", "p", "p_holm", "verdict", "note"]
OVERALL = ["quantity", "cells", "ratio", "low", "high", "verdict", "note", "faster", "slower", "no difference seen",
           "too noisy"]
_SEEDS = {"a": 11, "b": 12}  # of what is resampled on each side: independent, but for one run compared with itself
_MISSED, _BOTH = "no median: missed by most starts of ", "A and B"
_NO_SPEED = {DIFFER: "losses or steps differ: not a matter of speed",
             UNKNOWN: "too few starts to know whether losses and steps agree"}


@dataclass(frozen=True)
class Versus:
    """Two runs compared.

    Args:
        cells: one row per (cell, target) and quantity in seconds to target, per program otherwise; columns `COLUMNS`.
        overall: one row per quantity, over all cells at their headline target; columns `OVERALL`.
        noise: between processes, of both runs.
    """

    cells: pd.DataFrame
    overall: pd.DataFrame
    noise: Noise


@dataclass
class _Ratios:
    """Log ratios of a quantity with their resamples: what both the cells and the geometric mean are made of."""

    rows: list[dict[str, object]] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    resamples: list[Array] = field(default_factory=list)

    def add(self, row: dict[str, object], value: float, resamples: Array) -> None:
        self.rows.append(row)
        self.values.append(value)
        self.resamples.append(resamples)


def versus(pair: Pair, parity: pd.DataFrame) -> Versus:
    """Compare two runs: ratios of times A/B, above 1 where B is faster, each with its 95 % interval and verdict.

    Seconds to target: ratio of median steps over common starts, resampled in pairs, times the ratio of seconds per
    step. Seconds per step: ratio of medians; repeats and processes are resampled, the latter with the noise measured
    between processes (`process_noise`). What is measured in one process only (trace, compile, first run, transfer) has
    no interval in one cell, only over all of them, with the noise between processes that steps have. Over all cells:
    geometric mean; cells, samples and processes are resampled, and what a process does to one cell it does to all. p is
    corrected by Holm over all cells of a quantity. A cell whose losses differ, or may for all that is known, gets no
    verdict in seconds to target: it is not a matter of speed. Samples are repeats of a step, in seconds to target the
    common starts where they are fewer.

    Args:
        pair: the two runs.
        parity: `parity_table(pair)`.
    """
    noise = process_noise([pair.a.steps] if pair.same_run else [pair.a.steps, pair.b.steps])
    step = _StepRatios(pair, noise)
    found = {quantity: _to_target(pair, step, quantity) for quantity in TO_TARGET}
    found |= {quantity: _per_step(pair, step, quantity) for quantity in PER_STEP}
    found |= {quantity: _once(pair, step, quantity) for quantity in ONCE}
    no_speed = {tuple(row): _NO_SPEED[word] for *row, word in
                parity.loc[parity["parity"].isin(_NO_SPEED), [*CELL, "goal", "parity"]].itertuples(index=False)}
    frames = [_judged(quantity, ratios, noise, no_speed, pair.same_run) for quantity, ratios in found.items()]
    overall = [_overall(quantity, found[quantity], frame, noise, pair.same_run)
               for quantity, frame in zip(found, frames, strict=True) if len(frame)]
    filled = [frame.dropna(axis="columns", how="all") for frame in frames if len(frame)]
    cells = pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=COLUMNS)
    return Versus(cells.reindex(columns=COLUMNS), pd.DataFrame(overall, columns=OVERALL), noise)


class _StepRatios:
    """Log ratios of seconds per step, each worked out once; processes vary alike in all cells of a run."""

    def __init__(self, pair: Pair, noise: Noise) -> None:
        self._pair, self._found = pair, dict[Program, tuple[float, Array]]()
        most = max((len(processes) for side in (pair.a, pair.b) for processes in side.steps.values()), default=1)
        self._seeds = {"a": _SEEDS["a"], "b": _SEEDS["a" if pair.same_run else "b"]}
        self._noise = {end: noise.draws(most, seed) for end, seed in self._seeds.items()}

    def __getitem__(self, program: Program) -> tuple[float, Array]:
        """Log of seconds per step, A less B, and its resamples."""
        if program not in self._found:
            (a, above), (b, below) = (log_step_resamples(side.steps[program], self._noise[end], self._seeds[end])
                                      for end, side in (("a", self._pair.a), ("b", self._pair.b)))
            self._found[program] = a - b, above - below
        return self._found[program]

    @property
    def between(self) -> Array:
        """What two single processes may be apart by chance: logs, (10 000,)."""
        return self._noise["a"][0] - self._noise["b"][0]

    def counts(self, program: Program, most: float = math.inf) -> dict[str, object]:
        """Samples, at most so many, and processes of both sides."""
        sides = {"a": self._pair.a, "b": self._pair.b}
        return {f"{name}_{end}": count for end, side in sides.items()
                for name, count in (("samples", min(sum(map(len, side.steps[program])), most)),
                                    ("processes", len(side.steps[program])))}


def _to_target(pair: Pair, step: _StepRatios, quantity: str) -> _Ratios:
    found, kind = _Ratios(), quantity.removeprefix("seconds_")
    timed = set(pair.programs)
    for place, (_, row) in enumerate(pair.rows.iterrows()):
        program = str(row["problem"]), str(row["optimizer"]), int(row["batch_size"]), kind
        steps, ratio, resamples = pair.hits[place]
        named = {**{name: row[name] for name in (*CELL, "goal")}, "target": row["target_a"],
                 "headline": pair.headlines[str(row["problem"])] == row["goal"]}
        values = {f"value_{end}": float(row[f"{quantity}_median_{end}"]) for end in ("a", "b")}
        if program not in timed or not len(steps[0]):
            found.add({**named, **values}, math.nan, np.full(RESAMPLES, math.nan))
            continue
        log_step, log_steps = step[program]
        missed = [end.upper() for end in ("a", "b") if not math.isfinite(values[f"value_{end}"])]
        with np.errstate(divide="ignore"):
            if len(missed) == 2:
                value, drawn = 0.0, np.zeros(RESAMPLES)
            else:
                value = float(tied(np.log(ratio) + log_step, 0.0))
                drawn = tied(np.log(resamples) + log_steps, 0.0)
        note = _MISSED + " and ".join(missed) if missed else ""
        found.add({**named, **values, **step.counts(program, len(steps[0])), "note": note}, value, drawn)
    return found


def _per_step(pair: Pair, step: _StepRatios, quantity: str) -> _Ratios:
    found, kind = _Ratios(), quantity.removeprefix("step_s_")
    for program in pair.programs:
        if program[3] == kind:
            value, drawn = step[program]
            medians = {f"value_{end}": float(np.exp(np.mean([np.log(np.median(each)) for each in side.steps[program]])))
                       for end, side in (("a", pair.a), ("b", pair.b))}
            found.add({**_named(program), **medians, **step.counts(program)}, value, drawn)
    return found


def _once(pair: Pair, step: _StepRatios, quantity: str) -> _Ratios:
    found = _Ratios()
    for program in (program for program in pair.programs if program[3] == "solo"):
        a, b = (side.times.median((*program[:3], side.device), "solo", ONCE[quantity]) for side in (pair.a, pair.b))
        if a > 0 and b > 0:
            row = {**_named(program), "value_a": a, "value_b": b, "samples_a": 1, "samples_b": 1,
                   "processes_a": 1, "processes_b": 1}
            found.add(row, math.log(a / b), math.log(a / b) + step.between)
    return found


def _named(program: Program) -> dict[str, object]:
    return {**dict(zip(CELL, program[:3], strict=False)), "schedule": "", "goal": "", "headline": True}


def _judged(quantity: str, ratios: _Ratios, noise: Noise, no_speed: NoSpeed, same: bool) -> pd.DataFrame:
    once = quantity in ONCE
    rows = []
    for row, value, drawn in zip(ratios.rows, ratios.values, ratios.resamples, strict=True):
        low, high = (math.nan, math.nan) if once and not same else _interval(drawn)
        p = 1.0 if same else math.nan if once else two_sided_p(value, drawn)
        rows.append({"note": "", "samples_a": 0, "samples_b": 0, **row, "quantity": quantity,
                     "ratio": math.exp(value), "low": low, "high": high, "p": p})
    frame = pd.DataFrame(rows, columns=[name for name in COLUMNS if name not in ("p_holm", "verdict")])
    frame["p_holm"] = holm(frame["p"].to_numpy(float))
    said = [_cell_verdict(row, noise, no_speed) for _, row in frame.iterrows()]
    frame["verdict"] = [each.word for each in said]
    frame["note"] = ["; ".join(filter(None, (row, each.note))) for row, each in zip(frame["note"], said, strict=True)]
    return frame


def _interval(logs: Array) -> tuple[float, float]:
    """95 % interval of ratios; where few processes tell of the noise, its tail is beyond all floats: ∞."""
    with np.errstate(over="ignore"):
        return percentile_interval(np.exp(logs))


def _cell_verdict(row: pd.Series, noise: Noise, no_speed: NoSpeed) -> Verdict:
    if row["quantity"] in TO_TARGET and (why := no_speed.get(tuple(row[[*CELL, "goal"]]))) is not None:
        return Verdict("", why)
    estimate = Estimate(float(row["ratio"]), float(row["low"]), float(row["high"]))
    samples = min(int(row["samples_a"]), int(row["samples_b"]))
    return verdict(estimate, float(row["p_holm"]), noise.floor, samples)


def _overall(quantity: str, ratios: _Ratios, frame: pd.DataFrame, noise: Noise, same: bool) -> dict[str, object]:
    """The geometric mean over the cells at their headline target that both reach, of those known to agree."""
    neither = (frame["note"] == _MISSED + _BOTH).to_numpy()
    measured = ~np.isnan(np.array(ratios.values, dtype=float))
    told = frame["headline"].astype(bool).to_numpy() & (frame["verdict"] != "").to_numpy() & ~neither & measured
    kept = np.flatnonzero(told & np.isfinite(np.array(ratios.values)))
    counts = frame.loc[told, "verdict"].value_counts()
    row: dict[str, object] = {"quantity": quantity, "cells": len(kept), "note": "",
                              **{name: int(counts.get(name, 0)) for name in OVERALL[-4:]}}
    if not len(kept):
        return row | {"ratio": math.nan, "low": math.nan, "high": math.nan, "verdict": "", "note": "no cell to tell of"}
    value = float(np.mean([ratios.values[place] for place in kept]))
    drawn = np.stack([ratios.resamples[place] for place in kept])
    picks = np.random.default_rng(len(kept)).integers(0, len(kept), (RESAMPLES, len(kept)))
    with np.errstate(invalid="ignore"):
        means = drawn[picks, np.arange(RESAMPLES)[:, None]].mean(axis=1)
    estimate = NOTHING if np.isnan(means).any() else Estimate(math.exp(value), *_interval(means))
    p = 1.0 if same or np.isnan(means).any() else two_sided_p(value, means)
    samples = len(kept) if quantity in ONCE else int(frame.loc[kept, ["samples_a", "samples_b"]].to_numpy(int).min())
    said = verdict(estimate, p, noise.floor, samples)
    return row | {"ratio": math.exp(value), "low": estimate.low, "high": estimate.high, "verdict": said.word,
                  "note": said.note}
