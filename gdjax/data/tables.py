"""CSV files: one example a row, its outcome in one of the columns."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gdjax.data.checks import SHOWN, check_features
from gdjax.data.encoding import check_names, encode, indicators
from gdjax.data.files import LARGEST, StrPath, check_path, check_size, missing_library, opened_text
from gdjax.data.layout import Layout, cut, read_layout
from gdjax.names import closest

if TYPE_CHECKING:
    import pandas as pd

MISSING = ("", "?", "na", "n/a", "nan", "null", "none")  # in lower case


def load_csv(
    path: StrPath,
    *,
    outcome: str | int = -1,
    header: bool | None = None,
    separator: str | None = None,
    categories: Mapping[str | int, Sequence[str]] | None = None,
    drop: Sequence[str | int] = (),
    max_bytes: int = LARGEST,
) -> tuple[np.ndarray, np.ndarray]:
    """Features (examples, features) and outcomes (examples,) of a CSV file, both float64.

    UTF-8 text, plain or in gzip, bzip2 or xz (told by the first bytes). Quoted cells and empty lines are understood. A
    column is called by its name in the header or by its position from 0, −1 the last.

    Args:
        path: the file.
        outcome: the column of outcomes or labels.
        header: whether the first row holds names. None: it does when none of its cells is a number.
        separator: one character between cells, " " for runs of white space. None: the first of tab, ";", "|" and ","
            that cuts the first 20 rows alike, otherwise white space.
        categories: the texts of a column in their order. Text i of the outcome becomes label i; a feature becomes one
            column of 0 and 1 for each text, in the column's place. Columns that are not named here must be numbers.
        drop: columns to leave out, such as row numbers.
        max_bytes: largest table to make, in bytes (2 GiB); the size is known before it is made.

    Raises:
        TypeError: not a path; a drop that is no list; a column that is neither a name nor a position; categories that
            are not text.
        ValueError: the file is missing, empty, a directory, damaged or not UTF-8; rows of different length; cells that
            are text, missing or not finite, or not among `categories` (all these name the line, as an editor counts,
            and the column); an unknown column; a header that may be data, repeats a name or lacks
            one; a table above `max_bytes`.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "cups.csv")
        >>> _ = path.write_text(chr(10).join(["height,colour,full", "9.5,red,yes", "8.1,blue,no"]))
        >>> X, y = gdjax.data.load_csv(path, categories={"colour": ["blue", "red"], "full": ["no", "yes"]})
        >>> X.tolist(), y.tolist()
        ([[9.5, 0.0, 1.0], [8.1, 1.0, 0.0]], [1.0, 0.0])

    Source: RFC 4180, "Common format and MIME type for comma-separated values".
    """
    check_path(path)
    layout = read_layout(path, header, separator)
    target = _column("outcome", outcome, layout)
    if isinstance(drop, str):  # else its letters would be columns
        raise TypeError(f"drop: must be a list of columns (got {drop!r}). Use drop=[{drop!r}].")
    left_out = {_column("drop", which, layout) for which in drop}
    if target in left_out:
        raise ValueError(f"drop: must leave the outcome in (got {layout.names[target]!r}). Drop another column.")
    texts = {}
    for which, names in (categories or {}).items():
        column = _column("categories", which, layout)
        texts[column] = check_names(layout.names[column], names)
    features = [column for column in range(len(layout.names)) if column not in left_out | {target}]
    nameless = [column for column in features if not layout.names[column]]
    if nameless:
        raise ValueError(f"header: a feature needs a name (got none at position {nameless[0]}). Row numbers are often "
                         f"written so: leave them out with drop=[{nameless[0]}], or name the column.")
    if not features:
        raise ValueError(f"features: need at least one column beside the outcome (got only {layout.names}, cut at "
                         f"{layout.separator!r}). Pass separator= if the cells are not told apart.")
    check_size(len(layout.lines), sum(len(texts.get(column, ".")) for column in features), max_bytes)
    frame = _read(path, layout, [*features, target], texts)

    def values(column: int) -> np.ndarray:
        if column not in texts:
            return frame[column].to_numpy(np.float64)
        return encode(layout.names[column], frame[column].str.strip(), texts[column],
                      lambda row: f"line {layout.lines[row]}")

    blocks = [indicators(values(column), len(texts[column])) if column in texts else values(column)
              for column in features]
    return check_features(np.column_stack(blocks), values(target))


def _column(field: str, which: str | int, layout: Layout) -> int:
    """Position of a column that was given by name or by position."""
    count = len(layout.names)
    if isinstance(which, bool) or not isinstance(which, str | int):
        raise TypeError(f"{field}: must be the name or the position of a column (got {which!r}). "
                        f"There are {count} columns.")
    if isinstance(which, int):
        if not -count <= which < count:
            raise ValueError(f"{field}: must be a column of the file (got position {which} of {count} columns). "
                             "Positions count from 0, −1 is the last.")
        return which % count
    if which not in layout.names:
        hint = "" if layout.header else " The first row was taken for data: pass header=True if it holds names."
        raise ValueError(closest(field, which, layout.names) + hint)
    return layout.names.index(which)


def _read(path: StrPath, layout: Layout, columns: list[int], texts: Mapping[int, list[str]]) -> pd.DataFrame:
    """The chosen columns, text as text and the rest as finite float64."""
    try:
        import pandas as pd
    except ImportError as error:
        raise missing_library("pandas, which reads CSV files,") from error
    reason = "rows that pandas and the module csv cut differently"
    try:
        with opened_text(path) as text:
            frame = pd.read_csv(
                text,
                sep=r"\s+" if layout.separator == " " else layout.separator,
                quoting=csv.QUOTE_NONE if layout.separator == " " else csv.QUOTE_MINIMAL,  # as `cut` does
                header=0 if layout.header else None,
                names=list(range(len(layout.names))),
                index_col=False,
                usecols=columns,
                dtype={column: "str" if column in texts else "float64" for column in columns},
                na_filter=False,
                skipinitialspace=True,
            )
    except ValueError as error:
        reason = str(error)
    else:
        # pandas reads a column of nothing but True and False as numbers: its first cell tells
        numeric = [column for column in columns if column not in texts]
        finite = all(np.isfinite(frame[column].to_numpy()).all() for column in numeric)
        if finite and len(frame) == len(layout.lines) and all(_is_number(layout.first[column]) for column in numeric):
            return frame
    raise _cell_fault(path, layout, sorted(set(columns) - set(texts)), reason)


def _cell_fault(path: StrPath, layout: Layout, columns: list[int], reason: str) -> ValueError:
    """What is wrong with which cells: the first five that are not finite numbers, by line and column."""
    seen: list[str] = []
    texts: dict[int, set[str]] = {}  # of each column, as many as are worth listing
    count, missing = 0, False
    for line, column, cell in _faults(path, layout, columns):
        count += 1
        gone = cell.lower() in MISSING
        missing |= gone
        if count <= SHOWN:
            seen.append(f"{cell!r}{' (missing)' * gone} at line {line} column {layout.names[column]!r}")
        if not gone and not _is_infinite(cell) and len(texts.setdefault(column, set())) <= 2 * SHOWN:
            texts[column].add(cell)
    if not count:
        return ValueError(f"path: cannot be read as a table of numbers (got {reason}). "
                          "Check separator= and the quotes.")
    advice = ["Fill or cut the rows with missing values."] if missing else []
    if texts:
        column, found = next(iter(texts.items()))
        advice.append(_text_advice(layout.names[column], found))
    if not layout.header and any(f"line {layout.lines[0]} " in place for place in seen):
        advice.append("Pass header=True if the first row holds names.")
    return ValueError(f"cells: must be finite numbers (got {', '.join(seen)}; {count} in all). "
                      + " ".join(advice or ["Mend these rows."]))


def _faults(path: StrPath, layout: Layout, columns: list[int]) -> Iterator[tuple[int, int, str]]:
    """Line, column and text of every cell of these columns that is not a finite number."""
    with opened_text(path) as text:
        rows = cut(text, layout.separator)
        if layout.header:
            next(rows)
        for line, cells in rows:
            for column in columns:
                if not _is_number(cells[column]):
                    yield line, column, cells[column].strip()


def _text_advice(name: str, found: set[str]) -> str:
    if all(_is_number(cell.replace(",", ".")) for cell in found):
        return "Write decimals with a point."
    listed = str(sorted(found)) if len(found) <= 2 * SHOWN else "[…]"
    return f"Encode the column with categories={{{name!r}: {listed}}}, or drop=[{name!r}]."


def _is_number(cell: str) -> bool:
    try:
        return "_" not in cell and math.isfinite(float(cell))  # Python alone reads 1_000 as a number
    except ValueError:
        return False


def _is_infinite(cell: str) -> bool:
    try:
        return math.isinf(float(cell))
    except ValueError:
        return False
