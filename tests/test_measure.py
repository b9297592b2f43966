"""Losses and gradient norms of many parameters: how many lanes are scored together, and that no other is."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax.engine.measure import BLOCK, ROW, measure
from gdjax.engine.width import best_width, lane_bytes

WIDE = 128 * 128  # numbers that a wide loss makes of a lane: four lanes have as many as are scored together


def wide(params: jax.Array) -> jax.Array:
    return jnp.mean(jnp.sin(params[0] * jnp.arange(WIDE, dtype=jnp.float32)) ** 2) + params[1] ** 2


def problem(loss: Callable[..., jax.Array], **more: object) -> gdjax.Problem:
    return gdjax.Problem(name="counted", loss=loss, init=lambda key: jax.random.normal(key, (2,)), **more)


def points(lanes: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(lanes, 2)).astype(np.float32)


def test_the_largest_array_of_a_lane_bounds_how_many_go_together() -> None:
    assert lane_bytes(problem(wide), 1) == 4 * WIDE
    assert best_width(problem(wide), 1) == 16
    square = problem(lambda w: jnp.sum(jnp.sin(w[0] * jnp.ones((60, 60)) + w[1])))
    assert best_width(square, 1) == 64
    looped = problem(lambda w: jax.lax.fori_loop(0, 3, lambda i, x: x + jnp.sum(jnp.outer(w, jnp.ones(99))), w[0]))
    assert lane_bytes(looped, 1) >= 4 * 2 * 99, "loops are looked into"


@pytest.mark.parametrize("name", [name for name in gdjax.problems.names() if gdjax.problems.get(name).data is None])
def test_shipped_problems_without_data_hold_nothing_larger_than_their_parameters(name: str) -> None:
    shipped = gdjax.problems.get(name)
    assert lane_bytes(shipped, 1) == shipped.parameter_bytes  # what their widths were measured for


@pytest.mark.parametrize(("lanes", "scored"), [(1, 16), (16, 16), (17, 32), (40, 48)])
@pytest.mark.parametrize("data", [None, np.ones((8, 3))], ids=["without data", "with data"])
def test_rows_without_a_lane_are_left_out(data: np.ndarray | None, lanes: int, scored: int) -> None:
    seen: list[float] = []

    def loss(params: jax.Array, *example: jax.Array) -> jax.Array:
        jax.debug.callback(lambda first: seen.append(float(first)), params[0])
        return wide(params) + sum(jnp.sum(each) for each in example)

    measure(problem(loss, data=data), points(lanes))
    jax.effects_barrier()
    assert len(seen) == scored  # once a lane: all examples see the same parameters
    assert set(seen) == set(points(lanes)[:, 0].tolist())


@pytest.mark.parametrize("name", ["himmelblau", "cancer-logistic", "wide"])
def test_a_lane_has_the_same_bits_however_many_there_are(name: str) -> None:
    one = problem(wide) if name == "wide" else gdjax.problems.get(name)
    lanes = BLOCK + 2 * ROW + 3 if name == "himmelblau" else 5 * ROW + 3
    params = jax.tree.map(np.asarray, gdjax.lanes.draw_starts(one, jax.random.key(0), lanes))
    whole = measure(one, params)
    for few in (1, 15, 17, 50):
        part = measure(one, jax.tree.map(lambda leaf, few=few: leaf[:few], params))
        for numbers, every in zip(part, whole, strict=True):
            np.testing.assert_array_equal(numbers, every[:few])
    assert np.isfinite(whole[0]).all() and len(whole[0]) == lanes
