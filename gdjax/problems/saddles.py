"""Where the gradient is zero and there is no minimum: saddles, a plateau, an inflection."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.problem import Problem
from gdjax.problems.boxes import box_starts
from gdjax.problems.registry import register


@register("saddle")
def saddle() -> Problem:
    """A saddle between two minima: f(x) = ½x₀² − ½x₁² + ¼x₁⁴, curvatures 1 and −1 at (0, 0).

    Minimum: −¼ at (0, 1) and (0, −1), curvatures 1 and 2. Descent from x₁ = 0 exactly stops at the saddle.
    Starts: U(−2, 2)².

    Source: Nesterov 2004, "Introductory Lectures on Convex Optimization", example 1.2.2.
    """
    domain = (-2.0, 2.0)
    return Problem(
        name="saddle",
        loss=lambda x: x[0] ** 2 / 2 - x[1] ** 2 / 2 + x[1] ** 4 / 4,
        init=box_starts(domain),
        optimum=-0.25,
        minimizer=np.array([0.0, 1.0]),
        minima=np.array([[0.0, 1.0], [0.0, -1.0]]),
        domain=domain,
        initial_loss=0.68884236,
        source="½x0² − ½x1² + ¼x1⁴",
    )


@register("monkey-saddle")
def monkey_saddle() -> Problem:
    """A saddle for three legs: f(x) = x₀³ − 3x₀x₁². At (0, 0) the gradient and every curvature are 0.

    It falls without end in three directions, so no optimum is known and none exists. Starts: U(−1, 1)².

    Source: Hilbert & Cohn-Vossen 1932, "Anschauliche Geometrie", section 29.
    """
    domain = (-1.0, 1.0)
    return Problem(
        name="monkey-saddle",
        loss=lambda x: x[0] ** 3 - 3 * x[0] * x[1] ** 2,
        init=box_starts(domain),
        domain=domain,
        source="x0³ − 3x0 x1²",
    )


@register("plateau")
def plateau() -> Problem:
    """A hole in a plain: f(x) = −exp(−½‖x‖²) in two dimensions, its gradient r exp(−½r²) at distance r: 2e-5 at r = 5.

    Minimum: −1 at (0, 0), curvatures 1 and 1. Starts: U(−5, 5)², half of them where the gradient is below 0.0014.

    Source: minus the density of the normal distribution, up to a factor.
    """
    domain = (-5.0, 5.0)
    return Problem(
        name="plateau",
        loss=lambda x: -jnp.exp(-jnp.sum(x**2) / 2),
        init=box_starts(domain),
        optimum=-1.0,
        minimizer=np.zeros(2),
        minima=np.zeros((1, 2)),
        domain=domain,
        initial_loss=-0.00026962711,
        source="−exp(−½(x0² + x1²))",
    )


@register("wavy-curve")
def wavy_curve() -> Problem:
    """The tutorials' picture, a curve with every kind of flat point: f′(x) = (x + 2)(x + 1)(x − 1)²(x − 2).

    f(x) = x⁶/6 − x⁵/5 − 5x⁴/4 + 5x³/3 + 2x² − 4x. Minimum: −2.4 at x = 2; a local one of −4/15 at −2, a maximum of 3.45
    at −1, and at 1 a level inflection (the saddle of one dimension) where descent from the left slows down.
    Starts: U(−2.5, 2.5).

    Source: the figure of local minima and saddle points in tutorials on gradient descent; its polynomial is ours.
    """
    domain = (-2.5, 2.5)
    return Problem(
        name="wavy-curve",
        loss=_wavy_curve,
        init=lambda key: jax.random.uniform(key, (), minval=domain[0], maxval=domain[1]),
        optimum=-2.4,
        minimizer=np.array(2.0),
        minima=np.array([2.0, -2.0]),
        domain=domain,
        initial_loss=-0.22935122,
        source="x⁶/6 − x⁵/5 − 5x⁴/4 + 5x³/3 + 2x² − 4x",
    )


def _wavy_curve(x: jax.Array) -> jax.Array:
    return x * (-4 + x * (2 + x * (5 / 3 + x * (-5 / 4 + x * (-1 / 5 + x / 6)))))
