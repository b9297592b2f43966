"""Classical test functions in two variables: a bent valley, several minima with saddles between, very many minima."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.problem import Problem
from gdjax.problems.registry import register


@register("rosenbrock")
def rosenbrock() -> Problem:
    """The bent valley: f(x) = 100(x₁ − x₀²)² + (1 − x₀)².

    Minimum: 0 at (1, 1), its only stationary point. Starts: U(−2, 2)².

    Source: Rosenbrock 1960, "An automatic method for finding the greatest or least value of a function", Computer
    Journal 3(3), p. 175.
    """
    return Problem(
        name="rosenbrock",
        loss=lambda x: 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2,
        init=lambda key: jax.random.uniform(key, (2,), minval=-2.0, maxval=2.0),
        optimum=0.0,
        minimizer=np.ones(2),
        initial_loss=244.25824,
        source="Rosenbrock 1960, 100(x1 − x0²)² + (1 − x0)²",
    )


@register("himmelblau")
def himmelblau() -> Problem:
    """Four equal minima, four saddles, one maximum: f(x) = (x₀² + x₁ − 11)² + (x₀ + x₁² − 7)².

    Minimum: 0 at (3, 2), and near (−2.805, 3.131), (−3.779, −3.283) and (3.584, −1.848). Starts: U(−5, 5)².

    Source: Himmelblau 1972, "Applied Nonlinear Programming", McGraw-Hill.
    """
    return Problem(
        name="himmelblau",
        loss=lambda x: (x[0] ** 2 + x[1] - 11) ** 2 + (x[0] + x[1] ** 2 - 7) ** 2,
        init=lambda key: jax.random.uniform(key, (2,), minval=-5.0, maxval=5.0),
        optimum=0.0,
        minimizer=np.array([3.0, 2.0]),
        initial_loss=113.32611,
        source="Himmelblau 1972, (x0² + x1 − 11)² + (x0 + x1² − 7)²",
    )


@register("rastrigin")
def rastrigin() -> Problem:
    """A bowl full of ripples: f(x) = 20 + Σᵢ (xᵢ² − 10 cos 2πxᵢ), a local minimum near every whole-numbered point.

    Minimum: 0 at (0, 0). Starts: U(−5.12, 5.12)².

    Source: Rastrigin 1974, "Systems of extremal control", Nauka; in this form Mühlenbein, Schomisch & Born 1991,
    Parallel Computing 17, function F6.
    """
    return Problem(
        name="rastrigin",
        # x² + 20 sin²(πx) is the same ripple without the rounding of 20 − 10 cos − 10 cos near 0
        loss=lambda x: jnp.sum(x**2 + 20 * jnp.sin(np.pi * x) ** 2),
        init=lambda key: jax.random.uniform(key, (2,), minval=-5.12, maxval=5.12),
        optimum=0.0,
        minimizer=np.zeros(2),
        initial_loss=37.520725,
        source="Rastrigin 1974, 20 + Σ(xi² − 10 cos 2πxi)",
    )
