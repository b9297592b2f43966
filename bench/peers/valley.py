"""Batch gradient descent in Rosenbrock's valley to a small gradient: lanes end at very different steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gdjax
from bench.peers.workload import Entry, Workload, relative

TOLERANCE, MAX_STEPS = 1e-3, 50_000
LOWEST, HIGHEST = 1e-4, 10**-2.5  # rates, log-uniform
STARTS = 128
Ends = tuple[np.ndarray, np.ndarray]
"""Parameters (lanes, 2) and steps (lanes,) of lanes where they ended."""


def build(name: str) -> Workload:
    """valley-LANES; the slower peers do the smaller one only."""
    lanes = int(name.rsplit("-", 1)[1])
    return _workload(lanes, slow=lanes < 10_000)


def _workload(lanes: int, slow: bool, max_steps: int = MAX_STEPS) -> Workload:
    from bench.peers import by_hand

    starts, rates = inputs(lanes)
    problem = gdjax.problems.get("rosenbrock")
    x, rate = np.repeat(starts, len(rates), axis=0), np.tile(rates, len(starts))

    def ours() -> gdjax.Runs:
        return gdjax.bgd(problem, starts=starts, rates=rates.tolist(), key=0, tolerance=TOLERANCE, max_steps=max_steps)

    def final(ends: Ends) -> np.ndarray:
        return height(np.asarray(ends[0]))

    reference: list[gdjax.Runs] = []

    def entry(name: str, run: Callable[[], Ends], goal: float | None, exact: bool) -> Entry:
        def difference() -> float:
            if not reference:
                reference.append(ours())
            return disagreement(reference[0], run(), exact)

        return Entry(name, run, final, difference, goal)

    mine = Entry("gdjax.bgd", ours, lambda runs: np.asarray(runs.final_loss, float))
    peers = [entry("JAX: jit(vmap(while_loop))", _while_loop(x, rate, max_steps), 4.0 if not slow else None, True)]
    if slow:
        peers += [
            entry("optimistix.minimise, vmapped", _optimistix(x, rate, max_steps), 8.0, True),
            entry("NumPy, by hand", lambda: by_hand.descend_numpy(x, rate, TOLERANCE, max_steps), 15.0, False),
            entry("PyTorch, eager, by hand", lambda: by_hand.descend_torch(x, rate, TOLERANCE, max_steps), 15.0, False),
        ]
    words = (f"BGD on rosenbrock, {lanes:,} lanes ({len(starts)} starts × {len(rates)} rates 10^U(−4, −2.5)), to a "
             f"gradient norm of {TOLERANCE:g}, at most {max_steps:,} steps")
    return Workload(f"valley-{lanes}", words, mine, tuple(peers))


def inputs(lanes: int) -> Ends:
    """Starts U(−2, 2)², (128, 2), and rates 10^U(−4, −2.5), (lanes / 128,), increasing; float32."""
    draw = np.random.default_rng(0)
    starts = draw.uniform(-2, 2, (STARTS, 2)).astype(np.float32)
    return starts, np.sort(10 ** draw.uniform(-4, -2.5, lanes // STARTS)).astype(np.float32)


def height(params: np.ndarray) -> np.ndarray:
    """Losses (lanes,) in float64, +∞ where they are none."""
    with np.errstate(over="ignore", invalid="ignore"):
        x, y = params.astype(np.float64).T
        value = 100 * (y - x**2) ** 2 + (1 - x) ** 2
    return np.where(np.isfinite(value), value, np.inf)


def disagreement(ours: gdjax.Runs, ends: Ends, exact: bool) -> float:
    """How far ends are from ours, as a share: of steps, which must be equal, or of losses.

    Lanes that diverged count in neither: where they overflow depends on the order of operations.

    Args:
        exact: the peer rounds as we do: the largest relative difference of a step count. Else the lanes' median loss,
            and their total of steps.
    """
    params, steps = (np.asarray(part) for part in ends)
    fine = (ours.status != gdjax.stopping.DIVERGED) & np.isfinite(params).all(axis=1)
    if exact:
        return relative(steps[fine], ours.steps[fine])
    value = height(params)
    return max(relative(np.median(value[fine])[None], np.median(ours.final_loss[fine])[None]),
               relative(steps[fine].sum()[None], ours.steps[fine].sum()[None]))


def _while_loop(x: np.ndarray, rate: np.ndarray, max_steps: int) -> Callable[[], Ends]:
    """What one writes first: a loop for one lane, mapped over all."""
    gradient_of = jax.grad(gdjax.problems.get("rosenbrock").loss)  # type: ignore[arg-type]

    def lane(x: jax.Array, rate: jax.Array) -> tuple[jax.Array, jax.Array]:
        def unfinished(carry: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
            _, gradient, step = carry
            norm = jnp.sqrt(jnp.sum(gradient * gradient))
            return (norm > TOLERANCE) & jnp.isfinite(norm) & (step < max_steps)

        def body(carry: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
            x, gradient, step = carry
            x = x - rate * gradient
            return x, gradient_of(x), step + 1

        x, _, step = jax.lax.while_loop(unfinished, body, (x, gradient_of(x), jnp.int32(0)))
        return x, step

    run = jax.jit(jax.vmap(lane)).lower(x, rate).compile()
    return lambda: run(x, rate)


def _optimistix(x: np.ndarray, rate: np.ndarray, max_steps: int) -> Callable[[], Ends]:
    """Its gradient descent with its stop rule exchanged for ours, so that the steps are the same."""
    import optimistix

    loss: Any = gdjax.problems.get("rosenbrock").loss

    class Descent(optimistix.GradientDescent):
        def terminate(self, fn, y, args, options, state, tags):  # type: ignore[no-untyped-def]
            norm = jnp.sqrt(jnp.sum(state.f_info.grad**2))
            return ~state.first_step & ((norm <= TOLERANCE) | ~jnp.isfinite(norm)), state.result

    def lane(x: jax.Array, rate: jax.Array) -> tuple[jax.Array, jax.Array]:
        solver: Any = Descent
        found: Any = optimistix.minimise(lambda x, _: loss(x), solver(rate, 0.0, 0.0), x, max_steps=max_steps + 1,
                                    throw=False)
        return found.value, found.stats["num_steps"] - 1  # it looks at a point in the step after it

    run = jax.jit(jax.vmap(lane)).lower(x, rate).compile()
    return lambda: run(x, rate)
