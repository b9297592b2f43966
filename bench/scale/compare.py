"""Two scaling runs side by side: may they be compared, the crossover map, and what it says in a sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench import environment, files, store
from bench.analysis import crossover
from bench.analysis.parity import DIFFER
from bench.analysis.verdicts import SAME
from bench.analysis.words import batch_words, number
from bench.scale import parity
from bench.scale.session import KIND, SCHEMA, TABLE
from bench.scale.words import lanes_words

if TYPE_CHECKING:
    import pandas as pd

EQUAL = ("problem", "made_by", "data_sha256", "examples", "dtype", "matmul_precision", "optimizer", "schedule",
         "batches")
STEM = "crossover"


class CompareError(ValueError):
    """Two folders that can't be compared (exit code 2)."""


@dataclass(frozen=True)
class ScaleRun:
    """A scaling run read back: manifest and table."""

    folder: Path
    manifest: Mapping[str, object]
    table: pd.DataFrame


def is_scale(folder: Path) -> bool:
    """Whether a folder says that it holds a scaling run; False where it says nothing readable."""
    try:
        manifest = json.loads((folder / store.MANIFEST).read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(manifest, dict) and manifest.get("kind") == KIND


def load(folder: Path) -> ScaleRun:
    """The scaling run in a folder.

    Raises:
        CompareError: there is none, or it can't be read.
    """
    import pandas as pd
    import pyarrow

    path = folder / store.MANIFEST
    if not is_scale(folder):
        raise CompareError(f"{path}: is not the manifest of a scaling run (got {_what(path)}). "
                           "Make one with python -m bench scale PROBLEM.")
    manifest = json.loads(path.read_bytes())
    if manifest.get("schema") != SCHEMA:
        raise CompareError(f"{path}: has another schema (got {manifest.get('schema')!r:.40}, this version reads "
                           f"{SCHEMA}). Use the version that wrote it.")
    try:
        table = pd.read_parquet(folder / f"{TABLE}.parquet")
    except (OSError, pyarrow.ArrowException) as error:
        raise CompareError(f"{folder / TABLE}.parquet: cannot be read (got {str(error)[:80]}). "
                           "Measure it again with python -m bench scale.") from None
    return ScaleRun(folder, manifest, table)


def check(a: ScaleRun, b: ScaleRun) -> None:
    """Raise CompareError where the two do not measure the same thing: every difference, a line each."""
    wrong = [f"{name}: differs (got {a.manifest.get(name)!r:.60} and {b.manifest.get(name)!r:.60}). "
             "Compare runs of the same." for name in EQUAL if a.manifest.get(name) != b.manifest.get(name)]
    if wrong:
        raise CompareError("\n".join(wrong))


def write(folder_a: Path, folder_b: Path, out: Path) -> list[str]:
    """Compare two scaling runs: crossover.csv and the map, crossover.png and .svg, into `out`; what to say, in lines.

    Where losses differ (see `bench.scale.parity`) B wins nothing, however fast it is.

    Args:
        folder_a, folder_b: of `python -m bench scale`; B is the one that may win.
        out: made if it is not there.

    Raises:
        CompareError: a folder holds no scaling run, or the two do not measure the same thing.
        OSError: `out` can't be written.
    """
    a, b = load(folder_a), load(folder_b)
    check(a, b)
    found, names = map_of(a, b), labels(a, b)
    if found.empty:
        raise CompareError(f"{folder_b}: has no corner in common with {folder_a} (got {len(b.table)} and "
                           f"{len(a.table)} rows). Measure both for longer.")
    from bench.scale import crossover_picture

    out.mkdir(parents=True, exist_ok=True)
    files.write_whole(out / f"{STEM}.csv", lambda path: found.to_csv(path, index=False))
    pictures = crossover_picture.write(found, names, str(a.manifest["problem"]), int(str(a.manifest["examples"])),
                                       out / STEM)
    return [*_notes(a, b), *_ceilings(a, b), *sentences(found, names, int(str(a.manifest["examples"]))),
            *parity.sentences(found, a.manifest), *(f"picture: {out / name}" for name in pictures)]


def map_of(a: ScaleRun, b: ScaleRun) -> pd.DataFrame:
    """`crossover.ratios` of two runs, with the loss parity of each batch size."""
    return parity.with_parity(crossover.ratios(a.table, b.table), a.table, b.table, a.manifest)


def labels(a: ScaleRun, b: ScaleRun) -> tuple[str, str]:
    """What the two are called: by device where these differ, else by folder."""
    devices = str(a.manifest["device"]), str(b.manifest["device"])
    if devices[0] != devices[1]:
        return devices
    names = a.folder.resolve().name, b.folder.resolve().name
    return names if names[0] != names[1] else (f"{names[0]} (A)", f"{names[1]} (B)")


def sentences(found: pd.DataFrame, names: tuple[str, str], examples: int) -> list[str]:
    """From how many lanes on B wins at each batch size whose losses do not differ, and by how much at most.

    Args:
        found: `map_of` two runs.
        names: of A and B.
        examples: of the problem.
    """
    found = found[found["parity"] != DIFFER]
    if found.empty:
        return []
    alike = found["verdict"] == SAME
    if alike.all():
        return [f"{names[1]} against {names[0]}: no difference seen at any of {len(found)} corners."]
    texts = [f"{_kind(each, found)} at {batch_words(each.batch_size, examples)}"
             for each in crossover.crossovers(found)]
    ratio = found["ratio"].to_numpy(float)
    best, worst = found.iloc[int(ratio.argmax())], found.iloc[int(ratio.argmin())]
    return [f"{names[1]} beats {names[0]} {'; '.join(texts)}.",
            f"B/A in lane-steps per second runs from {_cell(worst, examples)} to {_cell(best, examples)}; "
            f"no difference seen at {int(alike.sum())} of {len(found)} corners."]


def _kind(each: crossover.Crossover, found: pd.DataFrame) -> str:
    most = int(found.loc[found["batch_size"] == each.batch_size, "lanes"].max())
    if each.kind == crossover.FROM:
        at, low, high = (number(max(lanes, 1.0)) for lanes in (each.lanes, each.low, each.high))
        return f"from {at} lane{'s' * (at != '1')} [{low}, {high}] on"
    return {crossover.ALWAYS: f"at every lane count (1 to {most:,})",
            crossover.NEVER: f"never as far as seen (up to {most:,} lanes)",
            crossover.BETWEEN: f"at some lane counts, not seen to at {most:,},",
            SAME: "nowhere (no difference seen)"}[each.kind]


def _cell(row: pd.Series, examples: int) -> str:
    low, high = number(float(row["ratio_low"])), number(float(row["ratio_high"]))
    return (f"{number(float(row['ratio']))}× [{low}, {high}] ({batch_words(int(row['batch_size']), examples)}, "
            f"{lanes_words(int(row['lanes']))})")


def _notes(a: ScaleRun, b: ScaleRun) -> list[str]:
    """What else differs between the two runs and may explain a difference."""
    first, second = a.manifest["environment"], b.manifest["environment"]
    if not (isinstance(first, Mapping) and isinstance(second, Mapping)):
        return []
    changed = environment.changes(first, second)
    changed += [f"affinity: {first.get('affinity')} -> {second.get('affinity')}"] * (
        first.get("affinity") != second.get("affinity"))
    return [f"not the same surroundings: {'; '.join(changed)}"] if changed else []


def _ceilings(a: ScaleRun, b: ScaleRun) -> list[str]:
    """How the two machines compare at best: where the ratios below are far from it, lanes or noise explain it."""
    first, second = a.manifest.get("ceilings"), b.manifest.get("ceilings")
    if not (isinstance(first, Mapping) and isinstance(second, Mapping)):
        return []
    products, copies = (number(float(second[name]) / float(first[name])) for name in ("matmul_flops", "copy_bytes_s"))
    return [f"ceilings, B/A: {products}× in products, {copies}× in copies"]


def _what(path: Path) -> str:
    if not path.exists():
        return "no such file" if path.parent.is_dir() else "no folder"
    return "another kind of run"
