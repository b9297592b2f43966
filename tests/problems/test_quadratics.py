"""Quadratics against their spectrum, the noisy one against the variance that theory needs exactly."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax


def test_the_ill_conditioned_quadratic_has_condition_number_100():
    problem = gdjax.problems.get("ill-conditioned-quadratic")
    curvatures = np.linalg.eigvalsh(jax.hessian(problem.loss)(jnp.zeros(10)))
    assert len(curvatures) == 10
    assert (curvatures[0], curvatures[-1]) == (pytest.approx(0.01, rel=1e-5), pytest.approx(1.0, rel=1e-5))


def test_a_quadratic_has_the_spectrum_it_was_given():
    problem = gdjax.problems.quadratic([1.0, 3.0, 10.0])
    assert np.diag(jax.hessian(problem.loss)(jnp.ones(3))).tolist() == [1.0, 3.0, 10.0]
    assert float(problem.loss(jnp.array([1.0, 2.0, 3.0]))) == pytest.approx((1 + 12 + 90) / 2)


def test_the_noisy_quadratic_has_its_noise_exactly():
    h, c = [1.0, 0.1, 0.5], [0.2, 3.0, 1.0]
    problem = gdjax.problems.noisy_quadratic(h, c, examples=50, seed=3)
    with jax.enable_x64(True):
        theta, data = jnp.array([0.3, -2.0, 1.0]), jnp.asarray(problem.data)
        each = np.asarray(jax.vmap(jax.grad(problem.loss), (None, 0))(theta, data))
        objective = float(problem.objective(theta, data))
    assert each.mean(axis=0) == pytest.approx(h * np.array([0.3, -2.0, 1.0]), abs=1e-14)
    # covariance of one example's gradient, as drawn with replacement: diag(c)
    assert np.cov(each.T, bias=True) == pytest.approx(np.diag(c), abs=1e-13)
    assert objective == pytest.approx(0.5 * (0.09 + 0.1 * 4 + 0.5), rel=1e-14)


def test_one_step_of_the_noisy_quadratic_has_the_second_moment_of_the_theory():
    # E over the n equally likely examples of one SGD step from θ: (1 − αh)²θ² + α²c, exact, no sampling
    problem, rate = gdjax.problems.get("noisy-quadratic"), 0.3
    h = 1 / np.arange(1, 17)
    with jax.enable_x64(True):
        theta = jnp.linspace(-1.0, 1.0, 16)
        steps = theta - rate * jax.vmap(jax.grad(problem.loss), (None, 0))(theta, jnp.asarray(problem.data))
        moment = np.asarray(jnp.mean(steps**2, axis=0))
        assert moment == pytest.approx((1 - rate * h) ** 2 * np.asarray(theta) ** 2 + rate**2 * h, rel=1e-12)


@pytest.mark.parametrize("spectrum", [[], [[1.0, 2.0]], [1.0, 0.0], [1.0, -1.0], [np.nan], [np.inf], ["a"]])
def test_spectra_without_a_single_minimum_are_rejected(spectrum):
    with pytest.raises(ValueError, match="spectrum: must be positive finite numbers"):
        gdjax.problems.quadratic(spectrum)
    with pytest.raises(ValueError, match="curvatures: must be positive finite numbers"):
        gdjax.problems.noisy_quadratic(spectrum, [1.0])


def test_noise_of_another_length_and_too_few_examples_are_rejected():
    with pytest.raises(ValueError, match=r"noise: must be as long as curvatures \(got 1 and 2\)"):
        gdjax.problems.noisy_quadratic([1.0, 1.0], [1.0])
    with pytest.raises(ValueError, match=r"examples: must be at least 3 \(got 2\)"):
        gdjax.problems.noisy_quadratic([1.0, 1.0], [1.0, 1.0], examples=2)


@pytest.mark.parametrize(("name", "condition"), [("quadratic-10", 10), ("quadratic-1000", 1000)])
def test_quadratics_have_the_condition_number_of_their_names(name, condition):
    curvatures = np.diag(jax.hessian(gdjax.problems.get(name).loss)(jnp.zeros(10)))
    assert curvatures == pytest.approx(np.geomspace(1 / condition, 1, 10), rel=1e-6)


def test_the_rotated_quadratic_has_its_spectrum_but_not_along_the_coordinates():
    with jax.enable_x64(True):
        curvature = np.asarray(jax.hessian(gdjax.problems.get("rotated-quadratic").loss)(jnp.zeros(10)))
    assert np.linalg.eigvalsh(curvature) == pytest.approx(np.geomspace(0.01, 1, 10), rel=1e-12)
    assert np.abs(curvature - np.diag(np.diag(curvature))).max() > 0.05


def test_bad_condition_numbers_and_dimensions_are_rejected():
    for condition in (0.5, -1, np.nan, np.inf):
        with pytest.raises(ValueError, match="condition: must be a finite number of at least 1"):
            gdjax.problems.conditioned_quadratic(condition)
    with pytest.raises(ValueError, match=r"dim: must be at least 2 \(got 1\)"):
        gdjax.problems.conditioned_quadratic(10, dim=1)
    with pytest.raises(TypeError, match=r"dim: must be a whole number of at least 2 \(got 2.5\)"):
        gdjax.problems.conditioned_quadratic(10, dim=2.5)
    with pytest.raises(TypeError, match=r"condition: must be a number \(got '10'\)"):
        gdjax.problems.conditioned_quadratic("10")
    with pytest.raises(ValueError, match=r"seed: must be at least 0 \(got -1\)"):
        gdjax.problems.rotated_quadratic([1.0, 2.0], seed=-1)
    with pytest.raises(ValueError, match="spectrum: must be positive finite numbers"):
        gdjax.problems.rotated_quadratic([1.0, 0.0])
    assert gdjax.problems.conditioned_quadratic(1, dim=3).source.endswith("condition number 1")
