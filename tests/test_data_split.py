"""Splitting, scaling without leakage, intercepts: properties over many tables, and peers in scikit-learn."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

import gdjax
from gdjax import data

SEEDS = st.integers(0, 2**32 - 1)
SHARES = st.floats(0.01, 0.99)
MANY = settings(max_examples=150, deadline=None)


def rows_of(X):
    return X[:, 0].astype(int).tolist()


def numbered(examples):
    return np.column_stack([np.arange(examples), np.zeros(examples)]), np.arange(examples) * 10.0


@given(st.integers(2, 60), SHARES, SEEDS)
@MANY
def test_every_example_is_in_exactly_one_part_with_its_outcome(examples, held_out, seed):
    (X, y), (X_held, y_held) = data.split(*numbered(examples), held_out=held_out, seed=seed)
    assert sorted(rows_of(X) + rows_of(X_held)) == list(range(examples))
    assert np.array_equal(y, X[:, 0] * 10) and np.array_equal(y_held, X_held[:, 0] * 10)
    assert len(y_held) == min(max(round(held_out * examples), 1), examples - 1)
    again = data.split(*numbered(examples), held_out=held_out, seed=seed)
    assert data.fingerprint(again) == data.fingerprint(((X, y), (X_held, y_held)))


@given(st.lists(st.integers(0, 30), min_size=2, max_size=6), SHARES, SEEDS)
@MANY
def test_every_label_has_its_share_of_both_parts(sizes, held_out, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes)) * 1.5
    if len(labels) < 2:
        return
    X = numbered(len(labels))[0]
    count = min(max(round(held_out * len(labels)), 1), len(labels) - 1)
    quotas = count * np.array(sizes) / len(labels)
    try:
        (X_train, y), (X_held, y_held) = data.split(X, labels, held_out=held_out, seed=seed, stratify=True)
    except ValueError as error:
        # refused only where rounding up a quota takes the last example of a label
        assert "stratify: the training part would lack a label" in str(error)
        assert any(0 < size <= np.ceil(quota) for size, quota in zip(sizes, quotas, strict=True))
        return
    assert sorted(rows_of(X_train) + rows_of(X_held)) == list(range(len(labels)))
    assert len(y_held) == count
    for label, (size, quota) in enumerate(zip(sizes, quotas, strict=True)):
        held = int(np.sum(y_held == label * 1.5))
        assert abs(held - quota) < 1, "less than one example from the exact share"
        assert size == 0 or held < size, "the training part knows every label"
    assert np.array_equal(y, labels[rows_of(X_train)])


def test_other_seeds_give_other_splits_that_are_uniform():
    held = np.zeros(10)
    splits = set()
    for seed in range(2_000):
        _, (X_held, _) = data.split(*numbered(10), held_out=0.3, seed=seed)
        held[rows_of(X_held)] += 1
        splits.add(tuple(sorted(rows_of(X_held))))
    assert len(splits) == 120  # all of 10 over 3
    # held out with probability 0.3: χ² with 9 degrees of freedom, variance 0.3 · 0.7 a draw without replacement;
    # 33.7 is its quantile of 1 − 1e-4, and the seeds are fixed
    assert np.sum((held - 600) ** 2) / (2_000 * 0.3 * 0.7) * 9 / 10 < 33.7


def test_the_split_of_iris_is_the_documented_one():
    train, held = data.split(*data.iris(), seed=0)
    assert (len(train[1]), len(held[1])) == (120, 30)
    # numpy keeps the stream of a seed within its version policy (NEP 19); a change would move every held-out figure
    assert data.fingerprint((train, held))[:16] == "0d228d95795f4b6f"


@pytest.mark.parametrize(
    ("X", "y", "named", "text"),
    [
        (np.ones((1, 1)), [0], {}, r"features: need at least two examples to split \(got 1\)"),
        (np.ones((3, 1)), [0, 1, 1], {"held_out": 0.0}, r"held_out: must be a share inside \(0, 1\) \(got 0.0\)"),
        (np.ones((3, 1)), [0, 1, 1], {"held_out": 1}, r"held_out: .* \(got 1\)"),
        (np.ones((3, 1)), [0, 1, 1], {"held_out": np.nan}, r"held_out: .* \(got nan\)"),
        (np.ones((3, 1)), [0, 1, 1], {"held_out": True}, r"held_out: .* \(got True\)"),
        (np.ones((3, 1)), [0, 1, 1], {"seed": -1}, r"seed: must be in \[0, 2\*\*32\) \(got -1\)"),
        (np.ones((3, 1)), [0, 1, 1], {"seed": 2**32}, r"seed: .* \(got 4294967296\)"),
        (np.ones((3, 1)), [0, 1], {}, r"labels: must be as many .*features \(3, 1\) and labels \(2,\)"),
        (np.ones((4, 1)), [5, 5, 5, 7], {"held_out": 0.9, "stratify": True},
         r"stratify: the training part would lack a label \(got 1 of label 7; 1 such labels\)"),
        (np.ones((10, 1)), np.arange(10), {"stratify": True}, "stratify=False for outcomes that are not labels"),
    ],
)
def test_rows_5_and_12_what_cannot_be_split_is_told(X, y, named, text):
    with pytest.raises(ValueError, match=text):
        data.split(X, np.asarray(y), **named)


@pytest.mark.parametrize("seed", [0.5, "0", None, True])
def test_row_12_a_seed_is_an_integer(seed):
    with pytest.raises(TypeError, match="seed: must be an integer"):
        data.split(*numbered(4), seed=seed)


@given(SEEDS, st.integers(1, 8), st.integers(1, 5))
@MANY
def test_scaling_is_that_of_scikit_learn(seed, examples, features):
    rng = np.random.default_rng(seed)
    X = rng.normal(5, 3, size=(examples, features))
    X[:, 0] = 0.1  # a column that does not vary
    X_held = rng.normal(size=(3, features))
    peer = StandardScaler().fit(X)
    scale = data.scaling(X)
    # its mean of equal values may be one bit off, ours is not
    np.testing.assert_allclose(scale.mean, peer.mean_, rtol=1e-14)
    np.testing.assert_allclose(data.standardise(X_held, like=scale), peer.transform(X_held), rtol=1e-9, atol=1e-9)
    assert np.array_equal(data.standardise(X, like=scale), data.standardise(X))


def test_the_held_out_part_leaks_nothing_into_the_scale():
    (X, _), (X_held, _) = data.split(*data.diabetes(), seed=3)
    scale = data.scaling(X)
    train, held = data.standardise(X, like=scale), data.standardise(X_held, like=scale)
    assert np.abs(train.mean(axis=0)).max() < 1e-13
    # the mean of 88 held-out examples is off 0 by about 1/√88 = 0.107: exactly 0 would be a leak
    assert 0.05 < np.sqrt(np.mean(held.mean(axis=0) ** 2)) < 0.25
    spoilt = X_held.copy()
    spoilt[0] = 1e9
    assert np.array_equal(data.standardise(spoilt, like=scale)[1:], held[1:]), "a row does not move another"


def test_outcomes_are_scaled_like_features():
    y = data.diabetes()[1]
    scale = data.scaling(y)
    assert scale.mean.shape == () and float(scale.mean) == pytest.approx(67_243 / 442)
    assert np.array_equal(data.standardise(y, like=scale), data.standardise(y))


@pytest.mark.parametrize(
    ("like", "text"),
    [
        (data.scaling(np.ones((2, 3))), r"like: .*one number per .*\(got \(3,\) and \(3,\) for features \(2, 2\)"),
        ((np.zeros(2), np.zeros(2)), r"like: mean must be finite and spread above 0"),
        ((np.zeros(2), np.array([1, np.inf])), r"like: mean must be finite and spread above 0"),
        ((np.array([0, np.nan]), np.ones(2)), r"like: mean must be finite and spread above 0"),
    ],
)
def test_a_scale_that_does_not_fit_is_told(like, text):
    with pytest.raises(ValueError, match=text):
        data.standardise(np.eye(2), like=like)


def test_a_column_of_ones_is_the_intercept():
    X, y = data.linnerud("pulse")
    weights = np.linalg.lstsq(data.with_intercept(X), y, rcond=None)[0]
    peer = LinearRegression().fit(X, y)
    np.testing.assert_allclose(weights, [*peer.coef_, peer.intercept_], rtol=1e-10)
    assert data.with_intercept([[1, 2]]).tolist() == [[1, 2, 1]], "of one example no column is known to be constant"


def test_the_builders_have_an_intercept_of_their_own():
    X, y = data.linnerud()
    X = data.standardise(X)
    problem = gdjax.problems.linear_regression(X, y)
    peer = LinearRegression().fit(X, y)
    params = {"w": peer.coef_, "b": peer.intercept_}
    assert float(problem.objective(params, problem.data)) == pytest.approx(problem.optimum, rel=1e-6)
    assert jax.tree.map(jnp.shape, problem.start(jax.random.key(0))) == {"w": (3,), "b": ()}, "no column is added"


@pytest.mark.parametrize(
    ("X", "text"),
    [
        (np.ones(3), r"features: must have two axes and rows \(got shape \(3,\)\)"),
        (np.ones((0, 3)), r"features: must have two axes and rows \(got shape \(0, 3\)\)"),
        (np.array([[2.0, 1.0], [3.0, 1.0]]), r"features: must not have an intercept yet \(got ones in column 1\)"),
    ],
)
def test_an_intercept_that_cannot_be_added_is_told(X, text):
    with pytest.raises(ValueError, match=text):
        data.with_intercept(X)


def test_a_csv_file_becomes_a_problem_with_held_out_examples(tmp_path):
    X, y = data.iris()
    names = np.array(["setosa", "versicolor", "virginica"])[y.astype(int)]
    rows = [",".join([*map(str, row), name]) for row, name in zip(X.tolist(), names, strict=True)]
    (tmp_path / "iris.csv").write_text("\n".join(["a,b,c,d,kind", *rows]))

    table = data.load_csv(tmp_path / "iris.csv", categories={"kind": ["setosa", "versicolor", "virginica"]})
    (X, y), (X_held, y_held) = data.split(*table, held_out=0.2, seed=0, stratify=True)
    scale = data.scaling(X)
    X, X_held = (data.standardise(part, like=scale) for part in (X, X_held))
    problem = gdjax.problems.softmax_regression(X, y, ridge=0.01)
    problem = dataclasses.replace(problem, held_out=(X_held, data.check_labels(y_held, 3)))

    # the peer at the minimum of the same objective: its C is 1/(nλ)
    peer = LogisticRegression(C=1 / (len(y) * 0.01), tol=1e-8, max_iter=1_000).fit(X, y)
    params = {"W": peer.coef_, "b": peer.intercept_}
    penalty = 0.005 * np.sum(peer.coef_**2)
    for part, rows, labels in ((problem.data, X, y), (problem.held_out, X_held, y_held)):
        loss = log_loss(labels, peer.predict_proba(rows)) + penalty
        assert float(problem.objective(params, part)) == pytest.approx(loss, rel=1e-5)
