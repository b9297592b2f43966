"""Run folders whose rows are changed before they are reported."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.bench import synthetic
from tests.bench.synthetic import Plan, seal, write_run

SMALL = Plan(batch_sizes=(1, 32, 128), schedules=("constant", "linear"), rates=(0.3, 1.0), starts=8, tuning_starts=4)


def change(folder: Path, table: str, by: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Replace a table in every part of a run folder that has it."""
    for path in sorted(folder.glob(f"parts/*/{table}.parquet")):
        by(pd.read_parquet(path)).to_parquet(path)
        seal(path.parent)


def add_optimizer(folder: Path, optimizer: str) -> None:
    """Let a second optimizer have done the same, in steps a third slower."""
    for part in sorted((folder / "parts").iterdir()):
        copy = part.with_name(f"{part.name}-{optimizer}")
        shutil.copytree(part, copy)
        for path in copy.glob("*.parquet"):
            rows = pd.read_parquet(path).assign(optimizer=optimizer)
            if path.stem == "timing":
                rows["seconds"] *= 1.3
            rows.to_parquet(path)
        seal(copy)
    run = json.loads((folder / "run.json").read_text())
    run["cells"] += [{**cell, "optimizer": optimizer} for cell in run["cells"]]
    (folder / "run.json").write_text(json.dumps(run))


def write_utility(folder: Path, plan: Plan = SMALL) -> Path:
    """A run whose losses are below zero and whose optimum is not known, as those of a utility that is climbed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "OPTIMUM", -5.0)
        patch.setattr(synthetic, "INITIAL", -3.0)
        write_run(folder, plan)
    run = json.loads((folder / "run.json").read_text())
    for entry in run["problems"].values():
        entry.update(optimum=None, optimum_tolerance=None)
        for target in entry["targets"]:
            target.update(gap=None)
    (folder / "run.json").write_text(json.dumps(run))
    for table in ("hits", "chosen"):
        change(folder, table, lambda rows: rows.assign(gap=np.nan))
    return folder


def write_error(folder: Path, plan: Plan = SMALL) -> Path:
    """A run whose targets are on the error of 359 held-out examples, at most 9, 0.9 and 0.09 %; no loss is like it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "OPTIMUM", 0.0)
        patch.setattr(synthetic, "INITIAL", 0.9)
        write_run(folder, plan)
    run = json.loads((folder / "run.json").read_text())
    for entry in run["problems"].values():
        entry.update(target_on="error", held_out_examples=359, optimum=5.0)
        for target in entry["targets"]:
            target.update(gap=None)
    (folder / "run.json").write_text(json.dumps(run))
    for table in ("hits", "chosen"):
        change(folder, table, lambda rows: rows.assign(gap=np.nan))
    change(folder, "curves", lambda rows: rows.assign(score=rows["loss"], loss=rows["loss"] + 5))
    change(folder, "lanes", lambda rows: rows.assign(final_loss=rows["final_loss"] + 5, best_loss=rows["best_loss"] + 5,
                                                     accuracy=1 - rows["final_loss"]))
    return folder


def met_at_the_start(rows: pd.DataFrame) -> pd.DataFrame:
    """Hits of which the easiest target's are all at step 0, and the others' as they were."""
    easy = rows["gap"] == max(synthetic.GAPS)
    rows.loc[easy, "hit"] = True
    for name in ("steps_before", "steps", "steps_after", "examples", "steps_spent"):
        rows[name] = rows[name].mask(easy, 0.0)
    return rows
