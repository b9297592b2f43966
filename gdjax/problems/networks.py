"""Networks trained by back-propagation."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from gdjax import data
from gdjax.problem import Problem
from gdjax.problems.registry import register
from gdjax.problems.regression import RIDGE, check_ridge, count_classes, cross_entropy, mean_cross_entropy


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


def one_hidden_layer(
    X: np.ndarray,
    y: np.ndarray,
    *,
    hidden: int = 32,
    classes: int | None = None,
    ridge: float = RIDGE,
    name: str = "one-hidden-layer",
) -> Problem:
    """A classifier with one hidden layer: cross entropy of z = W₂ tanh(W₁ x + b₁) + b₂ plus (λ/2)(‖W₁‖² + ‖W₂‖²).

    Args:
        X: features, (examples, features), standardised or in [0, 1].
        y: labels 0…K−1, (examples,).
        hidden: units of the hidden layer.
        classes: K; None takes the largest label + 1.
        ridge: λ of both weight matrices; the intercepts are free.
        name: what reports call it.

    Returns:
        A problem with params {"W1": (hidden, features), "b1": (hidden,), "W2": (classes, hidden), "b2": (classes,)},
        starts with weights from N(0, 2/(inputs + outputs)) and intercepts 0; no optimum.

    Raises:
        TypeError, ValueError: see `gdjax.data.check_features` and `gdjax.data.check_labels`; a ridge below 0; no
            hidden units.

    Example:
        >>> problem = gdjax.problems.one_hidden_layer(np.eye(3), np.array([0, 1, 2]), hidden=5)
        >>> problem.start(jax.random.key(0))["W1"].shape
        (5, 3)

    Source: starts by Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks",
    AISTATS, equation 16 (its variance, normal instead of uniform).
    """
    ridge = check_ridge(ridge)
    if hidden < 1:
        raise ValueError(f"hidden: must be at least 1 unit (got {hidden}). Use softmax_regression for no hidden layer.")
    X, y = data.check_features(X, y)
    classes = count_classes(y) if classes is None else classes

    def loss(params: dict[str, jax.Array], example: tuple[jax.Array, jax.Array]) -> jax.Array:
        x, label = example
        units = jnp.tanh(params["W1"] @ x + params["b1"])
        penalty = jnp.sum(params["W1"] ** 2) + jnp.sum(params["W2"] ** 2)
        return cross_entropy(params["W2"] @ units + params["b2"], label) + 0.5 * ridge * penalty

    def batch_loss(params: dict[str, jax.Array], batch: tuple[jax.Array, jax.Array]) -> jax.Array:
        features, labels = batch
        units = jnp.tanh(params["W1"] @ features.T + params["b1"][:, None])
        scores = params["W2"] @ units + params["b2"][:, None]
        penalty = jnp.sum(params["W1"] ** 2) + jnp.sum(params["W2"] ** 2)
        return mean_cross_entropy(scores, labels) + 0.5 * ridge * penalty

    def init(key: jax.Array) -> dict[str, jax.Array]:
        key_first, key_second = jax.random.split(key)
        return {
            "W1": _glorot(key_first, hidden, X.shape[1]),
            "b1": jnp.zeros(hidden),
            "W2": _glorot(key_second, classes, hidden),
            "b2": jnp.zeros(classes),
        }

    return Problem(
        name=name,
        loss=loss,
        batch_loss=batch_loss,
        init=init,
        data=(X, data.check_labels(y, classes)),
        source=f"{hidden} tanh units, {X.shape[0]} examples, {X.shape[1]} features, {classes} classes, ridge {ridge:g}",
    )


def _glorot(key: jax.Array, outputs: int, inputs: int) -> jax.Array:
    return jnp.sqrt(2 / (inputs + outputs)) * jax.random.normal(key, (outputs, inputs))
