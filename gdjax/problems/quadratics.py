"""Quadratics of a chosen spectrum, without noise and with noise of a chosen size: what theory predicts exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.problem import Problem
from gdjax.problems.checks import real, whole
from gdjax.problems.registry import register


@register("ill-conditioned-quadratic")
def ill_conditioned_quadratic() -> Problem:
    """A long valley: ½ Σᵢ hᵢ xᵢ² in 10 dimensions, h log-spaced from 0.01 to 1, condition number 100.

    Minimum: 0 at the origin. Descent converges for rates below 2. Starts: N(0, 1) in each coordinate.

    Source: the standard example of dependence on the condition number, e.g. Nocedal & Wright 2006, "Numerical
    Optimization", theorem 3.4.
    """
    return quadratic(np.geomspace(0.01, 1.0, 10), name="ill-conditioned-quadratic", initial_loss=1.0258014)


@register("quadratic-10")
def quadratic_10() -> Problem:
    """A well-conditioned bowl: ½ Σᵢ hᵢ xᵢ² in 10 dimensions, h log-spaced from 0.1 to 1, condition number 10.

    Minimum: 0 at the origin. Descent converges for rates below 2. Starts: N(0, 1) in each coordinate.

    Source: as ill-conditioned-quadratic.
    """
    return conditioned_quadratic(10, name="quadratic-10", initial_loss=1.8503933)


@register("quadratic-1000")
def quadratic_1000() -> Problem:
    """A very long valley: ½ Σᵢ hᵢ xᵢ² in 10 dimensions, h log-spaced from 0.001 to 1, condition number 1,000.

    Minimum: 0 at the origin. Descent converges for rates below 2. Starts: N(0, 1) in each coordinate.

    Source: as ill-conditioned-quadratic.
    """
    return conditioned_quadratic(1000, name="quadratic-1000", initial_loss=0.72000796)


@register("rotated-quadratic")
def rotated_quadratic_of_100() -> Problem:
    """The spectrum of ill-conditioned-quadratic turned away from the coordinates: condition number 100, 10 dimensions.

    Plain descent cannot tell the two apart; optimizers that scale every coordinate on its own (Adam) can.
    Minimum: 0 at the origin. Descent converges for rates below 2. Starts: N(0, 1) in each coordinate.

    Source: Hansen et al. 2011, "Impacts of invariance in search", Applied Soft Computing 11, on rotated ellipsoids.
    """
    return rotated_quadratic(np.geomspace(0.01, 1.0, 10), name="rotated-quadratic", initial_loss=1.0169768)


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
        minima=np.zeros((1, len(curvatures))),
        initial_loss=initial_loss,
        source=f"½ Σ h x², {len(curvatures)} dimensions, condition number {curvatures.max() / curvatures.min():.3g}",
    )


def rotated_quadratic(
    spectrum: Sequence[float] | np.ndarray,
    *,
    seed: int = 0,
    name: str = "rotated-quadratic",
    initial_loss: float | None = None,
) -> Problem:
    """A quadratic whose axes are not the coordinates': f(x) = ½ xᵀ Q diag(h) Qᵀ x, Q a random rotation.

    Args:
        spectrum: curvatures h, (dim,), all positive.
        seed: of the numpy generator that draws Q.
        name: what reports call it.
        initial_loss: f₀ of the targets if known.

    Returns:
        A problem without data; minimum 0 at the origin, starts N(0, 1) in each coordinate.

    Raises:
        ValueError: the spectrum is empty, not one-dimensional, or holds a number that is not positive and finite.

    Example:
        >>> problem = gdjax.problems.rotated_quadratic([1.0, 4.0])
        >>> np.linalg.eigvalsh(jax.hessian(problem.loss)(jnp.zeros(2))).round(4).tolist()
        [1.0, 4.0]

    Source: Q is the orthogonal factor of a normal matrix, signs of R's diagonal made positive: Mezzadri 2007, "How to
    generate random matrices from the classical compact groups", Notices of the AMS 54(5).
    """
    curvatures = _positive("spectrum", spectrum)
    seed = whole("seed", seed, 0, "It is one of numpy.random.default_rng.")
    drawn = np.random.default_rng(seed).normal(size=(len(curvatures), len(curvatures)))
    basis, triangle = np.linalg.qr(drawn)
    # rows √h qᵀ, so that f is ½ ‖A x‖²: never below 0, whatever the rounding
    root = np.sqrt(curvatures)[:, None] * (basis * np.sign(np.diag(triangle))).T

    def loss(x: jax.Array) -> jax.Array:
        x = jnp.asarray(x)
        return 0.5 * jnp.sum((jnp.asarray(root, x.dtype) @ x) ** 2)

    return Problem(
        name=name,
        loss=loss,
        init=lambda key: jax.random.normal(key, curvatures.shape),
        optimum=0.0,
        minimizer=np.zeros(curvatures.shape),
        minima=np.zeros((1, len(curvatures))),
        initial_loss=initial_loss,
        source=f"½ xᵀ Q diag(h) Qᵀ x, {len(curvatures)} dimensions, condition number "
               f"{curvatures.max() / curvatures.min():.3g}",
    )


def conditioned_quadratic(
    condition: float, dim: int = 10, *, name: str = "conditioned-quadratic", initial_loss: float | None = None
) -> Problem:
    """A quadratic of a chosen condition number κ: ½ Σᵢ hᵢ xᵢ², h log-spaced from 1/κ to 1.

    At the best fixed rate 2/(1 + 1/κ) the distance to the minimum shrinks by (κ − 1)/(κ + 1) a step.

    Args:
        condition: κ, at least 1.
        dim: how many coordinates, at least 2.
        name: what reports call it.
        initial_loss: f₀ of the targets if known.

    Returns:
        A problem without data; minimum 0 at the origin, starts N(0, 1) in each coordinate.

    Raises:
        ValueError, TypeError: a condition number below 1 or not finite, dim below 2 or not whole.

    Example:
        >>> float(gdjax.problems.conditioned_quadratic(4, dim=2).loss(np.array([2.0, 1.0])))
        1.0

    Source: Nesterov 2004, "Introductory Lectures on Convex Optimization", theorem 2.1.15.
    """
    if not (math.isfinite(real("condition", condition)) and condition >= 1):
        raise ValueError(f"condition: must be a finite number of at least 1 (got {condition}). "
                         "It is the largest curvature over the smallest.")
    dim = whole("dim", dim, 2, "One coordinate has one curvature.")
    return quadratic(np.geomspace(1 / condition, 1.0, dim), name=name, initial_loss=initial_loss)


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
        ValueError, TypeError: curvatures or noise not positive and finite, of different lengths, or too few examples.

    Example:
        >>> gdjax.problems.noisy_quadratic([1.0, 0.1], [1.0, 0.1], examples=64).examples
        64

    Source: Zhang et al. 2019, arXiv 1907.04164, section 3.
    """
    h, c = _positive("curvatures", curvatures), _positive("noise", noise)
    if h.shape != c.shape:
        raise ValueError(f"noise: must be as long as curvatures (got {len(c)} and {len(h)}). Give one c for each h.")
    examples = whole("examples", examples, len(h) + 1,
                     "Fewer cannot have a second moment of full rank.")
    seed = whole("seed", seed, 0, "It is one of numpy.random.default_rng.")
    deviations = np.sqrt(c)

    def loss(theta: jax.Array, example: jax.Array) -> jax.Array:
        theta = jnp.asarray(theta)
        bowl = 0.5 * jnp.sum(jnp.asarray(h, theta.dtype) * theta**2)
        return bowl + jnp.sum(jnp.asarray(deviations, theta.dtype) * example * theta)

    return Problem(
        name=name,
        loss=loss,
        init=lambda key: jax.random.normal(key, h.shape),
        data=white(examples, len(h), seed),
        optimum=0.0,
        minimizer=np.zeros(h.shape),
        minima=np.zeros((1, len(h))),
        initial_loss=initial_loss,
        source="Zhang et al. 2019, arXiv 1907.04164: noisy quadratic model",
    )


def white(examples: int, dim: int, seed: int) -> np.ndarray:
    """Normal draws moved and mixed so that their mean is 0 and their second moment the identity, (examples, dim)."""
    drawn = np.random.default_rng(seed).normal(size=(examples, dim))
    basis, _ = np.linalg.qr(drawn - drawn.mean(axis=0))
    return np.sqrt(examples) * basis


def _positive(field: str, values: Sequence[float] | np.ndarray) -> np.ndarray:
    array = np.asarray(values)
    numbers = array.dtype.kind in "fiu" and array.ndim == 1 and len(array) > 0
    if not numbers or not (np.isfinite(array) & (array > 0)).all():
        raise ValueError(f"{field}: must be positive finite numbers, (dim,) (got {array.tolist()}). "
                         "A curvature of 0 or less has no single minimum.")
    return array.astype(np.float64)
