"""A run folder that loses nothing: one immutable part per finished group, everything else made again from the parts."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import filelock

from bench import files
from bench.checks import check_tables
from bench.command import command
from bench.manifest import SCHEMA, Run, wrong_key

if TYPE_CHECKING:
    import pandas
    import pyarrow

TABLES = ("lanes", "hits", "curves", "chosen", "timing", "memory", "noise_scale", "claims", "findings", "points")
MANIFEST = "run.json"
LOCK = ".lock"
CHUNK_ROWS = 100_000  # of a table at the top that are written together
PART_NAME_LIMIT = 100  # characters; file systems allow 255 bytes


class FolderError(Exception):
    """The results folder cannot be used, or holds another run (exit code 4)."""


def part_name(group: str) -> str:
    """A group's name as a folder name: [A-Za-z0-9._-] only, no "..", at most 100 characters, one name a group.

    >>> part_name("digits-softmax.sgd.32")
    'digits-softmax.sgd.32'
    """
    safe = re.sub(r"\.\.+", "_", re.sub(r"[^A-Za-z0-9._-]", "_", group)).lstrip(".-")
    if safe == group and 0 < len(safe) <= PART_NAME_LIMIT:
        return safe
    digest = hashlib.sha256(group.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{safe[:PART_NAME_LIMIT - 13]}-{digest}"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder, made if missing and probed for writing; raises FolderError at once when another run holds it."""
    made = not os.path.exists(folder)
    lock = filelock.FileLock(folder / LOCK)
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
            files.probe(folder)  # under the lock: the run that holds it removes unfinished files, ours among them
        except filelock.Timeout:
            raise FolderError(f"{folder}: another run holds this folder (got a lock). "
                              "Wait for it, or use another --out.") from None
        except (OSError, ValueError) as error:  # ValueError: a null character in the path
            raise FolderError(f"{str(folder)!r}: cannot be written (got {getattr(error, 'strerror', None) or error}). "
                              "Use another --out, or mend its rights or space.") from None
        yield
    finally:
        if lock.is_locked:
            lock.release()
            if not (folder / MANIFEST).exists():  # nothing was begun: leave no trace
                (folder / LOCK).unlink(missing_ok=True)
                if made and is_unused(folder):
                    folder.rmdir()


@contextlib.contextmanager
def left_alone(folder: Path) -> Iterator[None]:
    """Keep others from running in a folder while it is read, changing nothing there; raises FolderError when one does.

    A folder that may not be written can't be held, and is read as it is.
    """
    lock = filelock.FileLock(folder / LOCK)
    if (folder / LOCK).exists():
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise FolderError(f"{folder}: a run holds this folder (got a lock). Wait for its end.") from None
        except OSError:
            pass
    try:
        yield
    finally:
        lock.release()


def is_unused(folder: Path) -> bool:
    """Whether a folder is missing, or holds nothing but a lock and what a process killed before its manifest left."""
    return not folder.exists() or (folder.is_dir() and all(
        path.name == LOCK or path.match(files.TEMPORARY) for path in folder.iterdir()))


def create(folder: Path, run: Run) -> None:
    """Start a run in an empty folder: the manifest first, then room for the parts."""
    if not is_unused(folder):
        raise FolderError(f"{folder}: is not empty (got {_some_names(folder)}). "
                          "Add --resume to go on with its run, or use another --out.")
    write_run(folder, run)
    (folder / "parts").mkdir(exist_ok=True)


def discard(folder: Path) -> None:
    """Take back `create` where nothing was measured: the folder is as empty as before."""
    if any(parts_of(folder)):
        return
    shutil.rmtree(folder / "parts", ignore_errors=True)
    for name in ("log.txt", MANIFEST):  # the manifest last: a folder without one is no run that could be resumed
        (folder / name).unlink(missing_ok=True)


def read_run(folder: Path) -> Run:
    """The manifest; raises FolderError when it is missing, not readable or of a newer schema."""
    path = folder / MANIFEST
    try:
        run = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise FolderError(f"{path}: is missing (got {_some_names(folder)}). Is {folder} a run folder?") from None
    except (OSError, ValueError, RecursionError) as error:
        raise FolderError(f"{path}: cannot be read (got {str(error)[:200]}). "
                          "Start the suite in another folder.") from None
    check_schema(path, run)
    wrong = wrong_key(run) if isinstance(run, dict) else "no object"
    if wrong:
        raise FolderError(f"{path}: is not a manifest of a run (got {wrong}). Start the suite in another folder.")
    return cast(Run, run)


