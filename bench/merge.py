"""Merging run folders of one experiment, shards of a suite or interrupted runs, into one that is a run like any."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bench import environment, files, machines, store
from bench.cells import (
    Cell,
    ClaimCell,
    gradient_group,
    group_of,
    groups_of,
    noise_group,
    timing_group,
    timing_group_of,
)
from bench.command import command
from bench.display import Display
from bench.executors import modules_of
from bench.noise import parts_of_repeats
from bench.opening import config_changes
from bench.parent import CELLS_FAILED, FINE, REPORT_FAILED, guarded
from bench.reporting import write_report
from bench.shards import shard_of, shards_of, whole_of
from bench.store import FolderError, Part, Run

SHOWN = 5  # groups, parts and differences that are named
BETTER = {"finished": 2, "failed": 1, "oom": 1, "pending": 0}  # of two folders' words on one cell the better one holds
MEASURED = ("memory", "timing", "claims", "findings", "points")  # tables with seconds or bytes: no two runs are alike
Key = tuple[str, str]  # of a cell: its group and schedule


class Source(NamedTuple):
    """A folder to be merged, and its manifest."""

    folder: Path
    run: Run


class Taken(NamedTuple):
    """A part that the merged folder gets, from the source at this place."""

    source: int
    part: Part


def merge_folders(folders: Sequence[Path], out: Path, *, report: bool = True) -> int:
    """Merge finished parts of run folders into a new one, write tables and report, and return the exit code.

    Parts are checked by their hashes and linked, or copied where that can't be; the folders stay as they are.

    Args:
        folders: shards of one suite, or interrupted runs of it, of one config, data, code and kind of device.
        out: the folder to make; missing or empty.
        report: whether the report is written too.

    Returns:
        0 fine, 1 the report failed, 3 cells are missing, 4 a folder, 130 interrupted.
    """
    display = Display()

    def work() -> int:
        with contextlib.ExitStack() as held:
            distinct = list({folder.resolve(): folder for folder in folders}.values())
            if any(folder.resolve() in (out.resolve(), *out.resolve().parents) for folder in distinct):
                raise FolderError(f"--out: is in a folder that is to be merged (got {out}). Name another folder.")
            sources = [Source(folder, store.read_run(folder)) for folder in distinct]
            for folder in distinct:
                held.enter_context(store.left_alone(folder))
            _refuse(sources)
            held.enter_context(store.locked(out))
            if not store.is_unused(out):
                raise FolderError(f"--out: is used already (got {out}). Name a folder that is not there.")
            run = _merged(sources)
            taken = _taken(sources, run, display)
            _settle(run, sources, taken)
            _write(out, run, taken)
            for text in store.collect(out, [out / "parts" / each.part.path.name for each in taken.values()]):
                display.line(f"warning: {text}")
            reported = not report or write_report(out, modules_of(run["config"]).report, display)
            lacking = list(missing(run, out))
            finished = sum(cell["status"] == "finished" for cell in run["cells"])
            for text in (f"{finished} of {len(run['cells'])} cells finished in {out}", *lacking, *_to_know(run, out)):
                display.line(text)
            return CELLS_FAILED if lacking else FINE if reported else REPORT_FAILED

    return guarded(work, out, display, mend="The folders to be merged are as they were.",
                   kept="the folders to be merged are as they were.")


def missing(run: Run, out: Path) -> Iterator[str]:
    """What a merged run lacks and who has to run it."""
    lacking = [cell for cell in run["cells"] if cell["status"] != "finished"]
    untimed, total = _untimed(run), len(run["cells"])
    if lacking:
        yield f"{len(lacking)} of {total} cells are missing: {_named(lacking)}; {_todo(lacking, out)}"
    if untimed:
        yield f"{len(untimed)} of {total} cells have no step times: {_named(untimed)}; {_todo(untimed, out)}"


def _refuse(sources: Sequence[Source]) -> None:
    """Raise FolderError where the folders are not of one experiment, naming what differs."""
    planned = [source for source in sources if source.run["cells"]]
    if not planned:
        raise FolderError(f"DIR: no folder has cells (got {', '.join(str(each.folder) for each in sources[:SHOWN])}). "
                          "Run the suite in one of them first.")
    first, texts = planned[0], []
    for other in planned[1:]:
        found = _differences(first.run, other.run)
        if found:
            more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
            texts.append(f"{other.folder}: is another experiment than {first.folder} (got {'; '.join(found[:SHOWN])}"
                         f"{more}). Merge runs of one suite, data, code and kind of device.")
    if texts:
        raise FolderError("\nerror: ".join(texts))


def _differences(a: Run, b: Run) -> list[str]:
    from bench.compare.differences import same_targets  # only here: its package draws

    texts = config_changes(a, b) + environment.changes(a["environment"], b["environment"], processor=False)
    pairs = [("device", a["device"], b["device"]),
             ("device_kind", *(run["environment"].get("device_kind") for run in (a, b))),
             ("shards", *(_division(run) for run in (a, b)))]
    common = [(name, a["problems"][name], b["problems"][name]) for name in a["problems"] if name in b["problems"]]
    pairs += [(f"problems.{name}.data_sha256", one.get("data_sha256"), two.get("data_sha256"))
              for name, one, two in common]
    pairs += [(f"problems.{name}.targets", one.get("targets"), two.get("targets")) for name, one, two in common
              if not same_targets(one, two)]
    texts += [f"{name}: {before} -> {now}" for name, before, now in pairs if before != now]
    if not texts and list(map(_key, whole_of(a))) != list(map(_key, whole_of(b))):
        texts.append("plan: other cells, or in another order")
    return texts


def _division(run: Run) -> str:
    """Into how many shards the suite of a run is divided."""
    labels = shards_of(run["cells"])
    return ", ".join(sorted({"none" if label is None else str(shard_of(label).of) for label in labels}))


def _key(cell: Cell | ClaimCell) -> Key:
    return group_of(cell), "" if "claim" in cell else cell["schedule"]


def _merged(sources: Sequence[Source]) -> Run:
    """The manifest of all: every cell of the suite with what is known of it, but for what depends on the parts."""
    planned = [source.run for source in sources if source.run["cells"]]
    known: dict[Key, Cell | ClaimCell] = {}
    for run in planned:
        for cell in run["cells"]:
            before = known.get(_key(cell))
            if before is None or BETTER.get(cell["status"], 0) > BETTER.get(before["status"], 0):
                known[_key(cell)] = cell
    cells = [known.get(_key(cell), cell).copy() for cell in whole_of(planned[0])]
    problems = {name: facts for run in planned for name, facts in run["problems"].items()}
    order = dict.fromkeys(str(cell.get("problem")) for cell in cells)
    first = planned[0]
    merged: Run = {
        "schema": store.SCHEMA, "suite": first["suite"], "config": first["config"], "config_hash": first["config_hash"],
        "command": environment.command_line(), "started": min(run["started"] for run in planned), "finished": None,
        "device": first["device"], "environment": first["environment"],
        "mark_ratio": {name: value for run in planned for name, value in run["mark_ratio"].items()},
        "problems": {name: problems[name] for name in order if name in problems}, "cells": cells,
        "warnings": list(dict.fromkeys(text for run in planned for text in run["warnings"]
                                       if not text.startswith(machines.SEVERAL))),
        "environments": [], "made_on": {},
        "merged": [{"folder": source.folder.name, "shard": source.run.get("shard"), "started": source.run["started"],
                    "finished": source.run["finished"]} for source in sources],
    }
    return merged


def _taken(sources: Sequence[Source], run: Run, display: Display) -> dict[str, Taken]:
    """The part of each group of the merged run; raises FolderError where two folders hold different results of one."""
    wanted = {*groups_of(run["cells"]), *parts_of_repeats(run), *map(gradient_group, run["problems"])}
    found: dict[str, list[Taken]] = {}
    for place, (folder, _) in enumerate(sources):
        for path in store.parts_of(folder):
            part = store.read_part(path)
            if isinstance(part, str):
                display.line(f"warning: {folder}/parts/{path.name}: {part} (left out).")
            elif part.group not in wanted:
                display.line(f"warning: {folder}/parts/{path.name}: is of no cell of the suite (left out).")
            else:
                found.setdefault(part.group, []).append(Taken(place, part))
    conflicts = [f"parts/{first.part.path.name}: is in two folders with different content (got other "
                 f"{', '.join(tables)} in {sources[first.source].folder} and {sources[other.source].folder}). "
                 "Leave one of the folders out, or one of the parts out of a copy of it."
                 for first, *others in found.values() for other in others
                 if (tables := _other_results(first.part.sha256, other.part.sha256))]
    if conflicts:
        more = [f"DIR: more parts are there twice (got {len(conflicts)}). Leave one of the folders out."]
        raise FolderError("\nerror: ".join(conflicts[:SHOWN] + more * (len(conflicts) > SHOWN)))
    return _first(found, run)


def _first(found: Mapping[str, Sequence[Taken]], run: Run) -> dict[str, Taken]:
    """Of each group the first part, but what was measured together comes from one folder.

    That is the step times of a problem and all its cells, where they can from the folder of their A/A repeats. Step
    times from a folder without one of the cells are left out: they would lack it.
    """
    at = {(group, each.source): each for group, parts in found.items() for each in parts}
    taken = {group: parts[0] for group, parts in found.items()}
    together: dict[tuple[str, str], set[str]] = {}
    for cell in run["cells"]:
        if "claim" not in cell and group_of(cell) in found:
            shard = cell.get("shard")
            pair = timing_group(cell["problem"], shard), noise_group(1, shard)
            together.setdefault(pair, set()).add(group_of(cell))
    for (timing, repeats), groups in together.items():
        whole = [each.source for each in found.get(timing, ()) if all((group, each.source) in at for group in groups)]
        if not whole:
            taken.pop(timing, None)
            continue
        source = taken[repeats].source if repeats in taken and taken[repeats].source in whole else whole[0]
        taken |= {group: at[group, source] for group in (timing, *groups)}
    return taken


def _other_results(a: Mapping[str, str], b: Mapping[str, str]) -> list[str]:
    """Tables that differ between two parts of one group, by their hashes, and must not."""
    return [name for name in {**a, **b} if name not in MEASURED and a.get(name) != b.get(name)]


def _settle(run: Run, sources: Sequence[Source], taken: dict[str, Taken]) -> None:
    """Statuses by the parts that there are; the machine and the changed grid and width of each of them."""
    for cell in run["cells"]:
        there = group_of(cell) in taken
        if there and cell["status"] == "pending":
            cell["status"] = "finished"
        elif not there and cell["status"] == "finished":
            cell["status"], cell["note"] = "pending", ""
    widened: dict[str, int] = {}
    widths: dict[str, int] = {}
    for group, (place, _) in taken.items():
        of = sources[place].run
        known = of.get("environments") or [of["environment"]]
        run["made_on"][group] = machines.place_of(run["environments"], known[of.get("made_on", {}).get(group, 0)])
        if group in of.get("widened", {}):
            widened[group] = of["widened"][group]
        if group in of.get("widths", {}):
            widths[group] = of["widths"][group]
    if widened:
        run["widened"] = widened
    if widths:
        run["widths"] = widths
    run["environment"] = run["environments"][0] if run["environments"] else run["environment"]
    if not any(cell["status"] == "pending" for cell in run["cells"]) and not _untimed(run):
        run["finished"] = max((str(source.run["finished"] or "") for source in sources), default="") or None
    warning = machines.several(run)
    run["warnings"] += [] if warning is None else [warning]


def _write(out: Path, run: Run, taken: dict[str, Taken]) -> None:
    """All parts, then the manifest: without it the folder is no run, and may be given again."""
    for leftover in files.leftovers(out):  # of a merge that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    parts = files.temporary_name(out / "parts")
    parts.mkdir()
    try:
        for _, part in taken.values():
            _link(part, parts / part.path.name)
        files.sync(parts)
        os.rename(parts, out / "parts")
        store.write_run(out, run)
    except BaseException:
        for each in (parts, *([] if (out / store.MANIFEST).exists() else [out / "parts"])):
            shutil.rmtree(each, ignore_errors=True)
        raise


def _link(part: Part, target: Path) -> None:
    """A part under another name: links to its files, which are never changed, or copies checked by their hashes."""
    target.mkdir()
    for name in ("part.json", *(f"{table}.parquet" for table in part.sha256)):
        source, wanted = part.path / name, part.sha256.get(name.removesuffix(".parquet"))
        try:
            if source.is_symlink():
                raise OSError("a link would point elsewhere")
            os.link(source, target / name)
        except OSError:  # another file system, or one without links
            shutil.copyfile(source, target / name)
            files.sync(target / name)
            if wanted is not None and files.digest(target / name) != wanted:
                raise FolderError(f"{source}: could not be copied whole (got other content). "
                                  "Look at its disk.") from None


def _untimed(run: Run) -> list[Cell | ClaimCell]:
    return [cell for cell in run["cells"] if cell["status"] == "finished"
            and (timing_group_of(cell) or group_of(cell)) not in run["made_on"]]


def _named(cells: Sequence[Cell | ClaimCell]) -> str:
    groups = {group_of(cell): cell["status"] for cell in cells}
    said = [name if status in ("pending", "finished") else f"{name} ({status})" for name, status in groups.items()]
    return ", ".join(said[:SHOWN]) + (f", … ({len(said)} groups)" if len(said) > SHOWN else "")


def _todo(cells: Iterable[Cell | ClaimCell], out: Path) -> str:
    shards = [str(shard_of(label)) for label in shards_of(cells) if label is not None]
    here = command("run", "SUITE", "--out", out, "--resume")
    if not shards:
        return f"go on: {here}."
    return f"run shard{'s' * (len(shards) > 1)} {', '.join(shards)} and merge again, or go on here: {here}."


def _to_know(run: Run, out: Path) -> Iterator[str]:
    warning = machines.several(run)
    if warning is not None:
        yield f"warning: {warning}"
    noisy = [name for name, facts in run["problems"].items() if facts.get("noise_scale")]
    there = sum(gradient_group(name) in run["made_on"] for name in noisy)
    if there < len(noisy):
        yield (f"gradient noise scale of {there} of {len(noisy)} problems: it needs all batch sizes of a problem; "
               f"{command('run', 'SUITE', '--out', out, '--resume')} measures the others.")
