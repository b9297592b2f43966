"""NPZ files: arrays by name, as `numpy.savez` writes them."""

from __future__ import annotations

import math
import zipfile
import zlib
from typing import IO

import numpy as np

from gdjax.data.checks import check_features
from gdjax.data.files import LARGEST, StrPath, check_path, check_size
from gdjax.names import closest


def load_npz(
    path: StrPath, *, features: str = "X", outcome: str = "y", max_bytes: int = LARGEST,
) -> tuple[np.ndarray, np.ndarray]:
    """Features (examples, features) and outcomes (examples,) of an NPZ file, both float64.

    Nothing of the file is executed: arrays of Python objects are refused (`allow_pickle=False`).

    Args:
        path: the file, of `numpy.savez` or `numpy.savez_compressed`.
        features: name of the array of features.
        outcome: name of the array of outcomes or labels.
        max_bytes: largest table to make, in bytes of float64 (2 GiB); the size is known before it is made.

    Raises:
        TypeError: not a path; arrays of objects, text or complex numbers.
        ValueError: the file is missing, empty, a directory, damaged or not an NPZ file; no array of that name (naming
            the closest and all there are); an array above `max_bytes`; features and outcomes that do not fit together
            or are not finite (see `check_features`; rows counted from 0, as in the array).

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "points.npz")
        >>> np.savez(path, X=np.eye(2), y=[0, 1])
        >>> gdjax.data.load_npz(path)[1].tolist()
        [0.0, 1.0]

    Source: numpy.lib.format, "NPY format".
    """
    place = check_path(path)
    try:
        with zipfile.ZipFile(place) as archive:
            return check_features(*(_array(archive, field, name, max_bytes)
                                    for field, name in (("features", features), ("outcome", outcome))))
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError) as error:
        raise ValueError(f"path: must be a whole NPZ file (got {error} for {str(place)!r}). "
                         "Write it with numpy.savez(path, X=X, y=y), or copy it again.") from error


def _array(archive: zipfile.ZipFile, field: str, name: str, max_bytes: int) -> np.ndarray:
    known = [member.removesuffix(".npy") for member in archive.namelist() if member.endswith(".npy")]
    if name not in known:
        raise ValueError(closest(field, name, known))
    try:
        with archive.open(f"{name}.npy") as member:
            shape, dtype = _header(member)
    except ValueError as error:
        raise ValueError(f"{field}: array {name!r} must be in NPY format (got {error}). "
                         "Write it with numpy.savez.") from error
    if dtype.hasobject:
        raise TypeError(f"{field}: must hold numbers (got dtype object in array {name!r}). "
                        "Reading objects runs code of the file; save it with numeric dtypes.")
    check_size(shape[0] if shape else 1, math.prod(shape[1:]), max_bytes)
    with archive.open(f"{name}.npy") as member:
        return np.lib.format.read_array(member, allow_pickle=False)


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of an array, before any of its data is read."""
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(member)
    return shape, dtype
