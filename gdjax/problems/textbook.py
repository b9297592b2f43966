"""The small problems of gradient-descent tutorials."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.problem import Problem
from gdjax.problems.registry import register

LINE_SEED = 0


@register("line-fit")
def line_fit() -> Problem:
    """A line through noise: the mean over 100 examples of (w·x + b − y)², x ~ U(0, 1), y = 2x + 3 + U(0, 1).

    Minimum: least squares in closed form, near w = 2 and b = 3.5 (the noise has mean ½); the residual variance is near
    1/12. Starts: w and b from N(0, 1).

    Source: the usual first example of tutorials on stochastic gradient descent; numpy's generator with seed 0.
    """
    draw = np.random.default_rng(LINE_SEED)
    x = draw.uniform(size=100)
    y = 2 * x + 3 + draw.uniform(size=100)
    (w, b), *_ = np.linalg.lstsq(np.column_stack([x, np.ones(100)]), y)
    return Problem(
        name="line-fit",
        loss=_squared_error,
        init=lambda key: dict(zip("wb", jax.random.normal(key, (2,)), strict=True)),
        data=(x, y),
        optimum=float(np.mean((w * x + b - y) ** 2)),
        minimizer={"w": w, "b": b},
        initial_loss=22.829384,
        source="y = 2x + 3 + U(0, 1) noise, X ~ U(0, 1), 100 examples",
    )


@register("bowl")
def bowl() -> Problem:
    """A round bowl: f(x) = x₀² + x₁², gradient (2x₀, 2x₁).

    Minimum: 0 at (0, 0). Starts: U(−5, 5)².

    Source: Saito 2016, "Deep Learning from Scratch", section 4.4.
    """
    return Problem(
        name="bowl",
        loss=lambda x: jnp.sum(x**2),
        init=lambda key: jax.random.uniform(key, (2,), minval=-5.0, maxval=5.0),
        optimum=0.0,
        minimizer=np.zeros(2),
        minima=np.zeros((1, 2)),
        domain=(-5.0, 5.0),
        initial_loss=16.436941,
        source="x0² + x1²",
    )


@register("parabola")
def parabola() -> Problem:
    """A parabola in one variable: f(x) = (x − 3)², gradient 2(x − 3); descent converges for rates below 1.

    Minimum: 0 at x = 3. Starts: U(−7, 13), ten to either side of the minimum.

    Source: the one-dimensional example of tutorials on gradient descent.
    """
    return Problem(
        name="parabola",
        loss=lambda x: (x - 3) ** 2,
        init=lambda key: jax.random.uniform(key, (), minval=-7.0, maxval=13.0),
        optimum=0.0,
        minimizer=np.array(3.0),
        minima=np.array([3.0]),
        domain=(-7.0, 13.0),
        initial_loss=26.640560,
        source="(x − 3)²",
    )


@register("coupled-quadratic")
def coupled_quadratic() -> Problem:
    """Two coupled variables: f(x) = x₀² + 2x₁² + 2x₀x₁, curvatures 3 ± √5, whose axes are not the coordinates'.

    Minimum: 0 at (0, 0). Starts: U(−5, 5)².

    Source: the two-variable example of tutorials on steepest descent.
    """
    return Problem(
        name="coupled-quadratic",
        loss=lambda x: x[0] ** 2 + 2 * x[1] ** 2 + 2 * x[0] * x[1],
        init=lambda key: jax.random.uniform(key, (2,), minval=-5.0, maxval=5.0),
        optimum=0.0,
        minimizer=np.zeros(2),
        minima=np.zeros((1, 2)),
        domain=(-5.0, 5.0),
        initial_loss=17.407335,
        source="x0² + 2 x1² + 2 x0 x1",
    )


@register("softmax-2x3")
def softmax_2x3() -> Problem:
    """A network of one 2×3 layer: cross entropy of softmax(x W) at x = (0.6, 0.9) against class 2, W (2, 3).

    f(W) = log Σₖ exp(zₖ) − z₂, z = x W. Infimum: 0, approached as z₂ outgrows the others and never reached.
    Starts: N(0, 1).

    Source: Saito 2016, "Deep Learning from Scratch", section 4.4.2.
    """
    return Problem(
        name="softmax-2x3",
        loss=_cross_entropy_2x3,
        init=lambda key: jax.random.normal(key, (2, 3)),
        optimum=0.0,
        initial_loss=1.2854607,
        source="2x3 softmax network with cross entropy, x = (0.6, 0.9), class 2",
    )


def _squared_error(params: dict[str, jax.Array], example: tuple[jax.Array, jax.Array]) -> jax.Array:
    x, y = example
    return (params["w"] * x + params["b"] - y) ** 2


def _cross_entropy_2x3(weights: jax.Array) -> jax.Array:
    scores = 0.6 * weights[0] + 0.9 * weights[1]
    return jax.nn.logsumexp(scores) - scores[2]
