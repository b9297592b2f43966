"""Schedules that never rise: each a maker with its formula below it. t is time over the horizon, from 0 to 1."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from gdjax.schedules.registry import above_zero, at_least, build, register
from gdjax.schedules.schedule import Schedule, periods_done


@register
def constant() -> Schedule:
    """Constant rate: 1.

    >>> gdjax.schedules.constant().label
    'constant'
    """
    return build(constant, _constant)


def _constant(t: jax.Array, shape: jax.Array) -> jax.Array:
    return jnp.ones_like(t)


@register
def exponential(decay: float = 5.0) -> Schedule:
    """Exponential decay: e^(−decay·t).

    decay ≥ 0 per horizon (η₀e^(−kt), k = decay/T).

    >>> gdjax.schedules.exponential(decay=3.0).label
    'exponential(decay=3)'
    """
    return build(exponential, _exponential, at_least(0, "decay", decay))


def _exponential(t: jax.Array, shape: jax.Array) -> jax.Array:
    return jnp.exp(-shape[0] * t)


@register
def staircase(factor: float = 0.5, every: float = 0.1) -> Schedule:
    """Exponential decay in stairs: factor^⌊t/every⌋.

    `every` is a share of the horizon (η₀γ^⌊t/s⌋).

    >>> gdjax.schedules.staircase(factor=0.5, every=0.25).label
    'staircase(every=0.25)'
    """
    return build(staircase, _staircase, above_zero("factor", factor), above_zero("every", every))


def _staircase(t: jax.Array, shape: jax.Array) -> jax.Array:
    return shape[0] ** periods_done(t / shape[1])


@register
def linear(end: float = 0.0) -> Schedule:
    """Linear decay: 1 − (1 − end)·t.

    t at most 1: it ends at `end` of the rate (η₀ − (t/T)Δη).

    >>> gdjax.schedules.linear(end=0.1).label
    'linear(end=0.1)'
    """
    return build(linear, _linear, at_least(0, "end", end))


def _linear(t: jax.Array, shape: jax.Array) -> jax.Array:
    return 1 - (1 - shape[0]) * jnp.minimum(t, 1)


@register
def inverse_time(decay: float = 10.0) -> Schedule:
    """Inverse-time decay: 1/(1 + decay·t).

    decay ≥ 0 per horizon (a/(t + b) with b = T/decay, a = η₀b).

    >>> gdjax.schedules.inverse_time(decay=20.0).label
    'inverse_time(decay=20)'
    """
    return build(inverse_time, _inverse_time, at_least(0, "decay", decay))


def _inverse_time(t: jax.Array, shape: jax.Array) -> jax.Array:
    return 1 / (1 + shape[0] * t)


@register
def inverse_sqrt(decay: float = 100.0) -> Schedule:
    """Inverse square root: 1/√(1 + decay·t).

    decay ≥ 0 per horizon.

    >>> gdjax.schedules.inverse_sqrt().label
    'inverse_sqrt'
    """
    return build(inverse_sqrt, _inverse_sqrt, at_least(0, "decay", decay))


def _inverse_sqrt(t: jax.Array, shape: jax.Array) -> jax.Array:
    return jax.lax.rsqrt(1 + shape[0] * t)


@register
def polynomial(power: float = 2.0, end: float = 0.0) -> Schedule:
    """Polynomial decay: end + (1 − end)·(1 − t)^power.

    t at most 1.

    >>> gdjax.schedules.polynomial(power=3.0).label
    'polynomial(power=3)'
    """
    return build(polynomial, _polynomial, at_least(0, "power", power), at_least(0, "end", end))


def _polynomial(t: jax.Array, shape: jax.Array) -> jax.Array:
    return shape[1] + (1 - shape[1]) * (1 - jnp.minimum(t, 1)) ** shape[0]


@register
def cosine(end: float = 0.0) -> Schedule:
    """Cosine decay: end + (1 − end)·(1 + cos πt)/2.

    t at most 1.

    >>> gdjax.schedules.cosine().label
    'cosine'

    Source: Loshchilov & Hutter 2017, arXiv 1608.03983, equation 5, without restarts.
    """
    return build(cosine, _cosine, at_least(0, "end", end))


def _cosine(t: jax.Array, shape: jax.Array) -> jax.Array:
    return shape[0] + (1 - shape[0]) * 0.5 * (1 + jnp.cos(jnp.pi * jnp.minimum(t, 1)))


@register
def step(factor: float = 0.1, at: float = 0.5) -> Schedule:
    """One step down: 1 while t < at, then factor.

    `at` is a share of the horizon.

    >>> gdjax.schedules.step(factor=0.1, at=0.75).label
    'step(at=0.75)'
    """
    return build(step, _step, above_zero("factor", factor), above_zero("at", at))


def _step(t: jax.Array, shape: jax.Array) -> jax.Array:
    return jnp.where(t < shape[1] - 1e-6, 1.0, shape[0])


@register
def rex(end: float = 0.0) -> Schedule:
    """Reflected exponential (REX): end + (1 − end)·(1 − t)/(½ + ½(1 − t)).

    t at most 1. It stays near the rate for longer than a straight line and falls late.

    >>> gdjax.schedules.rex(end=0.1).label
    'rex(end=0.1)'

    Source: Chen et al. 2021, arXiv 2107.04197, whose end is 0.
    """
    return build(rex, _rex, at_least(0, "end", end))


def _rex(t: jax.Array, shape: jax.Array) -> jax.Array:
    left = 1 - jnp.minimum(t, 1)
    return shape[0] + (1 - shape[0]) * left / (0.5 + 0.5 * left)
