"""Real data: bundled, from files or from OpenML, as (X, y) in float64; checked, split and standardised."""

from gdjax.data.bundled import breast_cancer, diabetes, digits, iris, linnerud, wine
from gdjax.data.checks import check_features, check_labels, fingerprint
from gdjax.data.libsvm import load_libsvm
from gdjax.data.npz import load_npz
from gdjax.data.openml import load_openml
from gdjax.data.preparing import Scaling, scaling, standardise, with_intercept
from gdjax.data.splitting import split
from gdjax.data.tables import load_csv

__all__ = [
    "breast_cancer", "diabetes", "digits", "iris", "linnerud", "wine",
    "load_csv", "load_libsvm", "load_npz", "load_openml",
    "split", "scaling", "standardise", "with_intercept", "Scaling",
    "check_features", "check_labels", "fingerprint",
]
