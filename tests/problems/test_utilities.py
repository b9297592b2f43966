"""Utilities: maximised, their losses are minus them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax


def test_the_best_prices_are_found_by_ascent_and_losses_are_minus_the_profit():
    problem = gdjax.problems.get("two-prices")
    assert float(problem.loss(jnp.array([2.0, 3.0]))) == (2 - 1) * (10 - 4 + 3) + (3 - 1) * (10 - 6 + 2)
    assert np.linalg.eigvalsh(jax.hessian(problem.loss)(jnp.zeros(2))) == pytest.approx([-6.0, -2.0])
    # curvatures 2 and 6 of J: at rate 1/4 each step halves both distances, so 60 steps leave nothing in float32
    runs = gdjax.bgd(problem, rates=0.25, starts=4, key=0, max_steps=60)
    assert runs.final_loss == pytest.approx(np.full(4, -40.5), rel=1e-6)
    assert np.asarray(runs.params) == pytest.approx(np.full((4, 2), 5.5), rel=1e-4)


def test_the_most_likely_log_odds_are_those_of_the_heads_seen():
    problem = gdjax.problems.get("coin-likelihood")
    assert 1 / (1 + np.exp(-problem.minimizer)) == pytest.approx(0.62, rel=1e-12)
    assert problem.data.sum() == 62 and problem.examples == 100
    with jax.enable_x64(True):
        z, flips = jnp.array(0.3), jnp.asarray(problem.data)
        likelihood = 0.62 * np.log(1 / (1 + np.exp(-0.3))) + 0.38 * np.log(1 / (1 + np.exp(0.3)))
        assert float(problem.objective(z, flips)) == pytest.approx(-likelihood, rel=1e-12)
