"""Bad data, losses and starts, by the rows of the list of bad input: the field, what came, what to do instead."""

from __future__ import annotations

import math
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from tests.refusals import batches, bowl, refused

ROWS = np.arange(12.0).reshape(6, 2)


@pytest.mark.parametrize(("data", "parts"), [
    (np.array([0, 2**31 + 5, -(2**33)]), ("values must fit int32, which they become (got larger ones of int64 at row "
                                          "1, row 2). Count from 0, or call jax.config.update('jax_enable_x64'",)),
    (np.array([2**32], np.uint64), ("values must fit uint32, which they become (got larger ones of uint64 at row 0)",)),
    (np.array([[1.0, -1e39]]), ("values must fit float32, which they become (got larger ones of float64 at row 0 "
                                "column 1). Scale them, or call jax.config",)),
])
def test_row_04_data_that_jax_would_change(data, parts):
    def made(**changed):
        return gdjax.Problem(name="mine", loss=lambda w, x: jnp.sum(w * x), init=lambda key: jnp.zeros(()), data=data,
                             **changed)

    with refused(ValueError, "problem 'mine': data: ", *parts):
        made()
    with jax.enable_x64(True):
        assert made().device_data().dtype == data.dtype
        if data.dtype == np.float64:
            with refused(ValueError, "values must fit float32", "Scale them, or leave dtype out"):
                made(dtype="float32")


def test_row_04_data_of_other_kinds():
    for data, parts in (
        (np.array(["a", "b"]), ("must hold numbers (got dtype <U1)", "Encode it first")),
        (np.array([1j, 2]), ("must hold numbers (got dtype complex128)",)),
        (jax.random.split(jax.random.key(0), 3), ("must hold numbers (got keys of JAX)", "Use jax.random.key_data")),
    ):
        with refused(TypeError, "problem 'mine': data: ", *parts):
            gdjax.Problem(name="mine", loss=lambda w, x: w, init=lambda key: jnp.zeros(()), data=data)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_row_04_data_that_are_not_finite_name_the_first_five_places(value):
    X = ROWS.copy()
    X[[0, 1, 3, 4, 4, 5], [0, 1, 1, 0, 1, 1]] = value
    five = "row 0 column 0, row 1 column 1, row 3 column 1, row 4 column 0, row 4 column 1)"
    with refused(ValueError, "problem 'mine': data[0]: values must be finite", five, "Drop or fill"):
        gdjax.Problem(name="mine", loss=lambda w, e: w @ e[0], init=lambda key: jnp.zeros(2), data=(X, np.zeros(6)))


@pytest.mark.parametrize(
    ("labels", "parts"),
    [
        ([0, 1, 2, -1, 0, 1], ("labels: must be whole numbers from 0 to", "-1 at row 3")),
        ([0, 1, 0.5, 1, 0, 1], ("labels: must be whole numbers", "0.5 at row 2")),
        ([1, 1, 1, 1, 1, 1], ("labels: need at least two classes", "(got only 1 at row 0")),
        ([0, 1, 2, 3, 7, 1], ("labels: must be whole numbers from 0 to 2", "3 at row 3", "7 at row 4")),
    ],
)
def test_row_04_labels(labels, parts):
    with refused(ValueError, *parts):
        gdjax.problems.softmax_regression(ROWS, np.array(labels), classes=3)


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        ((ROWS, np.zeros(5)), ("leaves must share their leading (examples) axis", "[0] (6, 2), [1] (5,)", "Cut them")),
        ((ROWS, np.float64(3.0)), ("[1]: needs rows and columns", "[1] ()")),
        (np.zeros((0, 2)), ("needs rows and columns", "(0, 2)")),
        ({"X": np.zeros((3, 0))}, ("['X']: needs rows and columns", "(3, 0)")),
        ((), (": holds no arrays", "(got ())", "Use data=None")),
    ],
)
def test_row_05_shapes_of_data(data, parts):
    with refused(ValueError, "problem 'mine': data", *parts):
        gdjax.Problem(name="mine", loss=lambda w, e: w @ e, init=lambda key: jnp.zeros(2), data=data)


def test_row_05_features_and_labels():
    with refused(ValueError, "(6, 2)", "(5,)"):
        gdjax.problems.linear_regression(ROWS, np.zeros(5))
    with refused(ValueError, "(6,)"):
        gdjax.problems.linear_regression(ROWS[:, 0], np.zeros(6))


