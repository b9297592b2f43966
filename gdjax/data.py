"""Real data bundled with scikit-learn, and the checks every data set passes before it is trained on."""

from __future__ import annotations

import hashlib
from types import ModuleType

import jax
import numpy as np

from gdjax.names import closest
from gdjax.problem import PyTree

BODY = ("weight", "waist", "pulse")  # the order of scikit-learn's columns
SHOWN = 5  # rows named in an error: enough to find the fault, short enough to read


def diabetes() -> tuple[np.ndarray, np.ndarray]:
    """Diabetes: features (442, 10) in their own units and disease progression after a year (442,), both float64.

    Raises:
        ImportError: scikit-learn is not installed.

    Example:
        >>> gdjax.data.diabetes()[0].shape
        (442, 10)

    Source: Efron, Hastie, Johnstone & Tibshirani 2004, "Least angle regression", Annals of Statistics 32, table 1.
    """
    return _arrays(_datasets().load_diabetes(scaled=False))


def breast_cancer() -> tuple[np.ndarray, np.ndarray]:
    """Breast cancer: features (569, 30) in their own units and labels (569,), 0 malignant and 1 benign, both float64.

    Raises:
        ImportError: scikit-learn is not installed.

    Example:
        >>> gdjax.data.breast_cancer()[0].shape
        (569, 30)

    Source: Street, Wolberg & Mangasarian 1993, UCI "Breast Cancer Wisconsin (Diagnostic)".
    """
    return _arrays(_datasets().load_breast_cancer())


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Handwritten digits: pixels (1797, 64) from 0 to 16 and labels (1797,) from 0 to 9, both float64.

    Raises:
        ImportError: scikit-learn is not installed.

    Example:
        >>> int(gdjax.data.digits()[0].max())
        16

    Source: Alpaydin & Kaynak 1998, UCI "Optical Recognition of Handwritten Digits", its test part.
    """
    return _arrays(_datasets().load_digits())


def iris() -> tuple[np.ndarray, np.ndarray]:
    """Iris: sepal and petal length and width in cm (150, 4) and labels (150,), both float64.

    Labels: 0 setosa, 1 versicolor, 2 virginica, 50 each.

    Raises:
        ImportError: scikit-learn is not installed.

    Example:
        >>> gdjax.data.iris()[0][0].tolist()
        [5.1, 3.5, 1.4, 0.2]

    Source: Fisher 1936, "The use of multiple measurements in taxonomic problems", Annals of Eugenics 7, as printed
    there: UCI's copy differs in two rows.
    """
    return _arrays(_datasets().load_iris())


def wine() -> tuple[np.ndarray, np.ndarray]:
    """Wine: 13 chemical measurements in their own units (178, 13) and the cultivar 0…2 (178,), both float64.

    Raises:
        ImportError: scikit-learn is not installed.

    Example:
        >>> gdjax.data.wine()[0].shape
        (178, 13)

    Source: Forina et al. 1991, PARVUS; UCI "Wine".
    """
    return _arrays(_datasets().load_wine())


def linnerud(outcome: str = "weight") -> tuple[np.ndarray, np.ndarray]:
    """Linnerud: chin-ups, sit-ups and jumps of 20 men (20, 3) and one measure of their bodies (20,), both float64.

    Args:
        outcome: "weight" in pounds, "waist" in inches or "pulse" in beats per minute. The data have all three; a
            problem has one.

    Raises:
        ImportError: scikit-learn is not installed.
        ValueError: an unknown outcome.

    Example:
        >>> gdjax.data.linnerud("pulse")[1][:3].tolist()
        [50.0, 52.0, 58.0]

    Source: Linnerud, NC State University; Tenenhaus 1998, "La régression PLS".
    """
    if outcome not in BODY:
        raise ValueError(closest("outcome", outcome, BODY))
    bunch = _datasets().load_linnerud()
    return np.asarray(bunch["data"], np.float64), np.asarray(bunch["target"][:, BODY.index(outcome)], np.float64)


def standardise(X: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and standard deviation 1: (x − mean)/std, std = √((1/n) Σ(x − mean)²).

    Args:
        X: (examples, features) or (examples,). A column that does not vary becomes 0.

    Returns:
        The same shape in float64.

    Raises:
        ValueError: X is not finite, or has no rows.

    Example:
        >>> gdjax.data.standardise(np.array([[1.0, 5.0], [3.0, 5.0]])).tolist()
        [[-1.0, 0.0], [1.0, 0.0]]
    """
    X = _numbers("features", X)
    if X.ndim == 0 or len(X) == 0:
        raise ValueError(f"features: need rows (got shape {X.shape}). Give an (examples, features) array.")
    _check_finite("features", X)
    # compared, not subtracted: the rounded mean of equal values may differ from them by one bit
    varies = X.max(axis=0) > X.min(axis=0)
    centred = np.where(varies, X - X.mean(axis=0), 0.0)
    spread = np.where(varies, X.std(axis=0), 1.0)
    # a spread that underflows to 0 cannot be divided by
    return centred / np.where(spread > 0, spread, 1.0)


