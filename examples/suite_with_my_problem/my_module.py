"""A problem of your own for a suite: a cubic through a noisy sine, its smallest loss in closed form."""

from __future__ import annotations

import jax
import numpy as np

import gdjax


def make_problem() -> gdjax.Problem:
    """Mean squared error of a cubic in Legendre polynomials, 200 points of sin 3x + noise on [−1, 1]."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, 200)
    features = np.polynomial.legendre.legvander(x, 3)  # (200, 4): nearly orthogonal, so that one rate suits them all
    y = np.sin(3 * x) + 0.1 * rng.normal(size=200)
    coefficients, squares, _, _ = np.linalg.lstsq(features, y, rcond=None)
    return gdjax.Problem(
        name="cubic-through-sine",
        loss=lambda w, example: (w @ example[0] - example[1]) ** 2,  # of ONE example
        init=lambda key: jax.random.normal(key, (4,)),
        data=(features, y),
        optimum=float(squares[0] / 200),  # known, so that the suite can aim at shares of the initial gap
        minimizer=coefficients,
        source="sin 3x + 0.1 N(0, 1) at 200 points, cubic in Legendre polynomials",
    )
