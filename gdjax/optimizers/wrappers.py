"""Optimizers around optimizers: a rate per parameter group, stale gradients, averaged iterates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from gdjax.optimizers.making import Numbers, Optimizer, Wrapper
from gdjax.precision import at_least_float32
from gdjax.problem import PyTree
from gdjax.sampling import hash32
from gdjax.scalars import is_real, is_whole


def mixed(optimizer: Optimizer, factors: PyTree) -> Mixed:
    """A rate per parameter group: the update of each group times its factor, so a rate of factor·η.

    Args:
        optimizer: whose updates are scaled.
        factors: a pytree prefix of the parameters with a number for each group, 0 to freeze it. The numbers are lane
            data, named by their place: "factor.w" for {"w": …}, "factor.0" in a list, "factor" for all parameters.

    Raises:
        ValueError, TypeError: a factor is not a finite number of at least 0, two groups have one name, or the optimizer
            is no function.

    Example:
        >>> slow = gdjax.optimizers.mixed(optax.sgd, {"w": 1.0, "b": 0.1})
        >>> runs = gdjax.bgd(gdjax.problems.get("line-fit"), optimizer=slow, rates=0.1, hyper={"factor.b": [0.1, 1.0]},
        ...                  starts=2, key=0, max_steps=10)
        >>> runs.frame()["factor.b"].tolist()
        [0.1, 1.0, 0.1, 1.0]
    """
    paths, tree = jax.tree.flatten_with_path(factors)
    names = tuple(".".join(["factor", *(jax.tree_util.keystr((part,), simple=True) for part in path)])
                  for path, _ in paths)
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"factors: groups must have different names (got {twice[0]!r} twice). "
                         "Rename the parameters: a dot stands between levels.")
    found = Mixed(_inside(optimizer, Mixed), names, tree, tuple(factor for _, factor in paths))
    for name, factor in found.defaults.items():
        found.check(name, factor)
    return found


def delayed(optimizer: Optimizer, longest: int, *, random: bool = False) -> Delayed:
    """Asynchronous descent: the gradient that is applied was taken `delay` steps ago, at the parameters of then.

    wₜ₊₁ = wₜ − η∇J(w_{t−τ}); nothing is applied before step τ. With `random` the delay of each step is drawn evenly
    from 0 … τ, as if workers of different speed took turns; the draws are a function of (start, step).

    Args:
        optimizer: what the stale gradient is handed to.
        longest: the longest delay, static: so many gradients are kept for each lane.
        random: draw the delays.

    The number `delay`, in steps from 0 to `longest` (its default), is lane data.

    Example:
        >>> stale = gdjax.optimizers.delayed(optax.sgd, longest=4)
        >>> runs = gdjax.bgd(gdjax.problems.get("bowl"), optimizer=stale, rates=0.05, hyper={"delay": [0, 2, 4]},
        ...                  starts=1, key=0, max_steps=50)
        >>> runs.frame().optimizer[0]
        'sgd, delayed'

    Source: Lian et al. 2015, arXiv 1506.08272, algorithm 1 with one update a step.
    """
    if not is_whole(longest) or not 0 <= longest <= 1000:
        raise ValueError(f"longest: must be a whole number of steps from 0 to 1000 (got {longest!r}). "
                         "So many gradients are kept for every lane.")
    return Delayed(_inside(optimizer, Delayed), int(longest), bool(random))


def averaged(optimizer: Optimizer, *, after: float = 0.0) -> Averaged:
    """Polyak–Ruppert averaging: what is scored and returned is the mean of the iterates after step `after`.

    w̄ₜ = w̄ₜ₋₁ + (wₜ − w̄ₜ₋₁)/(t − after); until then w̄ₜ = wₜ. The descent itself does not change; the
    mean is looked at, and may end its lane, at marks.

    Args:
        optimizer: whose iterates are averaged.
        after: steps before the mean begins; the number `average_after` is lane data.

    Example:
        >>> smooth = gdjax.optimizers.averaged(optax.sgd)
        >>> runs = gdjax.sgd(gdjax.problems.get("line-fit"), optimizer=smooth, rates=0.1,
        ...                  hyper={"average_after": [0, 500]}, starts=2, key=0, max_epochs=10)
        >>> runs.frame().optimizer[0]
        'sgd, averaged'

    Source: Polyak & Juditsky 1992, SIAM Journal on Control and Optimization 30(4), p. 838.
    """
    found = Averaged(_inside(optimizer, Averaged), after)
    found.check("average_after", after)
    return found


@dataclass(frozen=True)
class Mixed(Wrapper):
    """See `mixed`; two that differ in the factors alone are one program."""

    optimizer: Optimizer
    names: tuple[str, ...]
    tree: jax.tree_util.PyTreeDef
    factors: tuple[float, ...] = field(compare=False)

    @property
    def defaults(self) -> Mapping[str, float]:
        """A factor for each group."""
        return dict(zip(self.names, self.factors, strict=True))

    @property
    def label(self) -> str:
        """In tables."""
        return "mixed rates"

    def check(self, name: str, value: float) -> None:
        """A factor is 0 or more."""
        if not is_real(value) or not 0 <= value < float("inf"):
            raise ValueError(f"hyper: {name}: must be a finite number of at least 0 (got {value!r}). "
                             "It multiplies the rate of its group.")

    def around(self, inner: optax.GradientTransformationExtraArgs, own: Numbers) -> optax.GradientTransformation:
        """Updates times the factor of their group."""
        factors = jax.tree.unflatten(self.tree, [own[name] for name in self.names])

        def scale(updates: optax.Updates, params: optax.Params | None = None) -> optax.Updates:
            return jax.tree.map(lambda factor, group: jax.tree.map(lambda leaf: factor * leaf, group), factors, updates)

        return optax.chain(inner, optax.stateless(scale))


class DelayedState(NamedTuple):
    """Gradients of the last steps, (longest + 1, …) leaves, written in turn."""

    step: jax.Array
    seed: jax.Array
    ring: PyTree
    inner: optax.OptState


@dataclass(frozen=True)
class Delayed(Wrapper):
    """See `delayed`."""

    optimizer: Optimizer
    longest: int
    random: bool

    @property
    def defaults(self) -> Mapping[str, float]:
        """The longest delay."""
        return {"delay": float(self.longest)}

    @property
    def label(self) -> str:
        """In tables."""
        return "randomly delayed" if self.random else "delayed"

    def check(self, name: str, value: float) -> None:
        """A delay is a whole number of steps up to the longest."""
        if not 0 <= value <= self.longest or value != int(value):
            raise ValueError(f"hyper: delay: must be a whole number of steps from 0 to {self.longest} (got {value}). "
                             "Keep more gradients with gdjax.optimizers.delayed(…, longest=…).")

    def around(self, inner: optax.GradientTransformationExtraArgs, own: Numbers) -> optax.GradientTransformation:
        """The gradient of `delay` steps ago, zero before there is one, handed to the optimizer inside."""
        slots = self.longest + 1
        longest_now = jnp.asarray(own["delay"]).astype(jnp.int32)

        def init(params: optax.Params) -> DelayedState:
            ring = jax.tree.map(lambda leaf: jnp.zeros((slots, *leaf.shape), leaf.dtype), params)
            return DelayedState(jnp.int32(0), _seed_of(params), ring, inner.init(params))

        def update(
            updates: optax.Updates, state: DelayedState, params: optax.Params | None = None, *, value: jax.Array,
            grad: PyTree, value_fn: object,
        ) -> tuple[optax.Updates, DelayedState]:
            ring = jax.tree.map(lambda all_, one: all_.at[state.step % slots].set(one), state.ring, updates)
            delay = longest_now
            if self.random:
                drawn = hash32(hash32(state.seed + state.step.astype(jnp.uint32)))
                delay = (drawn % (longest_now + 1).astype(jnp.uint32)).astype(jnp.int32)
            there = delay <= state.step
            stale = jax.tree.map(
                lambda all_: jnp.where(there, all_[(state.step - delay) % slots], jnp.zeros_like(all_[0])), ring)
            updates, after = inner.update(stale, state.inner, params, value=value, grad=stale, value_fn=value_fn)
            return updates, DelayedState(state.step + 1, state.seed, ring, after)

        return optax.GradientTransformationExtraArgs(init, update)


class AveragedState(NamedTuple):
    """The mean of the iterates so far; the engine scores it in place of the parameters."""

    step: jax.Array
    mean: PyTree
    inner: optax.OptState


@dataclass(frozen=True)
class Averaged(Wrapper):
    """See `averaged`."""

    optimizer: Optimizer
    after: float = field(compare=False)

    @property
    def defaults(self) -> Mapping[str, float]:
        """Where the mean begins."""
        return {"average_after": float(self.after)}

    @property
    def label(self) -> str:
        """In tables."""
        return "averaged"

    def check(self, name: str, value: float) -> None:
        """A number of steps."""
        if not is_real(value) or not 0 <= value < float("inf"):
            raise ValueError(f"hyper: average_after: must be a finite number of steps of at least 0 (got {value!r}). "
                             "Use 0 to average from the first step on.")

    def around(self, inner: optax.GradientTransformationExtraArgs, own: Numbers) -> optax.GradientTransformation:
        """The optimizer inside, and the mean of where it has been."""
        begins = own["average_after"]

        def init(params: optax.Params) -> AveragedState:
            return AveragedState(jnp.int32(0), jax.tree.map(at_least_float32, params), inner.init(params))

        def update(
            updates: optax.Updates, state: AveragedState, params: optax.Params | None = None, *, value: jax.Array,
            grad: PyTree, value_fn: object,
        ) -> tuple[optax.Updates, AveragedState]:
            updates, after = inner.update(updates, state.inner, params, value=value, grad=grad, value_fn=value_fn)
            step = state.step + 1
            share = 1 / jnp.maximum(step - begins, 1.0)
            mean = jax.tree.map(lambda mean, new: mean + share.astype(mean.dtype) * (new.astype(mean.dtype) - mean),
                                state.mean, optax.apply_updates(params, updates))
            return updates, AveragedState(step, mean, after)

        return optax.GradientTransformationExtraArgs(init, update)


def scored(optimizer: Optimizer, params: PyTree, state: optax.OptState) -> PyTree:
    """The parameters that are scored and returned: the mean of an averaged optimizer, else the parameters."""
    if not averages(optimizer):
        return params
    return jax.tree.map(lambda mean, leaf: mean.astype(leaf.dtype), state.mean, params)


def averages(optimizer: Optimizer) -> bool:
    """Whether what is scored is a mean of iterates."""
    return isinstance(optimizer, Averaged)


def _inside(optimizer: Optimizer, kind: type[Wrapper]) -> Optimizer:
    """The optimizer that a wrapper goes around; averaging goes outside the others, and each kind once."""
    if not callable(optimizer):
        raise TypeError(f"optimizer: must be a function rate -> optax transformation (got {optimizer!r}). "
                        "Pass optax.sgd, not optax.sgd(0.1); a name goes through gdjax.optimizers.get.")
    inside = optimizer
    while isinstance(inside, Wrapper):
        if isinstance(inside, Averaged | kind):
            raise ValueError(f"optimizer: cannot go around one that is {inside.label} (got {type(inside).__name__} "
                             "inside). Each wrapper goes once, averaging outside the others: averaged(delayed(…)).")
        inside = inside.optimizer
    return optimizer


def _seed_of(params: PyTree) -> jax.Array:
    """A number that differs between starts and is the same for every setting of one, () uint32."""
    seed = jnp.uint32(0)
    for leaf in jax.tree.leaves(params):
        bits = jax.lax.bitcast_convert_type(jnp.ravel(leaf).astype(jnp.float32), jnp.uint32)
        place = jnp.arange(bits.size, dtype=jnp.uint32)
        seed = hash32(seed + jnp.sum(hash32(bits + place), dtype=jnp.uint32))
    return seed
