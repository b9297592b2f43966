"""A walk over the registries: every problem × optimizer × schedule family steps, repeats, goes on from a saved state.

Problems whose parameters and examples have the same shapes share a program, and so do all schedules. `make test` walks
an eighth of the pairs of optimizers and groups of such problems, a group divided among its optimizers: every optimizer
and every problem has its turn. As users get it the engine compiles one problem of each group, here or in another test.
The whole walk, some twenty minutes on two cores, is `make conformance`.
"""

from __future__ import annotations

import functools
import os
from collections import defaultdict
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax.engine import step as one

STEPS, EXAMPLES = 4, 4
SCHEDULES = [*map(gdjax.schedules.get, gdjax.schedules.names()), gdjax.schedules.warmup("cosine", share=0.5)]
FACTORS = np.stack([gdjax.schedules.evaluate(each, np.arange(STEPS), STEPS, 1.0) for each in SCHEDULES], axis=1)


@dataclass(frozen=True, eq=False)
class Group:
    """Problems of one shape; lanes are problems × schedules."""

    problems: tuple[gdjax.Problem, ...]

    def __str__(self) -> str:
        first, *others = self.problems
        return first.name + (f"+{len(others)}" if others else "")

    @functools.cached_property
    def lanes(self) -> tuple:
        """(which problem, parameters, batch) of each lane."""
        starts = [each.start(jax.random.key(7)) for each in self.problems]
        batches = [batch_of(each) for each in self.problems]
        place = np.repeat(np.arange(len(self.problems)), len(SCHEDULES))
        return (jnp.asarray(place), *(jax.tree.map(lambda *leaves: jnp.stack(leaves)[place], *trees)
                                      for trees in (starts, batches)))

    @functools.cached_property
    def rates(self) -> np.ndarray:
        """Rates of every step, (steps, lanes): of plain descent a step of at most 0.01, where the slope allows it."""
        slope = jax.jit(jax.vmap(lambda place, params, batch: one.norm(jax.grad(self.loss, 1)(place, params, batch))))
        rate = np.clip(0.01 / np.maximum(slope(*self.lanes), 1e-9), 1e-6, 1e-3)
        return (np.tile(FACTORS, (1, len(self.problems))) * rate).astype(np.float32)

    def loss(self, place, params, batch):
        """The loss of the problem at this place."""
        branches = [lambda params, batch, each=each: each.objective(params, batch) for each in self.problems]
        return jax.lax.switch(place, branches, params, batch) if len(branches) > 1 else branches[0](params, batch)


def batch_of(problem: gdjax.Problem):
    return None if problem.data is None else jax.tree.map(lambda leaf: leaf[:EXAMPLES], problem.device_data())


def groups() -> list[Group]:
    """All registered problems by the shapes of their parameters and of a batch."""
    found = defaultdict(list)
    for name in gdjax.problems.names():
        problem = gdjax.problems.get(name)
        shapes = jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)),
                              (jax.eval_shape(problem.start, jax.random.key(0)), batch_of(problem)))
        found[repr(shapes)].append(problem)
    return [Group(tuple(each)) for each in found.values()]


GROUPS = groups()
SLOW = ("digits-cnn", "newton")  # 1,898 columns of a Hessian, each a pass through the network: eight minutes
WHOLE = os.environ.get("CONFORMANCE") == "whole"
ELSEWHERE = {  # first problems of groups of which another test runs one, or one of that kind, as users get it
    "ackley": "test_invariance", "cancer-hinge": "test_descent_oracles", "diabetes-huber": "test_descent_oracles",
    "digits-cnn": "test_windows", "digits-held-out": "test_readme", "ill-conditioned-quadratic": "test_descent_oracles",
    "iris-softmax": "test_readme", "line-fit": "test_invariance", "noisy-quadratic": "test_descent_oracles"}


def pairs() -> list[tuple[Group, str]]:
    """Groups, or parts of them, and the optimizers that they meet."""
    found = []
    for place, group in enumerate(GROUPS):
        names = [name for turn, name in enumerate(gdjax.optimizers.names())
                 if WHOLE or ((place + turn) % 8 == 0 and (str(group), name) != SLOW)]
        count = 1 if WHOLE else min(len(names), len(group.problems))
        parts = [Group(group.problems[first::count]) for first in range(count)]
        found += [(parts[turn % count], name) for turn, name in enumerate(names)]
    return found


