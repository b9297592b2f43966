"""Shards to merge, and what tests look at in run folders."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pandas

from bench import store
from bench.merge import merge_folders
from tests.bench.test_shards import go

Folders = list[Path]
REAL: dict[str, object] = {
    "name": "small", "problems": ["line-fit", "himmelblau"], "batch_sizes": [10, "all"],
    "schedules": ["constant", "linear"], "rates": 2, "horizons": [1.0], "tuning_starts": 2, "starts": 4, "gaps": [0.1],
    "epochs": 5.0, "min_steps": 20, "marks": 6, "width": 16, "repeats": 2, "min_sample_s": 0.001, "noise_groups": 2,
    "noise_processes": 1, "widenings": 0, "problem": {"himmelblau": {"batch_sizes": ["all"]}},
}


def written(path: Path, of: dict[str, object]) -> Path:
    """The file of a suite."""
    def lines(part: dict[str, object]) -> str:
        return "".join(f"{name} = {json.dumps(value)}\n" for name, value in part.items() if name != "problem")

    own = of.get("problem", {})
    assert isinstance(own, dict)
    path.write_text(lines(of) + "".join(f"[problem.{name}]\n{lines(part)}" for name, part in own.items()))
    return path


def made(place: Path) -> None:
    """Both shards of a suite, run by the fake worker."""
    for number in (1, 2):
        assert go(place / f"shard-{number}", number) == 0


def into(folders: Folders, out: Path) -> int:
    """Exit code of a merge without a report."""
    return merge_folders(folders, out, report=False)


def state(folder: Path) -> dict[str, str]:
    """Every file below a folder and the hash of its content."""
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*")) if path.is_file()}


def edit(folder: Path, change: Callable[[store.Run], object]) -> None:
    """Change the manifest of a run."""
    run = store.read_run(folder)
    change(run)
    store.write_run(folder, run)


def rows(folder: Path, name: str) -> pandas.DataFrame:
    """A table of a run in an order of its own, whatever that of its parts."""
    table = pandas.read_parquet(folder / f"{name}.parquet")
    return table.sort_values(list(table.columns)).reset_index(drop=True)
