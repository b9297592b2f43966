"""How a lane ends: loss and gradient norm -> status, and where marks lie."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

RUNNING, DIVERGED, CONVERGED, TARGET, STALLED, BUDGET = range(6)
STATUSES = ("running", "diverged", "converged", "target", "stalled", "budget")
"""Status codes in their precedence: a lane that meets several takes the first."""

DIVERGENCE = 1e6  # a loss this many times the initial gap above the optimum is lost (protocol, rule 9)
TARGET_MARKS = 32  # marks when targets are given and `marks` is not: ratio 1.24 over the default three decades
DECADES = 3.0  # marks are geometric over the last three decades of the budget
Array = TypeVar("Array", jax.Array, np.ndarray)


class Rules(NamedTuple):
    """What ends a lane, all scalars: marks are scored against them on the device."""

    tolerance: ArrayLike  # full-data gradient norm at or below which a lane has converged; 0: on exact zeros only
    target: ArrayLike  # what targets are on, at or below which a lane stops; −inf to go on
    limit: ArrayLike  # loss above which it has diverged; inf where the optimum is unknown
    stall: ArrayLike  # decrease of one step below which it has stalled; −inf when not asked for
    max_steps: ArrayLike  # budget in steps, int32


def goes_on(
    rules: Rules, running: jax.Array, loss: jax.Array, norm: Callable[[jax.Array], jax.Array] | None,
    decrease: jax.Array | None,
) -> jax.Array:
    """Whether nothing ends a running lane in a step that sees all data, (): no divergence, convergence or stall.

    A code (`status`, `why`) in place of this one bit, in every step, took three times as long as the step itself in
    Rosenbrock's valley.

    Args:
        norm: the gradient norm of a lane, NaN where its argument is false; None where it is not measured. XLA's CPU
            compiler keeps a root that several outputs need, and computes anew for each of them what comes after it.
        decrease: of the loss in the step before; None where it is not measured.
    """
    sound = running & _sound(rules, loss, None)
    if decrease is not None:
        sound &= ~(decrease < rules.stall)
    if norm is None:
        return sound
    size = norm(sound)
    return (size > rules.tolerance) & (size < jnp.inf)


def why(rules: Rules, loss: jax.Array, norm: jax.Array | None, stall: bool) -> jax.Array:
    """Status of a lane that `goes_on` has ended, int8, from its loss and gradient norm where it stands."""
    code = jnp.full(jnp.shape(loss), STALLED if stall else CONVERGED, jnp.int8)
    if norm is not None:
        code = jnp.where(norm <= rules.tolerance, jnp.int8(CONVERGED), code)
    return jnp.where(_sound(rules, loss, norm), code, jnp.int8(DIVERGED))


def status(
    rules: Rules, loss: Array, norm: Array | None, step: Array, where: Callable = jnp.where, score: Array | None = None
) -> Array:
    """Status of a lane at a mark from its loss, gradient norm and step, int8; RUNNING when nothing ends it.

    `norm` is None where it is not measured, `score` where targets are on the loss; `where` is NumPy's for arrays of the
    host, for which nothing is compiled.
    """
    code = where(step >= rules.max_steps, BUDGET, RUNNING)
    code = where((loss if score is None else score) <= rules.target, TARGET, code)
    if norm is not None:
        code = where(norm <= rules.tolerance, CONVERGED, code)
    return where(_sound(rules, loss, norm), code, DIVERGED).astype(np.int8)


def _sound(rules: Rules, loss: Array, norm: Array | None) -> Array:
    """Whether a lane has not diverged.

    A comparison with NaN is False, so what is asked is whether it is below the limit.
    """
    sound = (loss <= rules.limit) & (abs(loss) < np.inf)
    return sound if norm is None else sound & (norm < np.inf)


def mark_steps(max_steps: int, marks: int | None, targets: int) -> np.ndarray:
    """Steps at which the full-data loss is scored, (marks,) increasing, the last one the budget.

    Geometric over the last three decades of the budget, the same shares of the budget at every batch size, rounded to
    whole steps with repeats dropped: sⱼ = max_steps · 10^(−3·(1 − j/(m − 1))), j = 0 … m − 1. The start (step 0) is
    always scored and not counted.

    Args:
        max_steps: budget in steps.
        marks: m, or None: 32 when there are targets, only the budget otherwise.
        targets: how many targets there are.

    Example:
        >>> gdjax.stopping.mark_steps(1000, 4, 0).tolist()
        [1, 10, 100, 1000]
    """
    count = marks if marks is not None else (TARGET_MARKS if targets else 1)
    if count == 1:
        return np.array([max_steps], np.int32)
    exponents = -DECADES * (1 - np.arange(count) / (count - 1))
    steps = np.rint(max_steps * 10.0**exponents).astype(np.int64)
    return np.unique(np.clip(steps, 1, max_steps)).astype(np.int32)


def interpolate(
    before: np.ndarray, after: np.ndarray, loss_before: np.ndarray, loss_after: np.ndarray, target: float, floor: float
) -> np.ndarray:
    """Steps to a hit between two marks, log-interpolated where the loss crosses the target, same shape as the inputs.

    log s is linear in log(loss − floor) between the marks (both power laws and geometric decay are near-straight over
    one mark ratio); from step 0, where log s does not exist, s is linear in log(loss − floor). Steps are updates
    applied, and at the mark before the target is not met: a hit takes one more at least, so that between marks one
    step apart it is at the mark after.

    Args:
        before, after: steps of the mark above the target and of the first mark at or below it.
        loss_before, loss_after: losses there, loss_before > target ≥ loss_after.
        target: the loss to reach.
        floor: the optimum, or −inf where it is not known: then the loss itself is interpolated linearly.

    Example:
        >>> float(gdjax.stopping.interpolate(*map(np.array, (10.0, 40.0, 4.0, 1.0)), 2.0, 0.0))
        20.0
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        if math.isfinite(floor) and target > floor:
            tiny = np.finfo(np.float32).tiny
            top, goal, bottom = (np.log(np.maximum(np.asarray(x, np.float64) - floor, tiny))
                                 for x in (loss_before, target, loss_after))
        else:
            top, goal, bottom = (np.asarray(x, np.float64) for x in (loss_before, target, loss_after))
        share = np.clip(np.where(top > bottom, (top - goal) / np.where(top > bottom, top - bottom, 1.0), 1.0), 0.0, 1.0)
    share = np.where(np.isfinite(share), share, 1.0)
    geometric = np.maximum(before, 1) * (after / np.maximum(before, 1)) ** share
    return np.maximum(np.where(before > 0, geometric, after * share), np.minimum(before + 1, after))
