"""Run folders for comparisons: the synthetic run with step times that vary between processes, and what is planted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from tests.bench import synthetic

PLAN = synthetic.Plan(problems=("p", "q"), batch_sizes=(1, 8, 32), schedules=("linear",), starts=16,
                      rates=(0.1, 0.3))
REPEATED = (1, 32)  # batch sizes that were timed again in fresh processes
PROCESSES = 3


def write(folder: Path, seed: int, *, factor: float = 1.0, between: float = 0.02, within: float = 0.01,
          plan: synthetic.Plan = PLAN, processes: int = PROCESSES) -> Path:
    """A run whose step times are `factor` times the true ones, log-normal between processes and within one."""
    synthetic.write_run(folder, plan)
    random = np.random.default_rng(seed)
    shift = random.normal(0, between, processes)

    def varied(timing: pd.DataFrame) -> pd.DataFrame:
        steps = timing[timing["quantity"] == "step"]
        true = steps.groupby(["batch_size", "program"])["seconds"].transform("median").round(9)
        frames = [timing[timing["quantity"] != "step"]]
        for process in range(processes):
            noise = np.exp(shift[process] + random.normal(0, within, len(steps)))
            again = steps.assign(process=process, seconds=true * factor * noise)
            frames.append(again[again["batch_size"].isin(REPEATED)] if process else again)
        return pd.concat(frames)

    change(folder, "timing", varied)
    return manifest(folder, lambda run: run.update(started=f"2026-01-01T00:00:{seed % 60:02}+00:00"))


def change(folder: Path, table: str, how: Callable[[pd.DataFrame], pd.DataFrame]) -> Path:
    """Change a table in every part that has it."""
    for part in (folder / "parts").iterdir():
        if (part / f"{table}.parquet").exists():
            how(pd.read_parquet(part / f"{table}.parquet")).to_parquet(part / f"{table}.parquet")
            synthetic.seal(part)
    return folder


def miss(folder: Path, here: Callable[[pd.DataFrame], pd.Series] = lambda hits: hits["gap"] > 0) -> Path:
    """Let the reported starts of some rows of hits, of all unless told, miss their target."""
    def missed(hits: pd.DataFrame) -> pd.DataFrame:
        rows = here(hits) & (hits["split"] == "reported")
        hits.loc[rows, ["steps_before", "steps", "steps_after", "examples"]] = np.nan
        return hits.assign(hit=hits["hit"] & ~rows)

    return change(folder, "hits", missed)


def manifest(folder: Path, how: Callable[[dict], object]) -> Path:
    """Change run.json."""
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    how(run)
    (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")
    return folder