@pytest.mark.parametrize(
    ("returns", "parts"),
    [
        (lambda x: x**2, ("must return one real number", "(got float32[2])", "Return a float scalar")),
        (lambda x: None, ("must return one real number", "(got None)")),
        (lambda x: jnp.sum(x) * 1j, ("must return one real number", "(got complex64[])")),
        (lambda x: jnp.sum(x > 0), ("must return one real number", "(got int32[])")),
        (lambda x: {"loss": jnp.sum(x)}, ("must return one real number", "(got {'loss'")),
        (lambda x: float(jnp.sum(x)), ("cannot be traced by JAX", "(got ConcretizationTypeError", "Write it with")),
        (lambda x: jnp.sum(x) if x[0] > 0 else 0.0, ("cannot be traced by JAX", "(got TracerBoolConversionError")),
        (lambda x: x @ jnp.ones(3), ("cannot be traced by JAX", "(got TypeError")),
        (lambda x, y: jnp.sum(x), ("cannot be traced by JAX", "(got TypeError", "missing 1 required")),
    ],
)
def test_row_08_losses(returns, parts):
    def my_loss(*arguments):
        return returns(*arguments)

    mine = gdjax.Problem(name="mine", loss=my_loss, init=lambda key: jnp.zeros(2))
    with refused(ValueError, "problem 'mine': loss 'my_loss': ", *parts) as raised:
        bowl(problem=mine)
    assert len(str(raised.value).splitlines()) == 1, "one line, not ten frames of JAX"
    with refused(ValueError, "problem 'mine': loss 'my_loss': "):
        gdjax.preflight(mine)


def test_row_08_losses_of_batches_and_starts():
    def my_batch_loss(w, batch):
        return (batch @ w) ** 2

    with refused(ValueError, "problem 'mine': loss 'my_batch_loss': must return one real number", "(got float32[6])"):
        batches(problem=gdjax.Problem(name="mine", batch_loss=my_batch_loss, init=lambda key: jnp.zeros(2), data=ROWS),
                batch_size=2)
    for init, parts in (
        (lambda key: jnp.zeros(2, int), ("init: parameters must be floats", "(got int32")),
        (lambda key: {}, ("init: must return parameters", "(got {})")),
        (lambda key: jnp.zeros(2) + jnp.zeros(3), ("init '<lambda>': cannot be traced by JAX", "(got TypeError")),
    ):
        with refused(ValueError, "problem 'mine': ", *parts):
            bowl(problem=gdjax.Problem(name="mine", loss=jnp.sum, init=init))
    with refused(ValueError, "problem 'mine': loss: loss or batch_loss is needed", "(got neither)"):
        gdjax.Problem(name="mine", init=lambda key: jnp.zeros(2))
    with refused(ValueError, "problem 'mine': batch_loss: needs data", "(got None)"):
        gdjax.Problem(name="mine", batch_loss=my_batch_loss, init=lambda key: jnp.zeros(2))


def test_row_08_a_loss_of_batches_must_take_the_held_out_examples():
    def pairs(w, rows):
        return jnp.mean(((rows[0::2] - rows[1::2]) @ w) ** 2)

    def made(**changed):
        return gdjax.Problem(name="mine", init=lambda key: jnp.zeros(2), data=ROWS, **{"batch_loss": pairs, **changed})

    with refused(ValueError, "problem 'mine': held_out: loss 'pairs' of all 5 examples: cannot be traced by JAX",
                 "(got TypeError", "Hold out a number of examples that it takes"):
        batches(problem=made(held_out=ROWS[:5]), batch_size=2)
    with refused(ValueError, "problem 'mine': accuracy 'pairs' of held_out: cannot be traced by JAX (got TypeError"):
        batches(problem=made(held_out=ROWS[:5], accuracy=pairs, batch_loss=None, loss=jnp.dot), batch_size=2)
    gdjax.preflight(made(held_out=ROWS[:4]))


@pytest.mark.parametrize(("my_loss", "got"), [
    (lambda x: jax.lax.while_loop(lambda n: n[0] < 3, lambda n: (n[0] + 1, n[1] * x[0]), (0, x[1]))[1],
     "(got ValueError: Reverse-mode differentiation does not work for lax.while_loop"),
    (lambda x: jax.pure_callback(np.sum, jax.ShapeDtypeStruct((), jnp.float32), x),
     "(got ValueError: Pure callbacks do not support JVP"),
])
def test_row_08_losses_without_a_gradient(my_loss, got):
    mine = gdjax.Problem(name="mine", loss=my_loss, init=lambda key: jnp.zeros(2))
    parts = "problem 'mine': loss '<lambda>': cannot be differentiated by JAX", got, "Loop with jax.lax.scan"
    with refused(ValueError, *parts):
        bowl(problem=mine)
    with refused(ValueError, *parts):
        gdjax.compile(mine, batch_size=1)


