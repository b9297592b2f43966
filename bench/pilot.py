"""The pilot of `python -m bench targets`, in a process of its own: a few starts at one constant rate; imports JAX."""

from __future__ import annotations

import warnings
from contextlib import suppress
from multiprocessing.connection import Connection

import jax
import numpy as np

import gdjax
from bench import device
from bench.bad_input import field_error
from bench.experiment import RANGE_SHARE, RANGE_STEPS, sampling_of
from bench.problems import problem_from
from bench.speaker import MESSAGE_LIMIT, Speaker, Stopped
from bench.targets import Pilot, Request

PILOT = 3  # folded into the seed, beside those of both splits and of the gradient noise: no start of theirs is here
BATCH = 32  # examples, unless told or fewer


def main(connection: Connection, payload: dict[str, object]) -> None:
    """Run the pilot of a request; the last message to the parent holds what it saw."""
    with suppress(Stopped):
        _Run(connection, payload["request"]).run()  # type: ignore[arg-type]


def pilot_key(seed: int) -> jax.Array:
    """The key of a pilot's starts and batches, unlike those of any suite of this seed."""
    return jax.random.fold_in(jax.random.key(seed), PILOT)


class _Run(Speaker):
    """One pilot."""

    def __init__(self, connection: Connection, request: Request) -> None:
        super().__init__(connection)
        self.request = request

    def run(self) -> None:
        """Open the device, make the problem, run; what is wrong with the request is told as bad input."""
        request = self.request
        opened = device.open_device(request.device, request.dtype, request.matmul_precision)
        if opened.trouble:
            self.say(kind="error", code=5, text=opened.trouble)
            return
        if opened.warning:
            self._warn(opened.warning)
        warnings.showwarning = lambda message, *_, **__: self._warn(str(message))
        try:
            problem = problem_from(request.problem, self._warn)
            gdjax.goals.check(problem, request.target_on)
            pilot = self._measure(problem, self._size(problem))
        except (ValueError, TypeError) as error:
            self.say(kind="error", code=2, text=str(error))
            return
        if problem.optimum is not None and request.target_on == gdjax.goals.LOSS:
            self._warn(f"{request.problem}: its optimum is known, so a suite needs no targets for it: it has gaps")
        self.say(kind="done", facts=vars(pilot))

    def _size(self, problem: gdjax.Problem) -> int:
        size = self.request.batch_size or min(BATCH, problem.examples)
        if size > problem.examples:
            raise ValueError(field_error("--batch-size", f"{problem.name} has {problem.examples:,} examples", size,
                                         f"Use at most {problem.examples}."))
        gdjax.preflight(problem, batch_size=size, sampling=sampling_of(self.request.sampling))
        return size

    def _measure(self, problem: gdjax.Problem, size: int) -> Pilot:
        """A run up to each share: starts and batches are the same, so each goes on where the one before ended."""
        request, key = self.request, pilot_key(self.request.seed)
        sampling = sampling_of(request.sampling)
        budget = request.epochs * problem.examples / size
        steps = [max(1, round(share / 100 * budget)) for share in request.shares]
        if len(set(steps)) < len(steps):
            raise ValueError(field_error("--shares", "must fall on different steps", steps, "Give more --epochs, or "
                                         "--shares further apart."))
        total, rate = float(sum(steps)), request.rate
        if rate is None:
            self.say(kind="progress", done=0.0, total=total, text=f"{problem.name}: range test")
            short = max(1, min(round(budget), RANGE_STEPS), int(RANGE_SHARE * budget))
            found = gdjax.range_test(problem, batch_size=size, key=key, max_steps=short, sampling=sampling)
            rate = float(f"{found:.3g}")  # the comment then names just what ran
        scores = []
        for place, number in enumerate(steps):
            self.say(kind="progress", done=float(sum(steps[:place])), total=total,
                     text=f"{problem.name}: {request.starts} starts, batch {size}, rate {rate:g}, {number:,} steps")
            runs = gdjax.minibatch(problem, batch_size=size, rates=rate, starts=request.starts, key=key,
                                   max_steps=number, target_on=request.target_on, sampling=sampling)
            scores.append(_median(runs.final_score))
        begin = runs.start_loss if runs.start_score is None else runs.start_score
        return Pilot(batch_size=size, rate=rate, diverged=int((runs.status == gdjax.stopping.DIVERGED).sum()),
                     start_score=_median(begin), steps=tuple(steps), scores=tuple(scores))

    def _warn(self, text: str) -> None:
        self.say(kind="warning", text=text[:MESSAGE_LIMIT])


def _median(scores: np.ndarray) -> float:
    return float(np.median(np.where(np.isnan(scores), np.inf, scores)))
