"""Quadratics of a chosen spectrum, without noise and with noise of a chosen size: what theory predicts exactly."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.problem import Problem
from gdjax.problems.registry import register


@register("ill-conditioned-quadratic")
def ill_conditioned_quadratic() -> Problem:
    """A long valley: ½ Σᵢ hᵢ xᵢ² in 10 dimensions, h log-spaced from 0.01 to 1, condition number 100.

    Minimum: 0 at the origin. Descent converges for rates below 2. Starts: N(0, 1) in each coordinate.

    Source: the standard example of dependence on the condition number, e.g. Nocedal & Wright 2006, "Numerical
    Optimization", theorem 3.4.
    """
    return quadratic(np.geomspace(0.01, 1.0, 10), name="ill-conditioned-quadratic", initial_loss=1.0258014)


@register("noisy-quadratic")
def noisy_quadratic_of_16() -> Problem:
    """The noisy quadratic model in 16 dimensions with 4,096 examples: curvatures hᵢ = 1/i and noise cᵢ = hᵢ.

    Minimum: 0 at the origin. Starts: N(0, 1) in each coordinate.

    Source: Zhang et al. 2019, arXiv 1907.04164, section 3 (there with 10,000 dimensions).
    """
    curvatures = 1 / np.arange(1, 17)
    return noisy_quadratic(curvatures, curvatures, name="noisy-quadratic", initial_loss=1.5254560)


def quadratic(
    spectrum: Sequence[float] | np.ndarray, *, name: str = "quadratic", initial_loss: float | None = None
) -> Problem:
    """A quadratic along the coordinates: f(x) = ½ Σᵢ hᵢ xᵢ², gradient hᵢ xᵢ; descent converges for rates below 2/max h.

    Args:
        spectrum: curvatures h, (dim,), all positive.
        name: what reports call it.
        initial_loss: f₀ of the targets if known.

    Returns:
        A problem without data; minimum 0 at the origin, starts N(0, 1) in each coordinate.

    Raises:
        ValueError: the spectrum is empty, not one-dimensional, or holds a number that is not positive and finite.

    Example:
        >>> float(gdjax.problems.quadratic([1.0, 4.0]).loss(np.array([2.0, 1.0])))
        4.0
    """
    curvatures = _positive("spectrum", spectrum)

    def loss(x: jax.Array) -> jax.Array:
        x = jnp.asarray(x)
        return 0.5 * jnp.sum(jnp.asarray(curvatures, x.dtype) * x**2)

    return Problem(
        name=name,
        loss=loss,
        init=lambda key: jax.random.normal(key, curvatures.shape),
        optimum=0.0,
        minimizer=np.zeros(curvatures.shape),
        initial_loss=initial_loss,
        source=f"½ Σ h x², {len(curvatures)} dimensions, condition number {curvatures.max() / curvatures.min():.3g}",
    )


def noisy_quadratic(
    curvatures: Sequence[float] | np.ndarray,
    noise: Sequence[float] | np.ndarray,
    *,
    examples: int = 4096,
    seed: int = 0,
    name: str = "noisy-quadratic",
    initial_loss: float | None = None,
) -> Problem:
    """The noisy quadratic model: loss(θ, e) = ½ Σᵢ hᵢ θᵢ² + Σᵢ √cᵢ eᵢ θᵢ, the examples e white to rounding.

    (1/n) Σₑ e = 0 and (1/n) Σₑ e eᵀ = I, so the objective is ½ Σ hᵢ θᵢ², and the gradient of a batch of B examples
    drawn with replacement has variance exactly cᵢ/B in coordinate i. With rate α, E[θᵢ²] follows
    sᵢ ← (1 − αhᵢ)² sᵢ + α² cᵢ/B and settles at α cᵢ/(hᵢ B (2 − αhᵢ)).

    Args:
        curvatures: h, (dim,), all positive.
        noise: c, (dim,), all positive: the variance of one example's gradient.
        examples: how many examples n, more than dim.
        seed: of the numpy generator that draws the examples.
        name: what reports call it.
        initial_loss: f₀ of the targets if known.

    Returns:
        A problem with data (examples, dim); minimum 0 at the origin, starts N(0, 1) in each coordinate.

    Raises:
        ValueError: curvatures or noise not positive and finite, of different lengths, or too few examples.

    Example:
        >>> gdjax.problems.noisy_quadratic([1.0, 0.1], [1.0, 0.1], examples=64).examples
        64

    Source: Zhang et al. 2019, arXiv 1907.04164, section 3.
    """
    h, c = _positive("curvatures", curvatures), _positive("noise", noise)
    if h.shape != c.shape:
        raise ValueError(f"noise: must be as long as curvatures (got {len(c)} and {len(h)}). Give one c for each h.")
    if examples <= len(h):
        raise ValueError(f"examples: must be more than the {len(h)} dimensions (got {examples}). "
                         "Fewer cannot have a second moment of full rank.")
    deviations = np.sqrt(c)

    def loss(theta: jax.Array, example: jax.Array) -> jax.Array:
        theta = jnp.asarray(theta)
        bowl = 0.5 * jnp.sum(jnp.asarray(h, theta.dtype) * theta**2)
        return bowl + jnp.sum(jnp.asarray(deviations, theta.dtype) * example * theta)

    return Problem(
        name=name,
        loss=loss,
        init=lambda key: jax.random.normal(key, h.shape),
        data=_white(examples, len(h), seed),
        optimum=0.0,
        minimizer=np.zeros(h.shape),
        initial_loss=initial_loss,
        source="Zhang et al. 2019, arXiv 1907.04164: noisy quadratic model",
    )


def _white(examples: int, dim: int, seed: int) -> np.ndarray:
    """Normal draws moved and mixed so that their mean is 0 and their second moment the identity, (examples, dim)."""
    drawn = np.random.default_rng(seed).normal(size=(examples, dim))
    basis, _ = np.linalg.qr(drawn - drawn.mean(axis=0))
    return np.sqrt(examples) * basis


def _positive(field: str, values: Sequence[float] | np.ndarray) -> np.ndarray:
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or len(array) == 0 or not (np.isfinite(array) & (array > 0)).all():
        raise ValueError(f"{field}: must be positive finite numbers, (dim,) (got {array.tolist()}). "
                         "A curvature of 0 or less has no single minimum.")
    return array
