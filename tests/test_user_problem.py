"""Problems of one's own: any tree of parameters and data, a loss per example or per batch, no data, given starts."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from tests.plain import batches_of, descend

DRAW = np.random.default_rng(5)
DATA = {"inputs": (DRAW.normal(size=(12, 3)), DRAW.normal(size=(12, 2, 2))), "label": DRAW.integers(0, 3, 12)}


def init(key):
    """Parameters as a nested tree: a dict of a tuple, a list and a scalar."""
    first, second = jax.random.split(key)
    layers = (jax.random.normal(first, (3, 3)), [jax.random.normal(second, (3, 2, 2))])
    return {"layers": layers, "shift": jnp.float32(0.1)}


def loss(params, example):
    """Cross entropy of one example: x (3,), image (2, 2), a whole-numbered label."""
    x, image = example["inputs"]
    assert (x.shape, image.shape, example["label"].shape) == ((3,), (2, 2), ()), "one example, never a batch of one"
    scores = params["layers"][0] @ x + jnp.sum(params["layers"][1][0] * image, axis=(1, 2)) + params["shift"]
    return jax.nn.logsumexp(scores) - scores[example["label"]] + 0.01 * jnp.sum(params["layers"][0] ** 2)


def batch_loss(params, batch):
    """The same as a loss of a batch: leaves keep their examples axis, also when it has length 1."""
    assert batch["inputs"][0].ndim == 2 and batch["label"].ndim == 1, "a batch, never an example"
    return jnp.mean(jax.vmap(loss, (None, 0))(params, batch))


MINE = gdjax.Problem(name="mine", loss=loss, init=init, data=DATA)
IN_BATCHES = gdjax.Problem(name="mine-in-batches", batch_loss=batch_loss, init=init, data=DATA)


def run(problem, size, **changed):
    return gdjax.minibatch(problem, **{"batch_size": size, "rates": [0.05, 0.2], "starts": 2, "key": 4, "max_epochs": 2,
                                       "marks": 4, **changed})


@pytest.mark.parametrize("changed", [{}, {"sampling": "stream"}, {"optimizer": "adam"}], ids=str)
def test_leaves_without_numbers_change_nothing(changed):
    """A layer without offsets, say: the path is that of the others, and the shape is kept."""
    def with_empty(key):
        return {**init(key), "offsets": jnp.zeros((2, 0, 3))}

    runs, plain = (run(gdjax.Problem(name="mine", loss=loss, init=each, data=DATA), 5, **changed)
                   for each in (with_empty, init))
    np.testing.assert_array_equal(runs.curve, plain.curve)
    assert runs.params["offsets"].shape == (4, 2, 0, 3)


@pytest.mark.parametrize("size", [1, 5])
def test_a_tree_of_ones_own_takes_the_path_of_a_plain_loop(size):
    key = jax.random.key(4)
    starts = gdjax.lanes.draw_starts(MINE, jax.random.fold_in(key, 0), 2)
    seeds = gdjax.lanes.streams(jax.random.fold_in(key, 1), np.array([[0, 0], [1, 0]]))
    together = [run(problem, size) for problem in ((MINE, IN_BATCHES) if size == 1 else (MINE,))]
    steps = together[0].max_steps
    assert steps == -(-24 // size)
    for lane, row in together[0].frame().iterrows():
        start = jax.tree.map(lambda leaf, row=row: leaf[row.start], starts)
        params, losses = descend(MINE, optax.sgd(row.rate), start, steps, batches_of(12, size, seeds[row.start], steps))
        for runs in together:
            assert jax.tree.structure(runs.params) == jax.tree.structure(starts)
            assert runs.curve[lane] == pytest.approx(losses[runs.marks], rel=1e-5)
            for mine, plain in zip(jax.tree.leaves(runs.params), jax.tree.leaves(params), strict=True):
                assert mine[lane] == pytest.approx(np.asarray(plain), rel=1e-4, abs=1e-5)


def test_a_loss_that_does_not_split_into_examples():
    """The variance of a batch's scores: of a batch of one it is 0, of all data it is that of all data."""
    values = np.array([1.0, 2.0, 4.0, 9.0])
    spread = gdjax.Problem(name="spread", batch_loss=lambda scale, batch: jnp.var(scale * batch), data=values,
                           init=lambda key: jnp.float32(3.0))
    runs = gdjax.bgd(spread, rates=0.01, starts=1, key=0, max_steps=4)
    # d/ds s²σ² = 2sσ²: every step multiplies s by 1 − 2·0.01·σ²
    assert runs.params[0] == pytest.approx(3 * (1 - 0.02 * values.var()) ** 4, rel=1e-5)
    assert runs.final_loss[0] == pytest.approx(runs.params[0] ** 2 * values.var(), rel=1e-5)
    alone = gdjax.sgd(spread, rates=0.01, starts=1, key=0, max_steps=4)
    assert alone.params.tolist() == [3.0], "one example has no spread, so no slope"


def test_parameters_given_as_starts_are_the_starts():
    starts = gdjax.lanes.draw_starts(MINE, jax.random.key(77), 3)
    doubled = jax.tree.map(lambda leaf: np.asarray(2 * leaf, np.float64), starts)  # numpy's own precision is welcome
    runs = gdjax.bgd(MINE, rates=1e-6, starts=doubled, key=0, max_steps=1)
    for given, kept in zip(jax.tree.leaves(doubled), jax.tree.leaves(runs.params), strict=True):
        assert kept.dtype == np.float32 and kept == pytest.approx(given, rel=1e-4, abs=1e-5)
    losses = [float(MINE.objective(jax.tree.map(lambda leaf, i=i: leaf[i], doubled), DATA)) for i in range(3)]
    assert runs.start_loss == pytest.approx(losses, rel=1e-5)


