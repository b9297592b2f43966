"""The initial gap: f₀ is the problem's own, whatever it was made from; a gap that means nothing ends no lane."""

from __future__ import annotations

import warnings
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax import running
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
    for value in (np.nan, 0.0, 1.0, 2.0, -0.1, "a", None, True):
        with refused(ValueError, "gaps: must be shares of the initial gap inside (0, 1)", f"(got {value!r})", "0.01"):
            gdjax.targets(NEAR, [0.1, value])
    for ask in (gdjax.targets, gdjax.initial_loss, gdjax.preflight):
        with refused(TypeError, "problem: must be a gdjax.Problem (got 'bowl')", "gdjax.problems.get"):
            ask("bowl")


@pytest.mark.parametrize("changed", [
    {"batch_size": 32, "rates": 0.3},
    {"batch_size": 1, "rates": 0.02, "max_steps": 200},
    {"batch_size": 2, "rates": 0.3, "sampling": gdjax.Stream(buffer=8)},
])
def test_a_loss_below_the_optimum_is_told(changed: dict[str, object]) -> None:
    """(w − x)², x = ±1: the mean is 1 + w², its smallest value 1."""
    wrong = replace(NEAR, data=np.tile([-1.0, 1.0], 16), optimum=1.1)
    with pytest.warns(UserWarning, match=r"problem 'near': optimum: must be the smallest loss, .* \(got 1") as told:
        gdjax.minibatch(wrong, **{"starts": 4, "key": 0, "max_steps": 20, **changed})
    assert len(told) == 1
    assert "the optimum is 1.1). The objective is the mean over the examples, not their sum: " in str(told[0].message)


def told_of(gap: float, lowest: float, **changed: object) -> str:
    """What is said of a problem whose initial gap and lowest loss are these, beside a lane that diverged."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        running._warn_of_optimum(replace(NEAR, **changed), gap, np.array([lowest, np.inf, -np.inf], np.float32))
    return str(told[0].message) if told else ""


def test_what_is_told_of_a_loss_below_the_optimum() -> None:
    """Roundings are a millionth of the optimum or of the initial gap, whichever is larger."""
    assert told_of(1.0, 1.0, optimum=1.0 + 5e-7) == told_of(1e4, 0.0, optimum=1e-3) == ""
    assert told_of(1.0, 0.995, optimum=1.0, optimum_tolerance=0.005) == told_of(1.0, 0.5, optimum=None) == ""
    assert told_of(1.0, np.nan, optimum=1.0) == ""
    assert told_of(1.0, 1.0, optimum=1.0 + 1e-5) and told_of(1e4, 0.0, optimum=0.1)
    assert told_of(np.inf, 0.9, optimum=1.0)
    assert "(got 1.4, the optimum is 2)" in told_of(-0.5, 1.4, optimum=2.0), "above the initial loss too"
    assert "is minus the mean utility: " in told_of(0.5, -1.0, optimum=1.0, maximise=True)


def test_coarser_arithmetic_has_coarser_last_digits() -> None:
    def rounding(kind: jnp.dtype) -> float:
        return running._rounding(replace(NEAR, init=lambda key: jnp.zeros((), kind)))

    assert rounding(jnp.float32) == 1e-6
    assert rounding(jnp.bfloat16) == 8 * 2**-7
