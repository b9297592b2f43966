"""Losses that compute much and make large arrays: examples in tiles, lanes by themselves, the same numbers as ever."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax import sizes, tiles
from gdjax.engine.measure import measure, row_of
from gdjax.engine.placement import side_by_side
from gdjax.engine.width import ALONE, FEW, alone, best_width, lane_bytes, step_operations
from tests.refusals import refused

SIDE = 64  # of the square that a loss makes of an example, 16 KiB: 256 of them are as much as goes at once


def squares(params: jax.Array, example: tuple[jax.Array, jax.Array]) -> jax.Array:
    """The mean of a square that every parameter and the example shape."""
    x, y = example
    return jnp.mean(jnp.tanh(params[0] * jnp.outer(x, x) + params[1] * x) ** 2) + (params[2] - y) ** 2


def examples(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, SIDE)).astype(np.float32), rng.normal(size=count).astype(np.float32)


def problem(count: int, loss: Callable[..., jax.Array] = squares) -> gdjax.Problem:
    return gdjax.Problem(name="squares", loss=loss, init=lambda key: jax.random.normal(key, (3,)),
                         data=examples(count))


def whole(params: jax.Array, batch: object) -> jax.Array:
    """The mean over all examples at once."""
    return jnp.mean(jax.vmap(squares, (None, 0))(params, batch))


def test_what_an_example_and_a_lane_take() -> None:
    one = problem(300)
    assert one.sizes.lane_example_bytes == one.sizes.example_bytes == 4 * SIDE**2
    assert lane_bytes(one, 8) == 8 * 4 * SIDE**2
    assert lane_bytes(one, 300) == 60 * 4 * SIDE**2, "of a tile"
    assert 8 * 6 * SIDE**2 < step_operations(one, 8) < 8 * 20 * SIDE**2


@pytest.mark.parametrize(("function", "count"), [
    (lambda x: x @ x, 2 * 30**3),
    (lambda x: jax.lax.scan(lambda x, _: (x @ x, None), x, length=7)[0], 7 * 2 * 30**3),
    (lambda x: jnp.linalg.cholesky(x, symmetrize_input=False), 30**3),
    (lambda x: jax.lax.conv(x[None, None], x[None, None, :3, :3], (1, 1), "VALID"), 2 * 9 * 28**2),
    (jnp.sin, 30**2),
])
def test_operations_of_what_is_known(function: Callable[[jax.Array], jax.Array], count: int) -> None:
    jaxpr = jax.make_jaxpr(function)(jax.ShapeDtypeStruct((30, 30), "float32")).jaxpr
    assert count <= sum(sizes._operations(jaxpr, sizes.EXAMPLES)) <= 1.3 * count


def test_what_all_lanes_share_is_no_lane_s_but_takes_memory() -> None:
    features = gdjax.Problem(name="features", loss=lambda w, x: w @ jnp.outer(x, x).ravel(), data=np.ones((20, 9)),
                             init=lambda key: jnp.zeros(81))
    assert features.sizes.example_bytes == 4 * 81 > features.sizes.lane_example_bytes


@pytest.mark.parametrize("count", [300, 307], ids=["tiles of 60", "tiles of 64 and a rest"])
def test_a_mean_in_tiles_is_the_mean_with_its_derivatives(count: int) -> None:
    assert tiles.tile_of(count, 4 * SIDE**2) == {300: 60, 307: 64}[count]
    batch, params = examples(count), jnp.array([[0.3, -0.5, 1.2], [1.0, 0.2, -3.0]])
    mean = functools.partial(tiles.mean, whole, batch=batch, example_bytes=4 * SIDE**2)
    plain = functools.partial(whole, batch=batch)
    derivatives = (lambda f: f, jax.grad, jax.jacfwd, jax.hessian, lambda f: jax.grad(lambda x: jax.grad(f)(x)[0]))
    for found, want in zip(*(jax.jit(jax.vmap(lambda x, f=f: [of(f)(x) for of in derivatives]))(params)
                             for f in (mean, plain)), strict=True):
        np.testing.assert_allclose(found, want, rtol=2e-5, atol=1e-6)


def test_a_mean_in_tiles_has_a_derivative_along_the_data_too() -> None:
    (x, y), params = examples(300), jnp.array([0.3, -0.5, 1.2])

    def scaled(mean: Callable[..., jax.Array], by: jax.Array, labels: np.ndarray) -> jax.Array:
        return mean(params * by, (x * by, labels))

    tiled = functools.partial(tiles.mean, whole, example_bytes=4 * SIDE**2)
    for labels in (y, np.sign(y).astype(int)):
        found, want = (jax.grad(functools.partial(scaled, each))(jnp.float32(1.1), labels=labels)
                       for each in (tiled, whole))
        np.testing.assert_allclose(found, want, rtol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_as_many_tiles_as_there_are_make_no_difference_in_half_precision(dtype: type) -> None:
    """bfloat16 stops counting ones at 256, float16 ends at 65,504."""
    ones = jnp.ones(1000, dtype)
    for mean in (lambda w, x: jnp.mean(w * x), lambda w, x: jnp.mean((w * x).astype(jnp.float32))):
        value, gradient = jax.value_and_grad(lambda w, mean=mean: tiles.mean(mean, w, ones, 1 << 20))(dtype(200))
        assert (value, gradient) == (200, 1) and gradient.dtype == dtype


def test_a_gradient_in_tiles_keeps_no_more_than_a_few_tiles() -> None:
    batch = examples(3000)

    def kept(mean: Callable[..., jax.Array]) -> int:
        plan = jax.jit(jax.grad(mean)).lower(jnp.ones(3), batch).compile().memory_analysis()
        assert plan is not None
        return plan.temp_size_in_bytes

    assert kept(whole) > 3000 * 4 * SIDE**2
    tiled = functools.partial(tiles.mean, whole, example_bytes=4 * SIDE**2)
    assert kept(tiled) < 8 * tiles.CPU[1]
    plan = jax.jit(jax.hessian(tiled)).lower(jnp.ones(3), batch).compile().memory_analysis()
    assert plan is not None and plan.temp_size_in_bytes < 3 * 8 * tiles.CPU[1], "of three parameters"


def test_a_gradient_in_tiles_goes_over_them_once() -> None:
    tiled = functools.partial(tiles.mean, whole, example_bytes=4 * SIDE**2)
    assert str(jax.make_jaxpr(jax.grad(tiled))(jnp.ones(3), examples(300))).count("tanh") == 1


def test_accuracy_in_tiles_is_that_of_all_and_keeps_as_little() -> None:
    def right(params: jax.Array, batch: tuple[jax.Array, jax.Array]) -> jax.Array:
        return jnp.mean(jax.vmap(squares, (None, 0))(params, batch) < 2)

    one, params = dataclasses.replace(problem(3000), accuracy=right), jnp.array([0.3, -0.5, 1.2])
    compiled = jax.jit(one.accuracy_on).lower(params, one.device_data()).compile()
    plan = compiled.memory_analysis()
    assert plan is not None and plan.temp_size_in_bytes < 8 * tiles.CPU[1]
    want = float(right(params, one.device_data()))
    assert 0.1 < want < 0.9 and float(compiled(params, one.device_data())) == pytest.approx(want, abs=1e-6)
    assert gdjax.bgd(one, rates=1e-9, starts=params[None], key=0, max_steps=1).scores["accuracy"] == pytest.approx(want)


def pairs(params: jax.Array, batch: tuple[jax.Array, jax.Array]) -> jax.Array:
    """A loss of batches of an even number of examples."""
    x, _ = batch
    left, right = jnp.split(x @ jnp.ones((SIDE, 3)) / SIDE, 2)
    return jnp.mean(((left - right) @ params) ** 2) + jnp.sum((params - 1) ** 2)


def test_a_loss_that_takes_some_numbers_of_examples_only() -> None:
    even = gdjax.Problem(name="pairs", init=lambda key: jnp.zeros(3), data=examples(20), batch_loss=pairs)
    assert even.sizes.lane_example_bytes <= 4 and even.sizes.example_bytes == 0
    runs = gdjax.minibatch(even, batch_size=4, rates=0.1, starts=2, key=0, max_steps=50)
    assert np.all(runs.final_loss < 0.5 * runs.start_loss)
    with refused(ValueError, "problem 'pairs': loss 'pairs': batch_size 5: cannot be traced by JAX"):
        gdjax.minibatch(even, batch_size=5, rates=0.1, starts=2, key=0, max_steps=50)


def test_examples_merged_with_another_axis_are_still_examples() -> None:
    """As the tokens of sentences often are, and as lanes and channels in a convolution on a GPU."""
    def flat(params: jax.Array, batch: jax.Array) -> jax.Array:
        return jnp.mean(jnp.tanh(batch.reshape(-1, 8) @ params) ** 2)

    tokens = gdjax.Problem(name="tokens", batch_loss=flat, init=lambda key: jnp.ones((8, 16)),
                           data=np.ones((40, 50, 8), np.float32))
    assert tokens.sizes.lane_bytes == 8 * 16 * 4 and tokens.sizes.lane_example_bytes == 50 * 16 * 4
    assert best_width(tokens, 4) >= 16


def test_sizes_and_widths_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    memory = mock.Mock(memory_stats=lambda: {"bytes_limit": 64 << 30})
    monkeypatch.setattr(jax, "local_devices", lambda: [memory])
    images = dataclasses.replace(gdjax.problems.get("digits-cnn"))  # one that nobody has looked at yet
    assert images.sizes.example_bytes < 16_384 and tiles.tile_of(1797, images.sizes.example_bytes) == 1797
    many = gdjax.Problem(name="wide", loss=lambda w, x: jnp.sum(jnp.tanh(w * x) ** 2), init=lambda key: jnp.ones(4096),
                         data=np.ones((1000, 4096), np.float32))
    for size in (1, 100, 1000):
        assert best_width(many, size) * lane_bytes(many, size) <= 1 << 30, "a 64th of the memory"
    assert best_width(many, 1) > best_width(many, 1000) == 64
    assert best_width(dataclasses.replace(gdjax.problems.get("digits-softmax")), 32) == 1 << 16


def test_nothing_is_cut_where_devices_share_the_examples() -> None:
    large = problem(300)
    seen = [str(jax.make_jaxpr(large.objective)(jnp.ones(3), large.device_data()))]
    with tiles.untiled():
        seen.append(str(jax.make_jaxpr(large.objective)(jnp.ones(3), large.device_data())))
    assert ["scan[" in each for each in seen] == [True, False]


def test_all_examples_go_at_once_where_they_fit() -> None:
    shipped = [gdjax.problems.get(name) for name in gdjax.problems.names()]
    cut = [each.name for each in shipped if each.loss is not None and each.data is not None
           and tiles.tile_of(each.examples, each.sizes.example_bytes) != each.examples]
    assert cut == ["digits-cnn"]


def test_a_loss_that_does_not_split_is_not_cut() -> None:
    median = gdjax.Problem(name="median", init=lambda key: jnp.ones(3), data=examples(300),
                           batch_loss=lambda params, batch: jnp.median(jax.vmap(squares, (None, 0))(params, batch)))
    want = np.median(jax.vmap(squares, (None, 0))(jnp.ones(3), median.device_data()))
    assert float(median.objective(jnp.ones(3), median.device_data())) == pytest.approx(float(want), rel=1e-6)


def test_descent_and_scores_in_tiles_are_those_of_a_plain_loop() -> None:
    one, params = problem(307), np.array([[0.3, -0.5, 1.2], [0.1, 0.2, -0.3]], np.float32)
    runs = gdjax.bgd(one, rates=0.1, starts=params, key=0, max_steps=4, marks=4)
    at, step = jnp.asarray(params), jax.jit(jax.vmap(jax.grad(functools.partial(whole, batch=one.device_data()))))
    for _ in range(4):
        at = at - 0.1 * step(at)
    np.testing.assert_allclose(runs.params, at, rtol=1e-5)
    np.testing.assert_allclose(runs.final_loss, [whole(each, one.device_data()) for each in at], rtol=1e-5)
    np.testing.assert_allclose(runs.grad_norm, jnp.linalg.norm(step(at), axis=1), rtol=1e-4)


def test_lanes_with_large_arrays_run_and_are_scored_by_themselves() -> None:
    large = problem(300)
    assert lane_bytes(large, 100) > ALONE and best_width(large, 100) == 1 and row_of(large) == 1
    assert best_width(large, 1) > 1, "a step of one example makes none"
    many = gdjax.Problem(name="many", loss=lambda w, x: jnp.sum((w - x) ** 2), data=np.ones((9, 1)),
                         init=lambda key: jnp.zeros(ALONE // 4 + 1))
    assert alone(many, 1) and row_of(many) == 1, "the parameters are such an array"
    thin = gdjax.Problem(name="thin", loss=lambda w, x: (w @ x) ** 2, data=np.ones((ALONE, 3)),
                         init=lambda key: jnp.zeros(3))
    assert lane_bytes(thin, ALONE) > ALONE and not alone(thin, ALONE), "reading the data is most of its work"


def test_each_lane_is_scored_once() -> None:
    seen: list[float] = []

    def loss(params: jax.Array, example: tuple[jax.Array, jax.Array]) -> jax.Array:
        jax.debug.callback(lambda first: seen.append(float(first)), params[0])
        return squares(params, example)

    large = problem(100, loss=loss)
    params = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    measure(large, params)
    jax.effects_barrier()
    assert sorted(seen) == sorted(params[:, 0].tolist())


def test_a_lane_by_itself_has_the_same_bits_however_many_there_are() -> None:
    large = problem(300)
    five, two = (gdjax.minibatch(large, batch_size=100, rates=[0.1, 0.2], starts=starts, key=0, max_steps=3)
                 for starts in (5, 2))
    assert five.width == two.width == 1
    assert np.asarray(five.params)[:4].tobytes() == np.asarray(two.params).tobytes()
    assert five.final_loss[:4].tobytes() == two.final_loss.tobytes()


def test_few_lanes_with_much_to_compute_run_by_themselves() -> None:
    digits, cores = gdjax.problems.get("digits-mlp"), side_by_side()
    few = gdjax.minibatch(digits, batch_size=128, rates=[0.1, 0.3], starts=cores, key=0, max_steps=3)
    many = gdjax.minibatch(digits, batch_size=128, rates=[0.1, 0.3], starts=8 * cores, key=0, max_steps=3)
    assert few.width == 1 and many.width >= 16
    jax.tree.map(lambda left, right: np.testing.assert_allclose(left, right[: 2 * cores], atol=1e-5),
                 few.params, many.params)
    assert best_width(digits, 128, FEW + 1) == best_width(digits, 128), "not where each core has enough"
    light = gdjax.problems.get("cancer-logistic")
    assert best_width(light, 8, 1) == best_width(light, 8) >= 16, "nor where a step is soon done"
