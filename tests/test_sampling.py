"""Batches: every example once an epoch, orders that pass χ² tests, and who shares batches with whom."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chi2

import gdjax
from gdjax import sampling
from tests.plain import batches_of
from tests.quick import SHIPPED

SEED = np.array([7, 8], np.uint32)
CHANCE = 1e-4  # of a fair shuffle failing all χ² tests of this file together


def seeds(count: int, key: int = 0) -> np.ndarray:
    """Batch streams as the front doors name them, (count, 2)."""
    return gdjax.lanes.streams(jax.random.key(key), np.stack([np.arange(count), np.zeros(count, int)], 1))


@functools.partial(jax.jit, static_argnums=(0, 1, 2), compiler_options=SHIPPED)  # compiled quickly it takes longer
def many(kind: str, examples: int, batch_size: int, seed: jax.Array, epoch: int, position: int) -> jax.Array:
    """The batch at one place of many streams, (streams, batch)."""
    place = jnp.int32(epoch), jnp.int32(position)
    return jax.vmap(lambda words: sampling.batch(kind, examples, batch_size, words, *place))(seed)


@pytest.mark.parametrize(
    ("examples", "batch_size"),
    [(2, 1), (3, 2), (5, 3), (37, 1), (37, 36), (64, 7), (65, 32), (65, 64), (100, 7), (100, 50), (442, 441),
     (569, 284), (569, 1), (1797, 128), (1797, 1796), (4096, 1000)],
)
def test_every_example_is_used_exactly_once_an_epoch(examples, batch_size):
    epochs = 3
    steps = -(-epochs * examples // batch_size)
    walk = np.concatenate(batches_of(examples, batch_size, SEED, steps))[: epochs * examples]
    for epoch in walk.reshape(epochs, examples):
        assert np.array_equal(np.sort(epoch), np.arange(examples))


def test_batches_of_any_size_walk_the_same_order():
    walks = [np.concatenate(batches_of(100, size, SEED, -(-300 // size)))[:300] for size in (1, 7, 50, 99)]
    assert all(np.array_equal(walk, walks[0]) for walk in walks[1:])


@pytest.mark.parametrize("examples", [5, 64, 65, 1797])
def test_orders_differ_between_epochs_and_between_streams(examples):
    stack = np.stack([many("shuffle", examples, examples, seeds(40), epoch, 0) for epoch in range(3)])
    orders = {order.tobytes() for order in stack.reshape(-1, examples)}
    # 120 draws from 5! = 120 orders leave about 76 of them; from 64! every one is new
    assert len(orders) > 60 if examples == 5 else len(orders) == 120


def test_a_batch_is_a_pure_function_of_its_place():
    once = sampling.batch("shuffle", 100, 7, jnp.asarray(SEED), jnp.int32(2), jnp.int32(98))
    walked = batches_of(100, 7, SEED, 43)[42]  # 42 batches of 7 are 294 examples: epoch 2, position 94
    there = sampling.batch("shuffle", 100, 7, jnp.asarray(SEED), jnp.int32(2), jnp.int32(94))
    assert np.array_equal(walked, there)
    assert np.array_equal(once[:2], there[4:6])


def fair(statistic: float, freedom: int, tests: int) -> bool:
    """Whether a fair draw gives such a χ² statistic but for a chance of CHANCE/tests: not too large, not too small."""
    tail = CHANCE / tests / 2
    return chi2.ppf(tail, freedom) < statistic < chi2.isf(tail, freedom)


@pytest.mark.parametrize("examples", [37, 100])
@pytest.mark.parametrize("epoch", [0, 5])
def test_every_position_holds_every_example_equally_often(examples, epoch):
    streams = 8192
    orders = np.asarray(many("shuffle", examples, examples, seeds(streams), epoch, 0))
    counts = np.zeros((examples, examples))
    np.add.at(counts, (np.arange(examples)[None, :], orders), 1)
    # a uniform permutation matrix has variance 1/(n − 1) in each of the (n − 1)² directions that its sums leave free
    statistic = ((counts - streams / examples) ** 2).sum() * (examples - 1) / streams
    assert fair(statistic, (examples - 1) ** 2, tests=20)


@pytest.fixture(scope="module")
def many_seeds() -> np.ndarray:
    found = seeds(1 << 17)
    assert len(np.unique(found, axis=0)) == len(found)
    return found


@pytest.mark.parametrize("examples", [37, 65, 100, 101])
@pytest.mark.parametrize("position", [0, 17, 35])
def test_neighbours_in_the_order_are_every_pair_equally_often(examples, position, many_seeds):
    """What a Feistel network of three double rounds fails at 65 and 101, whose grids are flat (5 × 13, 6 × 17)."""
    streams = len(many_seeds)
    first, second = np.asarray(many("shuffle", examples, 2, many_seeds, 1, position)).T
    counts = np.zeros((examples, examples))
    np.add.at(counts, (first, second), 1)
    assert np.trace(counts) == 0
    pairs = examples * (examples - 1)
    expected = streams / pairs
    statistic = ((counts[~np.eye(examples, dtype=bool)] - expected) ** 2).sum() / expected
    assert fair(statistic, pairs - 1, tests=20)


def test_neighbours_of_a_long_order_are_every_distance_apart_equally_often(many_seeds):
    examples, streams = 1797, len(many_seeds)
    first, second = np.asarray(many("shuffle", examples, 2, many_seeds, 0, 900)).T
    counts = np.bincount((second - first) % examples, minlength=examples)
    assert counts[0] == 0
    expected = streams / (examples - 1)
    assert fair(((counts[1:] - expected) ** 2).sum() / expected, examples - 2, tests=20)


@pytest.mark.parametrize("examples", [37, 1797])
def test_replacement_draws_every_example_equally_often_and_independently(examples):
    draws = np.asarray(many("replacement", examples, 32, seeds(4096), 3, 1))
    expected = draws.size / examples
    counts = np.bincount(draws.ravel(), minlength=examples)
    assert fair(((counts - expected) ** 2).sum() / expected, examples - 1, tests=20)
    # a pair of independent draws agrees with chance 1/n: binomial, standard error √(4096·31/n)
    agree = (draws[:, 1:] == draws[:, :-1]).sum()
    pairs = 4096 * 31
    assert abs(agree - pairs / examples) < 5 * np.sqrt(pairs / examples)


def test_the_mean_of_a_batch_has_the_variance_of_its_sampling():
    """S²(1/B − 1/n) without replacement, S²(1 − 1/n)/B with it, S² the variance with n − 1."""
    values, streams, size = np.random.default_rng(1).normal(size=100), 1 << 14, 20
    spread = values.var(ddof=1)
    for kind, expected in (("shuffle", spread * (1 / size - 1 / 100)), ("replacement", spread * 0.99 / size)):
        means = values[np.asarray(many(kind, 100, size, seeds(streams), 0, 40))].mean(axis=1)
        error = expected * np.sqrt(2 / streams)  # of a variance of near-normal means
        assert abs(means.var() - expected) < 4 * error
        assert abs(means.mean() - values.mean()) < 4 * np.sqrt(expected / streams)


@pytest.mark.parametrize(("batches", "across_settings", "across_starts"), [
    ("per-start", 1, 3), ("independent", 3, 3), ("common", 1, 1)])
def test_who_shares_batches(batches, across_settings, across_starts):
    """Equal starts, and settings equal but in name: lanes that see the same batches end with the same bits."""
    kinds = [gdjax.schedules.inverse_time(decay=0.0), gdjax.schedules.exponential(decay=0.0), "constant"]
    same = {"w": np.zeros(3, np.float32), "b": np.zeros(3, np.float32)}
    runs = gdjax.minibatch(gdjax.problems.get("line-fit"), batch_size=4, rates=0.1, schedules=kinds, starts=same, key=0,
                           max_steps=10, batches=batches)
    ends = runs.final_loss.reshape(3, 3)
    assert {len(set(row)) for row in ends.tolist()} == {across_settings}
    assert {len(set(column)) for column in ends.T.tolist()} == {across_starts}


@pytest.mark.parametrize(("batches", "streams"), [("per-start", 5), ("independent", 5 * 40), ("common", 1)])
def test_more_settings_than_a_group_holds_share_alike(batches, streams):
    members = gdjax.lanes.members_for(40, batches, full_batch=False)
    lanes = gdjax.lanes.arrange(5, 40, batches, members)
    assert members < 40 and len(lanes.start) == 200
    row = np.arange(lanes.table.size)[lanes.row]
    group, member = np.divmod(row, members)  # of every lane
    names = lanes.stream[group]
    assert len(np.unique(names, axis=0)) == streams
    assert np.array_equal(lanes.table[group, member], lanes.setting)
    assert np.array_equal(lanes.origin[group], lanes.start)
    if batches == "per-start":
        assert all(len(np.unique(names[lanes.start == start], axis=0)) == 1 for start in range(5))


@pytest.mark.parametrize("examples", [5, 64, 100, 442, 569])
@pytest.mark.parametrize("kind", sampling.SAMPLINGS)
def test_many_streams_at_once_draw_what_each_draws_alone(kind, examples):
    seeds = np.arange(12, dtype=np.uint32).reshape(6, 2)
    for batch_size in (1, 4, 5):
        # the last whole batch, or one over the edge
        last = examples // batch_size * batch_size - (1 if examples % batch_size else batch_size)
        place = jnp.int32(3), jnp.int32(last)
        epochs = [jax.vmap(lambda seed, epoch=epoch: sampling.epoch_of(kind, examples, seed, epoch), out_axes=-1)(seeds)
                  for epoch in (place[0], place[0] + 1)]
        many = sampling.drawn(kind, examples, batch_size, *epochs, place[1])
        each = [sampling.batch(kind, examples, batch_size, seed, *place) for seed in jnp.asarray(seeds)]
        np.testing.assert_array_equal(many.T, np.stack(each))


@pytest.mark.parametrize("kind", sampling.SAMPLINGS)
@pytest.mark.parametrize("examples", [50, 100, 111])
def test_indices_have_32_bits_and_are_the_same_in_x64_mode(x64, kind: str, examples: int) -> None:
    place = jnp.int32(2), jnp.int32(examples - 3)
    found = sampling.batch(kind, examples, 7, jnp.asarray(SEED), *place)
    with jax.enable_x64(False):
        usual = sampling.batch(kind, examples, 7, jnp.asarray(SEED), *place)
    assert found.dtype == jnp.int32
    np.testing.assert_array_equal(found, usual)
