"""Batch scaling of real descents on the noisy quadratic, against the recursion that its expected loss follows."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import gdjax
from bench.analysis import scaling
from bench.analysis.intervals import hit_interval
from bench.analysis.scaling import Fit, fit_hyperbola

# in 512 dimensions the loss of a single lane is within a few percent of the expected one
pytestmark = pytest.mark.usefixtures("as_shipped")  # many steps: compiled quickly they take minutes
CURVATURES = np.geomspace(0.05, 1, 512)
NOISE = 0.5 * CURVATURES
SIZES = np.array([1, 4, 16, 64, 256])
TARGET = 0.02 * CURVATURES.sum() / 2  # 2 % of the expected loss of starts N(0, 1)
RATES = np.geomspace(0.02, 1.9, 30)
STARTS, LONGEST = 32, 600
ENDLESS = 10**12  # examples: drawn with replacement, the variance of a batch is 1/B of one example's, not 1/B − 1/n


@functools.cache
def theory() -> tuple[np.ndarray, np.ndarray]:
    """The soonest rate of every batch size by the recursion, and its steps to the target, (sizes,) each.

    sᵢ ← (1 − αhᵢ)² sᵢ + α² cᵢ/B, from sᵢ = 1; the expected loss ½ Σ hᵢ sᵢ is log-interpolated between two steps: a
    start of its own takes one or the other.

    Source: Zhang et al. 2019, arXiv 1907.04164, section 3.
    """
    variance = np.ones((len(SIZES), len(RATES), len(CURVATURES)))
    added = RATES[:, None] ** 2 * NOISE / SIZES[:, None, None]
    losses = [variance @ CURVATURES / 2]
    for _ in range(LONGEST):
        variance = (1 - RATES[:, None] * CURVATURES) ** 2 * variance + added
        losses.append(variance @ CURVATURES / 2)
    curves = np.array(losses)
    below = curves <= TARGET
    after = below.argmax(axis=0)
    late, early = (np.take_along_axis(curves, at[None], axis=0)[0] for at in (after, np.maximum(after - 1, 0)))
    with np.errstate(divide="ignore"):  # a rate that misses has no step on either side
        steps = np.where(below.any(axis=0), after - 1 + np.log(early / TARGET) / np.log(early / late), np.inf)
    return RATES[steps.argmin(axis=1)], steps.min(axis=1)


@functools.cache
def measured() -> tuple[gdjax.Runs, ...]:
    """Descents of 32 starts at every batch size, with the rate that the recursion finds soonest."""
    problem = gdjax.problems.noisy_quadratic(CURVATURES, NOISE, examples=1024)
    return tuple(gdjax.minibatch(problem, batch_size=int(size), rates=float(rate), starts=STARTS, key=1, marks=64,
                                 max_steps=int(2 * steps) + 5, targets=[TARGET], sampling="replacement")
                 for size, rate, steps in zip(SIZES, *theory(), strict=True))


def fit(steps: np.ndarray) -> Fit:
    """The hyperbola fitted to (starts, sizes) steps to the target."""
    return fit_hyperbola(SIZES.astype(float), steps, np.full(len(SIZES), float(LONGEST)), ENDLESS)


def test_the_sizes_span_perfect_scaling_and_a_flat_end() -> None:
    _, steps = theory()
    assert steps[0] / steps[1] == pytest.approx(4, rel=0.05)
    assert steps[3] / steps[4] < 1.6


@pytest.mark.parametrize("place", range(len(SIZES)))
def test_steps_to_the_target_are_those_of_the_recursion(place: int) -> None:
    hits = measured()[place].hits()
    assert hits["hit"].all()
    found = hit_interval(*(hits[name].to_numpy(float) for name in ("steps_before", "steps", "steps_after")))
    assert found.low <= theory()[1][place] <= found.high
    assert found.value == pytest.approx(theory()[1][place], rel=0.05)


def test_the_hyperbola_is_near_the_recursion_and_its_residual_says_how_near() -> None:
    """The exact steps are off the hyperbola by 2.5 % already: what the fit to measured ones is off is mostly that."""
    exact = fit(theory()[1][None])
    assert exact.residual == pytest.approx(1.025, abs=0.003)
    off = np.log(exact.steps(SIZES, ENDLESS) / theory()[1])
    assert np.exp(np.sqrt((off**2).mean())) == pytest.approx(exact.residual, abs=1e-3)
    found = fit(np.stack([runs.hits()["steps"].to_numpy(float) for runs in measured()], axis=1))
    assert found.b_crit.low <= exact.b_crit.value <= found.b_crit.high
    # hits are whole updates where every step is a mark, the recursion's are not: an end may be a part of a step off
    assert 0.99 * found.s_min.low <= exact.s_min.value <= found.s_min.high
    assert found.residual == pytest.approx(exact.residual, abs=0.02)
    assert "residual" in scaling.COLUMNS  # and so in scaling.csv
