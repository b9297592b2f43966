"""Test functions with very many minima, all written so that nothing cancels at the lowest one, 0."""

from __future__ import annotations

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.problem import Problem
from gdjax.problems.boxes import box_starts
from gdjax.problems.registry import register

# coordinates of minima: Newton's method in float64
RASTRIGIN = (0.0, 0.9949586376523348, 1.9899122337085495, 2.9848557010394816, 3.9797838603007536, 4.974691390895051)
GRIEWANK = (
    (0.0, 0.0), (3.1400226338955397, 4.438444480920714), (6.280045279379904, 0.0), (0.0, 8.876888929095657),
    (9.420067886213593, 4.438444437201061), (6.280045217550294, 8.876888885374552),
)
LEVY_FIRST = (1.0, 3.79108219045051, -4.205434985718204, 7.723082150790461, -8.244554665464946)
LEVY_LAST = (
    1.0, -2.8906496084617137, 4.890649608461714, 6.930286250610244, -4.930286250610243, -6.948452278487519,
    8.948452278487519, -8.959023320607939,
)


@register("rastrigin")
def rastrigin() -> Problem:
    """A bowl full of ripples: f(x) = 20 + Σᵢ (xᵢ² − 10 cos 2πxᵢ), a local minimum near every whole-numbered point.

    Minimum: 0 at (0, 0), one of 121 in the box, all of them listed. Starts: U(−5.12, 5.12)².

    Source: Rastrigin 1974, "Systems of extremal control", Nauka; in this form Mühlenbein, Schomisch & Born 1991,
    Parallel Computing 17, function F6.
    """
    along, domain = sorted({sign * x for x in RASTRIGIN for sign in (-1, 1)}), (-5.12, 5.12)
    return Problem(
        name="rastrigin",
        # x² + 20 sin²(πx) is the same ripple without the rounding of 20 − 10 cos − 10 cos near 0
        loss=lambda x: jnp.sum(x**2 + 20 * jnp.sin(np.pi * x) ** 2),
        init=box_starts(domain),
        optimum=0.0,
        minimizer=np.zeros(2),
        minima=np.array(list(itertools.product(along, along))),
        domain=domain,
        initial_loss=37.520725,
        source="Rastrigin 1974, 20 + Σ(xi² − 10 cos 2πxi)",
    )


@register("ackley")
def ackley() -> Problem:
    """A rippled funnel with a kink at its tip: f(x) = 20 + e − 20 exp(−0.2√(½Σxᵢ²)) − exp(½Σ cos 2πxᵢ), two dimensions.

    Minimum: 0 at (0, 0), where the slope jumps from −2√2 to 2√2; it is set to 0 there. Of its many local minima only
    this one is listed. Starts: U(−5, 5)² (the source: ±35).

    Source: Ackley 1987, "A Connectionist Machine for Genetic Hillclimbing", p. 13; Jamil & Yang 2013, arXiv 1308.4008,
    no. 1.
    """
    domain = (-5.0, 5.0)
    return Problem(
        name="ackley",
        loss=_ackley,
        init=box_starts(domain),
        optimum=0.0,
        minimizer=np.zeros(2),
        minima=np.zeros((1, 2)),
        domain=domain,
        initial_loss=10.230867,
        source="Jamil & Yang 2013, arXiv 1308.4008, no. 1",
    )


@register("griewank")
def griewank() -> Problem:
    """Ripples on an almost flat bowl: f(x) = 1 + (x₀² + x₁²)/4000 − cos(x₀) cos(x₁/√2).

    Minimum: 0 at (0, 0), one of 17 in the box, all of them listed; the next lowest, 0.007396, at (±3.14, ±4.44).
    Starts: U(−10, 10)² (the source: ±100).

    Source: Griewank 1981, "Generalized descent for global optimization", Journal of Optimization Theory and
    Applications 34(1); Jamil & Yang 2013, arXiv 1308.4008, no. 59.
    """
    signs, domain = itertools.product((-1, 1), (-1, 1)), (-10.0, 10.0)
    minima = sorted({(a * x + 0.0, b * y + 0.0) for a, b in signs for x, y in GRIEWANK})
    return Problem(
        name="griewank",
        # cos a cos b = ½(cos(a + b) + cos(a − b)), so that 1 − cos a cos b = sin²½(a + b) + sin²½(a − b)
        loss=lambda x: jnp.sum(x**2) / 4000 + jnp.sum(
            jnp.sin((x[0] + np.array([1, -1]) * x[1] / math.sqrt(2)) / 2) ** 2),
        init=box_starts(domain),
        optimum=0.0,
        minimizer=np.zeros(2),
        minima=np.array(minima),
        domain=domain,
        initial_loss=1.0127571,
        source="Jamil & Yang 2013, arXiv 1308.4008, no. 59",
    )


@register("levy")
def levy() -> Problem:
    """Ripples across a bowl, another wave in each variable: f = sin²πw₀ + (w₀ − 1)²(1 + 10 sin²(πw₀ + 1)) + …

    … + (w₁ − 1)²(1 + sin²2πw₁), w = 1 + (x − 1)/4. Minimum: 0 at (1, 1), one of 40 in the box, all of them listed.
    Starts: U(−10, 10)².

    Source: Levy & Montalvo 1985, "The tunneling algorithm for the global minimization of functions", SIAM Journal on
    Scientific and Statistical Computing 6(1); in this form Laguna & Martí 2005, Journal of Global Optimization 33.
    """
    domain = (-10.0, 10.0)
    return Problem(
        name="levy",
        loss=_levy,
        init=box_starts(domain),
        optimum=0.0,
        minimizer=np.ones(2),
        minima=np.array(list(itertools.product(LEVY_FIRST, LEVY_LAST))),
        domain=domain,
        initial_loss=11.566746,
        source="Levy & Montalvo 1985, two dimensions",
    )


def _ackley(x: jax.Array) -> jax.Array:
    square = jnp.mean(x**2)
    # √ has an infinite slope at 0, and 0·∞ would make the gradient NaN: the inner `where` keeps √ away from 0
    away = square > 0
    radius = jnp.where(away, jnp.sqrt(jnp.where(away, square, 1.0)), 0.0)
    # 20 − 20 exp(−r/5) and e − exp(mean cos 2πx) without cancelling, by cos 2a = 1 − 2 sin²a
    return -20 * jnp.expm1(-0.2 * radius) - math.e * jnp.expm1(-2 * jnp.mean(jnp.sin(np.pi * x) ** 2))


def _levy(x: jax.Array) -> jax.Array:
    v = (x - 1) / 4  # w − 1: sin² has period π, so πw and πv give the same
    first = jnp.sin(np.pi * v[0]) ** 2 + v[0] ** 2 * (1 + 10 * jnp.sin(np.pi * v[0] + 1) ** 2)
    return first + v[1] ** 2 * (1 + jnp.sin(2 * np.pi * v[1]) ** 2)
