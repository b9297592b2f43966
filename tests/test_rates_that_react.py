"""Rates that follow the loss: each against optax's own, a closed form or a float64 loop written out by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from gdjax.optimizers import backtracking, line_search, plateau
from tests.plain import descend

SPECTRUM = np.array([1.0, 4.0, 20.0])
BOWL = gdjax.problems.quadratic(SPECTRUM)
STARTS = np.array([[1.0, -2.0, 0.5], [3.0, 1.0, -1.0]], np.float32)
LINE = gdjax.problems.get("line-fit")


def steepest_with_exact_search(w: np.ndarray, steps: int) -> np.ndarray:
    """λ = gᵀg / gᵀHg of a quadratic, in float64."""
    for _ in range(steps):
        g = SPECTRUM * w
        w = w - (g @ g) / (g @ (SPECTRUM * g)) * g
    return w


def armijo(w: np.ndarray, rate: float, share: float, decrease: float, steps: int) -> np.ndarray:
    """Backtracking as Nocedal & Wright write it, algorithm 3.1, in float64."""
    loss = lambda x: 0.5 * np.sum(SPECTRUM * x**2)  # noqa: E731
    for _ in range(steps):
        g, step = SPECTRUM * w, rate
        while loss(w - step * g) > loss(w) - share * step * (g @ g):
            step *= decrease
        w = w - step * g
    return w


def test_a_plateau_lowers_the_rate_as_optax_does_for_every_lane_of_its_own_numbers():
    factors, waits = [0.5, 0.8], [2.0, 5.0]
    runs = gdjax.bgd(BOWL, optimizer=plateau, rates=0.1, hyper={"factor": factors, "patience": waits, "window": 3.0},
                     starts=STARTS[:1], key=0, max_steps=60, width=4)
    frame = runs.frame()
    assert frame[["factor", "patience"]].to_numpy().tolist() == [[f, p] for f in factors for p in waits]
    for lane, row in frame.iterrows():
        theirs = optax.chain(optax.sgd(0.1), optax.contrib.reduce_on_plateau(
            factor=row.factor, patience=int(row.patience), rtol=1e-4, accumulation_size=3))
        params, _ = descend(BOWL, theirs, STARTS[0], 60, compiled=True)
        assert runs.params[lane] == pytest.approx(np.asarray(params), rel=1e-4, abs=1e-7)


def test_a_rate_that_bounces_is_lowered_until_the_loss_settles():
    """At η = 2/h a quadratic bounces for ever; the loss does not fall, so the rate is halved and it settles."""
    parabola = gdjax.problems.get("parabola")
    fixed = gdjax.bgd(parabola, rates=1.0, starts=4, key=0, max_steps=100)
    reacts = gdjax.bgd(parabola, optimizer="plateau", rates=1.0, starts=4, key=0, max_steps=100)
    assert fixed.final_loss == pytest.approx(fixed.start_loss, rel=1e-4)
    assert (reacts.final_loss < 1e-10 * reacts.start_loss).all()


@pytest.mark.parametrize("best", [-2.0, 2.0])
def test_a_plateau_counts_a_loss_that_stays_as_no_gain_on_either_side_of_0(best):
    """Utilities have losses below 0: windows of −2, −2, … are no gain; the third without one halves the rate."""
    reduce = jax.jit(plateau(1.0, patience=3.0).update)
    state, moves = plateau(1.0).init(jnp.ones(())), []
    for loss in (best, best, best, best, best - 1.0):
        move, state = reduce(jnp.ones(()), state, None, value=jnp.float32(loss), grad=None, value_fn=None)
        moves.append(float(move))
    assert moves == [-1.0, -1.0, -1.0, -0.5, -0.5]


def test_backtracking_takes_the_steps_of_armijo():
    shares, decreases = [1e-4, 0.4], [0.5, 0.8]
    runs = gdjax.bgd(BOWL, optimizer=backtracking, rates=1.0, hyper={"slope_rtol": shares, "decrease": decreases},
                     starts=STARTS, key=0, max_steps=6, width=8)
    for lane, row in runs.frame().iterrows():
        wanted = armijo(STARTS[row.start].astype(np.float64), 1.0, row.slope_rtol, row.decrease, 6)
        assert runs.params[lane] == pytest.approx(wanted, rel=1e-4, abs=1e-6)


def test_a_line_search_is_exact_enough_to_walk_the_path_of_steepest_descent():
    """Zoom stops at a hundredth of the first slope, so λ is within 1 % of the exact one."""
    runs = gdjax.bgd(BOWL, optimizer=line_search, rates=0.05, hyper={"curv_rtol": 1e-3}, starts=STARTS, key=0,
                     max_steps=4)
    for lane in range(2):
        wanted = steepest_with_exact_search(STARTS[lane].astype(np.float64), 4)
        assert runs.params[lane] == pytest.approx(wanted, rel=0.02, abs=0.02 * np.abs(wanted).max())


def test_a_line_search_falls_at_least_as_fast_as_kantorovich_promises():
    """f_{k+1} ≤ ((κ − 1)/(κ + 1))² f_k with κ = 20 (Nocedal & Wright 2006, theorem 3.3)."""
    runs = gdjax.bgd(BOWL, optimizer="line_search", rates=0.05, hyper={"curv_rtol": 0.01}, starts=8, key=1,
                     max_steps=32, marks=32)
    losses = np.concatenate([runs.start_loss[:, None], runs.curve], axis=1)
    steps = np.concatenate([[0], runs.marks])
    bound = ((20 - 1) / (20 + 1)) ** 2
    for before in range(len(steps) - 1):
        assert (losses[:, before + 1] <= 1.02 * bound ** (steps[before + 1] - steps[before]) * losses[:, before]).all()


def test_polyak_steps_know_the_optimum_of_the_problem():
    """λ = (f − f*)/‖∇f‖², f* = 0.08 of the line fit: nobody has to give it (Polyak 1987, section 5.3)."""
    runs = gdjax.bgd(LINE, optimizer="polyak_sgd", rates=[10.0], starts=3, key=0, max_steps=6)
    starts = gdjax.lanes.draw_starts(LINE, jax.random.fold_in(jax.random.key(0), 0), 3)
    x, y = LINE.data
    for lane in range(3):
        w, b = float(starts["w"][lane]), float(starts["b"][lane])
        for _ in range(6):
            error = w * x + b - y
            slope = np.array([2 * np.mean(error * x), 2 * np.mean(error)])
            w, b = np.array([w, b]) - (np.mean(error**2) - LINE.optimum) / (slope @ slope) * slope
        assert [runs.params["w"][lane], runs.params["b"][lane]] == pytest.approx([w, b], rel=1e-3)
    assert runs.frame()["f_min"].tolist() == [LINE.optimum] * 3


def test_newton_solves_a_quadratic_in_one_step():
    runs = gdjax.bgd(BOWL, optimizer="newton", rates=1.0, starts=STARTS, key=0, max_steps=1)
    assert runs.params == pytest.approx(np.zeros((2, 3)), abs=1e-6)


def test_newton_leaves_a_saddle_downhill():
    """f = x² − y² + y⁴ has a saddle at the origin; plain Newton steps onto it, |Λ| steps away from it."""
    saddle = gdjax.Problem(name="saddle", loss=lambda w: w[0] ** 2 - w[1] ** 2 + w[1] ** 4, optimum=-0.25,
                           init=lambda key: jax.random.uniform(key, (2,), minval=-0.1, maxval=0.1), initial_loss=0.0)
    runs = gdjax.bgd(saddle, optimizer="newton", rates=1.0, starts=8, key=0, max_steps=30)
    assert runs.final_loss == pytest.approx(np.full(8, -0.25), abs=1e-6)


@pytest.mark.parametrize("name", ["newton", "lbfgs"])
def test_the_reference_solvers_find_the_stored_optimum(name, x64):
    """Breast cancer's optimum was solved in float64 to a gradient norm of 1e-12."""
    problem = gdjax.problems.get("cancer-logistic")
    runs = gdjax.bgd(problem, optimizer=name, rates=1.0, starts=1, key=0, max_steps=12 if name == "newton" else 150)
    assert runs.final_loss.dtype == np.float64
    assert runs.final_loss[0] == pytest.approx(problem.optimum, abs=1e-12 if name == "newton" else 1e-6)