def check_schema(path: Path, manifest: object) -> None:
    """Raise FolderError where a manifest says that it has another schema than this version reads."""
    if isinstance(manifest, dict) and manifest.get("schema", SCHEMA) != SCHEMA:
        raise FolderError(f"{path}: has another schema (got {str(manifest['schema'])[:40]}, this version reads "
                          f"{SCHEMA}). Use the version that wrote it.")


def write_run(folder: Path, run: Run) -> None:
    """Replace the manifest atomically, a key in each line; what is not finite becomes null."""
    text = ",\n".join(f"{files.json_text(key)}: {files.json_text(value)}" for key, value in run.items())
    try:
        files.write_whole(folder / MANIFEST, lambda path: path.write_text(f"{{\n{text}\n}}\n", encoding="utf-8"))
    except OSError as error:
        raise FolderError(f"{folder / MANIFEST}: cannot be written (got {error.strerror or error}). "
                          "Finished cells are kept: make room and use --resume.") from None


def write_group(folder: Path, group: str, tables: Mapping[str, pandas.DataFrame]) -> None:
    """Store the tables of one finished group as parts/<group>/, whole or not at all.

    Args:
        folder: the run folder.
        group: its name, as `bench.cells` gives it.
        tables: name in TABLES -> rows; an existing part is never changed.

    Raises:
        ValueError: a table contradicts itself (see `bench.checks`).
        FolderError: the part is there already.
        OSError: the disk is full or not writable; nothing of the part remains.
    """
    unknown = set(tables) - set(TABLES)
    if unknown:
        raise ValueError(f"tables: unknown names (got {sorted(unknown)}). Known: {', '.join(TABLES)}.")
    final = folder / "parts" / part_name(group)
    if final.exists():
        raise FolderError(f"{final}: is there already (got a second part of {group!r}). Parts are never changed.")
    check_tables(group, tables)
    temporary = files.temporary_name(final)
    temporary.mkdir(parents=True)
    try:
        digests = {}
        for name, table in tables.items():
            path = temporary / f"{name}.parquet"
            table.to_parquet(path, index=False)
            digests[name] = files.digest(path)
            files.sync(path)
        index = temporary / "part.json"
        rows = {name: len(table) for name, table in tables.items()}
        index.write_text(json.dumps({"schema": SCHEMA, "group": group, "sha256": digests, "rows": rows}),
                         encoding="utf-8")
        files.sync(index)
        files.sync(temporary)
        os.rename(temporary, final)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    files.sync(final.parent)


def withdraw(folder: Path, group: str) -> None:
    """Take a part away, whole: what it holds is to be measured anew."""
    part = folder / "parts" / part_name(group)
    gone = files.temporary_name(part)
    part.rename(gone)
    files.sync(part.parent)
    shutil.rmtree(gone, ignore_errors=True)


class Part(NamedTuple):
    """A part that is whole: where it is, its group, table -> SHA-256 of its file."""

    path: Path
    group: str
    sha256: dict[str, str]


def read_part(part: Path) -> Part | str:
    """A part, or what is wrong with it: its files must be the ones that were written, bit for bit."""
    try:
        index = json.loads((part / "part.json").read_bytes())
        if not isinstance(index, dict) or index.get("schema") != SCHEMA:
            schema = index.get("schema") if isinstance(index, dict) else None
            return f"its part.json has another schema (got {schema!r:.40}, this version reads {SCHEMA})"
        group, digests = str(index["group"]), index["sha256"]
        if part_name(group) != part.name:
            return f"it holds the group {group[:60]!r}"
        wrong = [name for name, digest in digests.items() if files.digest(part / f"{name}.parquet") != digest]
        return f"{wrong[0]}.parquet is truncated or changed" if wrong else Part(part, group, digests)
    except FileNotFoundError as error:
        return f"{Path(str(error.filename)).name} is missing"
    except (OSError, ValueError, KeyError, AttributeError, RecursionError) as error:
        return f"it cannot be read: {str(error)[:100]}"


def check_part(part: Path) -> str | None:
    """What is wrong with a part, or None (see `read_part`)."""
    found = read_part(part)
    return found if isinstance(found, str) else None


