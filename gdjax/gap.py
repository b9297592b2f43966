"""The initial gap f₀ − f* of a problem, and the targets that are shares of it."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import Mesh

from gdjax.engine.measure import measure
from gdjax.lanes import draw_starts
from gdjax.problem import Problem


def targets(problem: Problem, gaps: Sequence[float] = (1e-1, 1e-2, 1e-3)) -> list[float]:
    """Target losses f* + ε·(f₀ − f*) for shares ε of the initial gap.

    f₀ is the median loss of 1,001 starts of a fixed key.

    Raises:
        ValueError: the optimum is not known.

    Example:
        >>> [round(t, 6) for t in gdjax.targets(gdjax.problems.get("parabola"), gaps=[0.0])]
        [0.0]
    """
    if problem.optimum is None:
        raise ValueError(f"problem {problem.name!r}: optimum: is not known, so gaps have no meaning (got None). "
                         "Give target losses instead.")
    gap = initial_loss(problem) - problem.optimum
    return [problem.optimum + float(share) * gap for share in gaps]


def initial_loss(problem: Problem, mesh: Mesh | None = None) -> float:
    """f₀, the median loss of 1,001 starts of a fixed key: stored with the problem, or computed once.

    `mesh` is that of a `Program`, whose devices hold the data; None: the default device.

    >>> gdjax.initial_loss(gdjax.problems.get("bowl")) > 0
    True
    """
    if problem.initial_loss is None:
        loss, _ = measure(problem, draw_starts(problem, jax.random.key(1001), 1001), mesh)
        found = float(np.median(loss))
        object.__setattr__(problem, "initial_loss", found)
        return found
    return float(problem.initial_loss)