def test_further_numbers_are_lane_data_of_any_optimizer():
    """Momentum and Adam's b1 as numbers of the lanes give what optax gives with the number written in."""
    for function, name, values in ((optax.sgd, "momentum", [0.3, 0.9]), (optax.adam, "b1", [0.5, 0.95])):
        runs = gdjax.bgd(BOWL, optimizer=function, rates=[0.01, 0.05], hyper={name: values}, starts=STARTS, key=3,
                         max_steps=40)
        assert runs.frame()[name].tolist() == values * 4
        for lane, row in runs.frame().iterrows():
            params, losses = descend(BOWL, function(row.rate, **{name: row[name]}), STARTS[row.start], 40,
                                     compiled=True)
            assert runs.params[lane] == pytest.approx(np.asarray(params), rel=1e-4, abs=1e-6)
            assert runs.final_loss[lane] == pytest.approx(losses[-1], rel=1e-4)


def test_numbers_are_kept_in_the_file_of_a_run(tmp_path):
    runs = gdjax.bgd(BOWL, optimizer="momentum", rates=0.01, hyper={"momentum": [0.5, 0.9]}, starts=1, key=0,
                     max_steps=3)
    runs.save(tmp_path / "runs.npz")
    again = gdjax.Runs.load(tmp_path / "runs.npz")
    assert again.hyper == runs.hyper == ({"momentum": 0.5}, {"momentum": 0.9})
    assert again.frame().equals(runs.frame())
