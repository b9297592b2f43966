"""Data sets of OpenML by name, through scikit-learn and its cache."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from json import JSONDecodeError
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError

import numpy as np

from gdjax.data.checks import SHOWN, check_features
from gdjax.data.encoding import check_names, encode, indicators
from gdjax.data.files import LARGEST, check_size, missing_library
from gdjax.names import closest

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.utils import Bunch

# A thousands separator keeps pandas 3.1 from reading the names of categories as numbers, on which scikit-learn 1.9
# stumbles (scikit-learn pull request 34902); this one is in no file.
NAMES_STAY_TEXT = {"thousands": "\x1f"}


def load_openml(
    name: str,
    *,
    version: int | str = "active",
    outcome: str | None = None,
    categories: Mapping[str, Sequence[str]] | None = None,
    drop: Sequence[str] = (),
    data_home: str | os.PathLike[str] | None = None,
    cache: bool = True,
    max_bytes: int = LARGEST,
) -> tuple[np.ndarray, np.ndarray]:
    """Features (examples, features) and outcomes (examples,) of an OpenML data set, both float64 and dense.

    Numbers stay as they are. A nominal outcome becomes the labels 0…K−1 of its K names in order: by value where all
    names are numbers, otherwise by alphabet. A nominal feature becomes K columns of 0 and 1, in that order and in its
    place. Columns that OpenML marks as row identifiers or to be ignored are left out.

    Args:
        name: what OpenML calls it ("iris", "adult", "mnist_784").
        version: its number, so that the same data come every time; "active" takes the oldest active one, with a warning
            where there are several.
        outcome: name of the column of outcomes; None takes OpenML's default.
        categories: the names of a nominal or text column in their order, where the order above will not do.
        drop: names of columns to leave out.
        data_home: folder of the cache; None takes scikit-learn's (`SCIKIT_LEARN_DATA`, or `~/scikit_learn_data`).
        cache: whether to keep the download, so that the next call needs no network.
        max_bytes: largest table to make, in bytes (2 GiB); the size is known before it is made.

    Raises:
        ConnectionError: OpenML cannot be reached, or what answers is an error or not OpenML.
        ImportError: scikit-learn or pandas is not installed.
        TypeError: categories that are not text; a drop that is no list.
        ValueError: no data set of that name and version, no such column, no single outcome; text or missing values
            (naming row, from 0, and column); a download that is not what OpenML announced; a table above `max_bytes`.

    Example:
        >>> X, y = gdjax.data.load_openml("iris", version=1)
        >>> X.shape, np.bincount(y.astype(int)).tolist()  # Iris-setosa, Iris-versicolor, Iris-virginica
        ((150, 4), [50, 50, 50])

    Source: Vanschoren, van Rijn, Bischl & Torgo 2014, "OpenML: networked science in machine learning", SIGKDD
    Explorations 15; `sklearn.datasets.fetch_openml`.
    """
    if isinstance(drop, str):  # else its letters would be columns
        raise TypeError(f"drop: must be a list of columns (got {drop!r}). Use drop=[{drop!r}].")
    bunch = _fetch(name, version, outcome, data_home, cache)
    table, target = _columns(bunch, max_bytes)
    for field, columns in (("drop", drop), ("categories", categories or {})):
        for column in columns:
            if column not in {*table, target.name}:
                raise ValueError(closest(field, column, [*map(str, table), str(target.name)]))
    table = {column: values for column, values in table.items() if column not in drop}
    if not table:
        raise ValueError(f"drop: must leave a feature (got {list(drop)}). Drop fewer columns.")
    _check_present([*table.values(), target])
    names = {str(values.name): _names(values, categories or {}) for values in [*table.values(), target]}
    check_size(len(target), sum(len(names[column] or ".") for column in table), max_bytes)
    blocks = [_block(values, names[column]) for column, values in table.items()]
    labels = names[str(target.name)]
    return check_features(np.column_stack(blocks), _numbers(target) if labels is None else _codes(target, labels))


def _fetch(name: str, version: int | str, outcome: str | None, data_home: str | os.PathLike[str] | None,
           cache: bool) -> Bunch:
    """What scikit-learn gives, or an error that says what to do."""
    try:
        from sklearn.datasets import fetch_openml
    except ImportError as error:
        raise missing_library("scikit-learn, which loads OpenML's data,") from error
    where = f"{name!r} version {version}"

    def fetch(target: str | None) -> Bunch:
        return fetch_openml(name, version=version, target_column=target, data_home=data_home, cache=cache,
                            read_csv_kwargs=NAMES_STAY_TEXT)

    try:
        return fetch("default-target" if outcome is None else outcome)
    except KeyError as error:
        if outcome is None:
            raise ConnectionError(_foreign(where, f"no {error}")) from error
        known = fetch(None)
        raise ValueError(closest("outcome", str(outcome), known.feature_names)) from error
    except HTTPError as error:
        error.close()
        raise ConnectionError(f"openml: could not load {where} (got {error.code} {error.reason} from {error.url}). "
                              "Try again later; data loaded before come from the cache.") from error
    except (URLError, TimeoutError) as error:
        raise ConnectionError(f"openml: could not be reached for {where} (got {getattr(error, 'reason', error)}). "
                              "Check the network; offline, load it once where there is one and copy that folder to "
                              "data_home=, or load a file by path.") from error
    except JSONDecodeError as error:
        raise ConnectionError(_foreign(where, str(error))) from error
    except ValueError as error:
        raise ValueError(f"openml: could not load {where} (got {error}). "
                         "Look its name and version up at https://www.openml.org/search?type=data.") from error


def _foreign(where: str, got: str) -> str:
    return (f"openml: the answer for {where} is not in OpenML's form (got {got}). "
            "Look for a log-in page or a proxy on the way, or try again later.")


def _columns(bunch: Bunch, max_bytes: int) -> tuple[dict[str, pd.Series], pd.Series]:
    """The features by name, and the outcome."""
    import pandas as pd

    if len(bunch.target_names) != 1:
        seen = ", ".join(map(repr, bunch.target_names)) or "none"
        raise ValueError(f"outcome: must be one column (got {seen} by default). "
                         f"Name one of {', '.join([*bunch.target_names, *bunch.feature_names][:4 * SHOWN])}.")
    if isinstance(bunch.data, pd.DataFrame):
        return {str(name): bunch.data[name] for name in bunch.data}, bunch.target
    nominal = [name for name in bunch.feature_names if name in (bunch.categories or {})]
    if nominal:
        raise ValueError(f"openml: nominal features of a sparse table cannot be told from 0 (got {nominal[:SHOWN]}). "
                         "Take another version of the data.")
    rows, width = bunch.data.shape
    check_size(rows, width, max_bytes)
    dense = bunch.data.toarray()
    target = pd.Series(bunch.target, name=bunch.target_names[0])
    if target.dtype.kind not in "fiub":
        target = target.astype("category")
    return {name: pd.Series(dense[:, i], name=name) for i, name in enumerate(bunch.feature_names)}, target


def _check_present(columns: Sequence[pd.Series]) -> None:
    """Raise a ValueError that names row and column of the first five missing values."""
    places = [(int(row), str(values.name)) for values in columns for row in np.flatnonzero(values.isna())]
    if places:
        seen = ", ".join(f"row {row} column {column!r}" for row, column in places[:SHOWN])
        raise ValueError(f"openml: values must not be missing (got none at {seen}; {len(places)} in all). "
                         f"Leave such columns out: drop={sorted({column for _, column in places})[:SHOWN]}.")


def _names(values: pd.Series, categories: Mapping[str, Sequence[str]]) -> list[str] | None:
    """The categories of a column in order, or None when it holds numbers."""
    column = str(values.name)
    if column in categories:
        return check_names(column, categories[column])
    if values.dtype.kind in "fiub":
        return None
    if values.dtype.name != "category":
        raise ValueError(f"openml: column {column!r} holds text (got {values.iloc[0]!r} at row 0). "
                         f"Leave it out, drop=[{column!r}], or list its texts in categories=.")
    found = [str(name) for name in values.unique()]
    return check_names(column, sorted(found, key=_by_value if all(map(_is_number, found)) else str))


def _block(values: pd.Series, names: list[str] | None) -> np.ndarray:
    return _numbers(values) if names is None else indicators(_codes(values, names), len(names))


def _numbers(values: pd.Series) -> np.ndarray:
    return values.to_numpy(np.float64)


def _codes(values: pd.Series, names: list[str]) -> np.ndarray:
    return encode(str(values.name), values.astype(str), names, lambda row: f"row {row}")


def _by_value(name: str) -> tuple[float, str]:
    return float(name), name


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True