PAIRS = pairs()


def has_scalars(group: Group) -> bool:
    return any(np.ndim(leaf) == 0 for leaf in jax.tree.leaves(group.problems[0].start(jax.random.key(0))))


def test_every_optimizer_and_every_problem_has_its_turn():
    assert {name for _, name in PAIRS} == set(gdjax.optimizers.names())
    assert {problem.name for group, _ in PAIRS for problem in group.problems} == set(gdjax.problems.names())
    assert set(ELSEWHERE) < {group.problems[0].name for group in GROUPS}


@pytest.mark.parametrize(("group", "name"), PAIRS, ids=str)
def test_every_problem_optimizer_and_schedule_steps_repeats_and_goes_on(group, name):
    if name == "sm3" and has_scalars(group):  # optax's sm3 has no cover for a scalar
        with pytest.raises(ValueError, match="optimizer 'sm3': cannot be traced by JAX"):
            gdjax.preflight(group.problems[0], name)
        return
    optimizer = gdjax.optimizers.get(name)
    place, start, batch = group.lanes
    numbers = [gdjax.optimizers.defaults(optimizer, each) for each in group.problems]
    numbers = {key: jnp.asarray([each.get(key, 0.0) for each in numbers])[place] for key in numbers[0]}

    def begin(params, numbers):
        return one.begin(optimizer, HYPER._replace(numbers=numbers), params)

    def step(place, batch, numbers, rate, params, state):
        def loss_of(params):
            return group.loss(place, params, batch)

        loss, gradient = jax.value_and_grad(loss_of)(params)
        return one.update(optimizer, rate, numbers, params, state, loss, gradient, loss_of)

    fixed, rates = (place, batch, numbers), group.rates
    state = jax.jit(jax.vmap(begin))(start, numbers)
    program = jax.jit(jax.vmap(step)).lower(*fixed, rates[0], start, state).compile()

    def walk(carry, first, last):
        for row in rates[first:last]:
            carry = program(*fixed, row, *carry)  # a state of another shape or type than before is refused here
        return carry

    half = walk((start, state), 0, STEPS // 2)
    ends = walk(half, STEPS // 2, STEPS)
    saved = jax.tree.map(back_from_the_host, half)
    for other in (walk((start, state), 0, STEPS), walk(saved, STEPS // 2, STEPS)):
        assert all(np.array_equal(bits(here), bits(there)) for here, there in
                   zip(jax.tree.leaves(ends), jax.tree.leaves(other), strict=True)), "not alike"
    params = jax.tree.leaves(ends[0])
    assert all(np.isfinite(leaf).all() for leaf in params)
    assert any((end != begin).any() for end, begin in zip(params, jax.tree.leaves(start), strict=True)), "nothing moved"


@pytest.mark.parametrize("name", gdjax.problems.names())
def test_every_problem_runs_through_the_engine(name, request):
    if WHOLE or name in {group.problems[0].name for group in GROUPS} - set(ELSEWHERE):
        request.getfixturevalue("as_shipped")
    problem = gdjax.problems.get(name)
    runs = gdjax.minibatch(problem, batch_size=min(EXAMPLES, problem.examples), schedules=["constant", "one_cycle"],
                           rates=1e-6, starts=8, key=0, max_steps=STEPS, width=16)
    frame = runs.frame()
    assert len(frame) == 16 and np.isfinite(frame.final_loss).all()
    assert set(frame.status) <= {"budget", "converged"} and (frame.steps[frame.status == "budget"] == STEPS).all()
    assert {"accuracy", "held_out_loss"} & set(frame) == {
        column for column, there in (("accuracy", problem.accuracy), ("held_out_loss", problem.held_out))
        if there is not None}


def bits(leaf: jax.Array) -> np.ndarray:
    """The leaf on the host; a key as its words."""
    return np.asarray(jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf)


def back_from_the_host(leaf: jax.Array) -> jax.Array:
    """The leaf as a file would give it back."""
    words = jnp.asarray(bits(leaf).copy())
    return jax.random.wrap_key_data(words) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else words


HYPER = one.Hyper(jnp.float32(1e-3), *[jnp.zeros(())] * 5, numbers={}, valid=jnp.asarray(True))
