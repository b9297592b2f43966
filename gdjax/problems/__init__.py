"""Shipped problems: `get(name)`, `names()`, and builders for your own data.

A new problem is one function with `@register("its-name")` in any module of this package.
"""

from importlib import import_module
from pkgutil import iter_modules

from gdjax.problems.classification import logistic_regression, softmax_regression
from gdjax.problems.counts import poisson_regression
from gdjax.problems.curves import hidden_layer_regression
from gdjax.problems.images import convolutional
from gdjax.problems.margins import squared_hinge_regression
from gdjax.problems.networks import one_hidden_layer, two_hidden_layers
from gdjax.problems.noise import noisy_double_well
from gdjax.problems.quadratics import conditioned_quadratic, noisy_quadratic, quadratic, rotated_quadratic
from gdjax.problems.registry import get, names, register
from gdjax.problems.regression import linear_regression, ridge_regression
from gdjax.problems.robust import huber_regression
from gdjax.problems.valleys import rosenbrock

__all__ = [
    "conditioned_quadratic", "convolutional", "get", "hidden_layer_regression", "huber_regression",
    "linear_regression", "logistic_regression", "names", "noisy_double_well", "noisy_quadratic", "one_hidden_layer",
    "poisson_regression", "quadratic", "register", "ridge_regression", "rosenbrock", "rotated_quadratic",
    "softmax_regression", "squared_hinge_regression", "two_hidden_layers",
]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
