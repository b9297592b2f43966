"""Whole descents against what paper, theory, scikit-learn and a plain optax loop say they must be."""

from __future__ import annotations

import jax
import numpy as np
import optax
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

import gdjax
from tests.plain import batches_of, descend

pytestmark = pytest.mark.usefixtures("as_shipped")


def steps_to_tolerance(h: np.ndarray, x: np.ndarray, rate: float, tolerance: float, most: int) -> int:
    """Smallest s with ‖gradient‖ ≤ tolerance, gradientᵢ = hᵢ (1 − rate·hᵢ)ˢ xᵢ."""
    norms = np.sqrt((((1 - rate * h) ** np.arange(most)[:, None] * h * x) ** 2).sum(axis=1))
    return int(np.argmax(norms <= tolerance))


def test_bgd_on_a_quadratic_takes_exactly_the_steps_of_the_closed_form(x64):
    h = np.array([0.05, 0.4, 1.0, 3.0])
    starts = np.random.default_rng(0).normal(size=(9, 4))
    rates = [0.05, 0.2, 0.5, 0.62]  # 0.62: the factor of h = 3 is −0.86, an overshoot in every step
    runs = gdjax.bgd(gdjax.problems.quadratic(h), rates=rates, starts=starts, key=0, tolerance=1e-6, max_steps=20_000)
    assert runs.params.dtype == np.float64
    expected = [steps_to_tolerance(h, x, rate, 1e-6, 20_000) for x in starts for rate in rates]
    assert min(expected) > 100 and len(set(expected)) > 25, "the oracle must be able to tell lanes apart"
    frame = runs.frame()
    assert frame.steps.tolist() == expected
    assert set(frame.status) == {"converged"}
    assert (frame.grad_norm <= 1e-6).all()
    ends = np.array([(1 - rate * h) ** s * x for (x, rate), s in
                     zip(((x, rate) for x in starts for rate in rates), expected, strict=True)])
    assert runs.params == pytest.approx(ends, rel=1e-9)


def test_one_curvature_takes_the_logarithm_of_the_paper(x64):
    # |h (1 − αh)ˢ x| ≤ tol at s = ⌈log(tol/|hx|)/log|1 − αh|⌉
    h, x, tolerance, rates = 2.0, 3.0, 1e-5, [0.01, 0.1, 0.3, 0.9]
    runs = gdjax.bgd(gdjax.problems.quadratic([h]), rates=rates, starts=np.array([[x]]), key=0, tolerance=tolerance,
                     max_steps=5000)
    closed = [int(np.ceil(np.log(tolerance / (h * x)) / np.log(abs(1 - rate * h)))) for rate in rates]
    assert runs.frame().steps.tolist() == closed


@pytest.mark.parametrize("rate", [0.1, 0.25])
def test_the_textbook_gradients_of_the_bowl_move_the_starts(rate):
    at, gradient = np.array([(3, 4), (0, 2), (3, 0)], np.float32), np.array([(6, 8), (0, 4), (6, 0)])
    runs = gdjax.bgd(gdjax.problems.get("bowl"), rates=rate, starts=at, key=0, max_steps=1)
    assert runs.params == pytest.approx(at - rate * gradient, rel=1e-6)
    assert runs.frame().final_loss.to_numpy() == pytest.approx((1 - 2 * rate) ** 2 * np.array([25, 4, 9]), rel=1e-6)


@pytest.mark.parametrize("batch_size", [1, 8])
def test_sgd_on_the_noisy_quadratic_follows_the_recursion_of_the_variance(batch_size):
    """sᵢ ← (1 − αhᵢ)² sᵢ + α² cᵢ/B (Zhang et al. 2019, arXiv 1907.04164), for a constant and a falling α."""
    h, c, alpha, steps = np.array([1.0, 0.5, 0.2]), np.array([1.0, 2.0, 0.5]), 0.5, 100
    problem = gdjax.problems.noisy_quadratic(h, c, examples=256)
    runs = gdjax.minibatch(problem, batch_size=batch_size, rates=alpha, schedules=["constant", "linear"], starts=4096,
                           key=7, max_steps=steps, marks=10, sampling="replacement", batches="independent")
    for setting, rates in enumerate((np.full(steps, alpha), alpha * (1 - np.arange(steps) / steps))):
        variance = np.ones((steps + 1, 3))  # starts are N(0, 1)
        for step, rate in enumerate(rates):
            variance[step + 1] = (1 - rate * h) ** 2 * variance[step] + rate**2 * c / batch_size
        lanes = runs.setting == setting
        error = runs.curve[lanes].std(axis=0) / 64
        assert (np.abs(runs.curve[lanes].mean(axis=0) - 0.5 * variance[runs.marks] @ h) <= 4 * error).all()
        squares = runs.params[lanes] ** 2
        assert (np.abs(squares.mean(axis=0) - variance[-1]) <= 4 * squares.std(axis=0) / 64).all()
        if setting == 0:
            floor = alpha * c / (h * batch_size * (2 - alpha * h))
            assert variance[-1] == pytest.approx(floor, rel=1e-6), "100 steps are enough to reach the floor"


