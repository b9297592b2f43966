"""A synthetic run folder: losses fall as a power law to a floor that the batch size, rate and schedule set."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bench import files, store
from bench.tables import COLUMNS

GAPS = (1e-1, 1e-2, 1e-3)
OPTIMUM, INITIAL = 0.2, 2.3
FLOORS = {"constant": 1.0, "inverse_time": 0.03, "linear": 0.05, "exponential": 0.04, "cosine": 0.06}
SPEEDS = {"constant": 1.0, "inverse_time": 0.7, "linear": 1.0, "exponential": 0.8, "cosine": 0.95}
SECONDS = {"solo": (4e-6, 6e-8), "batched": (2e-7, 4e-8)}  # per step: fixed, and per example of the batch


@dataclass(frozen=True)
class Plan:
    """What the synthetic run holds; `unfinished` cells are listed in the manifest and have no tables."""

    problems: Sequence[str] = ("digits-softmax",)
    batch_sizes: Sequence[int] = (1, 8, 32, 128, 1797)
    schedules: Sequence[str] = tuple(FLOORS)
    examples: int = 1797
    epochs: float = 20.0
    min_steps: int = 300
    rates: Sequence[float] = (0.03, 0.1, 0.3, 1.0)
    tuning_starts: int = 8
    starts: int = 32
    marks: int = 24
    unfinished: Sequence[tuple[str, int]] = ()
    untimed: Sequence[str] = ()
    seed: int = 0


def write_run(folder: Path, plan: Plan | None = None) -> Path:
    """Write the run folder of a plan (parts and manifest) and return it."""
    plan = plan or Plan()
    cells: list[dict[str, object]] = []
    for place, problem in enumerate(plan.problems):
        timing = []
        for batch_size in plan.batch_sizes:
            status = "pending" if (problem, batch_size) in plan.unfinished else "finished"
            cells += [{"problem": problem, "optimizer": "sgd", "batch_size": batch_size, "schedule": schedule,
                       "device": "cpu", "status": status, "note": ""} for schedule in plan.schedules]
            if status == "pending":
                continue
            tables = group_tables(plan, problem, batch_size)
            part = folder / "parts" / f"{place}.sgd.{batch_size}"
            part.mkdir(parents=True)
            for name, rows in tables.items():
                rows.to_parquet(part / f"{name}.parquet")
            seal(part)
            timing.append(timing_rows(plan, problem, batch_size))
        if timing and problem not in plan.untimed:
            part = folder / "parts" / f"{place}.timing"
            part.mkdir(parents=True)
            pd.concat(timing).to_parquet(part / "timing.parquet")
            seal(part)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps(manifest(plan, cells)), encoding="utf-8")
    return folder


def seal(part: Path) -> None:
    """Write the part.json that makes a part whole."""
    digests = {path.stem: files.digest(path) for path in part.glob("*.parquet")}
    index = {"schema": store.SCHEMA, "group": part.name, "sha256": digests}
    (part / "part.json").write_text(json.dumps(index), encoding="utf-8")


def manifest(plan: Plan, cells: list[dict[str, object]]) -> dict[str, object]:
    """run.json of a plan."""
    targets = [{"target": OPTIMUM + gap * (INITIAL - OPTIMUM), "gap": gap} for gap in GAPS]
    budgets = {str(size): {"steps": budget_steps(plan, size), "epochs": budget_steps(plan, size) * size / plan.examples}
               for size in plan.batch_sizes}
    return {"schema": 1, "suite": "synthetic", "config": {"name": "synthetic", "seed": 0}, "config_hash": "00",
            "command": ["python", "-m", "bench", "run", "synthetic"], "started": "2026-01-01T00:00:00+00:00",
            "finished": None if plan.unfinished else "2026-01-01T00:05:00+00:00", "device": "cpu",
            "environment": {"jax": "0.10.2", "cpu_model": "synthetic", "cores": 2},
            "mark_ratio": {f"{problem}.sgd.{size}": 1.4 for problem in plan.problems for size in plan.batch_sizes},
            "problems": {name: {"examples": plan.examples, "optimum": OPTIMUM, "optimum_tolerance": 1e-9,
                                "initial_loss": INITIAL, "source": "synthetic", "data_sha256": None,
                                "targets": targets, "budgets": budgets} for name in plan.problems},
            "cells": cells, "warnings": []}


def budget_steps(plan: Plan, batch_size: int) -> int:
    """Budget of a lane: the suite's epochs or min_steps, whichever is more."""
    return max(math.ceil(plan.epochs * plan.examples / batch_size), plan.min_steps)


