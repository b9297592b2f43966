"""Parameters, losses and data in half precision, or in another one than each other: the path of a plain loop."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from gdjax.engine import step
from tests import plain

DRAW = np.random.default_rng(0)
ROWS = DRAW.normal(size=(20, 3)).astype(np.float32)
LABELS = (ROWS[:, 0] > 0).astype(np.int32)
MIXED = {"weights": jnp.bfloat16, "offsets": jnp.float32}


def classes(weights: type = jnp.bfloat16, offsets: type = jnp.bfloat16, loss: type = jnp.float32) -> gdjax.Problem:
    """Softmax regression whose parts have dtypes of their own."""
    def init(key):
        return {"weights": (0.3 * jax.random.normal(key, (2, 3))).astype(weights), "offsets": jnp.zeros(2, offsets)}

    def of_example(params, example):
        x, label = example
        outputs = (params["weights"] @ x.astype(weights)).astype(loss) + params["offsets"].astype(loss)
        return jax.nn.logsumexp(outputs) - outputs[label]

    return gdjax.Problem(name="classes", loss=of_example, init=init, data=(ROWS, LABELS), optimum=0.0)


def descended(problem: gdjax.Problem, **changed) -> gdjax.Runs:
    return gdjax.minibatch(problem, **{"batch_size": 5, "rates": 0.25, "starts": 2, "key": 0, "max_steps": 20,
                                       "marks": 4, **changed})


@pytest.mark.parametrize(("loss", "optimizer", "hyper", "made"), [
    (jnp.float32, "sgd", None, optax.sgd(0.25)),
    (jnp.bfloat16, "momentum", {"momentum": [0.5]}, optax.sgd(0.25, momentum=0.5)),
    (jnp.float16, "adam", None, optax.adam(0.25)),
])
def test_parameters_in_half_precision_take_the_path_of_a_plain_loop(loss, optimizer, hyper, made) -> None:
    half = jnp.float16 if loss == jnp.float16 else jnp.bfloat16
    problem = classes(half, half, loss)
    runs = descended(problem, optimizer=optimizer, hyper=hyper)
    key = jax.random.key(0)
    starts = gdjax.lanes.draw_starts(problem, jax.random.fold_in(key, gdjax.lanes.KEY_STARTS), 2)
    seeds = gdjax.lanes.streams(jax.random.fold_in(key, gdjax.lanes.KEY_BATCHES), np.array([[0, 0], [1, 0]]))
    for lane in range(2):
        start = jax.tree.map(lambda leaf, lane=lane: leaf[lane], starts)
        _, losses = plain.descend(problem, made, start, 20, plain.batches_of(20, 5, seeds[lane], 20))
        np.testing.assert_allclose(runs.curve[lane], losses[runs.marks], rtol=0.03, atol=0.01)
        assert runs.params["weights"].dtype == half and runs.final_loss.dtype == runs.grad_norm.dtype == np.float32


@pytest.mark.parametrize(("optimizer", "hyper"), [("adam", None), ("nesterov", {"momentum": [0.9]})])
def test_leaves_of_several_dtypes_keep_them(optimizer, hyper) -> None:
    runs = descended(classes(**MIXED), optimizer=optimizer, hyper=hyper)
    assert {name: leaf.dtype for name, leaf in runs.params.items()} == MIXED
    assert np.all(runs.final_loss < 0.6 * runs.start_loss)


def test_all_examples_in_every_step_end_a_lane_by_its_norm() -> None:
    runs = gdjax.bgd(classes(**MIXED), rates=0.5, starts=3, key=0, tolerance=0.1, max_steps=500)
    assert set(runs.frame().status) == {"converged"} and np.all(runs.grad_norm <= 0.1)


def test_two_numbers_in_half_precision_descend_without_data() -> None:
    bowl = gdjax.Problem(name="half-bowl", loss=lambda x: jnp.sum(x.astype(jnp.float32) ** 2), optimum=0.0,
                         init=lambda key: jax.random.normal(key, (2,), jnp.bfloat16))
    runs = gdjax.bgd(bowl, rates=0.25, starts=2, key=0, max_steps=3)
    np.testing.assert_allclose(runs.final_loss, runs.start_loss / 64, rtol=0.02)  # each step halves both numbers


def test_newton_decomposes_in_single() -> None:
    """One step of Newton's method is at the minimum of a quadratic, here (1, −2)."""
    bowl = gdjax.Problem(name="half-bowl", init=lambda key: jax.random.normal(key, (2,), jnp.bfloat16), optimum=0.0,
                         loss=lambda x: jnp.sum(jnp.array([3, 1]) * (x.astype(jnp.float32) - jnp.array([1, -2])) ** 2))
    runs = gdjax.bgd(bowl, optimizer="newton", rates=1.0, starts=2, key=0, max_steps=2)
    np.testing.assert_allclose(np.asarray(runs.params, np.float32), [[1, -2]] * 2, rtol=0.01)
    assert runs.params.dtype == jnp.bfloat16


