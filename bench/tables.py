"""The tables of a run folder, read from its finished parts."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pyarrow
from pyarrow import parquet

from bench import store

CELL = ["problem", "optimizer", "batch_size", "schedule", "device"]
PROGRAM = ["problem", "optimizer", "batch_size", "device"]

_SETTING = {"problem": "str", "optimizer": "str", "batch_size": "int64", "schedule": "str", "horizon": "float64",
            "rate": "float64", "device": "str", "split": "str", "lane": "int64", "start": "int64"}
COLUMNS: dict[str, dict[str, str]] = {
    "lanes": _SETTING | {"status": "str", "steps": "int64", "examples": "int64", "final_loss": "float64",
                         "best_loss": "float64", "grad_norm": "float64", "held_out_loss": "float64",
                         "accuracy": "float64", "max_steps": "int64"},
    "hits": _SETTING | {"target": "float64", "gap": "float64", "hit": "bool", "steps_before": "float64",
                        "steps": "float64", "steps_after": "float64", "examples": "float64", "steps_spent": "float64"},
    "curves": _SETTING | {"step": "int64", "examples": "int64", "loss": "float64",
                          "score": "float64"},  # what targets are on, where that is not the loss
    "chosen": {"problem": "str", "optimizer": "str", "batch_size": "int64", "schedule": "str", "device": "str",
               "target": "float64", "gap": "float64", "rate": "float64", "horizon": "float64", "tuning_ert": "float64",
               "tuning_hits": "int64", "edge_of_grid": "bool"},
    "timing": {"problem": "str", "optimizer": "str", "batch_size": "int64", "device": "str", "program": "str",
               "width": "int64", "quantity": "str", "repeat": "int64", "warmup": "bool", "voided": "bool",
               "order": "int64", "steps": "int64", "seconds": "float64", "process": "int64"},
    "memory": {"problem": "str", "optimizer": "str", "batch_size": "int64", "device": "str", "width": "int64",
               "fresh": "bool", "before_bytes": "int64", "peak_bytes": "int64", "device_peak_bytes": "Int64",
               "lane_steps_run": "Int64", "lane_steps_needed": "Int64"},
    "noise_scale": {"problem": "str", "optimizer": "str", "batch_size": "int64", "schedule": "str",
                    "horizon": "float64", "rate": "float64", "device": "str", "start": "int64", "step": "int64",
                    "loss": "float64", "signal": "float64", "noise": "float64", "b_simple": "float64", "method": "str",
                    "examples": "int64"},
    "claims": {"claim": "str", "number": "int64", "statement": "str", "method": "str", "verdict": "str",
               "sentence": "str", "seconds": "float64", "cpu_seconds": "float64"},
    "findings": {"claim": "str", "quantity": "str", "value": "float64", "low": "float64", "high": "float64",
                 "unit": "str", "expected": "float64"},
    "points": {"claim": "str", "picture": "int64", "title": "str", "x_label": "str", "y_label": "str", "x_log": "bool",
               "y_log": "bool", "line": "int64", "series": "str", "joined": "bool", "theory": "bool", "x": "float64",
               "y": "float64", "low": "float64", "high": "float64"},
}
# columns that older parts lack, and what they hold there
LATER: dict[str, dict[str, float | None]] = {
    "timing": {"process": 0}, "curves": {"score": math.nan},
    "memory": {"lane_steps_run": None, "lane_steps_needed": None}}


@dataclass(frozen=True)
class Tables:
    """Everything a run folder holds: its tables, those of a study in the last three, and the manifest `run` (run.json).

    `lanes` to `timing`, `memory` and `noise_scale` (empty in older runs too) are empty for a study of claims, `claims`
    to `points` for a run of cells.
    """

    lanes: pd.DataFrame
    hits: pd.DataFrame
    curves: pd.DataFrame
    chosen: pd.DataFrame
    timing: pd.DataFrame
    run: Mapping[str, object]
    memory: pd.DataFrame = field(default_factory=lambda: empty("memory"))
    noise_scale: pd.DataFrame = field(default_factory=lambda: empty("noise_scale"))
    claims: pd.DataFrame = field(default_factory=lambda: empty("claims"))
    findings: pd.DataFrame = field(default_factory=lambda: empty("findings"))
    points: pd.DataFrame = field(default_factory=lambda: empty("points"))


def load(folder: Path | str) -> Tables:
    """The tables of a run folder, as pandas frames.

    The parts are the truth; a table at the top of the folder is read only where there are no parts. A part that is not,
    bit for bit, what was written is left out and named in `run["warnings"]`, so that the rest can still be reported.

    Args:
        folder: the run folder, DIR of `python -m bench run SUITE --out DIR`.

    Raises:
        ValueError: the folder holds no readable run.json, or one of another schema, or tables only: its parts were not
            kept.

    Example:
        >>> import tempfile, pathlib
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "run.json").write_text('{"schema": 1, "cells": []}')
        >>> len(load(folder).lanes)
        0
    """
    folder = Path(folder)
    run = _read_manifest(folder / "run.json")
    cells = run.get("cells")
    bare = store.without_parts(folder, cells if isinstance(cells, list) else [])
    if bare is not None:
        raise ValueError(bare)
    troubles = {part: store.check_part(part) for part in store.parts_of(folder)}
    unreadable = [f"parts/{part.name}: left out, {trouble}" for part, trouble in troubles.items() if trouble]
    whole = [part for part, trouble in troubles.items() if trouble is None]
    frames = {name: _read_table(folder, name, whole if troubles else None, unreadable) for name in COLUMNS}
    if "environments" in run:
        _align_targets(frames, run)
    listed = run.get("warnings")
    run["warnings"] = [*(listed if isinstance(listed, list) else []), *unreadable]
    return Tables(**frames, run=run)


def empty(name: str) -> pd.DataFrame:
    """A table with its columns and no rows: a key of COLUMNS, "lanes" for example."""
    return pd.DataFrame({column: pd.Series(dtype=kind) for column, kind in COLUMNS[name].items()})


def _align_targets(frames: Mapping[str, pd.DataFrame], run: Mapping[str, object]) -> None:
    """Give the targets of a merged run its manifest's values: machines may round a median of losses differently."""
    problems = run.get("problems")
    for name, facts in problems.items() if isinstance(problems, dict) else ():
        targets = facts.get("targets") if isinstance(facts, dict) else None
        for each in targets if isinstance(targets, list) else ():
            for frame in (frames["hits"], frames["chosen"]):
                if each.get("gap") is not None:
                    frame.loc[(frame["problem"] == name) & (frame["gap"] == each["gap"]), "target"] = each["target"]


