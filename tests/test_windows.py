"""Convolutions and pooling as slices and products: values and gradients are those of XLA's own."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from gdjax import lanes
from gdjax.windows import MOST, has_windows, sliced
from tests import plain

Windowed = Callable[..., jax.Array]
IMAGE = "NHWC", "HWIO", "NHWC"
CONVOLUTIONS = {
    "same": ((2, 6, 5, 3), (3, 3, 3, 4), {"padding": "SAME"}, IMAGE),
    "valid, strides of 2 and 3": ((2, 9, 8, 3), (3, 2, 3, 4), {"padding": "VALID", "window_strides": (2, 3)}, IMAGE),
    "channels first": ((2, 3, 6, 5), (4, 3, 2, 3), {"padding": "SAME"}, ("NCHW", "OIHW", "NCHW")),
    "channels last of the result only": ((2, 3, 6, 5), (4, 3, 2, 3), {"padding": "SAME"}, ("NCHW", "OIHW", "NHWC")),
    "uneven and negative padding": ((1, 6, 6, 2), (3, 3, 2, 3), {"padding": [(0, 3), (-1, 2)]}, IMAGE),
    "a kernel with gaps": ((1, 9, 9, 2), (3, 2, 2, 3), {"padding": "SAME", "rhs_dilation": (2, 3)}, IMAGE),
    "transposed": ((1, 4, 4, 2), (3, 3, 2, 3), {"padding": [(2, 2), (1, 2)], "lhs_dilation": (2, 2)}, IMAGE),
    "two groups": ((2, 5, 5, 4), (3, 3, 2, 6), {"padding": "SAME", "feature_group_count": 2}, IMAGE),
    "each channel by itself": ((2, 5, 5, 4), (3, 3, 1, 8), {"padding": "SAME", "feature_group_count": 4}, IMAGE),
    "one place": ((2, 4, 4, 3), (1, 1, 3, 5), {"padding": "SAME"}, IMAGE),
    "one axis": ((2, 9, 3), (4, 3, 5), {"padding": "SAME", "window_strides": (2,)}, ("NWC", "WIO", "NWC")),
    "three axes": ((1, 4, 5, 3, 2), (2, 3, 2, 2, 3), {"padding": "SAME"}, ("NDHWC", "DHWIO", "NDHWC")),
    "no result": ((1, 2, 2, 1), (3, 3, 1, 1), {"padding": "VALID"}, IMAGE),
}
POOLS = {
    "2 × 2": ((2, 2), (2, 2), "VALID"),
    "3 × 3 that overlap": ((3, 3), (2, 2), "SAME"),
    "3 × 2 of which rows are left over": ((3, 2), (3, 2), "VALID"),
    "uneven padding": ((2, 2), (1, 2), [(1, 0), (0, 1)]),
}


def numbers(*shape: int, seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def convolution(case: str) -> tuple[Windowed, jax.Array, jax.Array]:
    shape, kernel, given, layout = CONVOLUTIONS[case]
    strides = given.get("window_strides", (1,) * (len(shape) - 2))
    function = functools.partial(jax.lax.conv_general_dilated, dimension_numbers=layout,
                                 **{"window_strides": strides} | given)
    return function, numbers(*shape), numbers(*kernel, seed=1)


def pooling(kind: str, window: tuple[int, int], strides: tuple[int, int], padding: object) -> Windowed:
    empty, reduce = {"max": (-jnp.inf, jax.lax.max), "sum": (0.0, jax.lax.add)}[kind]
    if not isinstance(padding, str):
        padding = [(0, 0), *padding, (0, 0)]
    return lambda images: jax.lax.reduce_window(images, empty, reduce, (1, *window, 1), (1, *strides, 1), padding)


def windows_left(function: Windowed, *arguments: object) -> int:
    text = str(jax.make_jaxpr(function)(*arguments))
    return text.count("conv_general_dilated[") + text.count("reduce_window_")


def same_with_gradients(function: Windowed, *arguments: jax.Array) -> None:
    """Values, and gradients of a sum with weights, of both forms; and that the one holds no window any more."""
    assert windows_left(function, *arguments) and not windows_left(sliced(function), *arguments)

    def weighed(function: Windowed, *arguments: jax.Array) -> tuple[jax.Array, jax.Array]:
        value = function(*arguments)
        return jnp.sum(value * numbers(*value.shape, seed=2)), value

    each = tuple(range(len(arguments)))
    (_, value), slopes = jax.value_and_grad(functools.partial(weighed, sliced(function)), each, True)(*arguments)
    (_, wanted), wanted_slopes = jax.value_and_grad(functools.partial(weighed, function), each, True)(*arguments)
    assert value.dtype == wanted.dtype
    np.testing.assert_allclose(value, wanted, atol=1e-5, rtol=1e-5)
    for slope, want in zip(slopes, wanted_slopes, strict=True):
        np.testing.assert_allclose(slope, want, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolutions(case: str) -> None:
    same_with_gradients(*convolution(case))


@pytest.mark.parametrize("case", ["same", "two groups", "transposed"])
def test_convolutions_of_lanes_that_have_a_kernel_each(case: str) -> None:
    function, images, kernel = convolution(case)
    kernels = jnp.stack([kernel, 2 * kernel, kernel - 1])
    found = jax.vmap(sliced(function), (None, 0))(images, kernels)
    np.testing.assert_allclose(found, jnp.stack([function(images, each) for each in kernels]), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("case", POOLS)
@pytest.mark.parametrize("kind", ["max", "sum"])
def test_pooling(kind: str, case: str) -> None:
    same_with_gradients(pooling(kind, *POOLS[case]), numbers(2, 7, 6, 3))


def test_of_equal_numbers_in_a_window_the_first_gets_the_gradient() -> None:
    for strides in ((2, 2), (1, 1)):  # with windows apart, and windows that overlap
        same_with_gradients(pooling("max", (2, 2), strides, "VALID"), jnp.round(numbers(2, 8, 8, 3)))


def test_a_number_that_is_not_one_is_not_lost_in_a_window() -> None:
    for place in range(4):
        image = jnp.arange(4.0).at[place].set(jnp.nan).reshape(1, 2, 2, 1)
        assert jnp.isnan(sliced(pooling("max", (2, 2), (2, 2), "VALID"))(image)).all()


def test_whole_numbers_are_pooled_as_whole_numbers() -> None:
    image = jnp.arange(-8, 8).reshape(1, 4, 4, 1)
    pool = functools.partial(jax.lax.reduce_window, init_value=jnp.iinfo(jnp.int32).min, computation=jax.lax.max,
                             window_dimensions=(1, 2, 2, 1), window_strides=(1, 1, 1, 1), padding="SAME")
    assert sliced(pool)(image).tolist() == pool(image).tolist()


def test_what_a_call_within_a_checkpoint_closes_over() -> None:
    table = jnp.arange(16.0).reshape(4, 4)
    block = jax.jit(lambda image: pooling("max", (2, 2), (1, 1), "SAME")(image)[0, :, :, 0] + table)
    same_with_gradients(jax.checkpoint(block), jnp.arange(16.0).reshape(1, 4, 4, 1) % 7)


def test_masks_are_pooled_by_xla() -> None:
    mask = jnp.arange(16).reshape(4, 4) % 3 == 0
    either = functools.partial(jax.lax.reduce_window, init_value=False, computation=jax.lax.max,
                               window_dimensions=(2, 2), window_strides=(2, 2), padding="VALID")
    assert not has_windows(either, mask)
    np.testing.assert_array_equal(sliced(either)(mask), either(mask))


def test_windows_in_loops_branches_calls_and_checkpoints() -> None:
    blur, image, kernel = convolution("one place")
    mix = lambda x: blur(x, kernel[..., :3])  # noqa: E731
    same_with_gradients(lambda x: jax.lax.fori_loop(0, 3, lambda _, x: mix(x), x), image)
    same_with_gradients(lambda x: jax.lax.scan(lambda x, _: (mix(x), None), x, length=3)[0], image)
    same_with_gradients(lambda x: jax.lax.cond(x.sum() > 0, mix, lambda x: x, x), image)
    same_with_gradients(jax.jit(mix), image)
    same_with_gradients(jax.checkpoint(mix), image)


def test_what_has_a_derivative_of_its_own_keeps_it() -> None:
    @jax.custom_jvp
    def blurred(image: jax.Array) -> jax.Array:
        return jax.lax.conv(image, jnp.ones((1, 1, 3, 3)), (1, 1), "SAME")

    blurred.defjvp(lambda primals, tangents: (blurred(*primals), 7 * tangents[0]))
    both = lambda image: blurred(image) + jax.lax.conv(image, jnp.ones((1, 1, 1, 1)), (1, 1), "SAME")  # noqa: E731
    assert jax.grad(lambda image: sliced(both)(image).sum())(jnp.ones((1, 1, 2, 2))).ravel().tolist() == [8.0] * 4


def test_a_window_of_many_places_stays() -> None:
    wide = lambda row: jax.lax.conv(row, jnp.ones((1, 1, MOST + 1)), (1,), "SAME")  # noqa: E731
    assert windows_left(sliced(wide), numbers(1, 1, 100)) == 1


def test_only_a_function_with_windows_is_written_otherwise() -> None:
    assert gdjax.problems.get("digits-mlp").written("batch_loss") is gdjax.problems.get("digits-mlp").batch_loss
    network = digits_network()
    assert network.written("loss") is not network.loss and network.written("accuracy") is not network.accuracy
    plain_ones = [name for name in gdjax.problems.names() if gdjax.problems.get(name).loss is not None
                  and gdjax.problems.get(name).written("loss") is gdjax.problems.get(name).loss]
    assert set(gdjax.problems.names()) - set(plain_ones) == {"digits-cnn"}


@functools.cache
def digits_network(held_out: bool = False) -> gdjax.Problem:
    """Two convolutions with pooling of both kinds between digits and their classes."""
    X, y = gdjax.data.digits()
    X = np.asarray(X[:60] / 16, np.float32).reshape(-1, 8, 8, 1)
    y = np.asarray(y[:60], np.int32)

    def init(key: jax.Array) -> dict[str, jax.Array]:
        first, second, last = jax.random.split(key, 3)
        return {"first": 0.3 * jax.random.normal(first, (3, 3, 1, 4)), "second": 0.2 * jax.random.normal(
            second, (3, 3, 4, 4)), "last": 0.3 * jax.random.normal(last, (10, 16))}

    def outputs(params: dict[str, jax.Array], image: jax.Array) -> jax.Array:
        layer = functools.partial(jax.lax.conv_general_dilated, window_strides=(1, 1), padding="SAME",
                                  dimension_numbers=IMAGE)
        hidden = pooling("max", (2, 2), (2, 2), "VALID")(jax.nn.relu(layer(image[None], params["first"])))
        hidden = pooling("sum", (2, 2), (2, 2), "VALID")(jnp.tanh(layer(hidden, params["second"])))
        return params["last"] @ hidden.ravel()

    def loss(params: dict[str, jax.Array], example: tuple[jax.Array, jax.Array]) -> jax.Array:
        image, label = example
        return optax.softmax_cross_entropy_with_integer_labels(outputs(params, image), label)

    def accuracy(params: dict[str, jax.Array], batch: tuple[jax.Array, jax.Array]) -> jax.Array:
        images, labels = batch
        return jnp.mean(jnp.argmax(jax.vmap(outputs, (None, 0))(params, images), -1) == labels)

    return gdjax.Problem(name="digits-network", loss=loss, init=init, data=(X, y), accuracy=accuracy,
                         held_out=(X[:9], y[:9]) if held_out else None)


@pytest.mark.parametrize(("batch_size", "batches"), [(1, "per-start"), (7, "independent"), (60, "per-start")])
@pytest.mark.usefixtures("as_shipped")
def test_a_network_of_convolutions_descends_as_a_plain_loop_does(batch_size: int, batches: str) -> None:
    problem, rates, steps = digits_network(), [0.1, 0.3], 5
    runs = gdjax.minibatch(problem, batch_size=batch_size, rates=rates, starts=2, key=0, max_steps=steps,
                           batches=batches, marks=steps)
    key = jax.random.key(0)
    starts = lanes.draw_starts(problem, jax.random.fold_in(key, lanes.KEY_STARTS), 2)
    members = 2 if batches == "per-start" and batch_size < 60 else 1
    arranged = lanes.arrange(2, 2, batches, members)
    seeds = lanes.streams(jax.random.fold_in(key, lanes.KEY_BATCHES), arranged.stream)
    for lane in range(4):
        start, setting = divmod(lane, 2)
        drawn = () if batch_size == 60 else plain.batches_of(60, batch_size, seeds[lane // members], steps)
        params, losses = plain.descend(problem, optax.sgd(rates[setting]),
                                       jax.tree.map(lambda leaf, start=start: leaf[start], starts), steps, drawn)
        np.testing.assert_allclose(runs.curve[lane], losses[runs.marks], rtol=1e-5)
        jax.tree.map(lambda found, want, lane=lane: np.testing.assert_allclose(found[lane], want, atol=1e-5),
                     runs.params, params)


def test_accuracy_of_a_network_of_convolutions() -> None:
    problem = digits_network(held_out=True)
    runs = gdjax.minibatch(problem, batch_size=5, rates=0.1, starts=3, key=0, max_steps=4)
    for lane in range(3):
        params = jax.tree.map(lambda leaf, lane=lane: leaf[lane], runs.params)
        assert runs.frame().accuracy[lane] == pytest.approx(float(problem.accuracy(params, problem.held_out)))
