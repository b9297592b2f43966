"""Shipped problems: `get(name)`, `names()`, and builders for your own data.

A new problem is one function with `@register("its-name")` in any module of this package.
"""

from importlib import import_module
from pkgutil import iter_modules

from gdjax.problems.networks import one_hidden_layer
from gdjax.problems.quadratics import noisy_quadratic, quadratic
from gdjax.problems.registry import get, names, register
from gdjax.problems.regression import linear_regression, logistic_regression, softmax_regression

__all__ = [
    "get", "linear_regression", "logistic_regression", "names", "noisy_quadratic", "one_hidden_layer", "quadratic",
    "register", "softmax_regression",
]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