def group_tables(plan: Plan, problem: str, batch_size: int) -> dict[str, pd.DataFrame]:
    """Tables of one (problem, batch size): tuning on the first starts, the chosen settings on the others."""
    tables: dict[str, list[pd.DataFrame]] = {"lanes": [], "hits": [], "curves": []}
    chosen: list[dict[str, object]] = []
    random = np.random.default_rng([plan.seed, batch_size])
    for schedule in plan.schedules:
        name = {"problem": problem, "optimizer": "sgd", "batch_size": batch_size, "schedule": schedule}
        settings = [(rate, horizon) for rate in plan.rates
                    for horizon in ((1.0,) if schedule == "constant" else (0.25, 0.5, 1.0))]
        tuned = {}
        for setting in settings:
            lanes, hits, _ = setting_tables(plan, name, setting, "tuning", plan.tuning_starts, random)
            tables["lanes"].append(lanes)
            tables["hits"].append(hits)
            loss = float(lanes["final_loss"].median())
            tuned[setting] = {gap: (_ert(hits[hits["gap"] == gap]), loss) for gap in GAPS}
        picked = []
        for gap in GAPS:
            best = min((tuned[setting][gap], setting) for setting in settings)[1]
            picked.append(best)
            chosen.append({**name, "device": "cpu", "target": OPTIMUM + gap * (INITIAL - OPTIMUM), "gap": gap,
                           "rate": best[0], "horizon": best[1], "tuning_ert": tuned[best][gap][0], "tuning_hits": 8,
                           "edge_of_grid": best[0] in (min(plan.rates), max(plan.rates))})
        for setting in dict.fromkeys(picked):
            for table, rows in zip(tables, setting_tables(plan, name, setting, "reported", plan.starts, random),
                                   strict=True):
                tables[table].append(rows)
    frames = {table: pd.concat(rows, ignore_index=True) for table, rows in tables.items()}
    frames["lanes"]["lane"] = np.arange(len(frames["lanes"]))
    return frames | {"chosen": pd.DataFrame(chosen)[list(COLUMNS["chosen"])]}


