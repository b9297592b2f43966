"""Rows 1 to 14 of the list of bad input, at the front doors: the field, what came, and what to do instead."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from gdjax import schedules

LINE, BOWL = gdjax.problems.get("line-fit"), gdjax.problems.get("bowl")
ROWS = np.arange(12.0).reshape(6, 2)


@contextmanager
def refused(error: type[Exception], *parts: str) -> Iterator[pytest.ExceptionInfo]:
    """Wants this error with these parts of text in this order, before anything is drawn, measured or compiled."""

    def never(*arguments: object, **named: object):
        raise AssertionError("something ran before the bad argument was refused")

    text = re.compile(".*".join(re.escape(part) for part in parts), re.DOTALL)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(error, match=text) as raised:
        for name in ("gdjax.descent.measure", "gdjax.descent.run_lanes", "gdjax.descent.program_for",
                     "gdjax.lanes.draw_starts"):
            patch.setattr(name, never)
        yield raised


def batches(**changed):
    arguments = {"batch_size": 10, "rates": 0.1, "starts": 2, "key": 0, "max_steps": 5, **changed}
    return gdjax.minibatch(arguments.pop("problem", LINE), **arguments)


def bowl(**changed):
    return gdjax.bgd(changed.pop("problem", BOWL), **{"rates": 0.1, "starts": 2, "key": 0, "max_steps": 5, **changed})


@pytest.mark.parametrize(
    ("size", "error"),
    [(0, ValueError), (-4, ValueError), (101, ValueError), (2.5, TypeError), (10.0, TypeError), (True, TypeError),
     ("10", TypeError), (None, TypeError)],
)
def test_row_01_batch_sizes(size, error):
    with refused(error, "batch_size: must be a whole number from 1 to 100, the examples of problem 'line-fit'",
                 f"(got {size!r})", "Use gdjax.bgd"):
        batches(batch_size=size)


@pytest.mark.parametrize(
    ("changed", "error", "parts"),
    [
        ({"starts": 0}, ValueError, ("starts: must be at least 1", "(got 0)", "number of starts")),
        ({"starts": -3}, ValueError, ("starts: must be at least 1", "(got -3)")),
        ({"starts": 2.0}, TypeError, ("starts: must be a whole number", "(got 2.0)", "Use an int")),
        ({"starts": True}, TypeError, ("starts: ", "(got True)")),
        ({"max_steps": 0}, ValueError, ("max_steps: must be at least 1", "(got 0)")),
        ({"max_steps": 1.5}, TypeError, ("max_steps: must be a whole number of steps", "(got 1.5)", "Give an int")),
        ({"max_steps": 2**31}, ValueError, ("max_steps: must be below 2**31 - 1", f"(got {2**31})")),
        ({"max_steps": None}, ValueError, ("max_epochs, max_steps: at least one is required", "(got neither)")),
        ({"max_steps": None, "max_epochs": 0}, ValueError, ("max_epochs: must be above 0", "(got 0)")),
        ({"max_steps": None, "max_epochs": -1.5}, ValueError, ("max_epochs: must be above 0", "(got -1.5)")),
        ({"max_steps": None, "max_epochs": math.inf}, ValueError, ("max_epochs: must be above 0 and finite", "(got inf)")),
        ({"max_epochs": "10"}, TypeError, ("max_epochs: must be a number of epochs", "(got '10')", "Use for example 10")),
        ({"rates": []}, ValueError, ("rates: must not be empty", "(got [])", "Give at least one")),
        ({"rates": np.array([])}, ValueError, ("rates: must not be empty",)),
        ({"schedules": []}, ValueError, ("schedules: must not be empty", "(got [])")),
        ({"rates": None, "settings": []}, ValueError, ("settings: at least one is needed", "(got none)")),
        ({"marks": 0}, ValueError, ("marks: must be at least 1", "(got 0)")),
        ({"width": 0}, ValueError, ("width: must be at least 1", "(got 0)", "number of lanes")),
    ],
)
def test_row_02_counts_and_grids(changed, error, parts):
    with refused(error, *parts):
        batches(**changed)


def test_row_02_duplicates_are_removed_with_a_note():
    with pytest.warns(UserWarning, match="rates, schedules: 4 duplicate settings dropped"):
        runs = bowl(rates=[0.1, 0.2, 0.1], schedules=["constant", schedules.constant()])
    assert runs.rates == (0.1, 0.2)
    assert len(runs.frame()) == 4


def test_row_03_a_batch_size_that_does_not_divide_is_fine_and_says_how():
    assert "every example is still used exactly once an epoch" in " ".join(gdjax.minibatch.__doc__.split())
    runs = batches(batch_size=7, max_steps=None, max_epochs=1.0)
    assert runs.max_steps == 15, "100 examples in batches of 7, rounded up"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_row_04_data_that_are_not_finite_name_the_first_five_places(value):
    X = ROWS.copy()
    X[[0, 1, 3, 4, 4, 5], [0, 1, 1, 0, 1, 1]] = value
    with refused(ValueError, "problem 'mine': data[0]: values must be finite", "row 0 column 0, row 1 column 1, row 3 column 1, "
                 "row 4 column 0, row 4 column 1)", "Drop or fill"):
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
    ("call", "parts"),
    [
        (lambda: gdjax.problems.get("rosenbrok"), ("problem: unknown name", "'rosenbrok'", "'rosenbrock'", "Known: bowl")),
        (lambda: bowl(schedules="cosin"), ("schedules: unknown name", "'cosin'", "'cosine'", "Known: constant, exponential")),
        (lambda: bowl(optimizer="adan"), ("optimizer: unknown name", "'adan'", "'adam'", "Known: sgd, momentum")),
        (lambda: batches(sampling="shufle"), ("sampling: unknown name", "'shuffle'", "Known: shuffle, replacement")),
        (lambda: batches(batches="perstart"), ("batches: unknown name", "'per-start'", "Known: per-start, independent, common")),
        (lambda: batches(schedules="x" * 999), ("schedules: unknown name", "(got '" + "x" * 100 + "')", "Known: constant")),
    ],
)
def test_row_06_unknown_names(call, parts):
    with refused(ValueError, *parts):
        call()


def test_row_06_things_of_the_wrong_kind():
    with refused(TypeError, "problem: must be a gdjax.Problem", "(got 'bowl')", "gdjax.problems.get"):
        bowl(problem="bowl")
    with refused(TypeError, "schedules: must be", "(got 3)", "gdjax.schedules.custom"):
        bowl(schedules=[3])
    with refused(TypeError, "optimizer: must be a name or a function", "Pass optax.sgd, not optax.sgd(0.1)"):
        bowl(optimizer=optax.sgd(0.1))
    with refused(TypeError, "optimizer: must map a rate to an optax transformation", "Pass optax.sgd"):
        bowl(optimizer=lambda rate: rate)
    with refused(ValueError, "optimizer 'broken'", "ZeroDivisionError"):
        def broken(rate):
            return 1 / 0

        bowl(optimizer=broken)
    with refused(TypeError, "settings: each must be a gdjax.Setting", "(got ('cosine', 0.1))"):
        bowl(rates=None, settings=[("cosine", 0.1)])
    with refused(ValueError, "settings: give either", "(got both)"):
        bowl(settings=[gdjax.Setting(schedules.cosine(), 0.1)])
    with refused(ValueError, "problem 'bowl': has no data", "(got data=None)", "Use gdjax.bgd"):
        gdjax.sgd(BOWL, rates=0.1, starts=2, key=0, max_steps=5)


@pytest.mark.parametrize(
    ("formula", "parts"),
    [
        (lambda t: jnp.where(t > 0.5, jnp.nan, 1.0), ("mine: factors must be finite", "(got nan at step 51)")),
        (lambda t: 1 / (0.95 - jnp.minimum(t, 0.95)), ("mine: factors must be finite", "(got inf at step 95)")),
        (lambda t: 1 - 2 * t, ("mine: factors must be finite and not negative over the budget of 100 steps",
                               "(got -0.02 at step 51)", "Change its numbers")),
        (lambda t: jnp.ones(3) * t, ("mine: must give one real factor", "(got float32[3])", "Return a float scalar")),
        (lambda t: None, ("mine: must give one real factor", "(got None)")),
        (lambda t: t * 1j, ("mine: must give one real factor", "(got complex64[])")),
        (lambda t: 1.0 if t > 0.5 else 0.5, ("mine: cannot be traced by JAX", "(got TracerBoolConversionError")),
    ],
)
def test_row_07_schedules(formula, parts):
    with refused(ValueError, "schedules: ", *parts):
        bowl(schedules=schedules.custom(formula, name="mine"), max_steps=100)


@pytest.mark.parametrize("rate", [0.0, -0.1, math.nan, math.inf, [0.1, -0.1], np.array([0.1, np.nan])])
def test_row_07_rates_out_of_range(rate):
    with refused(ValueError, "rates: must be above 0 and finite", "(got ", "A schedule multiplies"):
        bowl(rates=rate)


@pytest.mark.parametrize("rate", ["0.1", True, [None], {"rate": 0.1}, [[0.1, 0.2]]])
def test_row_07_rates_of_the_wrong_kind(rate):
    with refused(TypeError, "rates: must be", "(got "):
        bowl(rates=rate)


@pytest.mark.parametrize(
    ("returns", "parts"),
    [
        (lambda x: x**2, ("must return one real number", "(got float32[2])", "Return a float scalar")),
        (lambda x: None, ("must return one real number", "(got None)")),
        (lambda x: jnp.sum(x) * 1j, ("must return one real number", "(got complex64[])")),
        (lambda x: jnp.sum(x > 0), ("must return one real number", "(got int32[])")),
        (lambda x: {"loss": jnp.sum(x)}, ("must return one real number", "(got {'loss'")),
        (lambda x: float(jnp.sum(x)), ("cannot be traced by JAX", "(got ConcretizationTypeError", "Write it with jax.numpy")),
        (lambda x: jnp.sum(x) if x[0] > 0 else 0.0, ("cannot be traced by JAX", "(got TracerBoolConversionError")),
        (lambda x: x @ jnp.ones(3), ("cannot be traced by JAX", "(got TypeError")),
        (lambda x, y: jnp.sum(x), ("cannot be traced by JAX", "(got TypeError", "missing 1 required positional argument")),
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
    with refused(ValueError, "problem 'mine': loss: exactly one of loss and batch_loss", "(got neither)"):
        gdjax.Problem(name="mine", init=lambda key: jnp.zeros(2))
    with refused(ValueError, "problem 'mine': batch_loss: needs data", "(got None)"):
        gdjax.Problem(name="mine", batch_loss=my_batch_loss, init=lambda key: jnp.zeros(2))


def test_row_09_a_gradient_that_is_not_finite_at_a_start():
    """√x at 0 has the value 0 and the slope ∞; the `where` around it keeps the value and makes the slope NaN."""
    root = gdjax.Problem(name="root", loss=lambda x: jnp.where(x > 0, jnp.sqrt(x), 0.0) + x**2,
                         init=lambda key: jax.random.uniform(key, ()))
    starts = np.array([1.0, 0.0, 0.5], np.float32)
    for changed in ({}, {"targets": [0.5], "stop_at_target": True, "tolerance": 0.1}):
        with pytest.warns(UserWarning, match=r"problem 'root': the gradient is not finite at 1 of 3 starts \(first: start 1\)"):
            runs = bowl(problem=root, starts=starts, rates=0.01, **changed)
        frame = runs.frame()
        assert (frame.status[1], frame.steps[1], frame.final_loss[1]) == ("diverged", 0, math.inf)
        assert set(frame.status[[0, 2]]) <= {"budget", "target"} and (frame.final_loss[[0, 2]] < runs.start_loss[[0, 2]]).all()


def test_row_09_a_loss_that_is_not_finite_at_a_start():
    starts = {"w": np.array([np.nan, 1.0], np.float32), "b": np.zeros(2, np.float32)}
    with pytest.warns(UserWarning, match=r"problem 'line-fit': the loss is not finite at 1 of 2 starts \(first: start 0\)"):
        frame = batches(starts=starts).frame()
    assert frame.status.tolist() == ["diverged", "budget"] and frame.steps.tolist() == [0, 5]
    assert frame.best_loss[0] == frame.final_loss[0] == math.inf, "not NaN: pandas would skip it"


def test_row_10_a_rate_that_diverges_is_a_miss_and_the_rest_goes_on():
    runs = bowl(rates=[0.1, 30.0], targets=[1e-3], max_steps=60)
    frame = runs.frame()
    assert frame.status.tolist() == ["budget", "diverged"] * 2
    # a step multiplies x by 1 − 2·30 = −59, the loss by 3481: from 16 to beyond 1e6·f₀ takes 2 or 3
    assert set(frame.steps[[1, 3]]) <= {1, 2, 3, 4}
    assert runs.hits().hit.tolist() == [True, False, True, False]


def test_row_11_targets_below_the_optimum_and_met_at_the_start():
    runs = bowl(targets=[-1.0, 1e6], stop_at_target=True)
    assert set(runs.frame().status) == {"budget"}
    hits = runs.hits()
    assert hits[hits.target == 1e6].steps.tolist() == [0.0, 0.0]
    assert not hits[hits.target == -1.0].hit.any()


@pytest.mark.parametrize(
    ("changed", "error", "parts"),
    [
        ({"targets": [0.1, math.nan]}, ValueError, ("targets: must be finite losses", "(got nan)", "gdjax.targets")),
        ({"targets": [math.inf]}, ValueError, ("targets: must be finite losses", "(got inf)")),
        ({"targets": "0.1"}, TypeError, ("targets: ", "(got '0.1')")),
        ({"targets": None}, TypeError, ("targets: ", "(got None)")),
        ({"targets": [None]}, ValueError, ("targets: ", "(got None)")),
        ({"tolerance": -1e-3}, ValueError, ("tolerance: must be a number of at least 0", "(got -0.001)")),
        ({"tolerance": math.nan}, ValueError, ("tolerance: ", "(got nan)")),
        ({"stop_at_target": True}, ValueError, ("stop_at_target: needs targets", "(got none)", "Give targets")),
        ({"stall": -1.0}, ValueError, ("stall: must be a number of at least 0", "(got -1.0)")),
        ({"stall": 0.1}, ValueError, ("stall: only for full batches", "(got batch size 10 of 100, constant)")),
        ({"rates": None, "targets": [math.nan]}, ValueError, ("targets: ", "(got nan)")),  # also before a range test
    ],
)
def test_row_11_targets_and_tolerances(changed, error, parts):
    with refused(error, *parts):
        batches(**changed)


@pytest.mark.parametrize(
    ("key", "error"),
    [(-1, ValueError), (2**32, ValueError), (2**40, ValueError), (1.0, TypeError), (True, TypeError), ("0", TypeError),
     (None, TypeError), (np.array([0, 1], np.uint32), TypeError)],
)
def test_row_12_seeds(key, error):
    with refused(error, "key: must be ", f"(got {key!r})"):
        bowl(key=key)


def test_row_12_several_keys_are_not_one():
    with refused(TypeError, "key: must be a whole number or one JAX key", "jax.random.key(0)"):
        bowl(key=jax.random.split(jax.random.key(0)))


@pytest.mark.parametrize(
    ("starts", "error", "parts"),
    [
        ({"w": np.zeros(3), "b": np.zeros(4)}, ValueError, ("starts: leaves must share", "starts['b']\": 4", "starts['w']\": 3", "Cut them")),
        ({"w": np.zeros(3)}, ValueError, ("starts: parameters must have the problem's tree", "Give them as init does")),
        (np.zeros((3, 2)), ValueError, ("starts: parameters must have the problem's tree",)),
        ({"w": np.zeros((3, 2)), "b": np.zeros(3)}, ValueError, ("starts['w']: must have shape (starts)", "(got (3, 2))")),
        ({"w": np.zeros(3), "b": np.float64(0)}, ValueError, ("starts['b']: must have shape (starts)", "(got ())")),
        ({"w": np.zeros(0), "b": np.zeros(0)}, ValueError, ("starts: at least one start is needed",)),
        ({"w": np.array(["a"]), "b": np.zeros(1)}, TypeError, ("starts['w']: must hold real numbers", "(got dtype <U1)")),
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