def quick(rate):
    return optax.sgd(rate, momentum=0.98, nesterov=True)


def test_least_squares_ends_at_the_optimum_of_scikit_learn(x64):
    problem = gdjax.problems.get("diabetes-linear")
    X, y = problem.data
    runs = gdjax.bgd(problem, optimizer=quick, rates=0.1, starts=2, key=0, tolerance=1e-9, max_steps=6000, width=2)
    known = LinearRegression().fit(X, y)
    loss = np.mean((known.predict(X) - y) ** 2) / 2
    assert set(runs.frame().status) == {"converged"}
    assert runs.frame().final_loss.to_numpy() == pytest.approx(loss, rel=1e-6)
    # ‖gradient‖ ≤ 1e-9 and smallest curvature 8.6e-3: no parameter is off by more than 1.2e-7
    assert runs.params["w"] == pytest.approx(np.stack([known.coef_] * 2), abs=1.2e-7)
    assert runs.params["b"] == pytest.approx(known.intercept_, abs=1.2e-7)


def test_ridge_logistic_regression_ends_at_the_optimum_of_scikit_learn(x64):
    problem = gdjax.problems.get("cancer-logistic")
    X, y = problem.data
    ridge = 1e-3
    runs = gdjax.bgd(problem, optimizer=quick, rates=0.3, starts=2, key=0, tolerance=1e-8, max_steps=6000, width=2)
    known = LogisticRegression(C=1 / (len(y) * ridge), solver="newton-cholesky", tol=1e-10, max_iter=1000).fit(X, y)
    score = X @ known.coef_[0] + known.intercept_[0]
    loss = np.mean(np.logaddexp(0, score) - y * score) + ridge / 2 * np.sum(known.coef_**2)
    assert set(runs.frame().status) == {"converged"}
    assert runs.frame().final_loss.to_numpy() == pytest.approx(loss, rel=1e-6)
    assert runs.params["w"] == pytest.approx(np.concatenate([known.coef_] * 2), rel=1e-3, abs=1e-5)


def assert_same_path(runs, lane, params, losses):
    """A lane's marks and final parameters are those of a plain loop, to 1e-5."""
    assert runs.curve[lane] == pytest.approx(losses[runs.marks], rel=1e-5)
    for mine, plain in zip(jax.tree.leaves(runs.params), jax.tree.leaves(params), strict=True):
        assert mine[lane] == pytest.approx(np.asarray(plain), rel=1e-5, abs=1e-6)


def test_adam_with_a_cosine_takes_the_path_of_a_plain_optax_loop():
    problem, steps = gdjax.problems.get("line-fit"), 60
    starts = {"w": np.array([0.0, -1.0], np.float32), "b": np.array([0.0, 5.0], np.float32)}
    runs = gdjax.bgd(problem, optimizer="adam", schedules="cosine", rates=0.3, starts=starts, key=0, max_steps=steps,
                     marks=9)
    for lane in range(2):
        start = jax.tree.map(lambda leaf, lane=lane: leaf[lane], starts)
        plain = optax.adam(optax.cosine_decay_schedule(0.3, steps))
        assert_same_path(runs, lane, *descend(problem, plain, start, steps))


def test_momentum_on_mini_batches_takes_the_path_of_a_plain_optax_loop():
    problem, steps, key = gdjax.problems.get("line-fit"), 60, jax.random.key(5)
    runs = gdjax.minibatch(problem, batch_size=7, optimizer="momentum", rates=[0.02, 0.1], starts=3, key=key,
                           max_steps=steps, marks=9)
    starts = gdjax.lanes.draw_starts(problem, jax.random.fold_in(key, 0), 3)
    seeds = gdjax.lanes.streams(jax.random.fold_in(key, gdjax.lanes.KEY_BATCHES), np.array([[0, 0], [1, 0], [2, 0]]))
    for lane, row in runs.frame().iterrows():
        start = jax.tree.map(lambda leaf, row=row: leaf[row.start], starts)
        batches = batches_of(100, 7, seeds[row.start], steps)  # 7 does not divide 100: batches cross the epoch's edge
        assert_same_path(runs, lane, *descend(problem, optax.sgd(row.rate, momentum=0.9), start, steps, batches))


def test_a_batch_of_all_examples_is_bgd():
    problem = gdjax.problems.get("line-fit")
    same = {"rates": 0.1, "starts": 3, "key": 2, "max_epochs": 20, "marks": 5}
    batch = gdjax.minibatch(problem, batch_size=100, **same)
    full = gdjax.bgd(problem, **same)
    assert np.array_equal(batch.curve, full.curve)
    starts = gdjax.lanes.draw_starts(problem, jax.random.fold_in(jax.random.key(2), 0), 3)
    for lane in range(3):
        start = jax.tree.map(lambda leaf, lane=lane: leaf[lane], starts)
        assert_same_path(full, lane, *descend(problem, optax.sgd(0.1), start, 20))
