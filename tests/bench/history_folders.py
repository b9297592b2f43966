"""Run folders as a history finds them, of two small files each."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd


def row(problem: str, target: float, seconds: float, success: float = 1.0, batch_size: int = 8,
        **more: float | str) -> dict[str, object]:
    """A row of a summary, with the columns that a history needs."""
    return {"problem": problem, "batch_size": batch_size, "schedule": "linear", "target": target,
            "success_rate": success, "ert_steps": 100.0, "final_loss_median": 0.1, "seconds_solo_median": seconds,
            "seconds_solo_low": 0.9 * seconds, "seconds_solo_high": 1.2 * seconds} | more


TWO = [row("a", 0.5, 0.1), row("a", 0.1, 0.4), row("b", 0.5, 0.9)]  # headlines 0.4 and 0.9 s: geometric mean 0.6 s


def make(folder: Path, day: str, rows: list[dict[str, object]] | None = None, *, device: str = "cpu",
         cpu_model: str = "AMD EPYC", config_hash: str = "c0ffee000", whole: bool = True,
         **environment: object) -> None:
    """A run folder of two files, as reference runs are committed."""
    folder.mkdir(parents=True)
    cells = [{"problem": "a", "optimizer": "sgd", "batch_size": 8, "schedule": "linear", "device": device, "note": "",
              "status": status} for status in ("finished", "finished" if whole else "pending")]
    run = {"schema": 1, "suite": "quick", "config": {"name": "quick"}, "config_hash": config_hash, "command": [],
           "started": f"{day}T10:00:00+00:00", "finished": f"{day}T11:00:00+00:00" if whole else None,
           "device": device, "mark_ratio": {}, "problems": {}, "cells": cells, "warnings": [],
           "environment": {"cpu_model": cpu_model, "affinity": [0, 1], "git_commit": "abcdef0123456",
                           "git_dirty": False, "device_kind": device} | environment}
    (folder / "run.json").write_text(json.dumps(run))
    if rows is not None:
        pd.DataFrame(rows).to_csv(folder / "summary.csv", index=False)


def times(rows: list[dict[str, object]], factor: float) -> list[dict[str, object]]:
    """The rows with all seconds times a factor."""
    return [{name: float(str(value)) * factor if name.startswith("seconds") else value for name, value in each.items()}
            for each in rows]
