"""Is a run folder whole: every file against its hash, row count and manifest, and how to mend it. Changes nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from bench import files, store
from bench.cells import cell_name, gradient_group, groups_of
from bench.command import command
from bench.doctor import Findings
from bench.noise import parts_of_repeats
from bench.shards import split_problems
from bench.store import FolderError, Run

SHOWN = 20  # lines of one kind
MADE_AGAIN = {"summary.csv", "scaling.csv", "comparisons.csv", "timing.csv", "claims.csv", "findings.csv", "report.md",
              "report.html", "figures"}
KNOWN = MADE_AGAIN | {store.MANIFEST, store.LOCK, "log.txt", "parts", "corrupt"} | {
    f"{name}.parquet" for name in store.TABLES}


def check_run(folder: Path) -> Findings:
    """A run folder: manifest, cells, parts, tables; exit code 0 whole, 3 cells or all parts missing, 4 damaged."""
    try:
        run = store.read_run(folder)
    except FolderError as error:
        return Findings([f"error: {error}"], 4)
    counts = Counter(cell["status"] for cell in run["cells"])
    bare = store.without_parts(folder, run["cells"])
    damaged, absent = [*damaged_parts(folder), *damaged_tables(folder)], missing_parts(folder, run)
    extra = list(extra_files(folder, run))
    lines = [f"suite    {run['suite']} on {run['device']}{_shard(run)}",
             f"time     started {run['started']}, finished {run.get('finished') or 'no'}",
             f"cells    {counts['finished']} of {len(run['cells'])} finished"]
    lines += [f"         {count} {status}" for status, count in sorted(counts.items()) if status != "finished"]
    lines += _some("", [f"{cell['status']:<8} {cell_name(cell)}: {cell['note'][:200]}"
                        for cell in run["cells"] if cell["status"] in ("failed", "oom")])
    if bare is not None:
        return Findings([*lines, bare], 3)
    lines += [*_some("missing  ", [f"parts/{name}" for name in absent]), *_some("damaged  ", damaged),
              *_some("extra    ", extra)]
    repeats = _repeats(run)
    there = sum((folder / "parts" / name).is_dir() for name in repeats)
    if repeats:
        again = "" if there == len(repeats) else " (--resume times a sample of the programs again)"
        lines.append(f"A/A      {there} of {len(repeats)} processes{again}")
    measured = _gradients(run)
    if measured:
        there = sum((folder / "parts" / name).is_dir() for name in measured)
        again = "" if there == len(measured) else " (--resume measures the others)"
        lines.append(f"gradient noise scale of {there} of {len(measured)} problems{again}")
    incomplete = counts["finished"] < len(run["cells"]) or not run["cells"] or bool(absent)
    lines += _remedies(folder, run, bool(damaged), incomplete, bool(extra))
    return Findings(lines, 4 if damaged else 3 if incomplete else 0)


def missing_parts(folder: Path, run: Run) -> list[str]:
    """Part folders that the manifest's cells need and that are not there: groups, and step times of each problem."""
    return [name for name in _wanted(run) if not (folder / "parts" / name).is_dir()]


def damaged_parts(folder: Path) -> Iterator[str]:
    """What is wrong with each part: its files must be those that were written, with as many rows."""
    for part in store.parts_of(folder):
        trouble = store.check_part(part) or _wrong_rows(part)
        if trouble is not None:
            yield f"parts/{part.name}: {trouble}"


def damaged_tables(folder: Path) -> Iterator[str]:
    """What is wrong with each table at the top: it must be readable and hold the rows of all parts."""
    rows: Counter[str] = Counter()
    for part in store.parts_of(folder):
        if store.check_part(part) is None:
            rows.update(_rows(part))
    for name in store.TABLES:
        path = folder / f"{name}.parquet"
        if not path.exists():
            continue
        found = _count(path)
        if isinstance(found, str):
            yield f"{path.name}: cannot be read ({found})"
        elif found != rows[name]:
            yield f"{path.name}: has {found:,} rows, its parts have {rows[name]:,}"


def extra_files(folder: Path, run: Run) -> Iterator[str]:
    """What no run of this suite wrote, and what a killed process left; nothing of it is ever read."""
    wanted = {*_wanted(run), *_repeats(run), *_gradients(run)}
    for path in sorted(folder.iterdir()):
        if path.name not in KNOWN and not path.match(files.TEMPORARY):
            yield f"{path.name}: not of this run"
    yield from (f"parts/{part.name}: its cells are not in {store.MANIFEST}"
                for part in store.parts_of(folder) if part.name not in wanted)
    yield from (f"{path.relative_to(folder).as_posix()}: unfinished" for path in sorted(files.leftovers(folder)))
    quarantined = folder / "corrupt"
    if quarantined.is_dir():
        yield from (f"corrupt/{path.name}: quarantined" for path in sorted(quarantined.iterdir()))


def _shard(run: Run) -> str:
    return ", shard {} of {}".format(*run["shard"]) if "shard" in run else ""


def _remedies(folder: Path, run: Run, damaged: bool, incomplete: bool, extra: bool) -> Iterator[str]:
    if damaged or incomplete:
        part = ["--shard", "{}/{}".format(*run["shard"])] if "shard" in run else []
        again = command("run", "SUITE", "--out", folder, *part, "--resume")
        yield (f"mend: {again} runs what is missing or damaged; {command('report', folder)} makes tables and report "
               "again.")
    else:
        yield "everything is there."
    if extra:
        yield "extra files do no harm; delete them if you like (unfinished ones go at the next --resume)."


def _wanted(run: Run) -> list[str]:
    return [store.part_name(group) for group in groups_of(run["cells"])]


def _repeats(run: Run) -> list[str]:
    """Parts of the A/A repeats: a run is whole without them, but they belong to it."""
    return [store.part_name(group) for group in parts_of_repeats(run)]


def _gradients(run: Run) -> list[str]:
    """Parts of the gradient noise scale: a run is whole without them, and older ones have none.

    A shard measures it for the problems that are wholly its own.
    """
    split = split_problems(run)
    return [store.part_name(gradient_group(name)) for name, facts in run["problems"].items()
            if facts.get("noise_scale") and name not in split]


def _rows(part: Path) -> dict[str, int]:
    rows = json.loads((part / "part.json").read_bytes()).get("rows", {})
    return {name: count for name, count in rows.items() if isinstance(count, int)} if isinstance(rows, dict) else {}


def _wrong_rows(part: Path) -> str | None:
    for name, wanted in _rows(part).items():
        found = _count(part / f"{name}.parquet")
        if found != wanted:
            return f"{name}.parquet has {found} rows, {wanted:,} were written"
    return None


def _count(path: Path) -> int | str:
    """Rows of a table, or why it can't be read: all of it is, but never held in memory at once."""
    import pyarrow
    import pyarrow.parquet as parquet

    try:
        with parquet.ParquetFile(path) as file:
            return sum(len(rows) for rows in file.iter_batches(use_threads=False))
    except (pyarrow.ArrowException, OSError) as error:
        return str(error)[:80]


def _some(title: str, texts: list[str]) -> list[str]:
    rest = [f"{title}... and {len(texts) - SHOWN} more"] if len(texts) > SHOWN else []
    return [f"{title}{text}" for text in texts[:SHOWN]] + rest
