"""Classifiers with one and two hidden layers, trained by back-propagation."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from gdjax import data
from gdjax.problem import Problem
from gdjax.problems.checks import whole
from gdjax.problems.parts import (
    RIDGE,
    Examples,
    Params,
    check_classified,
    check_ridge,
    cross_entropy,
    mean_cross_entropy,
    penalty,
    share_of_largest,
    summary,
)
from gdjax.problems.registry import register


@register("digits-mlp")
def digits_mlp() -> Problem:
    """A network with 32 hidden tanh units on handwritten digits: 1,797 examples, 64 pixels in [0, 1], 10 classes.

    Ridge λ = 1e-3 on both weight matrices. Not convex: no optimum is known, so its targets are losses.
    Starts: weights from N(0, 2/(inputs + outputs)), intercepts 0.

    Source: Alpaydin & Kaynak 1998; scikit-learn's copy.
    """
    X, y = data.digits()
    problem = one_hidden_layer(X / 16, y, classes=10, name="digits-mlp")
    return replace(problem, source="Alpaydin & Kaynak 1998, digits (scikit-learn), pixels/16, 32 tanh units")


@register("wine-two-layers")
def wine_two_layers() -> Problem:
    """A network with 16 and 8 hidden tanh units on wine: 178 examples, 13 standardised features, 3 classes.

    Ridge λ = 1e-3 on the three weight matrices. Not convex: no optimum is known, so its targets are losses.
    Starts: weights from N(0, 2/(inputs + outputs)), intercepts 0.

    Source: Forina et al. 1991, PARVUS; scikit-learn's copy.
    """
    X, y = data.wine()
    problem = two_hidden_layers(data.standardise(X), y, hidden=(16, 8), classes=3, name="wine-two-layers")
    return replace(problem, source="Forina et al. 1991, wine (scikit-learn), standardised, 16 and 8 tanh units")


def one_hidden_layer(
    X: np.ndarray,
    y: np.ndarray,
    *,
    hidden: int = 32,
    classes: int | None = None,
    ridge: float = RIDGE,
    held_out: Examples | None = None,
    name: str = "one-hidden-layer",
) -> Problem:
    """A classifier with one hidden layer: cross entropy of z = W₂ tanh(W₁ x + b₁) + b₂ plus (λ/2)(‖W₁‖² + ‖W₂‖²).

    Args:
        X: features, (examples, features), standardised or in [0, 1].
        y: labels 0…K−1, (examples,).
        hidden: units of the hidden layer.
        classes: K; None takes the largest label of y + 1.
        ridge: λ of both weight matrices; the intercepts are free.
        held_out: features and labels kept from training, with the columns of X.
        name: what reports call it.

    Returns:
        A problem with params {"W1": (hidden, features), "b1": (hidden,), "W2": (classes, hidden), "b2": (classes,)},
        an accuracy, starts with weights from N(0, 2/(inputs + outputs)) and intercepts 0; no optimum.

    Raises:
        TypeError, ValueError: see `gdjax.data.check_features` and `gdjax.data.check_labels`; a ridge below 0; no
            hidden units; held-out columns that are not those of X.

    Example:
        >>> problem = gdjax.problems.one_hidden_layer(np.eye(3), np.array([0, 1, 2]), hidden=5)
        >>> problem.start(jax.random.key(0))["W1"].shape
        (5, 3)

    Source: starts by Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks",
    AISTATS, equation 16 (its variance, normal instead of uniform).
    """
    return _classifier(X, y, (hidden,), classes, ridge, held_out, name)


def two_hidden_layers(
    X: np.ndarray,
    y: np.ndarray,
    *,
    hidden: tuple[int, int] = (32, 16),
    classes: int | None = None,
    ridge: float = RIDGE,
    held_out: Examples | None = None,
    name: str = "two-hidden-layers",
) -> Problem:
    """A classifier with two hidden layers: cross entropy of z = W₃ tanh(W₂ tanh(W₁ x + b₁) + b₂) + b₃ plus (λ/2)Σ‖W‖².

    Args:
        X: features, (examples, features), standardised or in [0, 1].
        y: labels 0…K−1, (examples,).
        hidden: units of the first and of the second hidden layer.
        classes: K; None takes the largest label of y + 1.
        ridge: λ of the three weight matrices; the intercepts are free.
        held_out: features and labels kept from training, with the columns of X.
        name: what reports call it.

    Returns:
        A problem with params "W1", "b1", "W2", "b2", "W3", "b3", each W (outputs, inputs) and each b (outputs,), an
        accuracy, starts with weights from N(0, 2/(inputs + outputs)) and intercepts 0; no optimum.

    Raises:
        TypeError, ValueError: see `gdjax.data.check_features` and `gdjax.data.check_labels`; a ridge below 0; not two
            layers, or one without units; held-out columns that are not those of X.

    Example:
        >>> problem = gdjax.problems.two_hidden_layers(np.eye(3), np.array([0, 1, 2]), hidden=(5, 4))
        >>> problem.start(jax.random.key(0))["W2"].shape
        (4, 5)

    Source: starts by Glorot & Bengio 2010, see `one_hidden_layer`.
    """
    if not (isinstance(hidden, tuple | list) and len(hidden) == 2):
        raise ValueError(f"hidden: must be the units of two layers (got {hidden}). Give a pair such as (32, 16).")
    return _classifier(X, y, tuple(hidden), classes, ridge, held_out, name)


def _classifier(
    X: np.ndarray,
    y: np.ndarray,
    hidden: tuple[int, ...],
    classes: int | None,
    ridge: float,
    held_out: Examples | None,
    name: str,
) -> Problem:
    ridge = check_ridge(ridge)
    for units in hidden:
        check_units(units)
    (X, y), held_out, classes = check_classified(X, y, held_out, classes)
    sizes, depth = (X.shape[1], *hidden, classes), len(hidden) + 1

    def decay(params: Params) -> jax.Array:
        return penalty(ridge, *(params[f"W{layer}"] for layer in range(1, depth + 1)))

    def loss(params: Params, example: tuple[jax.Array, jax.Array]) -> jax.Array:
        x, label = example
        units = x
        for layer in range(1, depth):
            units = jnp.tanh(params[f"W{layer}"] @ units + params[f"b{layer}"])
        return cross_entropy(params[f"W{depth}"] @ units + params[f"b{depth}"], label) + decay(params)

    def scores(params: Params, features: jax.Array) -> jax.Array:
        units = features.T  # examples last, as in `mean_cross_entropy`
        for layer in range(1, depth):
            units = jnp.tanh(params[f"W{layer}"] @ units + params[f"b{layer}"][:, None])
        return params[f"W{depth}"] @ units + params[f"b{depth}"][:, None]

    def batch_loss(params: Params, batch: tuple[jax.Array, jax.Array]) -> jax.Array:
        features, labels = batch
        return mean_cross_entropy(scores(params, features), labels) + decay(params)

    def accuracy(params: Params, batch: tuple[jax.Array, jax.Array]) -> jax.Array:
        features, labels = batch
        return share_of_largest(scores(params, features), labels)

    def init(key: jax.Array) -> Params:
        params = {}
        for layer, key_layer in enumerate(jax.random.split(key, depth), 1):
            params[f"W{layer}"] = glorot(key_layer, sizes[layer], sizes[layer - 1])
            params[f"b{layer}"] = jnp.zeros(sizes[layer])
        return params

    layers = " and ".join(str(units) for units in hidden)
    return Problem(
        name=name,
        loss=loss,
        batch_loss=batch_loss,
        init=init,
        data=(X, y),
        held_out=held_out,
        accuracy=accuracy,
        source=summary(f"{layers} tanh units", X, f"{classes} classes", f"ridge {ridge:g}"),
    )


def check_units(units: int) -> None:
    """Raise when a hidden layer has no units, or not a whole number of them."""
    whole("hidden", units, 1, "These are the units of a layer; softmax_regression and linear_regression have none.")


def glorot(key: jax.Array, outputs: int, inputs: int) -> jax.Array:
    """Weights (outputs, inputs) from N(0, 2/(inputs + outputs))."""
    return jnp.sqrt(2 / (inputs + outputs)) * jax.random.normal(key, (outputs, inputs))
