"""The initial gap f₀ − f* of a problem, and the targets that are shares of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import numpy as np

from gdjax import arguments
from gdjax.engine.measure import measure
from gdjax.lanes import draw_starts
from gdjax.problem import Problem, PyTree
from gdjax.promotion import usual_promotion

Losses = Callable[[PyTree], tuple[np.ndarray, np.ndarray]]
"""Losses and gradient norms over all data of many parameters, such as `program.measure`."""


def targets(
    problem: Problem, gaps: Sequence[float] = (1e-1, 1e-2, 1e-3), losses: Losses | None = None
) -> list[float]:
    """Target losses f* + ε·(f₀ − f*) for shares ε of the initial gap.

    f₀ is the median loss of 1,001 starts of a fixed key; for `losses` see `initial_loss`.

    Raises:
        TypeError: no problem, or no sequence of gaps.
        ValueError: a gap is not inside (0, 1), the optimum is not known, or f₀ is not above it.

    Example:
        >>> problem = gdjax.problems.get("parabola")  # its optimum is 0
        >>> gdjax.targets(problem, gaps=[0.5]) == [0.5 * gdjax.initial_loss(problem)]
        True
    """
    arguments.problem(problem)
    shares = arguments.gaps(gaps)
    if problem.optimum is None:
        raise ValueError(f"problem {problem.name!r}: optimum: is not known, so gaps have no meaning (got None). "
                         "Give target losses instead.")
    initial = initial_loss(problem, losses)
    if not problem.optimum < initial < np.inf:
        raise ValueError(f"problem {problem.name!r}: initial_loss: must be finite and above the optimum of "
                         f"{problem.optimum:g} for gaps to have a meaning (got {initial:g}, the median of starts). "
                         "Draw other starts, or give target losses instead.")
    gap = initial - problem.optimum
    return [problem.optimum + share * gap for share in shares]


@usual_promotion()
def initial_loss(problem: Problem, losses: Losses | None = None) -> float:
    """f₀, the median loss of 1,001 starts of a fixed key: stored with the problem, or computed once.

    A loss that is not finite counts as +inf.

    Args:
        losses: what scores the starts, a program's `measure` where examples are streamed; None: all data on the default
            device.

    >>> gdjax.initial_loss(gdjax.problems.get("bowl")) > 0
    True
    """
    arguments.problem(problem)

    def median() -> float:
        starts = draw_starts(problem, jax.random.key(1001), 1001)
        loss, _ = losses(starts) if losses else measure(problem, starts)
        return float(np.median(np.where(np.isfinite(loss), loss, np.inf)))

    return problem.once("initial loss", median) if problem.initial_loss is None else float(problem.initial_loss)
