"""Test functions with a handful of minima, all of them known, and saddles between."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.problem import Problem
from gdjax.problems.boxes import box_starts
from gdjax.problems.registry import register

# coordinates of minima: Newton's method in float64


@register("himmelblau")
def himmelblau() -> Problem:
    """Four equal minima, four saddles, one maximum: f(x) = (x₀² + x₁ − 11)² + (x₀ + x₁² − 7)².

    Minimum: 0 at (3, 2), and near (−2.805, 3.131), (−3.779, −3.283) and (3.584, −1.848). Starts: U(−5, 5)².

    Source: Himmelblau 1972, "Applied Nonlinear Programming", McGraw-Hill; Jamil & Yang 2013, arXiv 1308.4008, no. 65.
    """
    minima = [[3.0, 2.0], [-2.805118086952745, 3.131312518250573], [-3.779310253377747, -3.2831859912861696],
              [3.5844283403304917, -1.8481265269644036]]
    domain = (-5.0, 5.0)
    return Problem(
        name="himmelblau",
        loss=lambda x: (x[0] ** 2 + x[1] - 11) ** 2 + (x[0] + x[1] ** 2 - 7) ** 2,
        init=box_starts(domain),
        optimum=0.0,
        minimizer=np.array(minima[0]),
        minima=np.array(minima),
        domain=domain,
        initial_loss=113.32611,
        source="Himmelblau 1972, (x0² + x1 − 11)² + (x0 + x1² − 7)²",
    )


@register("three-hump-camel")
def three_hump_camel() -> Problem:
    """Three minima in a row: f(x) = 2x₀² − 1.05x₀⁴ + x₀⁶/6 + x₀x₁ + x₁².

    Minimum: 0 at (0, 0); the other two, 0.298638, at ±(1.7476, −0.8738). Starts: U(−5, 5)².

    Source: Branin 1972, in Jamil & Yang 2013, arXiv 1308.4008, no. 29.
    """
    side, domain = np.array([1.7475523458302888, -0.8737761729151444]), (-5.0, 5.0)
    return Problem(
        name="three-hump-camel",
        loss=lambda x: 2 * x[0] ** 2 - 1.05 * x[0] ** 4 + x[0] ** 6 / 6 + x[0] * x[1] + x[1] ** 2,
        init=box_starts(domain),
        optimum=0.0,
        minimizer=np.zeros(2),
        minima=np.stack([np.zeros(2), side, -side]),
        domain=domain,
        initial_loss=26.68889,
        source="Jamil & Yang 2013, arXiv 1308.4008, no. 29",
    )


@register("six-hump-camel")
def six_hump_camel() -> Problem:
    """Six minima of three depths: f(x) = (4 − 2.1x₀² + x₀⁴/3)x₀² + x₀x₁ + (4x₁² − 4)x₁².

    Minimum: −1.031628 at ±(0.0898, −0.7127); −0.215464 at ±(1.7036, −0.7961), 2.104250 at ±(1.6071, 0.5687).
    Starts: U(−5, 5)².

    Source: Branin 1972, in Jamil & Yang 2013, arXiv 1308.4008, no. 30.
    """
    half = np.array([[0.08984201310031806, -0.7126564030207396], [1.7036067149699807, -0.7960835686726251],
                     [1.6071047529201974, 0.5686514548841314]])
    domain = (-5.0, 5.0)
    return Problem(
        name="six-hump-camel",
        loss=_six_hump_camel,
        init=box_starts(domain),
        optimum=-1.0316284534898774,
        optimum_tolerance=1e-14,
        minimizer=half[0],
        minima=np.concatenate([half, -half]),
        domain=domain,
        initial_loss=596.521,
        source="Jamil & Yang 2013, arXiv 1308.4008, no. 30",
    )


@register("styblinski-tang")
def styblinski_tang() -> Problem:
    """Four minima of three depths, each variable on its own: f(x) = ½ Σᵢ (xᵢ⁴ − 16xᵢ² + 5xᵢ) in two dimensions.

    Minimum: −78.332331 at (a, a), a = −2.903534; −64.195612 at (a, b) and (b, a), −50.058893 at (b, b), b = 2.746803.
    Starts: U(−5, 5)².

    Source: Styblinski & Tang 1990, Neural Networks 3(4), p. 467; Jamil & Yang 2013, arXiv 1308.4008, no. 144.
    """
    roots, domain = (-2.903534027771177, 2.746802770990837), (-5.0, 5.0)
    return Problem(
        name="styblinski-tang",
        loss=lambda x: 0.5 * jnp.sum(x**4 - 16 * x**2 + 5 * x),
        init=box_starts(domain),
        optimum=-78.33233140754282,
        optimum_tolerance=1e-13,
        minimizer=np.full(2, roots[0]),
        minima=np.array(list(itertools.product(roots, roots))),
        domain=domain,
        initial_loss=-19.641474,
        source="Jamil & Yang 2013, arXiv 1308.4008, no. 144",
    )


@register("goldstein-price")
def goldstein_price() -> Problem:
    """Four minima from 3 to 840 under walls of a million: the product of two polynomials of degree four.

    f(x) = (1 + (x₀ + x₁ + 1)²(19 − 14x₀ + 3x₀² − 14x₁ + 6x₀x₁ + 3x₁²))
    · (30 + (2x₀ − 3x₁)²(18 − 32x₀ + 12x₀² + 48x₁ − 36x₀x₁ + 27x₁²)).
    Minimum: 3 at (0, −1); 30 at (−0.6, −0.4), 84 at (1.8, 0.2), 840 at (1.2, 0.8). Starts: U(−2, 2)².

    Source: Goldstein & Price 1971, "On descent from local minima", Mathematics of Computation 25(115), p. 571; Jamil &
    Yang 2013, arXiv 1308.4008, no. 58.
    """
    domain = (-2.0, 2.0)
    return Problem(
        name="goldstein-price",
        loss=_goldstein_price,
        init=box_starts(domain),
        optimum=3.0,
        minimizer=np.array([0.0, -1.0]),
        minima=np.array([[0.0, -1.0], [-0.6, -0.4], [1.8, 0.2], [1.2, 0.8]]),
        domain=domain,
        initial_loss=6314.7505,
        source="Goldstein & Price 1971; Jamil & Yang 2013, arXiv 1308.4008, no. 58",
    )


def _six_hump_camel(x: jax.Array) -> jax.Array:
    a, b = x[0], x[1]
    return (4 - 2.1 * a**2 + a**4 / 3) * a**2 + a * b + (4 * b**2 - 4) * b**2


def _goldstein_price(x: jax.Array) -> jax.Array:
    a, b = x[0], x[1]
    first = 19 - 14 * a + 3 * a**2 - 14 * b + 6 * a * b + 3 * b**2
    second = 18 - 32 * a + 12 * a**2 + 48 * b - 36 * a * b + 27 * b**2
    return (1 + (a + b + 1) ** 2 * first) * (30 + (2 * a - 3 * b) ** 2 * second)
