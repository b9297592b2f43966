"""The losses by which two scaling runs are seen to do the same work: a few steps of 16 starts at a batch size."""

from __future__ import annotations

import math

import numpy as np

import gdjax

STARTS, STEPS = 16, 16
SHARE = 0.1  # of the initial gap that the steps would take off if the loss fell along the gradient all the way
STILL = 1e-9  # a rate so small that a start stays where it is, and none diverges
LEAST = 1e-30  # of rates, and one over the largest: well within float32


def final_losses(problem: gdjax.Problem, batch_size: int, program: gdjax.Program, gap: float) -> list[float] | None:
    """Final losses of the starts of key 0, ∞ of what diverged; None where the gradient says no rate.

    rate = SHARE · gap / (STEPS · ‖g‖²), by the median gradient of the starts: no step is large enough to blow up
    rounding, and a gradient that is wrong by a hundredth moves the losses by a thousandth of the gap. It is no choice
    among rates, which two devices could make differently.

    Args:
        program: of one setting a batch, of any width.
        gap: f₀ − f*; NaN where f* is not known: |f₀| stands for it, as where two runs are compared.
    """
    def run(rate: float, steps: int) -> gdjax.Runs:
        return gdjax.minibatch(problem, batch_size=batch_size, rates=rate, starts=STARTS, key=0, max_steps=steps,
                               program=program)

    begun = run(STILL, 1)
    scale = gap if math.isfinite(gap) else float(np.median(np.abs(begun.start_loss)))
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        rate = SHARE * scale / (STEPS * np.median(begun.grad_norm.astype(np.float64)) ** 2)
    if not LEAST <= rate <= 1 / LEAST:  # nor NaN
        return None
    found = run(float(rate), STEPS).final_loss.astype(float)
    return list(np.where(np.isnan(found), np.inf, found))
