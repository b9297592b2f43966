"""Rates that follow the loss: reduce on plateau, Armijo backtracking, line search, damped Newton.

All their numbers may be lane data, so they are checked where a call gives them, against the ranges given here.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike

from gdjax.optimizers.making import AT_LEAST_1, SHARE, SHARE_OR_0, within
from gdjax.precision import at_least_float32

HALVINGS = 40  # of a backtracking search: a step 1e-12 of the first one is none
SEARCHES = 30  # evaluations of one line search


class PlateauState(NamedTuple):
    """What `plateau` remembers, all scalars."""

    best: jax.Array  # smallest window mean so far
    mean: jax.Array  # of the losses in this window so far
    seen: jax.Array  # how many of them
    waited: jax.Array  # windows without a new best
    scale: jax.Array  # of the rate


@within({"factor": SHARE, "patience": AT_LEAST_1, "rtol": SHARE_OR_0, "window": AT_LEAST_1})
def plateau(
    rate: ArrayLike, factor: ArrayLike = 0.5, patience: ArrayLike = 10.0, rtol: ArrayLike = 1e-4,
    window: ArrayLike = 1.0,
) -> optax.GradientTransformationExtraArgs:
    """Gradient descent whose rate falls when the loss no longer does: η ← factor·η after `patience` windows of no gain.

    A gain is a window mean below best − rtol·|best|, best the smallest before. The loss is that of the
    step's batch: a window of one epoch (n/B steps) makes it the full loss, nearly.

    Args:
        rate: η at the start.
        factor: in (0, 1).
        patience: windows, at least 1.
        rtol: share of the best loss that counts as a gain.
        window: steps whose losses are averaged, at least 1.

    Example:
        >>> runs = gdjax.bgd(gdjax.problems.get("bowl"), optimizer="plateau", rates=1.0, hyper={"factor": [0.5, 0.9]},
        ...                  starts=3, key=0, max_steps=200)
        >>> bool((runs.final_loss < runs.start_loss).all())
        True

    Source: optax.contrib.reduce_on_plateau, which refuses numbers that are traced and counts any loss below 0 as a
    gain; here without its cooldown.
    """

    def init(params: optax.Params) -> PlateauState:
        zero = at_least_float32(jnp.zeros((), jax.tree.leaves(params)[0].dtype))  # of losses
        return PlateauState(zero + jnp.inf, zero, jnp.int32(0), jnp.int32(0), zero + 1)

    def update(
        updates: optax.Updates, state: PlateauState, params: optax.Params | None = None, *, value: jax.Array,
        grad: optax.Updates, value_fn: object,
    ) -> tuple[optax.Updates, PlateauState]:
        seen = state.seen + 1
        mean = state.mean + (value - state.mean) / seen
        full = seen >= window
        gain = mean < (1 - rtol * jnp.sign(state.best)) * state.best  # the first best is ∞
        waited = jnp.where(gain, 0, state.waited + 1)
        falls = full & (waited >= patience)
        scale = jnp.where(falls, state.scale * factor, state.scale).astype(state.scale.dtype)
        after = PlateauState(
            jnp.where(full & gain, mean, state.best).astype(state.best.dtype),
            jnp.where(full, 0, mean).astype(state.mean.dtype),
            jnp.where(full, 0, seen),
            jnp.where(full, jnp.where(falls, 0, waited), state.waited),
            scale,
        )
        return jax.tree.map(lambda leaf: scale.astype(leaf.dtype) * leaf, updates), after

    return optax.chain(optax.sgd(rate), optax.GradientTransformationExtraArgs(init, update))


@within({"slope_rtol": SHARE_OR_0, "decrease": SHARE})
def backtracking(
    rate: ArrayLike, slope_rtol: ArrayLike = 1e-4, decrease: ArrayLike = 0.5
) -> optax.GradientTransformationExtraArgs:
    """Steepest descent with Armijo backtracking: λ = rate·decreaseᵏ, k the first with enough decrease.

    f(w − λ∇f) ≤ f(w) − slope_rtol·λ·‖∇f‖². The rate is the longest step, tried first in every step.

    Args:
        rate: longest step.
        slope_rtol: share of the decrease that the slope promises.
        decrease: factor between steps tried, in (0, 1).

    Example:
        >>> runs = gdjax.bgd(gdjax.problems.get("rosenbrock"), optimizer="backtracking", rates=1.0, starts=2, key=0,
        ...                  max_steps=20)
        >>> bool((runs.final_loss < runs.start_loss).all())
        True

    Source: Armijo 1966, Pacific Journal of Mathematics 16; Nocedal & Wright 2006, algorithm 3.1.
    """
    search = optax.scale_by_backtracking_linesearch(
        HALVINGS, slope_rtol=slope_rtol, decrease_factor=decrease, increase_factor=1e30)
    return optax.chain(optax.sgd(rate), search)


@within({"curv_rtol": SHARE})
def line_search(rate: ArrayLike, curv_rtol: ArrayLike = 0.01) -> optax.GradientTransformationExtraArgs:
    """Steepest descent with a line search: λ = argmin f(w − λ∇f), to a slope of `curv_rtol` of that at λ = 0.

    Args:
        rate: first guess of λ, in the first step; later ones begin with the step before.
        curv_rtol: how exact: |slope at λ| / |slope at 0|. Below 1e-3 float32 cannot tell.

    Example:
        >>> runs = gdjax.bgd(gdjax.problems.get("coupled-quadratic"), optimizer="line_search", rates=0.1, starts=2,
        ...                  key=0, max_steps=20)
        >>> bool((runs.final_loss < 1e-4).all())
        True

    Source: Cauchy 1847; the zoom search of Nocedal & Wright 2006, algorithms 3.5 and 3.6, by optax.
    """
    return optax.chain(optax.sgd(rate), optax.scale_by_zoom_linesearch(SEARCHES, curv_rtol=curv_rtol))


@within({"damping": SHARE_OR_0})
def newton(rate: ArrayLike, damping: ArrayLike = 1e-6) -> optax.GradientTransformationExtraArgs:
    """Damped Newton for small problems, a reference: d = −Q|Λ|⁻¹Qᵀ∇f with QΛQᵀ = ∇²f, then backtracking from rate·d.

    Eigenvalues enter by size, at least `damping` times the largest, so d descends at saddles too. A step costs the
    whole Hessian and its eigenvectors, O(dim³).

    Args:
        rate: 1 for Newton's step.
        damping: smallest share of the largest eigenvalue.

    Example:
        >>> runs = gdjax.bgd(gdjax.problems.get("rosenbrock"), optimizer="newton", rates=1.0, starts=4, key=0,
        ...                  tolerance=1e-3, max_steps=200)
        >>> set(runs.frame().status)
        {'converged'}

    Source: Nocedal & Wright 2006, section 3.4; eigenvalues by size: Dauphin et al. 2014, arXiv 1406.2572, algorithm 1.
    """

    def direction(
        updates: optax.Updates, state: optax.EmptyState, params: optax.Params, *, value: jax.Array,
        grad: optax.Updates, value_fn: object,
    ) -> tuple[optax.Updates, optax.EmptyState]:
        assert callable(value_fn)
        point, as_tree = ravel_pytree(jax.tree.map(at_least_float32, params))  # LAPACK has no half precision
        slope, _ = ravel_pytree(jax.tree.map(at_least_float32, updates))
        curvature, axes = jnp.linalg.eigh(jax.hessian(lambda x: value_fn(as_tree(x)))(point))
        size = jnp.abs(curvature)
        tiny = jnp.finfo(size.dtype).tiny
        step = axes @ ((axes.T @ slope) / jnp.maximum(size, jnp.maximum(damping * size.max(), tiny)))
        moves = as_tree(jnp.negative(rate) * step)
        return jax.tree.map(lambda move, like: move.astype(like.dtype), moves, updates), state

    search = optax.scale_by_backtracking_linesearch(HALVINGS, decrease_factor=0.5, increase_factor=1e30)
    whole = optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), direction)
    return optax.chain(whole, search)