def test_gradients_of_parameters_in_half_precision_are_checked() -> None:
    assert gdjax.check_gradient(classes(MIXED["offsets"])).max_relative_error < 1e-2
    bowl = gdjax.Problem(name="half-bowl", loss=lambda x: jnp.sum(x**2),
                         init=lambda key: jax.random.normal(key, (2,), jnp.bfloat16))
    assert gdjax.check_gradient(bowl).max_relative_error < 1e-8
    np.testing.assert_allclose(gdjax.numerical_gradient(lambda x: (x**2).sum(), jnp.ones(2, jnp.bfloat16)), [2, 2])


def test_a_loss_in_half_precision_is_averaged_and_decayed_in_single() -> None:
    problem = classes(loss=jnp.bfloat16)
    assert problem.loss_like.dtype == jnp.float32
    table = gdjax.lanes.hyper_table([gdjax.Setting(gdjax.schedules.linear(), 0.1)],
                                    gdjax.lanes.formulas_of([gdjax.schedules.linear()]), {}, 100_000, 1.0,
                                    problem.loss_like.dtype)
    assert table.horizon[0] == 100_000, "bfloat16 would have 99,840"
    many = gdjax.Problem(name="ones", loss=lambda w, x: w * x, init=lambda key: jnp.ones((), jnp.float16),
                         data=200 + np.arange(1024, dtype=np.float16) % 2)
    assert float(many.objective(jnp.float16(1), many.device_data())) == 200.5, "as 200 in bfloat16, infinite in sums"


def test_a_large_gradient_in_half_precision_is_no_divergence() -> None:
    assert float(step.norm(jnp.full(10, 300.0, jnp.float16))) == pytest.approx(300 * 10**0.5)
    assert float(step.norm({"a": jnp.full(2, 300.0, jnp.float16)})) == pytest.approx(300 * 2**0.5)


def test_data_in_half_precision_are_numbers() -> None:
    halves = gdjax.Problem(name="halves", loss=lambda w, x: (w - x.astype(jnp.float32)) ** 2, optimum=0.25,
                           init=lambda key: jnp.zeros(()), data=jnp.array([1, 2], jnp.bfloat16))
    assert gdjax.bgd(halves, rates=0.5, starts=1, key=0, max_steps=1).final_loss == pytest.approx(0.25)


def test_parameters_in_single_precision_with_a_loss_in_double(x64) -> None:
    runs = descended(classes(jnp.float32, jnp.float32, jnp.float64))
    assert runs.params["weights"].dtype == np.float32 and runs.final_loss.dtype == runs.grad_norm.dtype == np.float64


def test_streamed_examples_are_averaged_in_single_precision() -> None:
    ones = gdjax.Problem(name="many-ones", loss=lambda w, x: (w * x).astype(jnp.float32), optimum=-9.0,
                         init=lambda key: jnp.ones((), jnp.bfloat16), data=np.ones(40_000, np.float32))
    runs = gdjax.minibatch(ones, batch_size=100, rates=0.0625, starts=1, key=0, max_steps=1, sampling="stream")
    assert (runs.start_loss[0], runs.final_loss[0], runs.grad_norm[0]) == (1, 0.9375, 1)


def test_a_mean_of_iterates_in_half_precision_goes_on_after_many_steps() -> None:
    """The mean of what a float64 loop over the same bfloat16 iterates gives: its last steps count as its first."""
    data = np.random.default_rng(1).normal(1.5, 1.0, 400).astype(np.float32)
    problem = gdjax.Problem(name="half-mean", loss=lambda w, e: 0.5 * (w - e) ** 2, data=data,
                            init=lambda key: jax.random.normal(key, ()).astype(jnp.bfloat16))
    runs = gdjax.sgd(problem, optimizer=gdjax.optimizers.averaged(optax.sgd), rates=0.5, starts=4, key=0, max_epochs=20)
    assert runs.params.dtype == jnp.bfloat16
    np.testing.assert_array_equal(np.asarray(runs.params, np.float32), np.float32(jnp.bfloat16(1.417)))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_a_plateau_is_seen_whatever_the_precision_of_the_parameters(dtype: object) -> None:
    """At a rate of 1 the point hops between ±0.5 for ever; each halving of the rate takes it nearer to 0."""
    problem = gdjax.Problem(name=f"hop-{np.dtype(dtype)}", init=lambda key: jnp.asarray(0.5, dtype),
                            loss=lambda w: jnp.abs(w.astype(jnp.float32)) + 0.505)
    runs = gdjax.bgd(problem, optimizer="plateau", rates=1.0, starts=1, key=0, max_steps=400)
    assert float(runs.final_loss[0]) == pytest.approx(0.505, abs=1e-3)
