"""Files by path: opened whether compressed or not, and refused with a reason where they cannot be read."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import math
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO, cast

LARGEST = 2**31  # bytes, 2 GiB: one host copy and one device copy of it still fit a small machine
BOM = b"\xef\xbb\xbf"  # what some editors write before UTF-8

StrPath = str | os.PathLike[str]


@contextmanager
def opened(path: StrPath) -> Iterator[BinaryIO]:
    """The bytes of a file, decompressed (gzip, bzip2 and xz are told by their first bytes), past a byte order mark.

    Raises:
        TypeError: not a path.
        ValueError: no such file, a directory, an empty file, no permission, a damaged archive, bytes that the caller
            could not decode as UTF-8 (naming the line).
    """
    place = check_path(path)
    try:
        with _decompressed(place) as handle:
            if handle.read(len(BOM)) != BOM:
                handle.seek(0)
            yield handle
    except UnicodeDecodeError as error:
        raise ValueError(f"path: must be UTF-8 text (got {_bad_bytes(place)} of {str(place)!r}). "
                         "Save it as UTF-8, or convert it: iconv -f LATIN1 -t UTF-8.") from error
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise ValueError(f"path: cannot be read to its end (got {error} for {str(place)!r}). "
                         "Check its permissions, or copy it again if it is damaged.") from error


@contextmanager
def opened_text(path: StrPath) -> Iterator[TextIO]:
    """The UTF-8 text of a file as `opened` gives it, line ends as they are."""
    with opened(path) as handle:
        text = io.TextIOWrapper(handle, encoding="utf-8", newline="")
        try:
            yield text
        finally:
            text.detach()


def check_path(path: StrPath) -> Path:
    """The path of a file that exists and is not empty, `~` expanded."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path: must be a string or a path (got {type(path).__name__}). Give the place of a file.")
    place = Path(path).expanduser()
    if place.is_dir():
        raise ValueError(f"path: must be a file (got the directory {str(place)!r}). Name a file in it.")
    if not place.is_file():
        raise ValueError(f"path: no such file (got {str(place)!r}). Check its name; it is sought from {os.getcwd()!r}.")
    if place.stat().st_size == 0:
        raise ValueError(f"path: must hold examples (got the empty file {str(place)!r}). Check how it was written.")
    return place


def check_size(rows: int, columns: int, max_bytes: int) -> None:
    """Raise a ValueError when a dense float64 table would be larger than allowed, before it is made."""
    needed = 8 * rows * columns
    if needed > max_bytes:
        raise ValueError(f"max_bytes: {rows:,} × {columns:,} features in dense float64 do not fit (got a limit of "
                         f"{size(max_bytes)}, they need {size(needed)}). "
                         "Cut rows or columns, or raise max_bytes if the memory is there.")


def size(number: float) -> str:
    """A number of bytes as people say it: 1536 -> "1.5 KiB"."""
    power = min(int(math.log2(max(number, 1)) // 10), 4)
    return f"{number / 1024**power:,.4g} {('bytes', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"


def missing_library(what: str) -> ImportError:
    """The error for a library that only data need: what it is, and how to get it."""
    package = what.split(",")[0]
    return ImportError(f"data: {what} is missing. Install it with: pip install {package} (or gdjax[bench])")


def _decompressed(place: Path) -> BinaryIO:
    with place.open("rb") as raw:
        head = raw.read(6)
    if head.startswith(b"\x1f\x8b"):
        return cast(BinaryIO, gzip.open(place))
    if head.startswith(b"BZh"):
        return cast(BinaryIO, bz2.open(place))
    if head == b"\xfd7zXZ\x00":
        return cast(BinaryIO, lzma.open(place))
    return place.open("rb")


def _bad_bytes(place: Path) -> str:
    with _decompressed(place) as handle:
        for number, line in enumerate(handle, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return f"byte 0x{line[error.start]:02x} at line {number}"
    return "an incomplete last character"
