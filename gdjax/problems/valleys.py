"""Test functions whose trouble is the shape of one valley: bent, stretched, or flat."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.problem import Problem
from gdjax.problems.boxes import box_starts
from gdjax.problems.checks import whole
from gdjax.problems.registry import register

# the second minimum of Rosenbrock in 10 dimensions, by Newton's method in float64
SECOND_OF_10 = (
    -0.9932633728563689, 0.9966060394434352, 0.9982406113911125, 0.9989884337678004, 0.9992261534396647,
    0.9990736481633435, 0.9984541774029069, 0.9970562516630319, 0.9941793752280471, 0.9883926301288003,
)


@register("rosenbrock")
def rosenbrock_of_2() -> Problem:
    """The bent valley: f(x) = 100(x₁ − x₀²)² + (1 − x₀)².

    Minimum: 0 at (1, 1), its only stationary point. Starts: U(−2, 2)².

    Source: Rosenbrock 1960, "An automatic method for finding the greatest or least value of a function", Computer
    Journal 3(3), p. 175.
    """
    problem = rosenbrock(2, name="rosenbrock")
    return replace(problem, minima=np.ones((1, 2)), initial_loss=244.25824,
                   source="Rosenbrock 1960, 100(x1 − x0²)² + (1 − x0)²")


@register("rosenbrock-10")
def rosenbrock_of_10() -> Problem:
    """The bent valley in 10 dimensions: f(x) = Σᵢ 100(xᵢ₊₁ − xᵢ²)² + (1 − xᵢ)², not convex and with a second minimum.

    Minimum: 0 at (1, …, 1); the other one, 3.986579, is near (−1, 1, …, 1). Starts: U(−2, 2)¹⁰.

    Source: Jamil & Yang 2013, arXiv 1308.4008, no. 105; the second minimum: Shang & Qiu 2006, "A note on the extended
    Rosenbrock function", Evolutionary Computation 14(1).
    """
    problem = rosenbrock(10, name="rosenbrock-10")
    return replace(problem, minima=np.stack([np.ones(10), SECOND_OF_10]), initial_loss=3859.3096)


@register("beale")
def beale() -> Problem:
    """A long flat valley and steep corners: f(x) = (1.5 − x₀ + x₀x₁)² + (2.25 − x₀ + x₀x₁²)² + (2.625 − x₀ + x₀x₁³)².

    Minimum: 0 at (3, 0.5); a saddle of 14.203125 at (0, 1). Starts: U(−4.5, 4.5)².

    Source: Beale 1958, in Jamil & Yang 2013, arXiv 1308.4008, no. 10.
    """
    domain = (-4.5, 4.5)
    return Problem(
        name="beale",
        loss=lambda x: sum((c - x[0] + x[0] * x[1] ** k) ** 2 for k, c in ((1, 1.5), (2, 2.25), (3, 2.625))),
        init=box_starts(domain),
        optimum=0.0,
        minimizer=np.array([3.0, 0.5]),
        minima=np.array([[3.0, 0.5]]),
        domain=domain,
        initial_loss=376.57574,
        source="Jamil & Yang 2013, arXiv 1308.4008, no. 10",
    )


@register("booth")
def booth() -> Problem:
    """A quadratic away from the origin: f(x) = (x₀ + 2x₁ − 7)² + (2x₀ + x₁ − 5)², curvatures 2 and 18.

    Minimum: 0 at (1, 3). Starts: U(−10, 10)².

    Source: Jamil & Yang 2013, arXiv 1308.4008, no. 20.
    """
    domain = (-10.0, 10.0)
    return Problem(
        name="booth",
        loss=lambda x: (x[0] + 2 * x[1] - 7) ** 2 + (2 * x[0] + x[1] - 5) ** 2,
        init=box_starts(domain),
        optimum=0.0,
        minimizer=np.array([1.0, 3.0]),
        minima=np.array([[1.0, 3.0]]),
        domain=domain,
        initial_loss=261.03177,
        source="Jamil & Yang 2013, arXiv 1308.4008, no. 20",
    )


@register("matyas")
def matyas() -> Problem:
    """A stretched quadratic along the diagonal: f(x) = 0.26(x₀² + x₁²) − 0.48x₀x₁, curvatures 0.04 and 1.

    Minimum: 0 at (0, 0). Starts: U(−10, 10)².

    Source: Jamil & Yang 2013, arXiv 1308.4008, no. 71.
    """
    domain = (-10.0, 10.0)
    return Problem(
        name="matyas",
        loss=lambda x: 0.26 * jnp.sum(x**2) - 0.48 * x[0] * x[1],
        init=box_starts(domain),
        optimum=0.0,
        minimizer=np.zeros(2),
        minima=np.zeros((1, 2)),
        domain=domain,
        initial_loss=10.574076,
        source="Jamil & Yang 2013, arXiv 1308.4008, no. 71",
    )


def rosenbrock(dim: int = 2, *, name: str = "rosenbrock") -> Problem:
    """Rosenbrock's valley in any dimension: f(x) = Σᵢ 100(xᵢ₊₁ − xᵢ²)² + (1 − xᵢ)² over i from 0 to dim − 2.

    Args:
        dim: how many coordinates, at least 2. From 4 on there is a second minimum near (−1, 1, …, 1).
        name: what reports call it.

    Returns:
        A problem without data; minimum 0 at (1, …, 1), starts U(−2, 2) in each coordinate.

    Raises:
        ValueError, TypeError: dim below 2, or not whole.

    Example:
        >>> float(gdjax.problems.rosenbrock(3).loss(np.zeros(3)))
        2.0

    Source: Jamil & Yang 2013, arXiv 1308.4008, no. 105; more minima: Shang & Qiu 2006, Evolutionary Computation 14(1).
    """
    dim = whole("dim", dim, 2, "The valley is that of one coordinate over another.")
    domain = (-2.0, 2.0)

    def loss(x: jax.Array) -> jax.Array:
        before, after = x[:-1], x[1:]
        return jnp.sum(100 * (after - before**2) ** 2 + (1 - before) ** 2)

    return Problem(
        name=name,
        loss=loss,
        init=box_starts(domain, dim),
        optimum=0.0,
        minimizer=np.ones(dim),
        domain=domain,
        source=f"Rosenbrock, {dim} dimensions",
    )
