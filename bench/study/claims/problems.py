"""The small problems that claims need and gdjax does not ship: each has one point that theory can speak about."""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

import gdjax

TILT = 0.1  # of the double well: its global minimum is the left one
FLIPS = 1024  # examples of the noisy double well, half of them pushing right and half left


@cache
def any_quadratic(dim: int) -> gdjax.Problem:
    """½ Σ hᵢ xᵢ² with the curvatures h as part of the start: one compiled program for every spectrum.

    h stands behind `stop_gradient`, so descent leaves it alone; a curvature of 0 switches a coordinate off.
    """
    def loss(params: dict[str, jax.Array]) -> jax.Array:
        return 0.5 * jnp.sum(jax.lax.stop_gradient(params["h"]) * params["x"] ** 2)

    return gdjax.Problem(name=f"any-quadratic-{dim}", loss=loss, source="½ Σ h x², h carried by the start",
                         init=lambda key: {"h": jnp.ones(dim), "x": jax.random.normal(key, (dim,))})


def quadratic_starts(spectrum: np.ndarray, dim: int, starts: int, seed: int) -> dict[str, np.ndarray]:
    """Starts N(0, 1) of `any_quadratic(dim)` with a spectrum of at most `dim` curvatures."""
    curvatures = np.zeros(dim)
    curvatures[: len(spectrum)] = spectrum
    x = np.random.default_rng(seed).normal(size=(starts, dim))
    return {"h": np.tile(curvatures, (starts, 1)), "x": x}


VALLEY = 0.0  # the condition number that stands for Rosenbrock's valley
CONDITIONS = (10.0, 100.0, 1000.0)
LANDSCAPE_DIM = 10


def curvatures(condition: float) -> np.ndarray:
    """Ten curvatures from 1 to the condition number, evenly spaced in their logarithms."""
    return condition ** np.linspace(0.0, 1.0, LANDSCAPE_DIM)


@cache
def landscape() -> gdjax.Problem:
    """½ Σ hᵢ xᵢ² with curvatures from 1 to κ, or Rosenbrock's valley in the first two variables where κ is 0.

    κ is part of the start, so that one compiled program of an optimizer serves them all; it stands behind
    `stop_gradient`. A random start is in one of the four landscapes.
    """
    def loss(params: dict[str, jax.Array]) -> jax.Array:
        x, condition = params["x"], jax.lax.stop_gradient(params["condition"])
        bowl = 0.5 * jnp.sum(condition ** jnp.linspace(0.0, 1.0, LANDSCAPE_DIM) * x**2)
        return jnp.where(condition > 0, bowl, 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2)

    def init(key: jax.Array) -> dict[str, jax.Array]:
        key_condition, key_x = jax.random.split(key)
        return {"condition": jax.random.choice(key_condition, jnp.array([VALLEY, *CONDITIONS])),
                "x": jax.random.normal(key_x, (LANDSCAPE_DIM,))}

    return gdjax.Problem(name="claims-landscape", loss=loss, init=init,
                         source="½ Σ h x², h carried by the start; Rosenbrock 1960")


def landscape_starts(condition: float, starts: int, seed: int) -> dict[str, np.ndarray]:
    """Starts of `landscape()`: N(0, 1) on quadratics, U(−2, 2) in the valley."""
    random, shape = np.random.default_rng(seed), (starts, LANDSCAPE_DIM)
    x = random.normal(size=shape) if condition else random.uniform(-2, 2, shape)
    return {"condition": np.full(starts, condition), "x": x}


@cache
def absolute() -> gdjax.Problem:
    """|x|: its slope is 1 however near the minimum. Starts: U(−3, 3)."""
    return gdjax.Problem(name="absolute", loss=jnp.abs, optimum=0.0, source="|x|",
                         init=lambda key: jax.random.uniform(key, (), minval=-3.0, maxval=3.0))


@cache
def styblinski_tang() -> gdjax.Problem:
    """½ Σ (xᵢ⁴ − 16xᵢ² + 5xᵢ) in two variables: four minima of four depths. Starts: U(−5, 5)².

    Source: Styblinski & Tang 1990, Neural Networks 3(4), p. 467; minimum −39.16616570377142 per dimension.
    """
    return gdjax.Problem(name="claims-styblinski-tang", loss=lambda x: 0.5 * jnp.sum(x**4 - 16 * x**2 + 5 * x),
                         init=lambda key: jax.random.uniform(key, (2,), minval=-5.0, maxval=5.0),
                         optimum=2 * -39.16616570377142, source="Styblinski & Tang 1990")


@cache
def noisy_double_well() -> gdjax.Problem:
    """A tilted double well seen through noise: loss(x, e) = x⁴/4 − x²/2 + x/10 + e x, e = ±1 in equal numbers.

    The mean is the tilted well itself: a local minimum near 0.946, the global one near −1.047, a hill between at 0.101.
    """
    def loss(x: jax.Array, push: jax.Array) -> jax.Array:
        return x**4 / 4 - x**2 / 2 + TILT * x + push * x

    return gdjax.Problem(name="claims-noisy-double-well", loss=loss, data=np.repeat([1.0, -1.0], FLIPS // 2),
                         init=lambda key: jax.random.uniform(key, (), minval=0.3, maxval=1.5),
                         source="x⁴/4 − x²/2 + x/10 + e x, e = ±1")


@cache
def saddle() -> gdjax.Problem:
    """½x² + ¼y⁴ − ½y²: a saddle at (0, 0) of curvatures 1 and −1, minima −¼ at (0, ±1). Starts: N(0, 1)²."""
    return gdjax.Problem(name="claims-saddle", loss=lambda x: x[0] ** 2 / 2 + x[1] ** 4 / 4 - x[1] ** 2 / 2,
                         init=lambda key: jax.random.normal(key, (2,)), optimum=-0.25, source="½x² + ¼y⁴ − ½y²")


@cache
def plateau() -> gdjax.Problem:
    """1 − exp(−x²/2): a hole of width 1 in a plain. Starts: U(−12, 12)."""
    return gdjax.Problem(name="claims-plateau", loss=lambda x: -jnp.expm1(-(x**2) / 2), optimum=0.0,
                         init=lambda key: jax.random.uniform(key, (), minval=-12.0, maxval=12.0),
                         source="1 − exp(−x²/2)")


@cache
def quartic() -> gdjax.Problem:
    """¼x⁴: no curvature at the minimum, so the loss falls as 1/t². Starts: U(0.5, 1.5)."""
    return gdjax.Problem(name="quartic", loss=lambda x: x**4 / 4, optimum=0.0, source="¼x⁴",
                         init=lambda key: jax.random.uniform(key, (), minval=0.5, maxval=1.5))


@cache
def separable() -> gdjax.Problem:
    """log(1 + e^(−w)): logistic regression on separable data, no minimum, the loss falls as 1/t. Starts: N(0, 1)."""
    return gdjax.Problem(name="separable-logistic", loss=lambda w: jax.nn.softplus(-w), optimum=0.0,
                         init=jax.random.normal, source="log(1 + e^(−w)), infimum 0")