def test_row_08_a_program_is_compiled_only_for_what_can_be_traced():
    mine = gdjax.Problem(name="mine", loss=lambda x: x**2, init=lambda key: jnp.zeros(2))
    with refused(ValueError, "problem 'mine': loss '<lambda>': must return one real number (got float32[2])"):
        gdjax.compile(mine, batch_size=1)
    with refused(ValueError, "hyper: unknown name (got 'moment')"):
        gdjax.compile(gdjax.problems.get("bowl"), batch_size=1, hyper=["moment"])


def test_row_09_a_gradient_that_is_not_finite_at_a_start():
    """√x at 0 has the value 0 and the slope ∞; the `where` around it keeps the value and makes the slope NaN."""
    root = gdjax.Problem(name="root", loss=lambda x: jnp.where(x > 0, jnp.sqrt(x), 0.0) + x**2,
                         init=lambda key: jax.random.uniform(key, ()))
    starts = np.array([1.0, 0.0, 0.5], np.float32)
    for changed in ({}, {"targets": [0.5], "stop_at_target": True, "tolerance": 0.1}):
        with pytest.warns(UserWarning, match=r"'root': the gradient is not finite at 1 of 3 starts \(first: start 1\)"):
            runs = bowl(problem=root, starts=starts, rates=0.01, **changed)
        frame = runs.frame()
        assert (frame.status[1], frame.steps[1], frame.final_loss[1]) == ("diverged", 0, math.inf)
        assert set(frame.status[[0, 2]]) <= {"budget", "target"}
        assert (frame.final_loss[[0, 2]] < runs.start_loss[[0, 2]]).all()


def test_row_09_a_loss_that_is_not_finite_at_a_start():
    starts = {"w": np.array([np.nan, 1.0], np.float32), "b": np.zeros(2, np.float32)}
    with pytest.warns(UserWarning, match=r"'line-fit': the loss is not finite at 1 of 2 starts \(first: start 0\)"):
        frame = batches(starts=starts).frame()
    assert frame.status.tolist() == ["diverged", "budget"] and frame.steps.tolist() == [0, 5]
    assert frame.best_loss[0] == frame.final_loss[0] == math.inf, "not NaN: pandas would skip it"


@pytest.mark.parametrize(
    ("starts", "error", "parts"),
    [
        ({"w": np.zeros(3), "b": np.zeros(4)}, ValueError,
         ("starts: leaves must share", "starts['b']\": 4", "starts['w']\": 3", "Cut them")),
        ({"w": np.zeros(3)}, ValueError, ("starts: parameters must have the problem's tree", "Give them as init does")),
        (np.zeros((3, 2)), ValueError, ("starts: parameters must have the problem's tree",)),
        ({"w": np.zeros((3, 2)), "b": np.zeros(3)}, ValueError, ("starts['w']: must have shape (starts)", "(3, 2)")),
        ({"w": np.zeros(3), "b": np.float64(0)}, ValueError, ("starts['b']: must have shape (starts)", "(got ())")),
        ({"w": np.zeros(0), "b": np.zeros(0)}, ValueError, ("starts: at least one start is needed",)),
        ({"w": np.array(["a"]), "b": np.zeros(1)}, TypeError, ("starts['w']: must hold real numbers", "<U1")),
        ({"w": np.zeros(1), "b": np.ones(1) * 1j}, TypeError, ("starts['b']: must hold real numbers", "complex128")),
    ],
)
def test_row_13_parameters_as_starts(starts, error, parts):
    with refused(error, *parts):
        batches(starts=starts)


def test_row_14_float64_while_x64_is_off():
    arguments = {"name": "mine", "loss": jnp.sum, "init": lambda key: jnp.zeros(2), "dtype": "float64"}
    wanted = ("problem 'mine': dtype: float64 needs JAX's x64 mode, which is off", "(got 'float64')",
              "jax.config.update('jax_enable_x64', True)")
    with refused(ValueError, *wanted):
        gdjax.Problem(**arguments)
    with jax.enable_x64(True):
        mine = gdjax.Problem(**arguments)
        assert mine.start(jax.random.key(0)).dtype == np.float64
    with warnings.catch_warnings(), refused(ValueError, *wanted):  # made while it was on, run while it is off
        warnings.simplefilter("error")
        bowl(problem=mine)
    with refused(ValueError, "problem 'mine': dtype: must be 'float32', 'float64' or None", "(got 'float16')"):
        gdjax.Problem(**{**arguments, "dtype": "float16"})
