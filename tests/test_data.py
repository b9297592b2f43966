"""Bundled data, standardising, fingerprints, and the checks of user data (rows 4 and 5 of the bad-input list)."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from gdjax import data

ROWS = np.arange(12.0).reshape(6, 2)


@pytest.mark.parametrize(
    ("load", "shape", "low", "high", "classes"),
    [
        (data.diabetes, (442, 10), 25, 346, None),
        (data.breast_cancer, (569, 30), 0, 1, 2),
        (data.digits, (1797, 64), 0, 9, 10),
        (data.iris, (150, 4), 0, 2, 3),
        (data.wine, (178, 13), 0, 2, 3),
        (data.linnerud, (20, 3), 138, 247, None),
        (lambda: data.linnerud("waist"), (20, 3), 31, 46, None),
        (lambda: data.linnerud("pulse"), (20, 3), 46, 74, None),
    ],
)
def test_bundled_data_have_their_published_sizes(load, shape, low, high, classes):
    X, y = load()
    assert X.shape == shape and y.shape == shape[:1]
    assert X.dtype == y.dtype == np.float64
    assert (y.min(), y.max()) == (low, high)
    if classes:
        assert sorted(set(data.check_labels(y, classes).tolist())) == list(range(classes))


def test_class_counts_are_those_of_the_sources():
    # UCI: 212 malignant, 357 benign; the rarest digit is 8 with 174, the most frequent 3 with 183
    assert np.bincount(data.breast_cancer()[1].astype(int)).tolist() == [212, 357]
    counts = np.bincount(data.digits()[1].astype(int))
    assert (counts[8], counts[3], counts.sum()) == (174, 183, 1797)
    # Fisher 1936: 50 of each species; UCI: 59, 71 and 48 wines of the three cultivars
    assert np.bincount(data.iris()[1].astype(int)).tolist() == [50, 50, 50]
    assert np.bincount(data.wine()[1].astype(int)).tolist() == [59, 71, 48]


def test_means_of_iris_are_those_of_fisher():
    # Fisher 1936, table 2: means of setosa and versicolor in cm
    X, y = data.iris()
    assert X[y == 0].mean(axis=0).round(3).tolist() == [5.006, 3.428, 1.462, 0.246]
    assert X[y == 1].mean(axis=0).round(3).tolist() == [5.936, 2.77, 4.26, 1.326]


def test_an_unknown_outcome_of_linnerud_is_answered_with_the_closest():
    with pytest.raises(ValueError, match=r"outcome: .* \(got 'wait'\). Did you mean 'waist'\? Known: weight,"):
        data.linnerud("wait")


def test_a_missing_scikit_learn_is_answered_with_the_install_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=r"pip install scikit-learn \(or gdjax\[bench\]\)"):
        data.digits()


def test_standardise_gives_mean_0_and_variance_1():
    X = data.standardise(data.diabetes()[0])
    assert np.abs(X.mean(axis=0)).max() < 1e-13
    assert np.abs(X.std(axis=0) - 1).max() < 1e-13


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9 + 0.1, -3.3e-7])
def test_a_column_that_does_not_vary_becomes_zero(value):
    # 0.1 + 0.1 + 0.1 is not 0.3: the mean of equal values differs from them in the last bit
    X = np.column_stack([np.full(7, value), np.arange(7.0)])
    scaled = data.standardise(X)
    assert scaled[:, 0].tolist() == [0.0] * 7
    assert scaled[:, 1].tolist() == pytest.approx(((np.arange(7) - 3) / 2).tolist())


def test_standardise_rejects_what_it_cannot_scale():
    with pytest.raises(ValueError, match=r"features: need rows \(got shape \(0, 2\)\)"):
        data.standardise(np.zeros((0, 2)))
    with pytest.raises(ValueError, match="nan at row 1 column 0"):
        data.standardise(np.array([[1.0], [np.nan]]))
    for like in (3, (np.zeros(1),), np.zeros(3)):
        with pytest.raises(TypeError, match=r"like: must be \(mean, spread\) \(got .*\). Use scaling\(X_train\)"):
            data.standardise(np.zeros((2, 1)), like=like)
    with pytest.raises(TypeError, match="like: spread: must hold real numbers"):
        data.standardise(np.zeros((2, 1)), like=(np.zeros(1), ["a"]))


@pytest.mark.parametrize(
    ("labels", "classes", "text"),
    [
        ([0, 1, -1, 1], 2, "got -1 at row 2; 1 in all"),
        ([0, 1, 2, 3], 3, "from 0 to 2 .got 3 at row 3"),
        ([0, 0.5, 1.0], 2, "got 0.5 at row 1"),
        ([0, np.nan, 1], 2, "got nan at row 1"),
        ([0, np.inf, 1], 2, "got inf at row 1"),
        ([9, 8, 0, 7, 6, 5, 4], 2, "9 at row 0, 8 at row 1, 7 at row 3, 6 at row 4, 5 at row 5; 6 in all"),
        ([1, 1, 1], 2, "at least two classes .got only 1 at row 0, 1 at row 1, 1 at row 2"),
        ([[0], [1]], 2, r"one axis .* \(got shape \(2, 1\)\)"),
        ([], 2, r"at least one example \(got shape \(0,\)\)"),
        ([0, 0], 1, r"classes: must be at least 2 \(got 1\)"),
    ],
)
def test_wrong_labels_are_named_by_row_and_value(labels, classes, text):
    with pytest.raises(ValueError, match=text):
        data.check_labels(np.array(labels), classes)


def test_good_labels_become_int32():
    assert data.check_labels(np.array([True, False]), 2).dtype == np.int32
    assert data.check_labels(np.array([2.0, 0.0]), 3).tolist() == [2, 0]
    with pytest.raises(TypeError, match=r"labels: must hold real numbers .got dtype <U3"):
        data.check_labels(np.array(["cat", "dog"]), 2)


@pytest.mark.parametrize(
    ("X", "y", "text"),
    [
        (ROWS, np.zeros(5), r"as many as the rows .*features \(6, 2\) and labels \(5,\)"),
        (np.zeros(6), np.zeros(6), r"two axes.*features \(6,\) and labels \(6,\).*reshape\(-1, 1\)"),
        (np.zeros((0, 2)), np.zeros(0), r"rows and columns.*\(0, 2\)"),
        (np.zeros((6, 0)), np.zeros(6), r"rows and columns.*\(6, 0\)"),
        (ROWS, np.zeros((6, 1)), r"one axis.*labels \(6, 1\).*ravel"),
    ],
)
def test_wrong_shapes_are_named(X, y, text):
    with pytest.raises(ValueError, match=text):
        data.check_features(X, y)


def test_values_that_are_not_finite_are_named_by_row_and_column():
    X = ROWS.copy()
    X[1, 0], X[2:, 1] = np.nan, np.inf
    text = "nan at row 1 column 0, inf at row 2 column 1, .* inf at row 5 column 1; 5 in all"
    with pytest.raises(ValueError, match=text):
        data.check_features(X, np.zeros(6))
    with pytest.raises(ValueError, match=r"labels: must be finite .got -inf at row 0"):
        data.check_features(ROWS, np.array([-np.inf, 0, 0, 0, 0, 0]))
    with pytest.raises(TypeError, match=r"features: must hold real numbers .got dtype complex128"):
        data.check_features(ROWS * 1j, np.zeros(6))


def test_the_fingerprint_depends_on_values_types_shapes_and_places_only():
    X = np.arange(6.0).reshape(2, 3)
    known = data.fingerprint({"x": X})
    assert len(known) == 64
    assert data.fingerprint({"x": np.asfortranarray(X)}) == known, "memory order is not data"
    assert data.fingerprint({"x": X.astype(">f8")}) == known, "byte order is not data"
    others = [{"x": X + 1e-12}, {"x": X.astype(np.float32)}, {"x": X.reshape(3, 2)}, {"y": X}, (X,), {"x": X, "y": X}]
    assert len({known, *map(data.fingerprint, others)}) == 1 + len(others)


def test_the_fingerprint_of_digits_is_the_one_the_figures_were_made_with():
    assert data.fingerprint(data.digits()) == "6b18c39cf478c0c3bbb2175308a786efdcd3445fd4d6f0284df1ceaa1cceed68"


@pytest.mark.parametrize("name", data.__all__)
def test_everything_public_has_an_example_that_is_run(name):
    assert ">>> " in getattr(data, name).__doc__
