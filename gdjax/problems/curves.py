"""A network with one hidden layer that is fitted to numbers, and the curve that it learns."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.problem import Problem
from gdjax.problems.networks import check_units, glorot
from gdjax.problems.parts import RIDGE, Examples, Params, check_examples, check_ridge, penalty, summary
from gdjax.problems.registry import register


@register("sine-network")
def sine_network() -> Problem:
    """Eight tanh units fitted to a wave: y = sin(πx) at 64 points x evenly spaced from −1 to 1, mean of ½(f(x) − y)².

    Not convex: no optimum is known (its infimum is near 0), so its targets are losses.
    Starts: weights from N(0, 2/(inputs + outputs)), intercepts 0.

    Source: Bishop 2006, "Pattern Recognition and Machine Learning", figure 5.3 (b), there with 50 points and 3 units.
    """
    x = np.linspace(-1.0, 1.0, 64)
    problem = hidden_layer_regression(x[:, None], np.sin(np.pi * x), hidden=8, ridge=0.0, name="sine-network")
    return replace(problem, source="y = sin(πx) at 64 points of [−1, 1], 8 tanh units")


def hidden_layer_regression(
    X: np.ndarray,
    y: np.ndarray,
    *,
    hidden: int = 32,
    ridge: float = RIDGE,
    held_out: Examples | None = None,
    name: str = "hidden-layer-regression",
) -> Problem:
    """Regression by f(x) = w₂·tanh(W₁ x + b₁) + b₂: the mean over examples of ½(f − y)² plus (λ/2)(‖W₁‖² + ‖w₂‖²).

    Args:
        X: features, (examples, features), standardised or in [−1, 1].
        y: outcomes, (examples,).
        hidden: units of the hidden layer.
        ridge: λ of all weights; the intercepts are free.
        held_out: features and outcomes kept from training, with the columns of X.
        name: what reports call it.

    Returns:
        A problem with params {"W1": (hidden, features), "b1": (hidden,), "w2": (hidden,), "b2": ()}, starts with
        weights from N(0, 2/(inputs + outputs)) and intercepts 0; no optimum.

    Raises:
        TypeError, ValueError: see `gdjax.data.check_features`; a ridge below 0; no hidden units; held-out columns that
            are not those of X.

    Example:
        >>> problem = gdjax.problems.hidden_layer_regression(np.eye(3), np.array([0.0, 1.0, 4.0]), hidden=5)
        >>> problem.start(jax.random.key(0))["w2"].shape
        (5,)

    Source: Bishop 2006, "Pattern Recognition and Machine Learning", section 5.2.
    """
    ridge = check_ridge(ridge)
    check_units(hidden)
    (X, y), held_out = check_examples(X, y, held_out)

    def decay(params: Params) -> jax.Array:
        return penalty(ridge, params["W1"], params["w2"])

    def loss(params: Params, example: tuple[jax.Array, jax.Array]) -> jax.Array:
        x, outcome = example
        found = params["w2"] @ jnp.tanh(params["W1"] @ x + params["b1"]) + params["b2"]
        return 0.5 * (found - outcome) ** 2 + decay(params)

    def batch_loss(params: Params, batch: tuple[jax.Array, jax.Array]) -> jax.Array:
        features, outcomes = batch
        found = params["w2"] @ jnp.tanh(params["W1"] @ features.T + params["b1"][:, None]) + params["b2"]
        return 0.5 * jnp.mean((found - outcomes) ** 2) + decay(params)

    def init(key: jax.Array) -> Params:
        key_first, key_second = jax.random.split(key)
        return {
            "W1": glorot(key_first, hidden, X.shape[1]),
            "b1": jnp.zeros(hidden),
            "w2": glorot(key_second, 1, hidden)[0],
            "b2": jnp.zeros(()),
        }

    return Problem(
        name=name,
        loss=loss,
        batch_loss=batch_loss,
        init=init,
        data=(X, y),
        held_out=held_out,
        source=summary(f"{hidden} tanh units", X, f"ridge {ridge:g}"),
    )
