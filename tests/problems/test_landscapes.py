"""The test functions against their published values and stationary points."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax


def test_rosenbrock_at_the_point_where_its_paper_starts():
    problem = gdjax.problems.get("rosenbrock")
    assert float(problem.loss(jnp.array([-1.2, 1.0]))) == pytest.approx(24.2, rel=1e-6)
    assert jax.grad(problem.loss)(jnp.array([-1.2, 1.0])).tolist() == pytest.approx([-215.6, -88.0], rel=1e-5)


@pytest.mark.parametrize("at", [(3, 2), (-2.805118, 3.131312), (-3.779310, -3.283186), (3.584428, -1.848126)])
def test_himmelblau_has_four_minima_of_0(at):
    problem = gdjax.problems.get("himmelblau")
    assert float(problem.loss(jnp.array(at, jnp.float32))) < 1e-8
    assert np.linalg.eigvalsh(jax.hessian(problem.loss)(jnp.array(at, jnp.float32))).min() > 0


def test_himmelblau_has_a_saddle_where_descent_can_stall():
    problem = gdjax.problems.get("himmelblau")
    saddle = jnp.array([0.08667750, 2.88425470])
    assert np.abs(jax.grad(problem.loss)(saddle)).max() < 1e-3
    curvatures = np.linalg.eigvalsh(jax.hessian(problem.loss)(saddle))
    assert curvatures.min() < 0 < curvatures.max()


def test_rastrigin_is_its_usual_formula_and_has_minima_near_whole_numbers():
    problem = gdjax.problems.get("rastrigin")
    for at in np.random.default_rng(0).uniform(-5.12, 5.12, (5, 2)):
        usual = 20 + np.sum(at**2 - 10 * np.cos(2 * np.pi * at))
        assert float(problem.loss(at)) == pytest.approx(usual, rel=1e-5)
    # next to (1, 0) lies a local minimum of about 0.995, at x0 = 0.99496
    assert float(problem.loss(np.array([0.99496, 0.0]))) == pytest.approx(0.99496, abs=1e-4)
    assert np.abs(jax.grad(problem.loss)(jnp.array([0.99496, 0.0]))).max() < 0.01
