"""Files that are whole or not there: written aside, synced, renamed into place; what JSON may hold."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

PROBE_BYTES = 65_536
TEMPORARY = ".*.tmp"  # pattern of the names that unfinished files have


def temporary_name(path: Path) -> Path:
    """A name beside a path that is no one else's, for what is not finished yet."""
    return path.with_name(f".{uuid.uuid4().hex}.tmp")


def safe_name(text: str, limit: int = 60) -> str:
    """A text as part of a file's name: what is not a letter, digit, ".", "_" or "-" becomes "_"; at most so long.

    >>> safe_name("scale-my_module:make_problem-cpu")
    'scale-my_module_make_problem-cpu'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._-")[:limit]


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` with a name beside the path, sync it and rename it into place.

    Raises:
        OSError: the disk is full or not writable; the old file is as it was, nothing of the new one remains.
    """
    temporary = temporary_name(path)
    try:
        write(temporary)
        sync(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)


def sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def probe(folder: Path) -> None:
    """Write and remove 64 KiB in a folder; raises OSError where that can't be done."""
    trial = temporary_name(folder / "probe")
    try:
        trial.write_bytes(bytes(PROBE_BYTES))
        sync(trial)
    finally:
        trial.unlink(missing_ok=True)


def leftovers(folder: Path) -> Iterator[Path]:
    """Files and folders that a killed process left unfinished in a run folder or one level below."""
    for pattern in (TEMPORARY, f"*/{TEMPORARY}"):
        yield from folder.glob(pattern)


def json_text(value: object) -> str:
    """The value as JSON in one line, as `plain` has it.

    >>> json_text({"best": float("inf")})
    '{"best": null}'
    """
    try:  # a tenth of the time of `plain` of everything, for what hardly ever needs it
        return json.dumps(value, allow_nan=False, ensure_ascii=False, default=plain)
    except (TypeError, ValueError):  # a key that is no text, or something that is not finite
        return json.dumps(plain(value), allow_nan=False, ensure_ascii=False)


def plain(value: object) -> object:
    """The value as JSON holds it: what is not finite is null, numpy scalars are Python's.

    >>> plain({"best": float("inf"), "sizes": (1, 2)})
    {'best': None, 'sizes': [1, 2]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    item = getattr(value, "item", None)
    return plain(item()) if callable(item) else str(value)