def check_features(X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features and their outcomes as float64, or the reason why they cannot be trained on.

    Args:
        X: (examples, features).
        y: (examples,), numbers or labels.

    Returns:
        X and y in float64.

    Raises:
        TypeError: X or y does not hold real numbers.
        ValueError: X is not two-dimensional or y not one-dimensional, no rows or no columns, different lengths (naming
            the shapes); NaN or inf (naming row and column of the first five).

    Example:
        >>> X, y = gdjax.data.check_features([[1, 2], [3, 4]], [0, 1])
        >>> X.dtype
        dtype('float64')
    """
    X, y = _numbers("features", X), _numbers("labels", y)
    shapes = f"got features {X.shape} and labels {y.shape}"
    if X.ndim != 2:
        raise ValueError(f"features: must have two axes, (examples, features) ({shapes}). "
                         "One feature is a column: X.reshape(-1, 1).")
    if y.ndim != 1:
        raise ValueError(f"labels: must have one axis, (examples,) ({shapes}). Give one number per example: y.ravel().")
    if 0 in X.shape:
        raise ValueError(f"features: need rows and columns ({shapes}). At least one example with one feature.")
    if len(X) != len(y):
        raise ValueError(f"labels: must be as many as the rows of the features ({shapes}). Cut both to one length.")
    _check_finite("features", X)
    _check_finite("labels", y)
    return X, y


def check_labels(y: np.ndarray, classes: int) -> np.ndarray:
    """Labels as int32, each one of 0…K−1.

    Args:
        y: (examples,), whole numbers in any numeric type.
        classes: how many classes K there are, at least 2.

    Returns:
        The labels in int32, (examples,).

    Raises:
        TypeError: y does not hold numbers (encode text first).
        ValueError: fewer than two classes; labels outside 0…K−1 or fractional, naming the first five rows with their
            values; all labels the same.

    Example:
        >>> gdjax.data.check_labels(np.array([0.0, 2.0, 1.0]), classes=3)
        array([0, 2, 1], dtype=int32)
    """
    labels = _numbers("labels", y)
    if labels.ndim != 1 or len(labels) == 0:
        raise ValueError(f"labels: must have one axis with at least one example (got shape {labels.shape}). "
                         "Give one number per example.")
    if classes < 2:
        raise ValueError(f"classes: must be at least 2 (got {classes}). One class leaves nothing to learn.")
    wrong = np.flatnonzero(~((labels >= 0) & (labels < classes) & (labels == np.floor(labels))))
    if len(wrong):
        seen = ", ".join(f"{labels[row]:g} at row {row}" for row in wrong[:SHOWN])
        raise ValueError(f"labels: must be whole numbers from 0 to {classes - 1} (got {seen}; {len(wrong)} in all). "
                         "Encode the classes as 0, 1, 2, …: np.unique(y, return_inverse=True)[1].")
    if (labels == labels[0]).all():
        seen = ", ".join(f"{value:g} at row {row}" for row, value in enumerate(labels[:SHOWN]))
        raise ValueError(f"labels: need at least two classes (got only {seen}). Give examples of a second class.")
    return labels.astype(np.int32)


def fingerprint(data: PyTree) -> str:
    """SHA-256 of a pytree of arrays: path, dtype, shape and bytes of every leaf, in hex.

    The same values give the same fingerprint on every machine, whatever their memory layout.

    Args:
        data: pytree of arrays, as in `Problem.data`.

    Returns:
        64 hexadecimal digits.

    Example:
        >>> gdjax.data.fingerprint({"x": np.zeros(3)})[:8]
        '0132a085'
    """
    digest = hashlib.sha256()
    for path, leaf in jax.tree.flatten_with_path(data)[0]:
        array = np.asarray(leaf)
        array = array.astype(array.dtype.newbyteorder("<"), order="C")
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _datasets() -> ModuleType:
    try:
        from sklearn import datasets
    except ImportError as error:
        raise ImportError("data: scikit-learn, which carries this data set, is missing. "
                          "Install it with: pip install scikit-learn (or gdjax[bench])") from error
    return datasets


def _arrays(bunch: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(bunch["data"], np.float64), np.asarray(bunch["target"], np.float64)


def _numbers(field: str, values: np.ndarray) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{field}: must hold real numbers (got dtype {array.dtype}). Encode text and categories first.")
    return array.astype(np.float64)


def _check_finite(field: str, array: np.ndarray) -> None:
    places = np.argwhere(~np.isfinite(array))
    if len(places):
        seen = ", ".join(f"{array[tuple(place)]:g} at row " + " column ".join(str(index) for index in place)
                         for place in places[:SHOWN])
        raise ValueError(f"{field}: must be finite (got {seen}; {len(places)} in all). Drop or fill these rows.")
