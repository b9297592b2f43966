"""The initial gap: f₀ is the problem's own, whatever it was made from; a gap that means nothing ends no lane."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from tests.refusals import refused

NEAR = gdjax.Problem(name="near", loss=lambda w, e: (w - e) ** 2, init=lambda key: jax.random.normal(key, ()),
                     data=np.array([-1.0, 1.0]), optimum=1.0)
FAR = {"data": 100 + 10 * np.array([-1.0, 1.0]), "optimum": 100.0}


def test_a_problem_made_from_another_has_a_gap_of_its_own() -> None:
    """Starts are near 0, the far minimum at 100: f₀ is about 100² + 100."""
    before = gdjax.targets(NEAR, [0.1])[0]
    assert 1 < before < 1.2
    far = replace(NEAR, **FAR)
    assert gdjax.targets(far, [0.1])[0] == pytest.approx(100 + 0.1 * 1e4, rel=0.02)
    runs = gdjax.bgd(far, rates=0.1, starts=2, key=0, max_steps=100, tolerance=1e-2)
    assert set(runs.frame().status) == {"converged"}
    assert gdjax.targets(NEAR, [0.1])[0] == before and NEAR.initial_loss is None


def test_starts_without_a_loss_count_as_the_worst_and_end_no_other_lane() -> None:
    """One in twenty starts is below 0, where x·log x is NaN; the median of the others is still one."""
    problem = gdjax.Problem(name="xlogx", loss=lambda x: x * jnp.log(x), optimum=-np.exp(-1),
                            init=lambda key: jax.random.uniform(key, (), minval=-0.05, maxval=1.0))
    assert -np.exp(-1) < gdjax.initial_loss(problem) < 0
    runs = gdjax.bgd(problem, rates=0.1, starts=8, key=0, max_steps=50, tolerance=1e-3)
    fine = np.isfinite(runs.start_loss)
    assert fine.sum() > 5 and (runs.frame().status[fine] == "converged").all()


@pytest.mark.parametrize("excess", [0.0, 1e-9, -4e-10])
def test_a_start_at_the_optimum_is_no_divergence(excess: float) -> None:
    """f₀ − f* is 0 or rounding: a million times that is no limit."""
    x = np.random.default_rng(0).normal(size=50)
    optimum = float(x.var()) - excess
    problem = gdjax.Problem(name="at-the-mean", loss=lambda w, e: (w - e) ** 2, data=x, optimum=optimum,
                            init=lambda key: jnp.full((), x.mean()))
    runs = gdjax.sgd(problem, rates=0.1, starts=4, key=0, max_epochs=2)
    assert set(runs.frame().status) == {"budget"}
    assert (runs.final_loss > optimum + 1e-3).any(), "else nothing would have been beyond the limit"


def test_gaps_without_a_meaning_are_refused() -> None:
    lost = gdjax.Problem(name="lost", loss=lambda x: x * jnp.log(x), init=lambda key: jax.random.normal(key, ()) - 1,
                         optimum=-np.exp(-1))
    with refused(ValueError, "problem 'lost': initial_loss: must be finite and above the optimum", "(got inf"):
        gdjax.targets(lost)
    for value in (np.nan, np.inf, 0.5):
        with refused(ValueError, "problem 'near': initial_loss: must be finite and not below the optimum"):
            replace(NEAR, initial_loss=value)
    with refused(TypeError, "gaps: must be one value or a sequence"):
        gdjax.targets(NEAR, 0.1)
