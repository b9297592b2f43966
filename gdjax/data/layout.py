"""How a CSV file is laid out: its separator, its header, and the line on which every row begins."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TextIO

from gdjax.data.checks import SHOWN
from gdjax.data.files import StrPath, opened_text

SNIFFED = 20  # rows that decide on the separator
SEPARATORS = "\t;|,"  # the comma last: it is also a decimal comma


@dataclass(frozen=True)
class Layout:
    """What a first reading of the file finds."""

    separator: str
    header: bool
    names: list[str]
    """One per column, "" for a nameless one; `column 1`, `column 2`, … where there is no header."""
    lines: Sequence[int]
    """The line on which each row of data begins, counted from 1 as editors do."""
    first: list[str]
    """The cells of the first row of data."""


def read_layout(path: StrPath, header: bool | None, separator: str | None) -> Layout:
    """The layout of a file, or a ValueError that names the lines of ragged rows or what is wrong with the header."""
    if separator is None:
        separator = _sniff(path)
    elif len(separator) != 1 or separator in '"\r\n':
        raise ValueError(f"separator: must be one character (got {separator!r}). "
                         "\" \" stands for runs of white space; None finds it.")
    lines = array("q")
    ragged: list[tuple[int, int]] = []
    with opened_text(path) as text:
        rows = cut(text, separator)
        first_line, first = next(rows, (0, []))
        second: list[str] = []
        for line, cells in rows:
            second = second or cells
            lines.append(line)
            if len(cells) != len(first):
                ragged.append((line, len(cells)))
    if ragged:
        seen = ", ".join(f"{count} cells at line {line}" for line, count in ragged[:SHOWN])
        raise ValueError(f"rows: must have the {len(first)} cells of line {first_line}, cut at {separator!r} "
                         f"(got {seen}; {len(ragged)} in all). Mend these lines, or pass separator=.")
    if header is None:
        header = _is_header(first)
    if not header:
        lines.insert(0, first_line)
    if not first or not lines:
        raise ValueError(f"path: must hold rows of data (got {'a header' if first else 'blank lines'} alone). "
                         "Check how it was written, or pass header=False.")
    if header:
        return Layout(separator, True, _names(first), lines, second)
    return Layout(separator, False, _numbered(len(first)), lines, first)


def cut(text: TextIO, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a file, each with the line on which it begins; blank lines are left out."""
    if separator == " ":
        yield from ((line, words) for line, row in enumerate(text, 1) if (words := row.split()))
        return
    reader = csv.reader(text, delimiter=separator, skipinitialspace=True)
    line = 1
    try:
        for cells in reader:
            if len(cells) > 1 or (cells and cells[0].strip()):
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"line {line}: cannot be cut into cells (got {error}). Look for a quote that is never closed."
                         ) from error


def _sniff(path: StrPath) -> str:
    counts = {}
    for separator in SEPARATORS:
        with opened_text(path) as text:
            counts[separator] = [len(cells) for _, cells in islice(cut(text, separator), SNIFFED)]
    alike = [separator for separator, found in counts.items() if found and min(found) == max(found) > 1]
    # rows of unequal length are somebody's mistake, to be named by line: take what cuts the first row
    cutting = [separator for separator, found in counts.items() if found and found[0] > 1]
    return (alike or cutting or [" "])[0]


def _is_header(first: list[str]) -> bool:
    """Whether none of the cells is a number; a ValueError where they are 0, 1, 2, …, which may be either."""
    if len(first) > 1 and [cell.strip() for cell in first] == [str(number) for number in range(len(first))]:
        raise ValueError("header: the first row is 0, 1, 2, …, which may be names or data (got header=None). "
                         "Pass header=True (pandas writes such names) or header=False.")
    return not any(_is_number(cell) for cell in first)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _names(first: list[str]) -> list[str]:
    names = [cell.strip() for cell in first]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise ValueError(f"header: names must be different (got {', '.join(map(repr, twice[:SHOWN]))} more than once). "
                         "Rename them, or cut the header and pass header=False.")
    return names


def _numbered(count: int) -> list[str]:
    return [f"column {number}" for number in range(1, count + 1)]
