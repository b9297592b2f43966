"""Checked arguments to Runs: starts scored, lanes run in a program, ends scored."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gdjax import goals, optimizers, stopping
from gdjax import lanes as lane_tables
from gdjax.engine.program import Program
from gdjax.engine.shape import NEVER, Outcome, Starts
from gdjax.gap import initial_loss
from gdjax.lanes import Setting
from gdjax.optimizers import Optimizer
from gdjax.problem import Problem, PyTree
from gdjax.runs import Runs
from gdjax.stopping import BUDGET, CONVERGED, DIVERGED, DIVERGENCE, Rules

ROUNDING = 1e-6  # of the optimum: an initial gap below it is one of float32's last digits
ROUNDINGS = 8  # of the coarsest arithmetic in a loss: what sums and differences of its parts may come to
PRODUCTS = {"highest": 0.0, "float32": 0.0, "bfloat16": 2.0**-7}  # a GPU's own, if not these: TensorFloat-32


@dataclass(frozen=True)
class Limits:
    """What may end a lane, as the caller gave it."""

    max_steps: int
    tolerance: float
    targets: tuple[float, ...]
    target_on: str
    stop_at_target: bool
    stall: float | None

    def rules(self, divergence: float, number: type[np.floating]) -> Rules:
        """The same, and the loss above which a lane has diverged, as numbers of the loss's dtype for the device."""
        goal = goals.level(self.target_on, self.targets[-1]) if self.stop_at_target else -math.inf
        stall = -math.inf if self.stall is None else self.stall
        return Rules(number(self.tolerance), number(goal), number(divergence), number(stall),
                     np.int32(self.max_steps))


def descend(
    program: Program, optimizer: Optimizer, settings: Sequence[Setting], begin: int | PyTree, root: jax.Array,
    batches: str, limits: Limits, marks: np.ndarray,
) -> Runs:
    """Checked arguments -> Runs: starts drawn and scored, lanes run, ends scored.

    The optimizer is that of the call: the program's may have been another of equal steps and other default numbers.
    """
    shape = program.shape
    problem, size = program.problem, shape.batch_size
    params = begin
    if isinstance(begin, int):
        params = lane_tables.draw_starts(problem, jax.random.fold_in(root, lane_tables.KEY_STARTS), begin)
    begun = _begun(program, params)
    _warn_of_starts(problem, begun.loss, begun.norm)
    lanes = lane_tables.arrange(len(begun.loss), len(settings), batches, shape.members)
    seeds = np.zeros((len(lanes.stream), 2), np.uint32)  # a full batch draws nothing
    if not shape.full_batch:
        seeds = lane_tables.streams(jax.random.fold_in(root, lane_tables.KEY_BATCHES), lanes.stream)
    pace = problem.examples / size
    numbers = optimizers.defaults(optimizer, problem, shape.numbers)
    hyper = lane_tables.hyper_table(settings, shape.formulas, numbers, limits.max_steps, pace, begun.loss.dtype)
    gap = _initial_gap(program)
    rules = limits.rules(_divergence_limit(problem, gap), begun.loss.dtype.type)
    inner = np.where(marks < limits.max_steps, marks, NEVER).astype(np.int32)  # the last one is scored by `_ends`
    outcome, ran = program.run_lanes(lanes, begun, seeds, hyper, inner, rules)
    ends = _ends(program, outcome, rules, begun.loss[lanes.start])
    _warn_of_optimum(problem, gap, ends.best)
    return Runs(
        problem=problem.name, optimizer=optimizers.name_of(optimizer), batch_size=size, examples=problem.examples,
        max_steps=limits.max_steps, schedules=tuple(each.schedule.label for each in settings),
        rates=tuple(each.rate for each in settings), hyper=tuple({**numbers, **each.numbers} for each in settings),
        targets=limits.targets, target_on=shape.target_on,
        floor=-math.inf if problem.optimum is None else float(problem.optimum),
        start=lanes.start, setting=lanes.setting, status=ends.status, steps=np.asarray(outcome.steps),
        final_loss=ends.loss, best_loss=ends.best, grad_norm=ends.norm, start_loss=begun.loss[lanes.start], marks=marks,
        curve=ends.curve, params=outcome.params, width=program.width, lane_steps_run=ran, scores=ends.scores,
        **({} if limits.target_on == goals.LOSS else {"start_score": begun.score[lanes.start],
                                                      "score_curve": ends.score_curve}),
    )


def _begun(program: Program, params: PyTree) -> Starts:
    """Starts, and what is known of them before the first step."""
    target_on = program.shape.target_on
    if target_on == goals.LOSS:
        return Starts(params, *program.measure(params), ())
    loss, norm, scores = program.measure_ends(params)
    return Starts(params, loss, norm, goals.of(target_on, scores).astype(loss.dtype))


