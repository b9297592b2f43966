"""Softmax regression on the digits: many trainings in small batches, shared by the settings of a start or each its own.

gdjax runs 4 schedules × 8 rates; a peer is handed every rate of every step in a table, which it need not compute.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import gdjax
from bench.peers.workload import RIDGE, Entry, Workload, examples, random_starts, relative, shuffled_batches

SCHEDULES = ("constant", "exponential", "linear", "cosine")
RATES = tuple(float(rate) for rate in np.geomspace(0.01, 0.3, 8))
STEPS = {1: 4000, 8: 1000, 32: 400, 128: 150}
PAIRED_STARTS, OWN_STARTS = 16, 128
CHECKED = 40  # steps on the same batches
ONE_OF = 512  # lanes: one training after another is measured by one of them


@dataclass(frozen=True)
class Job:
    """One workload's inputs, as every peer gets them.

    Attributes:
        X, y: examples (n, features) and labels (n,).
        W: starts, (starts, classes, features); b is 0.
        rates: (settings, steps), of every setting in every step.
        batch: examples a step.
        paired: the settings of a start share its batches; else there is one setting and every start has its own.
    """

    X: np.ndarray
    y: np.ndarray
    W: np.ndarray
    rates: np.ndarray
    batch: int
    paired: bool

    @property
    def steps(self) -> int:
        """How many."""
        return self.rates.shape[1]


Params = tuple[np.ndarray, np.ndarray]
"""W (starts, settings, features, classes) and b (starts, settings, classes) where a job ends, as peers return them."""


def build(name: str) -> Workload:
    """digits-shared-B or digits-own-B."""
    _, kind, size = name.split("-")
    return _workload(int(size), kind == "shared")


def job_of(size: int, paired: bool, steps: int | None = None) -> tuple[Job, list[gdjax.Setting]]:
    """The inputs of a workload, and its settings as gdjax takes them."""
    problem, steps = gdjax.problems.get("digits-softmax"), steps or STEPS[size]
    starts = random_starts(problem, PAIRED_STARTS if paired else OWN_STARTS)
    names, rates = (SCHEDULES, RATES) if paired else (("constant",), (0.1,))
    settings = [gdjax.Setting(gdjax.schedules.get(name), rate) for name in names for rate in rates]
    pace = problem.examples / size
    table = [each.rate * gdjax.schedules.evaluate(each.schedule, np.arange(steps), steps, pace) for each in settings]
    X, y = examples(problem)
    return Job(X, y.astype(np.int32), starts["W"], np.asarray(table, np.float32), size, paired), settings


def _workload(size: int, paired: bool) -> Workload:
    from bench.peers import digits_jax, digits_torch

    job, settings = job_of(size, paired)
    place = list(STEPS).index(size)
    ours = functools.partial(run_ours, job, settings)
    check = functools.cache(lambda: checked(size, paired))

    def entry(name: str, module: object, ready: str, goals: tuple[float, ...], one: bool = False) -> Entry:
        make = getattr(module, ready)
        share = 1 / ONE_OF if one else 1.0
        return Entry(name, make(job), None if one else lambda ends: losses(job, ends),
                     functools.partial(disagreement, check, make), goals[place], share)

    mine = Entry("gdjax.minibatch", ours, lambda runs: np.asarray(runs.final_loss, float))
    peers: tuple[Entry, ...]
    if paired:
        peers = (
            entry("PyTorch, batched, autograd", digits_torch, "batched", (9, 3.5, 4.5, 5)),
            entry("JAX: jit(vmap(scan)), batch loss, threefry", digits_jax, "mapped", (3.5, 2.8, 2.8, 2.8)),
            entry("PyTorch, one after another", digits_torch, "single", (700, 120, 60, 28), True),
            entry("JAX: jit(scan), one after another", digits_jax, "single", (24, 9, 6, 3.8), True),
        )
        words = f"{PAIRED_STARTS} starts × {len(settings)} settings, batches shared by the settings of a start"
    else:
        peers = (
            entry("PyTorch, batched, autograd", digits_torch, "batched", (7, 2.5, 1.8, 2)),
            entry("PyTorch, batched, gradient by hand", digits_torch, "by_hand", (1.3,) * 4),
        )
        words = f"{OWN_STARTS} starts, each with batches of its own"
    return Workload(f"digits-{'shared' if paired else 'own'}-{size}",
                    f"SGD on digits-softmax, batch size {size}, {words}, {job.steps:,} steps", mine, peers)


def run_ours(job: Job, settings: list[gdjax.Setting]) -> gdjax.Runs:
    """The job by one call of gdjax."""
    starts = {"W": job.W, "b": np.zeros(job.W.shape[:2], np.float32)}
    return gdjax.minibatch(
        gdjax.problems.get("digits-softmax"), batch_size=job.batch, starts=starts, rates=None, settings=settings,
        key=0, max_steps=job.steps, batches="per-start" if job.paired else "independent")


def batches_of(job: Job) -> np.ndarray:
    """The examples that gdjax draws in `run_ours`, (steps, starts, batch)."""
    return shuffled_batches(len(job.X), job.batch, job.steps, len(job.W), 0 if job.paired else 1)


def checked(size: int, paired: bool) -> tuple[Job, np.ndarray, np.ndarray]:
    """A job of a few steps, the batches that gdjax draws in it, and the losses (lanes,) that it ends with."""
    job, settings = job_of(size, paired, CHECKED)
    return job, batches_of(job), np.asarray(run_ours(job, settings).final_loss)


def disagreement(check: Callable[[], tuple[Job, np.ndarray, np.ndarray]], ready: Callable[..., Callable[[], Params]]
                 ) -> float:
    """The largest relative difference of a lane's loss after a few steps on the same batches.

    Args:
        check: gives what `checked` does, once for all peers.
        ready: of the peer.
    """
    job, batches, expected = check()
    found = losses(job, ready(job, batches)())
    return relative(found, expected[: len(found)])


def losses(job: Job, ends: Params) -> np.ndarray:
    """Mean loss over all examples of every lane, float64, (lanes,) in gdjax's order: one formula for every system."""
    W, b = (np.asarray(part, np.float64) for part in ends)
    W, b = W.reshape(-1, *W.shape[-2:]), b.reshape(-1, b.shape[-1])
    X = job.X.astype(np.float64)
    found = []
    for weights, bias in zip(W, b, strict=True):
        scores = X @ weights + bias
        top = scores.max(axis=1)
        total = top + np.log(np.exp(scores - top[:, None]).sum(axis=1))
        found.append(np.mean(total - scores[np.arange(len(X)), job.y]) + RIDGE / 2 * np.sum(weights**2))
    return np.asarray(found)
