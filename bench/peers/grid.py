"""The tuning grid of `quick` on the digits, scoring included: gdjax, and the same written plainly in JAX."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

import gdjax
from bench.experiment import Group
from bench.peers.digits_jax import Weights, drawn, loss, moved
from bench.peers.workload import Entry, Workload, examples, random_starts, relative
from bench.suite import load_suite
from bench.tuning import grid

SUITE, PROBLEM = "quick", "digits-softmax"
CENTRE = 0.5  # of the grid of rates


def build(name: str) -> Workload:
    """The whole grid."""
    suite, problem = load_suite(SUITE), gdjax.problems.get(PROBLEM)
    held = suite.settings_for(PROBLEM)
    sizes = [problem.examples if size == "all" else int(size) for size in held.batch_sizes]
    groups = [Group(suite, held, problem, "sgd", size, jax.devices()[0].platform) for size in sizes]
    starts = random_starts(problem, suite.tuning_starts)
    settings = grid(suite, CENTRE)
    flat = [setting for each in settings.values() for setting in each]
    programs = [group.program() for group in groups]

    def ours_of(place: int) -> gdjax.Runs:
        return gdjax.minibatch(problem, batch_size=sizes[place], rates=None, settings=flat, starts=starts, key=0,
                               max_steps=groups[place].steps, marks=suite.marks, program=programs[place])

    plain = [[_plain(problem, each, group, starts, suite.marks) for each in settings.values()] for group in groups]

    def theirs_of(place: int) -> np.ndarray:
        """Curves (lanes, marks) of one batch size."""
        curves = [np.asarray(run()) for run in plain[place]]  # (starts, settings, marks) of one schedule
        return np.concatenate(curves, axis=1).reshape(-1, curves[0].shape[-1])

    every = range(len(sizes))

    def difference() -> float:
        """Full batches draw nothing: losses at the marks must be the same, wherever they fall from mark to mark.

        Where a rate is too large for that, what rounds differently ends elsewhere.
        """
        full = sizes.index(problem.examples)
        curve = ours_of(full).curve
        falling = (np.diff(curve, axis=1) <= 0).all(axis=1)
        return relative(theirs_of(full)[falling], curve[falling]) if 2 * falling.sum() > len(curve) else math.inf

    words = (f"the grid of {SUITE} on {PROBLEM}: batch sizes {', '.join(map(str, sizes))}, {suite.tuning_starts} "
             f"starts × {len(flat)} settings of {len(settings)} schedules, {held.epochs:g} epochs, scored at "
             f"{suite.marks} marks")
    return Workload(
        name, words,
        Entry("gdjax.minibatch", lambda: [ours_of(place) for place in every],
              lambda runs: np.concatenate([each.final_loss for each in runs])),
        (Entry("JAX: jit(vmap(scan)), a program for each schedule", lambda: [theirs_of(place) for place in every],
               lambda curves: np.concatenate([each[:, -1] for each in curves]),
               difference, goal=3.0),))


def _plain(problem: gdjax.Problem, settings: list[gdjax.Setting], group: Group, starts: dict[str, np.ndarray],
           marks: int) -> Callable[[], jax.Array]:
    """Losses at the marks of all lanes of one schedule, (starts, settings, marks): from mark to mark, then scored."""
    X, y = (jnp.asarray(leaf) for leaf in examples(problem))
    n, batch, steps = problem.examples, group.batch_size, group.steps
    ends = gdjax.stopping.mark_steps(steps, marks, 1)
    factor, pace = gdjax.schedules.evaluate, group.steps_per_epoch
    table = np.asarray([each.rate * factor(each.schedule, np.arange(steps), steps, pace) for each in settings],
                       np.float32)

    def train(W: jax.Array, rates: jax.Array, key: jax.Array) -> jax.Array:
        def step(at: jax.Array, params: Weights) -> Weights:
            if batch == n:
                return moved(params, rates[at], X, y)
            index = drawn(key, at, batch, n)
            return moved(params, rates[at], X[index], y[index])

        def to_mark(params: Weights, span: tuple[jax.Array, jax.Array]) -> tuple[Weights, jax.Array]:
            params = jax.lax.fori_loop(span[0], span[1], step, params)
            return params, loss(params, X, y)

        spans = jnp.asarray(np.concatenate([[0], ends[:-1]])), jnp.asarray(ends)
        return jax.lax.scan(to_mark, (W, jnp.zeros(W.shape[1])), spans)[1]

    many = jax.vmap(jax.vmap(train, (None, 0, None)), (0, None, 0))
    W, rates = jnp.asarray(np.swapaxes(starts["W"], 1, 2)), jnp.asarray(table)
    keys = jax.random.split(jax.random.key(2), len(W))
    run = jax.jit(many).lower(W, rates, keys).compile()
    return lambda: run(W, rates, keys)
