"""A double well seen through noise: what the noise of single examples is good for."""

from __future__ import annotations

import math
from typing import TypeVar

import jax
import numpy as np

from gdjax.problem import Problem
from gdjax.problems.checks import real, whole
from gdjax.problems.quadratics import white
from gdjax.problems.registry import register

Place = TypeVar("Place", jax.Array, float)
TILT_LIMIT = 2 / (3 * math.sqrt(3))  # from here on x³ − x + tilt = 0 has one root: one well


@register("noisy-double-well")
def noisy_double_well_of_1024() -> Problem:
    """A tilted double well of which every example shows another slope: 1,024 examples, J(x) = ¼x⁴ − ½x² + 0.1x.

    The gradient of one example is J′(x) + e, e of mean 0 and variance 1. At rates of 0.1 and 0.2 that noise carries SGD
    from the local minimum over the hill at x = 0.101 (5 of 6 starts in 2,000 steps), which BGD never crosses.
    Minimum: −0.352386 at x = −1.046681, a local one of −0.152639 at 0.945649, both in closed form. Starts: U(−2, 2).

    Source: Kramers 1940, "Brownian motion in a field of force", Physica 7(4): the escape over a barrier by noise.
    """
    return noisy_double_well(name="noisy-double-well", initial_loss=-0.04395166)


def noisy_double_well(
    *,
    tilt: float = 0.1,
    noise: float = 1.0,
    examples: int = 1024,
    seed: int = 0,
    name: str = "noisy-double-well",
    initial_loss: float | None = None,
) -> Problem:
    """A double well with noisy examples: loss(x, e) = ¼x⁴ − ½x² + t x + √c e x, the examples e white to rounding.

    (1/n) Σ e = 0 and (1/n) Σ e² = 1, so J(x) = ¼x⁴ − ½x² + t x, and the gradient of a batch of B examples drawn with
    replacement has variance c/B everywhere. The stationary points are the roots of x³ − x + t = 0.

    Args:
        tilt: t, between ±2/(3√3) = ±0.3849; above 0 the left well is the lower one.
        noise: c, the variance of one example's gradient, above 0.
        examples: how many examples n, at least 2.
        seed: of the numpy generator that draws the examples.
        name: what reports call it.
        initial_loss: f₀ of the targets if known.

    Returns:
        A problem with data (examples,) and params (), both minima in closed form, the lower one first, and starts
        U(−2, 2).

    Raises:
        ValueError, TypeError: a tilt without two wells, noise not above 0, fewer than two examples.

    Example:
        >>> gdjax.problems.noisy_double_well(tilt=0.1).minima.round(4).tolist()
        [-1.0467, 0.9456]

    Source: Kramers 1940, Physica 7(4); roots: Viète's formula for three real roots.
    """
    if not abs(real("tilt", tilt)) < TILT_LIMIT:
        raise ValueError(f"tilt: must be between ±{TILT_LIMIT:.4f} (got {tilt}). A steeper tilt leaves one well.")
    if not (math.isfinite(real("noise", noise)) and noise > 0):
        raise ValueError(f"noise: must be a finite number above 0 (got {noise}). It is the variance of a gradient.")
    examples = whole("examples", examples, 2, "One example has no noise.")
    seed = whole("seed", seed, 0, "It is one of numpy.random.default_rng.")
    deviation, domain = math.sqrt(noise), (-2.0, 2.0)
    third = math.acos(-tilt / TILT_LIMIT) / 3
    roots = [2 / math.sqrt(3) * math.cos(third - 2 * math.pi * turn / 3) for turn in (0, 2)]
    minima = np.array(sorted(roots, key=lambda x: _well(x, tilt)))

    def loss(x: jax.Array, example: jax.Array) -> jax.Array:
        return _well(x, tilt) + deviation * example * x

    return Problem(
        name=name,
        loss=loss,
        init=lambda key: jax.random.uniform(key, (), minval=domain[0], maxval=domain[1]),
        data=white(examples, 1, seed)[:, 0],
        optimum=float(_well(minima[0], tilt)),
        minimizer=minima[0],
        minima=minima,
        domain=domain,
        initial_loss=initial_loss,
        source=f"¼x⁴ − ½x² + {tilt:g}x, gradients of variance {noise:g}, {examples} examples",
    )


def _well(x: Place, tilt: float) -> Place:
    return x**4 / 4 - x**2 / 2 + tilt * x
