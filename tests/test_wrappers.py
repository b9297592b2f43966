"""Mixed rates, stale gradients, averaged iterates, utilities: recursions in float64 and theory's stability edges."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from gdjax.optimizers import averaged, delayed, mixed
from tests.plain import descend

PARABOLA = gdjax.problems.quadratic([1.0])
LINE = gdjax.problems.get("line-fit")
TWO = gdjax.Problem(
    name="two-groups", loss=lambda p: 0.5 * p["a"] @ p["a"] + 2.0 * p["b"][0] ** 2 + 2.0 * p["b"][1] ** 2,
    init=lambda key: {"a": jnp.ones(2), "b": (jnp.ones(()), jnp.ones(()))}, optimum=0.0, initial_loss=5.0)


def stale(w: float, rate: float, delay: int, steps: int) -> float:
    """wₜ₊₁ = wₜ − η w_{t−τ} in float64, nothing applied before step τ."""
    path = [w]
    for step in range(steps):
        path.append(path[-1] - (rate * path[step - delay] if step >= delay else 0.0))
    return path[-1]


def test_every_group_descends_at_its_own_rate():
    """Coordinates with curvatures 1 and 4: w ← (1 − factor·η·h) w, k times."""
    optimizer = mixed(optax.sgd, {"a": 1.0, "b": 0.5})
    runs = gdjax.bgd(TWO, optimizer=optimizer, rates=[0.1, 0.3], hyper={"factor.b": [0.0, 0.25, 0.5]}, starts=1, key=0,
                     max_steps=7)
    for lane, row in runs.frame().iterrows():
        assert row["factor.a"] == 1.0
        assert runs.params["a"][lane] == pytest.approx(np.full(2, (1 - row.rate) ** 7), rel=1e-5)
        both = [float(leaf[lane]) for leaf in runs.params["b"]]
        assert both == pytest.approx([(1 - 4 * row["factor.b"] * row.rate) ** 7] * 2, rel=1e-5)


def test_mixed_rates_are_those_of_optax_partition():
    optimizer = mixed(optax.adam, {"w": 1.0, "b": 0.2})
    runs = gdjax.bgd(LINE, optimizer=optimizer, rates=0.1, starts=2, key=0, max_steps=15)
    starts = gdjax.lanes.draw_starts(LINE, jax.random.fold_in(jax.random.key(0), 0), 2)
    theirs = optax.partition({"w": optax.adam(0.1), "b": optax.adam(0.02)}, {"w": "w", "b": "b"})
    for lane in range(2):
        params, _ = descend(LINE, theirs, {name: leaf[lane] for name, leaf in starts.items()}, 15,
                            compiled=True)
        assert [runs.params[n][lane] for n in "wb"] == pytest.approx([float(params[n]) for n in "wb"], rel=1e-4)


def test_new_factors_are_the_same_program():
    assert mixed(optax.sgd, {"a": 1.0, "b": 0.5}) == mixed(optax.sgd, {"a": 0.1, "b": 7.0})
    assert mixed(optax.sgd, {"a": 1.0, "b": 0.5}) != mixed(optax.adam, {"a": 1.0, "b": 0.5})
    assert hash(averaged(optax.sgd)) == hash(averaged(optax.sgd, after=10.0))


@pytest.mark.parametrize("delay", [0, 1, 3])
def test_a_stale_gradient_follows_its_recursion(delay):
    runs = gdjax.bgd(PARABOLA, optimizer=delayed(optax.sgd, 3), rates=0.2, hyper={"delay": [delay]},
                     starts=np.ones((1, 1), np.float32), key=0, max_steps=25)
    assert runs.params[0, 0] == pytest.approx(stale(1.0, 0.2, delay, 25), rel=1e-4, abs=1e-6)


def test_staleness_lowers_the_largest_stable_rate_as_theory_says():
    """wₜ₊₁ = wₜ − ηh w_{t−τ} converges exactly for ηh < 2 sin(π/(2(2τ + 1))): 2, 1, 0.618, … (Levin & May 1976)."""
    delays = [0, 1, 2, 4]
    edges = [2 * math.sin(math.pi / (2 * (2 * delay + 1))) for delay in delays]
    for share, stable in ((0.97, True), (1.03, False)):
        settings = [gdjax.Setting(gdjax.schedules.constant(), share * edge, {"delay": delay})
                    for delay, edge in zip(delays, edges, strict=True)]
        runs = gdjax.bgd(PARABOLA, optimizer=delayed(optax.sgd, 4), rates=None, settings=settings,
                         starts=np.ones((1, 1), np.float32), key=0, max_steps=2000)
        assert ((runs.final_loss < 1e-6) == stable).all()
        assert stable or (runs.final_loss > 1.0).all()


def test_without_delay_nothing_changes_bit_for_bit():
    plain = gdjax.minibatch(LINE, batch_size=10, rates=[0.1, 0.3], starts=4, key=0, max_steps=40)
    same = gdjax.minibatch(LINE, batch_size=10, optimizer=delayed(optax.sgd, 5), rates=[0.1, 0.3],
                           hyper={"delay": 0}, starts=4, key=0, max_steps=40)
    assert np.array_equal(plain.final_loss, same.final_loss)


def test_random_delays_are_drawn_evenly_and_differ_between_starts():
    """Each gradient is the number of its step, so that what comes out is step − delay."""
    longest, steps = 4, 4000
    made = delayed(optax.sgd, longest, random=True)(-1.0)

    def walk(start):
        def body(state, step):
            update, state = made.update(step, state, start, value=step, grad=step, value_fn=None)
            return state, step - update
        return jax.lax.scan(body, made.init(start), jnp.arange(steps, dtype=jnp.float32))[1]

    first, second, again = (np.asarray(walk(jnp.float32(start)))[longest:] for start in (0.5, 0.7, 0.5))
    for drawn in (first, second):
        counts = np.bincount(drawn.astype(int), minlength=longest + 1)
        assert len(counts) == longest + 1
        expected = len(drawn) / (longest + 1)
        assert np.sum((counts - expected) ** 2 / expected) < 18.5, "chi square, 4 degrees of freedom, p = 0.001"
    assert np.array_equal(first, again)
    assert np.mean(first == second) == pytest.approx(1 / (longest + 1), abs=0.03)


def test_the_mean_of_the_iterates_is_scored_and_returned():
    """Full batches from 1: iterates (1 − η)^t, their mean over t = after + 1 … T in closed form."""
    steps, rate = 20, 0.3
    call = {"optimizer": averaged(optax.sgd), "rates": rate, "hyper": {"average_after": [0, 12]}, "marks": 20,
            "starts": np.ones((1, 1), np.float32), "key": 0, "max_steps": steps}
    runs = gdjax.bgd(PARABOLA, tolerance=1e-9, **call)
    for lane, after in enumerate((0, 12)):
        iterates = (1 - rate) ** np.arange(1, steps + 1)
        assert runs.params[lane, 0] == pytest.approx(iterates[after:].mean(), rel=1e-5)
        assert runs.final_loss[lane] == pytest.approx(0.5 * iterates[after:].mean() ** 2, rel=1e-4)
        means = [iterates[t - 1] if t <= after else iterates[after:t].mean() for t in runs.marks]
        assert runs.curve[lane] == pytest.approx(0.5 * np.array(means) ** 2, rel=1e-4)
        assert runs.best_loss[lane] == pytest.approx(0.5 * np.min(means) ** 2, rel=1e-4)
    # iterates are within 0.05 of the minimum from 0.7⁹ = 0.04 on (the next mark is 10), the mean of all of them never
    ends = gdjax.bgd(PARABOLA, tolerance=0.05, **call).frame()
    assert ends.status.tolist() == ["budget", "converged"] and ends.steps.tolist() == [20, 10]
    assert ends.grad_norm.tolist() == pytest.approx([0.7 * (1 - 0.7**20) / 0.3 / 20, 0.7**10], rel=1e-4)


def test_averaging_takes_sgd_below_its_noise_floor():
    """At a constant rate SGD hovers at αc/(hB(2 − αh))/2 · h; the mean of T iterates has variance about c/(h²BT)."""
    problem = gdjax.problems.noisy_quadratic([1.0], [1.0])
    arguments = {"rates": 0.2, "starts": 256, "key": 0, "max_steps": 4000, "sampling": "replacement"}
    floor = gdjax.sgd(problem, **arguments).final_loss
    means = gdjax.sgd(problem, optimizer=averaged(optax.sgd), hyper={"average_after": 1000}, **arguments).final_loss
    assert floor.mean() == pytest.approx(0.5 * 0.2 / (2 - 0.2), rel=0.3)
    assert means.mean() == pytest.approx(0.5 / 3000, rel=0.4)


def test_a_utility_is_climbed_by_the_steps_that_descend_its_negative():
    up = gdjax.Problem(name="hill", loss=lambda w: -jnp.sum((w - 1) ** 2), maximise=True, optimum=0.0,
                       init=lambda key: jax.random.normal(key, (2,)))
    down = gdjax.Problem(name="hole", loss=lambda w: jnp.sum((w - 1) ** 2), init=up.init, optimum=0.0)
    climbed, fallen = (gdjax.bgd(each, rates=[0.1, 0.4], starts=3, key=0, max_steps=30, targets=[0.1])
                       for each in (up, down))
    assert np.array_equal(climbed.params, fallen.params) and climbed.frame().equals(fallen.frame())
    assert climbed.params == pytest.approx(np.ones((6, 2)), abs=5e-3)


def test_a_utility_of_examples_is_climbed_by_single_examples_and_batches():
    data = np.linspace(-1, 3, 40)
    problem = gdjax.Problem(name="likelihood", loss=lambda m, x: -0.5 * (x - m) ** 2, maximise=True, data=data,
                            init=lambda key: jax.random.normal(key))
    for size, near in ((1, 0.6), (40, 0.01)):
        runs = gdjax.minibatch(problem, batch_size=size, rates=1.0, schedules="inverse_time", starts=4, key=0,
                               max_epochs=30)
        assert runs.params == pytest.approx(np.full(4, data.mean()), abs=near)
        assert (runs.final_loss >= data.var() / 2 - 1e-6).all(), "J is minus the utility"


def test_held_out_loss_and_accuracy_stand_beside_the_final_loss(tmp_path):
    x = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    problem = gdjax.Problem(
        name="sign", loss=lambda w, e: jax.nn.softplus(-(2 * e[1] - 1) * w * e[0][0]),
        init=lambda key: 0.1 + jax.random.uniform(key), data=(x, np.array([0, 0, 1, 1])),
        held_out=(np.array([[-3.0], [3.0], [0.5], [-0.5]]), np.array([0, 1, 1, 1])),
        accuracy=lambda w, batch: jnp.mean((w * batch[0][:, 0] > 0) == batch[1]))
    runs = gdjax.bgd(problem, rates=[0.5, 1e9], starts=3, key=0, max_steps=10)
    frame = runs.frame()
    w = runs.params.astype(np.float64)
    margins = w[:, None] * np.array([3.0, 3.0, 0.5, -0.5])
    assert frame.held_out_loss.to_numpy() == pytest.approx(np.logaddexp(0, -margins).mean(axis=1), rel=1e-4)
    assert frame.accuracy.tolist() == [0.75] * 6, "one of four held-out labels disagrees with its sign"
    runs.save(tmp_path / "runs.npz")
    assert gdjax.Runs.load(tmp_path / "runs.npz").frame().equals(frame)


@pytest.mark.parametrize("compiled", [False, True])
def test_numbers_of_a_wrapper_are_those_of_the_call_not_of_one_before(compiled):
    """Two that differ in their numbers alone share a program; w ← (1 − 4·factor·η) w in one step."""
    problem = dataclasses.replace(TWO, name="again")
    before = mixed(optax.sgd, {"a": 1.0, "b": 1.0})
    program = gdjax.compile(problem, batch_size=1, optimizer=before) if compiled else None
    for factor in (0.5, 0.0, 1.0):
        runs = gdjax.bgd(problem, optimizer=mixed(optax.sgd, {"a": 1.0, "b": factor}), rates=0.1, starts=1, key=0,
                         max_steps=1, program=program)
        assert [float(leaf[0]) for leaf in runs.params["b"]] == pytest.approx([1 - 0.4 * factor] * 2, rel=1e-6)
        assert runs.frame()["factor.b"].tolist() == [factor]
    ends = {after: float(gdjax.bgd(LINE, optimizer=averaged(optax.sgd, after=after), rates=0.05, starts=1, key=0,
                                   max_steps=40).final_loss[0]) for after in (0, 20)}
    assert ends[20] < ends[0], "the mean of the later iterates is nearer"
