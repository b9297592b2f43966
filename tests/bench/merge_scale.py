"""How long the merge of 100,000 cells takes: `python -m tests.bench.merge_scale [FOLDER]`; shards are made up first.

Four shards of 10 problems × 1,000 batch sizes × 10 schedules, each with the parts of a real run: per group five tables
and their index, per problem the step times. Only lanes are fewer (four a cell), so that making them takes a minute.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
from pyarrow import parquet

from bench import environment, files, store
from bench.cells import Cell, group_name, timing_group
from bench.manifest import Run
from bench.merge import merge_folders
from bench.shards import Shard, assigned
from bench.suite import Suite, config_hash, suite_from
from bench.tables import COLUMNS

SHARDS, PROBLEMS, SIZES, SCHEDULES, STARTS, MARKS = 4, 10, 1_000, 10, 4, 8
GAPS = (0.1, 0.01, 0.001)
LIMIT_S = 60
KINDS = {"str": "x", "int64": 1, "float64": 0.5, "bool": True, "Int64": None}


def the_suite() -> Suite:
    """100,000 cells."""
    return suite_from({"name": "scale", "problems": [f"p{each}" for each in range(PROBLEMS)],
                       "batch_sizes": list(range(1, SIZES + 1)), "schedules": [f"s{each}" for each in range(SCHEDULES)],
                       "noise_groups": 0})


def templates() -> dict[str, pyarrow.Table]:
    """The tables of one group, whose problem and batch size are put in later."""
    random = np.random.default_rng(0)
    counts = {"lanes": STARTS, "hits": STARTS * len(GAPS), "curves": STARTS * MARKS, "chosen": len(GAPS), "memory": 0}
    found = {}
    for name, count in counts.items():
        rows = max(1, count * SCHEDULES)
        frame = pd.DataFrame({column: pd.Series([KINDS[kind]] * rows, dtype=kind)
                              for column, kind in COLUMNS[name].items()})
        for column, values in {"schedule": [f"s{each * SCHEDULES // rows}" for each in range(rows)],
                               "start": np.arange(rows) % STARTS, "lane": np.arange(rows) // max(1, count // STARTS),
                               "gap": np.resize(GAPS, rows), "loss": random.random(rows),
                               "final_loss": random.random(rows), "steps": random.integers(1, 300, rows)}.items():
            if column in frame:
                frame[column] = values
        found[name] = pyarrow.Table.from_pandas(frame.assign(optimizer="sgd", device="cpu"), preserve_index=False)
    return found


def write_part(folder: Path, group: str, tables: dict[str, pyarrow.Table]) -> None:
    """A part as `store.write_group` makes it, but for the waits for the disk."""
    part = folder / "parts" / store.part_name(group)
    part.mkdir(parents=True)
    for name, table in tables.items():
        parquet.write_table(table, part / f"{name}.parquet")
    (part / "part.json").write_text(json.dumps({
        "schema": store.SCHEMA, "group": group, "rows": {name: len(table) for name, table in tables.items()},
        "sha256": {name: files.digest(part / f"{name}.parquet") for name in tables}}))


def make(folder: Path) -> list[Path]:
    """The folders of the shards, finished."""
    suite, facts, blank = the_suite(), environment.describe({"device_kind": "cpu", "backend": "cpu"}), templates()
    groups = [(problem, "sgd", size) for problem in suite.problems for size in range(1, SIZES + 1)]
    numbers = assigned([3 + size**0.75 for _, _, size in groups], SHARDS)
    plan = [(*group, number) for group, number in zip(groups, numbers, strict=True)]
    folders = []
    for number in range(1, SHARDS + 1):
        shard, target = Shard(number, SHARDS), folder / f"shard-{number}"
        mine = [group for group, other in zip(groups, numbers, strict=True) if other == number]
        for problem, optimizer, size in mine:
            write_part(target, group_name(problem, optimizer, size), {
                name: _of(table, problem, size) for name, table in blank.items()})
        for problem in suite.problems:
            sizes = [size for name, _, size in mine if name == problem]
            if not sizes:
                continue
            timing = pd.DataFrame({column: pd.Series([KINDS[kind]] * len(sizes) * 24, dtype=kind)
                                   for column, kind in COLUMNS["timing"].items()})
            timing = timing.assign(problem=problem, optimizer="sgd", device="cpu", batch_size=np.repeat(sizes, 24))
            write_part(target, timing_group(problem, shard.label),
                       {"timing": pyarrow.Table.from_pandas(timing, preserve_index=False)})
        cells: list[Cell] = [
            {"problem": problem, "optimizer": optimizer, "batch_size": size, "schedule": schedule, "device": "cpu",
             "status": "finished", "note": "", "shard": shard.label}
            for problem, optimizer, size in mine for schedule in suite.schedules]
        run: Run = {
            "schema": store.SCHEMA, "suite": suite.name, "config": suite.config(), "config_hash": config_hash(suite),
            "command": ["python"], "started": "2026-01-01T00:00:00+00:00", "finished": "2026-01-02T00:00:00+00:00",
            "device": "cpu", "environment": facts, "mark_ratio": {group_name(*group): 1.3 for group in mine},
            "problems": {problem: {"examples": SIZES, "data_sha256": "0"} for problem in suite.problems},
            "cells": list(cells), "warnings": [], "shard": list(shard), "plan": plan}
        store.write_run(target, run)
        folders.append(target)
    return folders


def main(folder: Path) -> int:
    """Make the shards, merge them, and print what it took; exit code 1 above the limit."""
    began = time.perf_counter()
    folders = make(folder)
    made = time.perf_counter()
    code = merge_folders(folders, folder / "merged", report=False)
    seconds = time.perf_counter() - made
    run, before = store.read_run(folder / "merged"), time.process_time()
    store.write_run(folder / "merged", run)
    written = time.process_time() - before
    paths = sum(path.is_file() for path in (folder / "merged" / "parts").rglob("*"))
    tables = {name: parquet.read_metadata(path).num_rows for name in store.TABLES
              if (path := folder / "merged" / f"{name}.parquet").exists()}
    print(f"made {SHARDS} shards in {made - began:.1f} s")
    print(f"merged in {seconds:.1f} s (limit {LIMIT_S} s), exit code {code}: {paths:,} files of parts, "
          f"run.json of {(folder / 'merged' / store.MANIFEST).stat().st_size:,} bytes ({written:.3f} s of CPU time)")
    print("rows: " + ", ".join(f"{name} {count:,}" for name, count in tables.items()))
    return int(code != 0 or seconds > LIMIT_S)


def _of(table: pyarrow.Table, problem: str, size: int) -> pyarrow.Table:
    for column, value in (("problem", problem), ("batch_size", size)):
        place = table.column_names.index(column)
        table = table.set_column(place, table.schema.field(place), pyarrow.array([value] * len(table),
                                                                                table.schema.field(place).type))
    return table


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(main(Path(sys.argv[1])))
    with tempfile.TemporaryDirectory() as made:
        sys.exit(main(Path(made)))
