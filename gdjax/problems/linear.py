"""What problems whose only parameters are w and b share: loss of a score, starts, accuracy of its sign."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from gdjax.problem import Problem
from gdjax.problems.parts import Examples, Params, penalty

Loss = Callable[[jax.Array, jax.Array], jax.Array]
"""`loss(z, y) -> scalar` of one example's score and outcome."""


def linear_problem(
    name: str,
    loss: Loss,
    train: Examples,
    held_out: Examples | None,
    *,
    source: str,
    ridge: float | None = None,
    spread: float = 1.0,
    classifies: bool = False,
) -> Problem:
    """The mean over examples of loss(z, y), z = w·x + b, plus (λ/2)‖w‖² where there is a ridge; no optimum.

    Args:
        name: what reports call it.
        loss: `loss(z, y) -> scalar`.
        train: features (examples, features) and outcomes (examples,), checked.
        held_out: the same of examples kept from training, or None.
        source: where formula and data come from.
        ridge: λ, or None for a loss without a penalty.
        spread: standard deviation of the starts of w; b starts at 0.
        classifies: whether y is 0 or 1 and the sign of z tells which.
    """

    def of_example(params: Params, example: tuple[jax.Array, jax.Array]) -> jax.Array:
        x, outcome = example
        value = loss(params["w"] @ x + params["b"], outcome)
        return value if ridge is None else value + penalty(ridge, params["w"])

    return Problem(
        name=name,
        loss=of_example,
        init=lambda key: {"w": spread * jax.random.normal(key, (train[0].shape[1],)), "b": jnp.zeros(())},
        data=train,
        held_out=held_out,
        accuracy=_share_of_sign if classifies else None,
        source=source,
    )


def _share_of_sign(params: Params, batch: tuple[jax.Array, jax.Array]) -> jax.Array:
    """Share of a batch whose score is above 0 for label 1 and not above 0 for label 0."""
    features, labels = batch
    scores = features @ params["w"] + params["b"]
    return jnp.mean(((scores > 0) == (labels > 0)).astype(scores.dtype))
