"""LIBSVM files: one example a line, `outcome index:value index:value …`, features that are 0 left out."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gdjax.data.checks import SHOWN, check_features
from gdjax.data.files import LARGEST, StrPath, check_path, check_size, missing_library, opened

if TYPE_CHECKING:
    from scipy.sparse import csr_array

HIGHEST = 2**31 - 1  # scikit-learn reads indices as 32-bit integers


def load_libsvm(
    path: StrPath,
    *,
    zero_based: bool | None = None,
    features: int | None = None,
    labels: Sequence[float] | None = None,
    max_bytes: int = LARGEST,
) -> tuple[np.ndarray, np.ndarray]:
    """Features (examples, features) and outcomes (examples,) of a LIBSVM file, both float64 and dense.

    Comments (`#` to the end of the line) and empty lines are skipped, `qid:` is ignored, indices may stand in any
    order. Plain, gzip, bzip2 and xz files are told apart by their first bytes.

    Args:
        path: the file.
        zero_based: whether the first feature is number 0 (True) or 1 (False). None: 0 if any index is 0, otherwise 1;
            say it where a file counts from 0 but never uses its first feature.
        features: number of features, for a file whose last ones are all 0 (a held-out part beside its training part);
            None takes the largest index.
        labels: the outcomes of a classification in order: labels=[-1, 1] makes −1 class 0 and 1 class 1. None keeps
            the numbers of the file.
        max_bytes: largest dense table to make, in bytes (2 GiB); the size is known before it is made.

    Raises:
        ImportError: scikit-learn is not installed.
        TypeError: not a path.
        ValueError: the file is missing, empty, a directory or damaged; a line that does not read (naming its number, as
            an editor counts): an outcome or value that is not a finite number, an index twice, below the first or
            beyond `features`, an outcome that is not among `labels`; no features; a table above `max_bytes`.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "two.svm")
        >>> _ = path.write_text("+1 1:0.5 3:2  # the second feature is 0" + chr(10) + "-1 2:1")
        >>> X, y = gdjax.data.load_libsvm(path, labels=[-1, 1])
        >>> X.tolist(), y.tolist()
        ([[0.5, 0.0, 2.0], [0.0, 1.0, 0.0]], [1.0, 0.0])

    Source: Chang & Lin 2011, "LIBSVM: a library for support vector machines", ACM TIST 2, and its README.
    """
    check_path(path)
    if features is not None and features < 1:
        raise ValueError(f"features: must be at least 1 (got {features}). None takes the largest index.")
    matrix, outcomes = _read(path)
    first = 1 if zero_based is False or (zero_based is None and matrix.nnz and matrix.indices.min() > 0) else 0
    last = HIGHEST if features is None else first + features - 1
    finite = np.isfinite(matrix.data).all() and np.isfinite(outcomes).all()
    if not finite or (matrix.nnz and not first <= matrix.indices.min() <= matrix.indices.max() <= last):
        _sorted_lines(path, first, last)  # names the line
    if not len(outcomes) or (not matrix.nnz and features is None):
        raise ValueError(f"path: must hold examples with features (got {len(outcomes)} examples, {matrix.nnz} values). "
                         "A line is: outcome index:value index:value.")
    width = matrix.shape[1] - first if features is None else features
    check_size(len(outcomes), width, max_bytes)
    X = np.zeros((len(outcomes), width))
    X[np.repeat(np.arange(len(outcomes)), np.diff(matrix.indptr)), matrix.indices - first] = matrix.data
    return check_features(X, outcomes if labels is None else _encoded(path, outcomes, labels))


def _read(path: StrPath) -> tuple[csr_array, np.ndarray]:
    try:
        from sklearn.datasets import load_svmlight_file
    except ImportError as error:
        raise missing_library("scikit-learn, which reads LIBSVM files,") from error
    try:
        with opened(path) as handle:
            return load_svmlight_file(handle, zero_based=True)
    except (ValueError, OverflowError):
        # scikit-learn refuses unsorted indices and names no line: sort them, or find the line at fault
        return load_svmlight_file(io.BytesIO(_sorted_lines(path)), zero_based=True)


def _sorted_lines(path: StrPath, first: int = 0, last: int = HIGHEST) -> bytes:
    """The file with the indices of each line sorted and comments gone, or a ValueError that names a line."""
    lines = []
    with opened(path) as handle:
        for number, line in enumerate(handle, 1):
            words = line.partition(b"#")[0].decode("utf-8", "replace").split()
            if words:
                pairs = _pairs(number, words, first, last)
                lines.append(" ".join([words[0], *(f"{index}:{value}" for index, value in sorted(pairs.items()))]))
    return "\n".join(lines).encode()


def _pairs(number: int, words: list[str], first: int, last: int) -> dict[int, str]:
    """Index and value of each feature of one line, or a ValueError that names it."""
    if not _is_finite(words[0]):
        hint = " Several labels an example are not supported." if "," in words[0] else ""
        raise ValueError(f"line {number}: the outcome must be a finite number (got {words[0]!r}). "
                         f"A line is: outcome index:value index:value.{hint}")
    pairs: dict[int, str] = {}
    for word in words[1:]:
        name, colon, value = word.partition(":")
        if name == "qid":
            continue
        if not (colon and name.isdecimal() and _is_finite(value)):
            raise ValueError(f"line {number}: a feature must be index:value, both finite numbers (got {word!r}). "
                             "An index is a whole number of at least 0.")
        index = int(name)
        if index < first:
            raise ValueError(f"line {number}: an index must be at least 1 (got {word!r}). "
                             "Pass zero_based=True where the first feature is number 0.")
        if index > last:
            raise ValueError(f"line {number}: an index must be at most {last} (got {word!r}). "
                             f"Raise features= where it was given; {HIGHEST:,} is the highest that is read.")
        if index in pairs:
            raise ValueError(f"line {number}: an index may stand once (got {index} twice). Keep one of its values.")
        pairs[index] = value
    return pairs


def _is_finite(word: str) -> bool:
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False


def _encoded(path: StrPath, outcomes: np.ndarray, labels: Sequence[float]) -> np.ndarray:
    """Position of each outcome among the labels, or a ValueError that names the lines of others."""
    known = np.asarray(labels, np.float64)
    if known.ndim != 1 or len(set(known.tolist())) < max(2, len(known)):
        raise ValueError(f"labels: must be two or more different numbers (got {list(labels)}). "
                         "Give the outcomes of the file in the order of the classes.")
    matches = outcomes[:, None] == known
    wrong = np.flatnonzero(~matches.any(axis=1))
    if len(wrong):
        seen = ", ".join(f"{outcomes[row]:g} at line {line}" for row, line in zip(wrong[:SHOWN], _lines(path, wrong),
                                                                                   strict=False))
        raise ValueError(f"labels: outcomes must be among {known.tolist()} (got {seen}; {len(wrong)} in all). "
                         f"The file has {np.unique(outcomes)[:2 * SHOWN].tolist()}.")
    return matches.argmax(axis=1).astype(np.float64)


def _lines(path: StrPath, rows: np.ndarray) -> list[int]:
    """Line numbers of some rows of the table."""
    with opened(path) as handle:
        numbers = [number for number, line in enumerate(handle, 1) if line.partition(b"#")[0].strip()]
    return [numbers[row] for row in rows[:SHOWN]]