class _Ends(NamedTuple):
    """Lanes where they ended, (lanes,) each; the curve (lanes, marks)."""

    status: np.ndarray
    loss: np.ndarray
    best: np.ndarray
    norm: np.ndarray
    curve: np.ndarray
    score_curve: np.ndarray
    scores: dict[str, np.ndarray]


def _ends(program: Program, outcome: Outcome, rules: Rules, start_loss: np.ndarray) -> _Ends:
    """What is known of lanes at their end: one program scores it all, so the loop need not score the last mark."""
    shape = program.shape
    loss, norm, scores = program.measure_ends(outcome.params)
    status, final, curve = (np.array(each) for each in (outcome.status, outcome.loss, outcome.curve))
    at_end = np.flatnonzero(status == BUDGET)
    score, score_curve = loss, curve
    if shape.target_on != goals.LOSS:
        score, score_curve = goals.of(shape.target_on, scores).astype(loss.dtype), np.array(outcome.score)
        score_curve[at_end, -1] = score[at_end]
    status[at_end] = stopping.status(rules, loss[at_end], norm[at_end] if shape.norm_at_marks else None,
                                     np.asarray(outcome.steps)[at_end], np.where, score[at_end])
    status[(status == BUDGET) & (norm <= rules.tolerance)] = CONVERGED
    final[at_end] = curve[at_end, -1] = loss[at_end]
    diverged = status == DIVERGED
    best = np.fmin(outcome.best, final)
    if optimizers.averages(shape.optimizer):  # the loop saw the losses of the iterates themselves where every step does
        final = np.where(diverged, final, loss)
        best = np.fmin(np.fmin.reduce(curve, axis=1), np.fmin(start_loss, final))
    lost = {"held_out_loss": np.inf}  # of a diverged lane; it has no other score
    return _Ends(status, np.where(diverged, np.inf, final), np.where(np.isnan(best), np.inf, best),
                 np.where(diverged, np.nan, norm), curve, score_curve,
                 {name: np.where(diverged, lost.get(name, np.nan), each) for name, each in scores.items()})


def _initial_gap(program: Program) -> float:
    """f₀ − f*; ∞ where the optimum is not known."""
    optimum = program.problem.optimum
    return math.inf if optimum is None else initial_loss(program.problem, program.measure) - optimum


def _divergence_limit(problem: Problem, gap: float) -> float:
    optimum = problem.optimum
    return math.inf if optimum is None or not gap > ROUNDING * abs(optimum) else optimum + DIVERGENCE * gap


def _warn_of_starts(problem: Problem, loss: np.ndarray, norm: np.ndarray) -> None:
    bad = ~(np.isfinite(loss) & np.isfinite(norm))
    if bad.any():
        what = "loss" if (~np.isfinite(loss)).any() else "gradient"
        warnings.warn(f"problem {problem.name!r}: the {what} is not finite at {bad.sum()} of {len(bad)} starts "
                      f"(first: start {bad.argmax()}); these lanes are diverged at step 0", stacklevel=3)


def _warn_of_optimum(problem: Problem, gap: float, best: np.ndarray) -> None:
    """Warn where a loss, by more than rounding, came below what is said to be the smallest."""
    if problem.optimum is None:
        return
    lowest = float(np.min(best, initial=np.inf, where=np.isfinite(best)))
    size = max(abs(problem.optimum), gap if math.isfinite(gap) else 0.0)  # of the numbers that a loss is made of
    if lowest < problem.optimum - problem.optimum_tolerance - _rounding(problem) * size:
        objective = "minus the mean utility" if problem.maximise else "the mean over the examples, not their sum"
        warnings.warn(f"problem {problem.name!r}: optimum: must be the smallest loss, but a lane came below it (got "
                      f"{lowest:.3g}, the optimum is {problem.optimum:.6g}). The objective is {objective}: correct the "
                      "optimum, or leave it out; targets by gaps, hits and the limit of divergence follow from it.",
                      stacklevel=3)


def _rounding(problem: Problem) -> float:
    """Share of a loss that its last digits are: float32's, or those of coarser parameters or products of matrices."""
    coarsest = max(float(jnp.finfo(leaf.dtype).eps) for leaf in jax.tree.leaves(problem.shapes))
    if jax.default_backend() != "cpu":
        coarsest = max(coarsest, PRODUCTS.get(jax.default_matmul_precision.value or "", 2.0**-10))
    return max(ROUNDING, ROUNDINGS * coarsest)
