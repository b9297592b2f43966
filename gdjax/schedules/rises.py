"""Schedules that rise: restarts, cycles, and a rise before a fall. Each a maker with its formula below it.

t is time over the horizon, from 0 to 1; after the horizon the last value stays, in epochs too.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from gdjax.schedules.registry import above_zero, at_least, below_one, build, register, whole
from gdjax.schedules.schedule import Schedule, periods_done

_SHORTEST = 1e-6  # share of the horizon: a shorter cycle falls between the time steps of float32


@register
def cosine_restarts(cycles: int = 4, multiplier: float = 1.0, end: float = 0.0) -> Schedule:
    """Cosine with warm restarts (SGDR): end + (1 − end)·(1 + cos πs)/2, s from 0 to 1 in every cycle.

    Each cycle is `multiplier` times as long as the one before (s = T_cur/T_i, T_mult): cycle i of n starts at
    t = (multiplierⁱ − 1)/(multiplierⁿ − 1), at i/n when the multiplier is 1. The step that begins a cycle has factor 1
    (in budgets beyond 100,000 steps a restart may come a few steps early); the last cycle ends at `end` with the
    horizon.

    >>> gdjax.schedules.cosine_restarts(cycles=3, multiplier=2.0).label
    'cosine_restarts(cycles=3, multiplier=2)'

    Raises:
        ValueError: cycles not whole or below 1, multiplier below 1, end below 0, or so many cycles that the first is
            shorter than a millionth of the horizon.

    Source: Loshchilov & Hutter 2017, arXiv 1608.03983, equation 5.
    """
    cycles, multiplier = whole("cycles", cycles), at_least(1, "multiplier", multiplier)
    growth = math.log(multiplier)
    first_cycles = math.expm1(min(cycles * growth, 700)) / (multiplier - 1) if growth else cycles  # in the horizon
    if max(first_cycles, multiplier) > 1 / _SHORTEST:
        raise ValueError(f"schedules: cycles: the first must last a millionth of the horizon at least (got {cycles} "
                         f"cycles, multiplier {multiplier:g}). Use fewer, or a smaller multiplier.")
    return build(cosine_restarts, _cosine_restarts, cycles, multiplier, at_least(0, "end", end))


def _cosine_restarts(t: jax.Array, shape: jax.Array) -> jax.Array:
    cycles, end = shape[0], shape[2]
    growth = jnp.maximum(jnp.log(shape[1]), 1e-12)  # equal cycles are the limit of growth to 0
    place = jnp.log1p(jnp.minimum(t, 1) * jnp.expm1(cycles * growth)) / growth  # cycles gone by, and how many growths
    cycle = jnp.minimum(periods_done(place), cycles - 1)
    share = jnp.expm1((place - cycle) * growth) / jnp.expm1(growth)
    return end + (1 - end) * 0.5 * (1 + jnp.cos(jnp.pi * jnp.clip(share, 0, 1)))


@register
def triangular(cycles: int = 4, low: float = 0.25) -> Schedule:
    """Triangular cycles (CLR): low + (1 − low)·(1 − |2s − 1|), s from 0 to 1 in every cycle.

    From `low` of the rate up to the rate and back, in straight lines.

    >>> gdjax.schedules.triangular(cycles=2).label
    'triangular(cycles=2)'

    Raises:
        ValueError: cycles not whole or below 1, low outside [0, 1).

    Source: Smith 2017, arXiv 1506.01186, policy "triangular"; section 3.3 has the low rate at 1/3 or 1/4 of the high.
    """
    return build(triangular, _triangular, whole("cycles", cycles), below_one("low", low))


def _triangular(t: jax.Array, shape: jax.Array) -> jax.Array:
    place = jnp.minimum(t, 1) * shape[0]
    return shape[1] + (1 - shape[1]) * (1 - jnp.abs(2 * (place - jnp.floor(place)) - 1))


@register
def one_cycle(rise: float = 0.3, start: float = 25.0, end: float = 1e4) -> Schedule:
    """One cycle: 1/start ↗ 1 at t = rise ↘ 1/(start·end), both ways half a cosine.

    The rate itself is the peak. Up: a + (1 − a)·(1 − cos(πt/rise))/2 from a = 1/start; down: z + (1 − z)·(1 + cos πs)/2
    to z = 1/(start·end), s = (t − rise)/(1 − rise). Halves, divisors and defaults are those of
    `optax.cosine_onecycle_schedule` and PyTorch's OneCycleLR; the paper's own are straight lines.

    >>> gdjax.schedules.one_cycle(rise=0.5).label
    'one_cycle(rise=0.5)'

    Raises:
        ValueError: rise outside (0, 1), start or end below 1.

    Source: Smith & Topin 2018, arXiv 1708.07120.
    """
    return build(one_cycle, _one_cycle, below_one("rise", above_zero("rise", rise)), at_least(1, "start", start),
                 at_least(1, "end", end))


def _one_cycle(t: jax.Array, shape: jax.Array) -> jax.Array:
    rise, first = shape[0], 1 / shape[1]
    last = first / shape[2]
    up = first + (1 - first) * 0.5 * (1 - jnp.cos(jnp.pi * t / rise))
    down = last + (1 - last) * 0.5 * (1 + jnp.cos(jnp.pi * (jnp.minimum(t, 1) - rise) / (1 - rise)))
    return jnp.where(t < rise, up, down)


@register
def trapezoid(rise: float = 0.1, fall: float = 0.2, end: float = 0.0) -> Schedule:
    """Warm-up, stable, decay (WSD): t/rise up to 1, then 1, then straight to end from t = 1 − fall on.

    rise and fall are shares of the horizon. The rise begins at 0, so that step 0 does nothing;
    `warmup(trapezoid(rise=0))` moves from the first step on.

    >>> gdjax.schedules.trapezoid(fall=0.5).label
    'trapezoid(fall=0.5)'

    Raises:
        ValueError: rise outside [0, 1), fall outside (0, 1], together above 1, or end below 0.

    Source: Xing et al. 2018, arXiv 1802.08770 (trapezoid); Hu et al. 2024, arXiv 2404.06395 (WSD, whose decay is
    exponential).
    """
    rise, fall = below_one("rise", rise), above_zero("fall", fall)
    if rise + fall > 1 + 1e-12:  # 0.9 + 0.1 may come out above 1
        raise ValueError(f"schedules: rise, fall: must be 1 together at most (got {rise:g} + {fall:g}). "
                         "They are shares of the horizon.")
    return build(trapezoid, _trapezoid, rise, fall, at_least(0, "end", end))


def _trapezoid(t: jax.Array, shape: jax.Array) -> jax.Array:
    rise, fall, end = shape[0], shape[1], shape[2]
    up = jnp.where(t < rise, t / jnp.where(rise > 0, rise, 1), 1)
    return up - (1 - end) * jnp.clip((t - (1 - fall)) / fall, 0, 1)