def setting_tables(plan: Plan, name: dict[str, object], setting: tuple[float, float], split: str, starts: int,
                   random: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Lanes, hits and curves of one setting: gap(s) = (1 + rate·s/τ)^−1.6 + floor, times noise of the start."""
    batch_size, (rate, horizon) = int(str(name["batch_size"])), setting
    budget = budget_steps(plan, batch_size)
    marks = np.unique(np.concatenate([[0], np.geomspace(1, budget, plan.marks).round()])).astype(int)
    first = plan.tuning_starts if split == "reported" else 0
    luck = np.exp(0.25 * np.random.default_rng([plan.seed, first]).normal(size=starts))[:, None]
    floor = 0.1 * rate / batch_size**0.7 * FLOORS[str(name["schedule"])] * (1 + (1 - horizon))
    speed = 0.3 * min(rate, 0.4) / (1 + 20 / batch_size) * horizon**0.2 * SPEEDS[str(name["schedule"])]
    gap = (1 + speed * marks / luck) ** -1.6 + floor * luck * np.exp(0.1 * random.normal(size=(starts, len(marks))))
    gap[:, 0] = 1.0
    diverged = random.uniform(size=starts) < min(0.9, 0.4 * rate**2 / batch_size**0.3)
    gap[diverged, len(marks) // 3:] = np.inf
    loss = OPTIMUM + gap * (INITIAL - OPTIMUM)
    fixed = {**name, "horizon": horizon, "rate": rate, "device": "cpu", "split": split}
    start = np.arange(first, first + starts)
    lanes = pd.DataFrame({**fixed, "lane": start, "start": start, "status": np.where(diverged, "diverged", "budget"),
                          "steps": budget, "examples": budget * batch_size, "final_loss": loss[:, -1],
                          "best_loss": loss.min(axis=1), "grad_norm": 0.01,
                          "held_out_loss": np.nan, "accuracy": np.nan, "max_steps": budget})
    curves = pd.DataFrame({**fixed, "lane": np.repeat(start, len(marks)), "start": np.repeat(start, len(marks)),
                           "step": np.tile(marks, starts), "examples": np.tile(marks * batch_size, starts),
                           "loss": loss.ravel(), "score": np.nan})
    hits = pd.concat([_hits(fixed, start, marks, gap, target, budget, batch_size) for target in GAPS])
    return lanes, hits, curves[np.isfinite(curves["loss"])]


def timing_rows(plan: Plan, problem: str, batch_size: int) -> pd.DataFrame:
    """Timing of the two programs of a group."""
    random = np.random.default_rng([plan.seed, batch_size, 1])
    rows: list[dict[str, object]] = []
    for program, (fixed, per_example) in SECONDS.items():
        step = fixed + per_example * batch_size
        values: dict[str, Sequence[float] | np.ndarray] = {
            "trace": [0.2], "compile": [0.5], "first_run": [0.02], "step": step * random.lognormal(0, 0.03, 12)}
        if program == "batched":
            values |= {"scoring": [2e-5] * 3, "run": [2.0], "scored": [0.0]}
        for quantity, seconds in values.items():
            rows += [{"problem": problem, "optimizer": "sgd", "batch_size": batch_size, "device": "cpu",
                      "program": program, "width": 128 if program == "batched" else 1, "quantity": quantity,
                      "repeat": repeat, "warmup": quantity == "step" and repeat < 2, "voided": False, "order": repeat,
                      "steps": 30_000 if quantity == "scored" else 1000, "seconds": float(value),
                      "process": 0}
                     for repeat, value in enumerate(seconds)]
    return pd.DataFrame(rows)[list(COLUMNS["timing"])]


def _hits(fixed: dict[str, object], start: np.ndarray, marks: np.ndarray, gap: np.ndarray, target: float, budget: int,
          batch_size: int) -> pd.DataFrame:
    below = gap <= target
    hit, after = below.any(axis=1), below.argmax(axis=1)
    before = np.maximum(after - 1, 0)
    lanes = np.arange(len(start))
    above, under = gap[lanes, before], gap[lanes, after]
    fall = np.where(hit & (before < after), np.log(above / under), 1.0)
    share = np.where(hit & (before < after), np.log(above / target) / fall, 1.0)
    low, high = np.log(marks[before].clip(0.5)), np.log(marks[after].clip(0.5))
    least = np.minimum(marks[before] + 1, marks[after])
    steps = np.where(hit, np.maximum(np.exp(low + share * (high - low)), least), np.nan)
    return pd.DataFrame({**fixed, "lane": start, "start": start, "target": OPTIMUM + target * (INITIAL - OPTIMUM),
                         "gap": target, "hit": hit, "steps_before": np.where(hit, marks[before], np.nan),
                         "steps": steps, "steps_after": np.where(hit, marks[after], np.nan),
                         "examples": steps * batch_size, "steps_spent": np.where(hit, steps, budget)})


def _ert(hits: pd.DataFrame) -> float:
    return float(hits["steps_spent"].sum() / hits["hit"].sum()) if hits["hit"].any() else math.inf
