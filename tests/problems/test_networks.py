"""The network against the same formula in NumPy and against scikit-learn."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import log_loss

import gdjax


def test_the_objective_is_cross_entropy_of_the_network_plus_ridge():
    problem = gdjax.problems.get("digits-mlp")
    X, y = problem.data
    with jax.enable_x64(True):
        start = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), problem.start(jax.random.key(2)))
        start["b1"], start["b2"] = jnp.linspace(-1, 1, 32), jnp.linspace(0, 1, 10)
        value = float(problem.objective(start, jax.tree.map(jnp.asarray, problem.data)))
    p = {name: np.asarray(leaf) for name, leaf in start.items()}
    scores = np.tanh(X @ p["W1"].T + p["b1"]) @ p["W2"].T + p["b2"]
    chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    penalty = 0.5e-3 * (np.sum(p["W1"] ** 2) + np.sum(p["W2"] ** 2))
    assert value == pytest.approx(log_loss(y, chances) + penalty, rel=1e-12)


def test_starts_have_the_variance_of_glorot():
    start = gdjax.problems.get("digits-mlp").start(jax.random.key(0))
    shapes = {name: leaf.shape for name, leaf in start.items()}
    assert shapes == {"W1": (32, 64), "b1": (32,), "W2": (10, 32), "b2": (10,)}
    # 2,048 and 320 draws: relative standard error of the variance √(2/n) = 3 % and 8 %
    assert float(jnp.var(start["W1"])) == pytest.approx(2 / 96, rel=0.12)
    assert float(jnp.var(start["W2"])) == pytest.approx(2 / 42, rel=0.3)
    assert not start["b1"].any() and not start["b2"].any()


def test_hidden_units_can_be_chosen_and_must_exist():
    X, y = np.eye(3), np.array([0, 1, 2])
    assert gdjax.problems.one_hidden_layer(X, y, hidden=7).start(jax.random.key(0))["W2"].shape == (3, 7)
    with pytest.raises(ValueError, match=r"hidden: must be at least 1 \(got 0\)"):
        gdjax.problems.one_hidden_layer(X, y, hidden=0)
    with pytest.raises(TypeError, match=r"hidden: must be a whole number of at least 1 \(got 2.5\)"):
        gdjax.problems.one_hidden_layer(X, y, hidden=2.5)


def test_two_layers_are_cross_entropy_of_their_formula_plus_ridge():
    problem = gdjax.problems.get("wine-two-layers")
    X, y = problem.data
    with jax.enable_x64(True):
        start = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), problem.start(jax.random.key(2)))
        start |= {f"b{layer}": jnp.linspace(-1, 1, size) for layer, size in ((1, 16), (2, 8), (3, 3))}
        value = float(problem.objective(start, jax.tree.map(jnp.asarray, problem.data)))
    p = {name: np.asarray(leaf) for name, leaf in start.items()}
    units = np.tanh(np.tanh(X @ p["W1"].T + p["b1"]) @ p["W2"].T + p["b2"])
    scores = units @ p["W3"].T + p["b3"]
    chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    penalty = 0.5e-3 * sum(np.sum(p[f"W{layer}"] ** 2) for layer in (1, 2, 3))
    assert value == pytest.approx(log_loss(y, chances) + penalty, rel=1e-12)


@pytest.mark.parametrize(
    ("hidden", "text"),
    [((4,), r"two layers \(got \(4,\)\)"), ((4, 0), r"at least 1 \(got 0\)"), (8, r"two layers \(got 8\)")],
)
def test_two_layers_need_two_sizes(hidden, text):
    with pytest.raises(ValueError, match=f"hidden: must be .*{text}"):
        gdjax.problems.two_hidden_layers(np.eye(3), np.array([0, 1, 2]), hidden=hidden)
