"""Held-out examples and accuracy of every builder on data."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax

X, COUNTS = np.arange(12.0).reshape(6, 2), np.array([0, 1, 0, 1, 1, 0])
HELD = np.ones((3, 2)), np.array([1, 0, 1])
CLASSIFIERS = [
    gdjax.problems.logistic_regression, gdjax.problems.softmax_regression, gdjax.problems.squared_hinge_regression,
    gdjax.problems.one_hidden_layer, gdjax.problems.two_hidden_layers,
]
BUILDERS = [
    *CLASSIFIERS, gdjax.problems.linear_regression, gdjax.problems.ridge_regression, gdjax.problems.huber_regression,
    gdjax.problems.poisson_regression, gdjax.problems.hidden_layer_regression,
]


@pytest.mark.parametrize("build", BUILDERS)
def test_held_out_examples_are_kept_beside_the_data(build):
    problem = build(X, COUNTS, held_out=HELD)
    assert problem.examples == 6 and problem.held_out[0].shape == (3, 2)
    assert problem.held_out[1].tolist() == [1, 0, 1]
    assert problem.held_out[1].dtype == problem.data[1].dtype
    assert build(X, COUNTS).held_out is None


@pytest.mark.parametrize("build", BUILDERS)
@pytest.mark.parametrize(
    ("held_out", "error", "text"),
    [
        ((np.ones((3, 4)), HELD[1]), ValueError, r"held_out: must have the columns of X \(got 4, X has 2\)"),
        ((np.ones((2, 2)), HELD[1]), ValueError, r"held_out: labels: must be as many as the rows"),
        ((np.full((3, 2), np.nan), HELD[1]), ValueError, r"held_out: features: must be finite \(got nan at row 0"),
        ((np.ones(3), HELD[1]), ValueError, "held_out: features: must have two axes"),
        ((np.array([["a", "b"]] * 3), HELD[1]), TypeError, "held_out: features: must hold real numbers"),
        (np.ones((3, 2)), TypeError, r"held_out: must be the pair \(X, y\) \(got ndarray\)"),
        ((np.ones((3, 2)),), TypeError, r"held_out: must be the pair \(X, y\) \(got tuple\)"),
    ],
)
def test_held_out_examples_of_another_form_are_rejected(build, held_out, error, text):
    with pytest.raises(error, match=text):
        build(X, COUNTS, held_out=held_out)


@pytest.mark.parametrize("build", CLASSIFIERS)
def test_held_out_labels_must_be_among_the_classes(build):
    with pytest.raises(ValueError, match=r"held_out: labels: must be whole numbers from 0 to 1 \(got 2 at row 1"):
        build(X, COUNTS, held_out=(HELD[0], np.array([1, 2, 0])))


def test_held_out_counts_must_be_counts():
    with pytest.raises(ValueError, match=r"held_out: counts: must be whole numbers of at least 0 \(got -1 at row 0"):
        gdjax.problems.poisson_regression(X, COUNTS, held_out=(HELD[0], np.array([-1, 0, 2])))


ONE, PAIR = jnp.ones((1, 1)), jnp.array([[-1.0], [1.0]])


@pytest.mark.parametrize(
    ("build", "params"),
    [
        (gdjax.problems.logistic_regression, {"w": jnp.ones(1), "b": jnp.zeros(())}),
        (gdjax.problems.squared_hinge_regression, {"w": jnp.ones(1), "b": jnp.zeros(())}),
        (gdjax.problems.softmax_regression, {"W": PAIR, "b": jnp.zeros(2)}),
        (gdjax.problems.one_hidden_layer, {"W1": ONE, "b1": jnp.zeros(1), "W2": PAIR, "b2": jnp.zeros(2)}),
        (gdjax.problems.two_hidden_layers,
         {"W1": ONE, "b1": jnp.zeros(1), "W2": ONE, "b2": jnp.zeros(1), "W3": PAIR, "b3": jnp.zeros(2)}),
    ],
)
def test_accuracy_by_hand(build, params):
    x, y = np.array([[1.0], [2.0], [-1.0], [-3.0], [0.0]]), np.array([1, 0, 0, 1, 0])
    problem = build(x, y)
    # the sign of x tells the class: right, wrong, right, wrong; at 0 both score alike and class 0 is told: right
    assert float(problem.accuracy(params, (jnp.asarray(x), jnp.asarray(y)))) == pytest.approx(0.6)
