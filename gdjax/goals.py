"""What targets are on: the loss, that of held-out examples, or the share of examples classified wrongly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gdjax.problem import Problem

LOSS, HELD_OUT_LOSS, ERROR = "loss", "held_out_loss", "error"
KINDS = (LOSS, HELD_OUT_LOSS, ERROR)
ROUNDING = 1e-6  # of an error: 1 − 0.95 is 0.05000001 in float32


def check(problem: Problem, target_on: str, targets: Sequence[float] = ()) -> None:
    """Raise where a problem has nothing that such targets could be on.

    Args:
        target_on: one of `KINDS`.
        targets: what they are, where that is known.

    Raises:
        ValueError: no held-out examples, no accuracy, or an error outside [0, 1].

    Example:
        >>> check(gdjax.problems.get("digits-held-out"), "error", [0.05])
    """
    if target_on == HELD_OUT_LOSS and problem.held_out is None:
        raise ValueError(f"target_on: problem {problem.name!r} holds no examples out (got {target_on!r}). "
                         "Give it held_out=…, or use target_on='loss'.")
    if target_on == ERROR and problem.accuracy is None:
        raise ValueError(f"target_on: problem {problem.name!r} has no accuracy (got {target_on!r}). "
                         "Give it accuracy=…, or use target_on='loss'.")
    wrong = [target for target in targets if target_on == ERROR and not 0 <= target <= 1]
    if wrong:
        raise ValueError(f"targets: on the error must be shares from 0 to 1 (got {wrong[0]:g}). 0.05 asks for an "
                         "accuracy of 95 %.")


def of(target_on: str, scores: Mapping[str, np.ndarray]) -> np.ndarray:
    """What targets are on where it is not the loss, from scores by name: held_out_loss, or accuracy a as 1 − a.

    >>> of("error", {"accuracy": np.array([0.75, np.nan])})
    array([0.25,  nan])
    """
    return 1 - scores["accuracy"] if target_on == ERROR else scores[target_on]


def level(target_on: str, target: float) -> float:
    """The number at or below which a target is met.

    >>> level("error", 0.05) > 1 - np.float32(0.95) > 0.05 == level("loss", 0.05)
    True
    """
    return target + ROUNDING if target_on == ERROR else target
