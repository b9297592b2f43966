"""The noisy double well: its minima, its noise, and who crosses the hill."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax


def test_its_stationary_points_are_the_roots_of_the_cubic():
    problem = gdjax.problems.get("noisy-double-well")
    low, hill, local = sorted(np.roots([1, 0, -1, 0.1]))
    assert problem.minima == pytest.approx([low, local], rel=1e-14)
    assert hill == pytest.approx(0.101, abs=5e-4)
    assert problem.optimum == pytest.approx(low**4 / 4 - low**2 / 2 + low / 10, rel=1e-14)
    # the docstring's figures
    assert [low, problem.optimum] == pytest.approx([-1.046681, -0.352386], abs=5e-7)
    assert [local, local**4 / 4 - local**2 / 2 + local / 10] == pytest.approx([0.945649, -0.152639], abs=5e-7)


def test_it_has_its_noise_exactly():
    problem = gdjax.problems.noisy_double_well(tilt=-0.2, noise=2.0, examples=64)
    with jax.enable_x64(True):
        each = np.asarray(jax.vmap(jax.grad(problem.loss), (None, 0))(jnp.array(0.7), jnp.asarray(problem.data)))
    assert each.mean() == pytest.approx(0.343 - 0.7 - 0.2, abs=1e-14)
    assert each.var() == pytest.approx(2.0, rel=1e-12)
    assert problem.minima[0] > 0 > problem.minima[1], "a tilt below 0 lowers the right well"


def test_the_noise_carries_sgd_over_the_hill_and_bgd_stays():
    problem = gdjax.problems.get("noisy-double-well")
    call = {"rates": 0.1, "starts": np.full(64, problem.minima[1] + 0.01, np.float32), "key": 0, "max_steps": 20_000}
    assert (np.asarray(gdjax.bgd(problem, **call).params) > 0.9).all()
    # noise as of temperature rate/2 = 0.05: depths 0.2 apart leave e^-4 = 2 % on the right once in balance
    assert np.mean(np.asarray(gdjax.sgd(problem, **call).params) < 0) > 0.8


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"tilt": 0.385}, r"tilt: must be between ±0.3849 \(got 0.385\)"),
        ({"tilt": np.nan}, r"tilt: must be between ±0.3849 \(got nan\)"),
        ({"noise": 0.0}, r"noise: must be a finite number above 0 \(got 0.0\)"),
        ({"noise": np.inf}, r"noise: must be a finite number above 0 \(got inf\)"),
        ({"examples": 1}, r"examples: must be at least 2 \(got 1\)"),
        ({"examples": 10.5}, r"examples: must be a whole number of at least 2 \(got 10.5\)"),
        ({"tilt": "steep"}, r"tilt: must be a number \(got 'steep'\)"),
        ({"noise": None}, r"noise: must be a number \(got None\)"),
    ],
)
def test_bad_wells_are_rejected(changed, text):
    with pytest.raises((ValueError, TypeError), match=text):
        gdjax.problems.noisy_double_well(**changed)