def _read_manifest(path: Path) -> dict[str, object]:
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: not a readable manifest (got {error}). Give the folder of a run.") from error
    if not isinstance(run, dict):
        raise ValueError(f"{path}: must be a JSON object (got {type(run).__name__}). Give the folder of a run.")
    try:
        store.check_schema(path, run)
    except store.FolderError as error:
        raise ValueError(str(error)) from None
    return run


def _read_table(folder: Path, name: str, parts: list[Path] | None, unreadable: list[str]) -> pd.DataFrame:
    """A table from its parts, or from the top of a folder that has none."""
    paths = [folder / f"{name}.parquet"] if parts is None else [part / f"{name}.parquet" for part in parts]
    found = []
    for path in filter(Path.exists, paths):
        try:
            with parquet.ParquetFile(path) as file:  # a fifth of what pandas takes for a small file
                rows = file.read(use_threads=False)
        except (OSError, ValueError) as error:
            unreadable.append(f"{path.relative_to(folder)}: left out, not a readable table ({error})")
            continue
        for column, value in LATER.get(name, {}).items():
            if column not in rows.column_names:
                rows = rows.append_column(column, pyarrow.array([value] * len(rows)))
        missing = [column for column in COLUMNS[name] if column not in rows.column_names]
        if missing:
            unreadable.append(f"{path.relative_to(folder)}: left out, lacks the columns {', '.join(missing)}")
        elif len(rows):
            found.append(rows)
    if not found:
        return empty(name)
    table = pyarrow.concat_tables(found, promote_options="permissive")
    found.clear()  # so that each column's memory is free once it is converted
    return table.to_pandas(self_destruct=True).reset_index(drop=True)

