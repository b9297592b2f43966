"""The network of the wave, against the same formula in NumPy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax


def test_the_objective_is_half_the_mean_squared_error_plus_ridge():
    X, y = np.linspace(-1, 1, 10).reshape(5, 2), np.arange(5.0)
    problem = gdjax.problems.hidden_layer_regression(X, y, hidden=3, ridge=0.1)
    with jax.enable_x64(True):
        start = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), problem.start(jax.random.key(2)))
        start["b1"], start["b2"] = jnp.linspace(-1, 1, 3), jnp.array(0.5)
        value = float(problem.objective(start, jax.tree.map(jnp.asarray, problem.data)))
    p = {name: np.asarray(leaf) for name, leaf in start.items()}
    found = np.tanh(X @ p["W1"].T + p["b1"]) @ p["w2"] + p["b2"]
    penalty = 0.05 * (np.sum(p["W1"] ** 2) + np.sum(p["w2"] ** 2))
    assert value == pytest.approx(np.mean((found - y) ** 2) / 2 + penalty, rel=1e-12)


def test_the_wave_is_a_sine_and_its_network_small():
    problem = gdjax.problems.get("sine-network")
    x, y = problem.data
    assert x.shape == (64, 1) and y == pytest.approx(np.sin(np.pi * x[:, 0]))
    start = problem.start(jax.random.key(0))
    shapes = {name: leaf.shape for name, leaf in start.items()}
    assert shapes == {"W1": (8, 1), "b1": (8,), "w2": (8,), "b2": ()}


def test_bad_hidden_units_and_ridge_are_rejected():
    X, y = np.eye(3), np.arange(3.0)
    with pytest.raises(ValueError, match=r"hidden: must be at least 1 \(got 0\)"):
        gdjax.problems.hidden_layer_regression(X, y, hidden=0)
    with pytest.raises(ValueError, match=r"ridge: must be a finite number of at least 0 \(got -1\)"):
        gdjax.problems.hidden_layer_regression(X, y, ridge=-1)
