"""The textbook problems against the figures the textbooks print."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax


def test_line_fit_is_least_squares_near_the_line_it_was_drawn_from():
    problem = gdjax.problems.get("line-fit")
    x, y = problem.data
    slope, intercept = np.polyfit(x, y, 1)
    assert problem.minimizer["w"] == pytest.approx(slope, rel=1e-10)
    assert problem.minimizer["b"] == pytest.approx(intercept, rel=1e-10)
    assert problem.optimum == pytest.approx(np.mean((slope * x + intercept - y) ** 2), rel=1e-12)
    # standard errors: √(1/12/100)/√(1/12) = 0.1 for the slope, 0.06 for the intercept; residual variance 1/12
    assert abs(slope - 2) < 0.3 and abs(intercept - 3.5) < 0.2 and abs(problem.optimum - 1 / 12) < 0.02
    assert problem.examples == 100


def test_the_parabola_bounces_for_ever_at_rate_1_and_jumps_home_at_a_half():
    slope = jax.grad(gdjax.problems.get("parabola").loss)
    x = jnp.float32(5.0)
    assert float(x - 0.5 * slope(x)) == 3.0
    assert [float(x - 1.0 * slope(x)), float(1.0 - 1.0 * slope(jnp.float32(1.0)))] == [1.0, 5.0]


def test_the_coupled_quadratic_is_the_one_of_the_tutorials():
    problem = gdjax.problems.get("coupled-quadratic")
    assert float(problem.loss(jnp.array([1.0, 1.0]))) == 5.0
    curvatures = np.linalg.eigvalsh(jax.hessian(problem.loss)(jnp.zeros(2)))
    assert curvatures == pytest.approx([3 - np.sqrt(5), 3 + np.sqrt(5)], rel=1e-6)


def test_the_softmax_network_gives_the_loss_and_gradient_of_the_book():
    # Saito 2016, section 4.4.2: weights, loss and gradient as printed there
    weights = jnp.array([[0.47355232, 0.9977393, 0.84668094], [0.85557411, 0.03563661, 0.69422093]])
    loss, gradient = jax.value_and_grad(gdjax.problems.get("softmax-2x3").loss)(weights)
    assert float(loss) == pytest.approx(0.92806853663411326, rel=1e-6)
    expected = np.array([[0.21924763, 0.14356247, -0.36281009], [0.32887144, 0.2153437, -0.54421514]])
    assert np.asarray(gradient) == pytest.approx(expected, abs=1e-6)


def test_the_softmax_network_nears_its_infimum_but_never_reaches_it():
    loss = gdjax.problems.get("softmax-2x3").loss
    toward = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    losses = [float(loss(scale * toward)) for scale in (1, 4, 8)]
    # log(1 + 2 exp(−1.5 s))
    assert losses == pytest.approx([np.log1p(2 * np.exp(-1.5 * scale)) for scale in (1, 4, 8)], rel=0.05)
    assert losses[2] > 0
