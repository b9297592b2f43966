"""Epochs to the target in a process of its own: full shuffling, then every buffer and block on both orders."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection

import jax
import numpy as np

import gdjax
from bench.analysis.intervals import NOTHING, Estimate, median_interval, ratio_of_medians
from bench.bad_input import field_error
from bench.picture_worker import Say, serve
from bench.problems import Warn, problem_from
from bench.stream import EPOCHS, GAP, ORDERS, Arm, Request

SHARES = (0.05, 0.2)  # of the examples, in the buffer
PARTS = (0, 16, 4, 1)  # blocks in a buffer; 0: one example a block
BATCHES = 2  # in the smallest buffer, at least
RATES = tuple(10 ** (power / 2) for power in range(-5, 1))  # the best of them is found for each arm
STARTS, TUNING_STARTS = 4, 8
TUNING_KEY = 1 << 20  # beyond every seed that is reported


def main(connection: Connection, payload: dict[str, object]) -> None:
    """All arms of one request."""
    request = payload["request"]
    assert isinstance(request, Request)
    serve(connection, "auto", lambda warn: problem_of(request, warn), lambda problem, say: arms(request, problem, say))


def problem_of(request: Request, warn: Warn) -> gdjax.Problem:
    """The problem of a request, or a ValueError or TypeError that says what is wrong with it."""
    found = problem_from(request.problem, warn)
    outcomes = None if found.data is None else jax.tree.leaves(found.data)[-1]
    if outcomes is None or found.optimum is None or np.ndim(outcomes) != 1:
        raise ValueError(field_error("PROBLEM", "must have data with outcomes to sort by, and a known optimum",
                                     request.problem, "Try digits-softmax."))
    most = int(found.examples * SHARES[0]) // BATCHES
    if request.batch_size > most:
        least = math.ceil(BATCHES * request.batch_size / SHARES[0])
        raise ValueError(field_error(
            "--batch-size", f"is too large for the {found.examples:,} examples of {request.problem}: the smallest "
            f"buffer, {SHARES[0]:.0%} of them, must hold {BATCHES} batches", request.batch_size,
            f"Give {f'at most {most:,}, or ' if most else ''}a problem of {least:,} examples or more."))
    gdjax.preflight(found, batch_size=request.batch_size)
    return found


def arms(request: Request, problem: gdjax.Problem, say: Say) -> Iterator[Arm]:
    """Full shuffling first (buffer and block of all examples), then every buffer and block on both orders.

    Where full shuffling misses the target there is nothing to compare with: it is the only arm.
    """
    size = request.batch_size
    say("full shuffling")
    rate, base = _epochs(problem, size, "shuffle", request.seeds)
    shuffled = median_interval(base)
    reached = math.isfinite(shuffled.value)
    yield Arm(order="random", buffer=problem.examples, block=problem.examples, rate=rate, epochs=shuffled,
              ratio=Estimate(1.0, 1.0, 1.0) if reached else NOTHING)
    if not reached:
        return
    for order in ORDERS:
        sorted_problem = in_order(problem, order)
        for share in SHARES:
            buffer = int(problem.examples * share) // size * size
            for block in dict.fromkeys(1 if parts == 0 else max(1, buffer // parts) for parts in PARTS):
                say(f"{ORDERS[order]}, buffer {buffer:,}, block {block:,}")
                rate, found = _epochs(sorted_problem, size, gdjax.Stream(buffer=buffer, block=block), request.seeds)
                yield Arm(order=order, buffer=buffer, block=block, rate=rate, epochs=median_interval(found),
                          ratio=ratio_of_medians(found, base, paired=True))


def in_order(problem: gdjax.Problem, order: str) -> gdjax.Problem:
    """The problem with its examples at random, or in the order of their outcomes (its data's last leaf)."""
    outcomes = np.asarray(jax.tree.leaves(problem.data)[-1])
    place = np.random.default_rng(0).permutation(len(outcomes))
    if order == "outcome":
        place = place[np.argsort(outcomes[place], kind="stable")]
    return dataclasses.replace(problem, data=jax.tree.map(lambda leaf: np.asarray(leaf)[place], problem.data))


def _epochs(problem: gdjax.Problem, size: int, sampling: str | gdjax.Stream, seeds: int) -> tuple[float, np.ndarray]:
    """The best rate, and with it the epochs to the target for each seed, (seeds,): the median of its starts.

    Starts of one seed share their blocks, so what is resampled is seeds.
    """
    goal = gdjax.targets(problem, [GAP])

    def found(rates: Sequence[float], starts: int, key: int) -> np.ndarray:
        """Epochs, (starts, rates)."""
        runs = gdjax.minibatch(problem, batch_size=size, rates=rates, starts=starts, key=key, max_epochs=EPOCHS,
                               targets=goal, stop_at_target=True, marks=64, sampling=sampling, width=64)
        return runs.hits()["examples"].fillna(math.inf).to_numpy().reshape(starts, -1) / problem.examples

    tuned = np.median(found(RATES, TUNING_STARTS, TUNING_KEY), axis=0)
    rate = RATES[int(np.argmin(tuned))]
    return rate, np.array([np.median(found([rate], STARTS, key)) for key in range(seeds)])