def test_a_problem_without_data_has_one_example_and_descends_by_bgd():
    bare = gdjax.Problem(name="bare", loss=lambda p: (p["x"] - 2) ** 2 + jnp.sum(p["y"][0] ** 2),
                         init=lambda key: {"x": jnp.float32(5.0), "y": (jnp.ones(2),)})
    runs = gdjax.bgd(bare, rates=0.25, starts=2, key=0, max_epochs=3)
    assert (runs.examples, runs.batch_size, runs.max_steps) == (1, 1, 3), "one step is one epoch"
    assert runs.params["x"].tolist() == pytest.approx([2 + 3 * 0.5**3] * 2)
    assert runs.params["y"][0] == pytest.approx(np.full((2, 2), 0.5**3))
    assert runs.frame().examples.tolist() == [3, 3]


def test_losses_and_states_that_are_numbers_of_python():
    flat = gdjax.Problem(name="flat", loss=lambda x: 0.5, init=lambda key: jnp.ones(2))
    assert gdjax.bgd(flat, rates=0.1, starts=2, key=0, max_steps=3).final_loss.tolist() == [0.5, 0.5]

    def counting(rate):
        return optax.GradientTransformation(lambda params: {"last": 0.0, "steps": 0}, lambda slopes, state, params: (
            jax.tree.map(lambda slope: -rate * slope, slopes), {"last": 1.0, "steps": 7}))

    bowl = gdjax.Problem(name="bowl", loss=lambda x: x @ x, init=lambda key: jnp.ones(2))
    runs = gdjax.bgd(bowl, rates=0.25, starts=1, key=0, max_steps=3, optimizer=counting)
    assert runs.params == pytest.approx(np.full((1, 2), 0.5**3))


def test_data_are_not_changed_and_keep_their_types():
    before = jax.tree.map(np.copy, DATA)
    run(MINE, 5)
    for kept, held in zip(jax.tree.leaves(DATA), jax.tree.leaves(before), strict=True):
        assert np.array_equal(kept, held) and kept.dtype == held.dtype
    assert MINE.device_data()["label"].dtype == jnp.int32 and MINE.device_data()["inputs"][0].dtype == jnp.float32


@pytest.mark.parametrize("descend", [gdjax.minibatch, gdjax.range_test])
def test_a_problem_goes_with_its_data_and_programs_when_nobody_holds_it(descend):
    problem = gdjax.Problem(name="passing", loss=loss, init=init, data=DATA, optimum=0.0, held_out=DATA)
    call = {"rates": 0.1, "starts": 2} if descend is gdjax.minibatch else {}
    descend(problem, batch_size=5, key=0, max_steps=2, **call)
    left = [weakref.ref(problem), weakref.ref(problem.device_data()["label"])]
    del problem
    gc.collect()
    assert [each() for each in left] == [None, None]


def test_what_a_problem_keeps_is_bounded_and_the_last_used_stay():
    kept = gdjax.Problem(name="kept", loss=loss, init=init, data=DATA)
    made = []
    for number in range(300):
        kept.once("first", lambda: made.append("first"))
        kept.once(number, lambda number=number: made.append(number))
    assert made == ["first", *range(300)], "each once"
    kept.once(299, lambda: made.append("again"))
    kept.once(0, lambda: made.append("forgotten"))
    assert made[-1] == "forgotten" and "again" not in made


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda problem: pickle.loads(pickle.dumps(problem))])
def test_a_problem_that_has_run_can_be_copied_and_pickled(copied):
    before = run(MINE, 5)
    again = copied(MINE)
    assert "_held" in MINE.__dict__ and "_held" not in again.__dict__, "programs are nobody else's"
    assert run(again, 5).final_loss.tobytes() == before.final_loss.tobytes()


class Table:
    """Data as a class of one's own, which says nothing of equality."""

    def __init__(self, values):
        self.values = values


jax.tree_util.register_pytree_node(Table, lambda table: ((table.values,), None), lambda _, leaves: Table(*leaves))


def test_data_as_a_class_of_ones_own_hold_out_examples():
    line = gdjax.Problem(name="line", loss=lambda w, x: (w - x.values) ** 2, init=lambda key: jnp.zeros(()),
                         data=Table(np.arange(4.0)), held_out=Table(np.arange(2.0)), optimum=1.25)
    assert gdjax.bgd(line, rates=0.5, starts=1, key=0, max_steps=1).scores["held_out_loss"] == pytest.approx(1.25)
    with pytest.raises(ValueError, match=r"held_out: must be like data .*got .*\(3,\)"):
        gdjax.Problem(name="line", loss=lambda w, x: w, init=lambda key: jnp.zeros(()), data=Table(np.arange(4.0)),
                      held_out=Table(np.ones((2, 3))))


def test_data_that_a_traced_function_asks_for_first_are_kept_as_arrays():
    problem = gdjax.Problem(name="own", loss=loss, init=init, data=DATA, held_out=DATA)
    start = problem.start(jax.random.key(0))
    inside = jax.jit(lambda params: problem.objective(params, problem.device_data())
                     + problem.objective(params, problem.device_held_out()))(start)
    data = problem.device_data()
    assert all(isinstance(leaf, jax.Array) and leaf.is_fully_addressable for leaf in jax.tree.leaves(data))
    assert float(inside) == pytest.approx(2 * float(problem.objective(start, data)), rel=1e-6)