def finished_groups(folder: Path, warn: Callable[[str], None]) -> list[str]:
    """Names of the groups whose parts are whole; others are moved to corrupt/ and named in a warning.

    What a killed process left unfinished is removed: call it only while no worker writes to the folder.
    """
    for leftover in files.leftovers(folder):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)
    groups = []
    for part in parts_of(folder):
        found = read_part(part)
        if isinstance(found, Part):
            groups.append(found.group)
            continue
        (folder / "corrupt").mkdir(exist_ok=True)
        target = folder / "corrupt" / f"{part.name[:PART_NAME_LIMIT]}-{uuid.uuid4().hex[:8]}"
        os.rename(part, target)
        warn(f"parts/{part.name}: {found} (moved to corrupt/{target.name}). Its cells count as not run.")
    return groups


def collect(folder: Path, checked: Sequence[Path] | None = None) -> list[str]:
    """Make the top-level tables again from the parts, each replaced atomically; returns the parts left out and why.

    Args:
        folder: of the run.
        checked: its whole parts, where that is known; None: they are checked.
    """
    import pyarrow
    import pyarrow.parquet as parquet

    troubles = {part: check_part(part) for part in parts_of(folder)} if checked is None else dict.fromkeys(checked)
    whole = sorted(part for part, trouble in troubles.items() if trouble is None)

    def rows_of(path: Path, schema: pyarrow.Schema) -> pyarrow.Table:
        with parquet.ParquetFile(path) as file:
            rows = file.read(use_threads=False).replace_schema_metadata(None)
        if rows.schema.equals(schema):
            return rows
        rows = pyarrow.concat_tables([schema.empty_table(), rows], promote_options="permissive")
        return rows.cast(schema)  # a column that this part lacks is null

    for name in TABLES:
        paths = [part / f"{name}.parquet" for part in whole if (part / f"{name}.parquet").exists()]
        if not paths:
            (folder / f"{name}.parquet").unlink(missing_ok=True)
            continue
        schemas = dict.fromkeys(parquet.read_schema(path).remove_metadata() for path in paths)
        schema = pyarrow.unify_schemas(list(schemas), promote_options="permissive")

        def write(target: Path, paths: list[Path] = paths, schema: pyarrow.Schema = schema) -> None:
            with parquet.ParquetWriter(target, schema) as writer:
                for chunk in _chunks((rows_of(path, schema) for path in paths), CHUNK_ROWS):
                    writer.write_table(pyarrow.concat_tables(chunk))

        try:
            files.write_whole(folder / f"{name}.parquet", write)
        except OSError as error:
            raise FolderError(f"{folder / name}.parquet: cannot be written (got {error.strerror or error}). "
                              f"The parts are kept: make room, then {command('report', folder)}.") from None
    return [f"parts/{part.name}: {trouble} (left out)." for part, trouble in troubles.items() if trouble is not None]


def _chunks(tables: Iterable[pyarrow.Table], rows: int) -> Iterator[list[pyarrow.Table]]:
    """Tables together until they have so many rows: all are never in memory at once."""
    chunk: list[pyarrow.Table] = []
    held = 0
    for table in tables:
        chunk.append(table)
        held += len(table)
        if held >= rows:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk


def next_free(folder: Path) -> Path:
    """The folder itself where it is unused, else the first unused one beside it: DIR-2, DIR-3, ..."""
    if is_unused(folder):
        return folder
    folder, number = folder.absolute(), 2
    if not folder.name:
        raise FolderError(f"{folder}: has no folder beside it (got --force-new). Use another --out.")
    while not is_unused(beside := folder.with_name(f"{folder.name}-{number}")):
        number += 1
    return beside


def parts_of(folder: Path) -> list[Path]:
    """The folders of all parts, whole or not."""
    found = folder / "parts"
    return sorted(path for path in found.iterdir() if not path.name.startswith(".")) if found.is_dir() else []


def without_parts(folder: Path, cells: Sequence[object]) -> str | None:
    """What a folder is where cells are finished and only CSV files are left of them, or None."""
    finished = sum(isinstance(cell, dict) and cell.get("status") == "finished" for cell in cells)
    more = any((folder / name).exists() for name in ("corrupt", *(f"{table}.parquet" for table in TABLES)))
    return None if more or not finished or parts_of(folder) else (
        f"{folder}: holds tables only, its parts were not kept (got none of {finished} finished cells). "
        "Read its CSV files, or run the suite anew in another folder.")


def _some_names(folder: Path) -> str:
    if not folder.is_dir():
        return "no folder"
    names = sorted(path.name[:40] for path in folder.iterdir() if path.name != LOCK)
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "") if names else "nothing"
