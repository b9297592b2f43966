"""Real data bundled with scikit-learn: no file, no network."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from gdjax.data.files import missing_library
from gdjax.names import closest

BODY = ("weight", "waist", "pulse")  # the order of scikit-learn's columns


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


def _datasets() -> ModuleType:
    try:
        from sklearn import datasets
    except ImportError as error:
        raise missing_library("scikit-learn, which carries this data set,") from error
    return datasets


def _arrays(bunch: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(bunch["data"], np.float64), np.asarray(bunch["target"], np.float64)
