"""A network of convolutions on the digits: many trainings, each with batches of its own."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch.nn import functional

import gdjax
from bench.peers.digits_jax import drawn
from bench.peers.workload import RIDGE, Entry, Workload, examples, random_starts, relative, shuffled_batches

PROBLEM, STARTS, BATCH, RATE, STEPS = "digits-cnn", 32, 32, 0.05, 300
PART = 10  # a peer's run is so many times shorter
CHECKED = 10  # steps on the same batches
LAYOUT, POOL = ("NHWC", "HWIO", "NHWC"), (1, 2, 2, 1)

Params = dict[str, np.ndarray]
"""(starts, …) leaves by name, as `digits-cnn` has them."""


@dataclass(frozen=True)
class Job:
    """What every peer gets: images (n, 8, 8, 1), labels (n,), starts, and the batches of all steps or None."""

    X: np.ndarray
    y: np.ndarray
    starts: Params
    steps: int
    batches: np.ndarray | None = None  # (steps, starts, batch); None: drawn by the peer


def build(name: str) -> Workload:
    """The one there is."""
    job = job_of()
    check = functools.cache(lambda: checked(job))

    def entry(words: str, ready: Callable[[Job], Callable[[], Params]]) -> Entry:
        return Entry(words, ready(job), None, functools.partial(disagreement, check, ready), share=1 / PART)

    return Workload(
        name, f"SGD on {PROBLEM}, batch size {BATCH}, {STARTS} starts, each with batches of its own, {STEPS} steps",
        Entry("gdjax.minibatch", functools.partial(run_ours, job.starts, STEPS), None),
        (entry("JAX: jit(vmap(scan)), batch loss, threefry", mapped),
         entry("PyTorch, vmap(grad)", batched)))


def job_of() -> Job:
    """The inputs of a peer's run."""
    problem = gdjax.problems.get(PROBLEM)
    X, y = examples(problem)
    return Job(X.reshape(-1, 8, 8, 1), y.astype(np.int32), random_starts(problem, STARTS), STEPS // PART)


def run_ours(starts: Params, steps: int) -> gdjax.Runs:
    """The job by one call of gdjax."""
    return gdjax.minibatch(gdjax.problems.get(PROBLEM), batch_size=BATCH, starts=starts, rates=RATE, key=0,
                           max_steps=steps, batches="independent")


def checked(job: Job) -> tuple[Job, np.ndarray]:
    """The job of a few steps with the batches that gdjax draws in it, and the losses (lanes,) that it ends with."""
    batches = shuffled_batches(len(job.X), BATCH, CHECKED, STARTS, 1)
    return replace(job, steps=CHECKED, batches=batches), np.asarray(run_ours(job.starts, CHECKED).final_loss)


def disagreement(check: Callable[[], tuple[Job, np.ndarray]], ready: Callable[[Job], Callable[[], Params]]) -> float:
    """The largest relative difference of a lane's loss after a few steps on the same batches.

    Args:
        check: gives what `checked` does, once for both peers.
        ready: of the peer.
    """
    job, expected = check()
    return relative(np.asarray(_losses(ready(job)())), expected)


@jax.jit
def _losses(ends: Params) -> jax.Array:
    """Losses (lanes,) over all examples."""
    problem = gdjax.problems.get(PROBLEM)
    return jax.lax.map(lambda end: problem.objective(end, problem.device_data()), ends)


def mapped(job: Job) -> Callable[[], Params]:
    """All lanes at once in JAX."""
    X, y = jnp.asarray(job.X), jnp.asarray(job.y)
    draws = (jax.random.split(jax.random.key(2), STARTS) if job.batches is None
             else jnp.asarray(np.swapaxes(job.batches, 0, 1)))

    def loss(params: dict[str, jax.Array], images: jax.Array, labels: jax.Array) -> jax.Array:
        units = images
        for layer in (1, 2):
            mixed = jax.lax.conv_general_dilated(units, params[f"K{layer}"], (1, 1), "SAME", dimension_numbers=LAYOUT)
            units = jax.nn.relu(mixed + params[f"b{layer}"])
            units = jax.lax.reduce_window(units, -jnp.inf, jax.lax.max, POOL, POOL, "VALID")
        scores = units.reshape(len(images), -1) @ params["W"].T + params["b"]
        chosen = jnp.take_along_axis(jax.nn.log_softmax(scores), labels[:, None], 1)
        return -chosen.mean() + RIDGE / 2 * sum(jnp.sum(params[name] ** 2) for name in ("K1", "K2", "W"))

    def train(params: dict[str, jax.Array], draws: jax.Array) -> dict[str, jax.Array]:
        def step(params: dict[str, jax.Array], at: jax.Array) -> tuple[dict[str, jax.Array], None]:
            index = draws[at] if job.batches is not None else drawn(draws, at, BATCH, len(X))
            slopes = jax.grad(loss)(params, X[index], y[index])
            return jax.tree.map(lambda leaf, slope: leaf - RATE * slope, params, slopes), None

        return jax.lax.scan(step, params, jnp.arange(job.steps))[0]

    starts = jax.tree.map(jnp.asarray, job.starts)
    run = jax.jit(jax.vmap(train)).lower(starts, draws).compile()
    return lambda: run(starts, draws)


def batched(job: Job) -> Callable[[], Params]:
    """All lanes at once in PyTorch: a gradient for each by `torch.func`."""
    X, y = torch.tensor(job.X).permute(0, 3, 1, 2), torch.tensor(job.y).long()
    given = None if job.batches is None else torch.tensor(job.batches).long()
    starts = {name: torch.tensor(np.asarray(leaf)) for name, leaf in job.starts.items()}
    starts |= {name: starts[name].permute(0, 4, 3, 1, 2) for name in ("K1", "K2")}
    torch.manual_seed(0)

    def loss(params: dict[str, torch.Tensor], images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        units = images
        for layer in (1, 2):
            mixed = functional.conv2d(units, params[f"K{layer}"], params[f"b{layer}"], padding=1)
            units = functional.max_pool2d(functional.relu(mixed), 2)
        scores = units.permute(0, 2, 3, 1).flatten(1) @ params["W"].T + params["b"]
        return functional.cross_entropy(scores, labels) + RIDGE / 2 * sum(
            (params[name] ** 2).sum() for name in ("K1", "K2", "W"))

    slopes = torch.func.vmap(torch.func.grad(loss))

    def run() -> Params:
        params = dict(starts)
        for step in range(job.steps):
            index = torch.randint(len(X), (STARTS, BATCH)) if given is None else given[step]
            found = slopes(params, X[index], y[index])
            params = {name: leaf - RATE * found[name] for name, leaf in params.items()}
        params |= {name: params[name].permute(0, 3, 4, 2, 1) for name in ("K1", "K2")}
        return {name: leaf.numpy() for name, leaf in params.items()}

    return run
