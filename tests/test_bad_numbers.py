"""Bad further numbers of optimizers, wrappers, and the newer fields of a problem: refused before anything runs."""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from gdjax import arguments
from gdjax.optimizers import averaged, delayed, mixed
from tests.refusals import batches, bowl, refused


@pytest.mark.parametrize(
    ("changed", "error", "parts"),
    [
        ({"optimizer": "momentum", "hyper": {"momentun": 0.5}}, ValueError,
         ("hyper: unknown name", "(got 'momentun')", "Did you mean 'momentum'")),
        ({"hyper": {"momentum": []}}, ValueError, ("hyper: momentum: must not be empty", "Give at least one")),
        ({"hyper": {"momentum": [0.5, math.nan]}}, ValueError, ("hyper: momentum: must be finite", "(got nan)")),
        ({"hyper": {"momentum": [True]}}, ValueError, ("hyper: momentum: must be finite numbers", "(got True)")),
        ({"hyper": {"nesterov": "yes"}}, TypeError, ("hyper: nesterov: must be one value or a sequence",)),
        ({"hyper": [("momentum", 0.5)]}, TypeError, ("hyper: must map names to numbers", "Use {'momentum'")),
        ({"hyper": {"momentum": 0.5}, "rates": None, "settings": [gdjax.Setting("constant", 0.1)]}, ValueError,
         ("settings: give either settings or rates", "(got both)")),
    ],
)
def test_row_06_numbers_of_optimizers(changed, error, parts):
    with refused(error, *parts):
        batches(**changed)


def test_row_06_a_number_without_a_default_is_needed_by_every_setting():
    settings = [gdjax.Setting("constant", 0.1, {"accumulator_dtype": 1.0}), gdjax.Setting("constant", 0.2)]
    with refused(ValueError, "hyper: accumulator_dtype: every setting needs it", "(got none at rate 0.2)"):
        batches(rates=None, settings=settings)


@pytest.mark.parametrize(("changed", "parts"), [
    *(({"rates": [0.1, rate]}, ("rates: must be from 1.18e-38 to 3.4e+38, the range of float32", f"(got {rate:g})"))
      for rate in (1e39, 1e-46, 1e-40)),
    ({"rates": None, "settings": [gdjax.Setting("constant", 1e39)]}, ("rates: must be from 1.18e-38", "(got 1e+39)")),
    *(({"hyper": {"momentum": value}}, ("hyper: momentum: must be at most 3.4e+38, the largest float32",
                                        f"(got {value:g})", "smaller")) for value in (1e39, -1e39)),
])
def test_row_07_numbers_beyond_the_dtype_of_the_loss(changed, parts):
    """Lanes would hold inf, or a rate of 0: devices take what is below the smallest normal number for 0."""
    with refused(ValueError, *parts):
        batches(**changed)


def test_numbers_that_only_float64_holds_are_fine_there_and_a_0_stays_one():
    arguments.in_dtype(np.dtype("float64"), [gdjax.Setting("constant", 1e39, {"momentum": 1e-46})], {"eps": math.nan})
    arguments.in_dtype(np.dtype("float32"), [gdjax.Setting("constant", 0.1, {"momentum": 0.0, "eps": 1e-46})], {})


@pytest.mark.parametrize("value", [math.nan, math.inf, None, True, "0.9"])
def test_row_06_numbers_of_a_setting_are_finite(value):
    settings = [gdjax.Setting("constant", 0.1, {"momentum": value})]
    with refused(ValueError, "hyper: momentum: must be finite numbers", f"(got {value!r})"):
        batches(rates=None, optimizer="momentum", settings=settings)


@pytest.mark.parametrize(
    ("optimizer", "name", "value", "words"),
    [
        ("plateau", "factor", 2.0, "inside (0, 1)"), ("plateau", "patience", 0.0, "at least 1"),
        ("plateau", "rtol", 1.0, "in [0, 1)"), ("plateau", "window", 0.0, "at least 1"),
        ("backtracking", "decrease", 1.5, "inside (0, 1)"), ("backtracking", "slope_rtol", -1e-4, "in [0, 1)"),
        ("line_search", "curv_rtol", 0.0, "inside (0, 1)"), ("newton", "damping", -1e-6, "in [0, 1)"),
    ],
)
def test_row_07_numbers_of_rates_that_react_out_of_range(optimizer, name, value, words):
    """As lane data, by way of a wrapper, and fixed with functools.partial."""
    function = gdjax.optimizers.get(optimizer)
    for given, hyper in ((function, {name: value}), (averaged(function), {name: value}),
                         (functools.partial(function, **{name: value}), None)):
        with refused(ValueError, f"hyper: {name}: must be {words} (got {value:g})", f"gdjax.optimizers.{optimizer}"):
            bowl(optimizer=given, hyper=hyper)


def test_row_08_what_must_be_static_is_refused_by_name():
    with refused(ValueError, "optimizer 'lbfgs': cannot be traced by JAX"):
        bowl(optimizer="lbfgs", hyper={"memory_size": 5})
    with refused(ValueError, "optimizer 'sgd, mixed rates': cannot be traced by JAX"):
        batches(optimizer=mixed(optax.sgd, {"weights": 1.0}))


@pytest.mark.parametrize(
    ("optimizer", "hyper", "parts"),
    [
        (delayed(optax.sgd, 4), {"delay": 5}, ("hyper: delay: must be a whole number of steps from 0 to 4", "5.0")),
        (delayed(optax.sgd, 4), {"delay": 1.5}, ("hyper: delay: must be a whole number", "(got 1.5)")),
        (delayed(optax.sgd, 4), {"delay": -1}, ("hyper: delay: must be a whole number", "(got -1.0)")),
        (mixed(optax.sgd, {"w": 1.0, "b": 0.1}), {"factor.b": -0.1}, ("hyper: factor.b: must be", "-0.1")),
        (mixed(optax.sgd, {"w": 1.0, "b": 0.1}), {"factor.c": 0.1}, ("hyper: unknown name", "factor.b, factor.w")),
        (averaged(optax.sgd), {"average_after": -1}, ("hyper: average_after: must be a finite number of steps", "-1")),
        (averaged(delayed(optax.sgd, 2)), {"delay": 3}, ("hyper: delay: must be a whole number of steps from 0 to 2",)),
    ],
)
def test_row_07_numbers_of_wrappers_out_of_range(optimizer, hyper, parts):
    with refused(ValueError, *parts):
        batches(optimizer=optimizer, hyper=hyper)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: mixed(optax.sgd, {"a": {"b": 1.0}, "a.b": 2.0}), r"factors: groups must have different names .*twice"),
        (lambda: averaged(optax.sgd, after="late"), r"average_after: must be a finite number of steps .*'late'"),
        (lambda: delayed(optax.sgd, -1), r"longest: must be a whole number of steps from 0 to 1000 \(got -1\)"),
        (lambda: delayed(optax.sgd, 2.0), r"longest: must be a whole number of steps from 0 to 1000 \(got 2.0\)"),
        (lambda: mixed(optax.sgd, {"w": math.inf}), r"hyper: factor.w: must be a finite number .*\(got inf\)"),
        (lambda: mixed(optax.sgd, {"w": "fast"}), r"hyper: factor.w: must be a finite number .*\(got 'fast'\)"),
        (lambda: averaged(optax.sgd, after=math.nan), r"hyper: average_after: must be a finite number .*\(got nan\)"),
        (lambda: delayed(averaged(optax.sgd), 2), r"optimizer: cannot go around one that is averaged"),
        (lambda: averaged(averaged(optax.sgd)), r"optimizer: cannot go around one that is averaged"),
        (lambda: delayed(delayed(optax.sgd, 1), 2), r"optimizer: cannot go around one that is delayed"),
    ],
)
def test_row_07_wrappers_that_make_no_sense(make, text):
    with pytest.raises(ValueError, match=text):
        make()


@pytest.mark.parametrize("wrap", [lambda inner: mixed(inner, 1.0), lambda inner: delayed(inner, 2), averaged])
@pytest.mark.parametrize("inner", ["sgd", None, optax.sgd(0.1)])
def test_row_06_wrappers_go_around_functions(wrap, inner):
    with pytest.raises(TypeError, match="optimizer: must be a function rate -> optax transformation"):
        wrap(inner)


def test_numbers_of_numpy_are_numbers():
    assert mixed(optax.sgd, {"w": np.float32(0.5), "b": np.int64(1)}).defaults == {"factor.w": 0.5, "factor.b": 1.0}
    assert delayed(optax.sgd, np.int64(3)) == delayed(optax.sgd, 3)
    assert gdjax.problems.rosenbrock(np.int64(3)).start(jax.random.key(0)).shape == (3,)


MEAN = functools.partial(gdjax.Problem, name="mean", loss=lambda m, x: (x - m) ** 2, init=jax.random.normal)


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"domain": (1.0, 1.0)}, r"domain: must be \(low, high\) with low below high \(got \(1.0, 1.0\)\)"),
        ({"domain": (0.0, math.inf)}, r"domain: must be \(low, high\)"),
        ({"data": None, "loss": lambda m: m**2, "held_out": np.ones(3)}, r"held_out: needs data \(got None\)"),
        ({"data": None, "loss": lambda m: m**2, "accuracy": lambda m, batch: jnp.ones(())}, r"accuracy: needs data"),
        ({"held_out": np.ones((3, 2))}, r"held_out: must be like data but for the number of examples"),
        ({"held_out": np.array([1.0, math.nan])}, r"held_out: values must be finite \(got NaN or inf at row 1\)"),
        ({"held_out": np.ones(0)}, r"held_out: needs rows and columns"),
        ({"domain": 3.0}, r"domain: must be \(low, high\) with low below high \(got 3.0\)"),
        ({"domain": (0.0, "far")}, r"domain: must be \(low, high\)"),
        ({"optimum": "low"}, r"optimum: must be finite, one number \(got low\)"),
        ({"optimum": np.zeros(2)}, r"optimum: must be finite, one number \(got \[0. 0.\]\). It is the smallest value"),
        ({"maximise": "no"}, r"maximise: must be True or False \(got 'no'\)"),
        ({"loss": 3}, r"loss: must be a function \(got 3\)"),
        ({"init": None}, r"init: must be a function \(got None\)"),
        ({"accuracy": 0.5}, r"accuracy: must be a function \(got 0.5\)"),
    ],
)
def test_rows_04_and_05_newer_fields_of_a_problem(changed, text):
    with pytest.raises((ValueError, TypeError), match=text):
        MEAN(**{"data": np.arange(4.0), **changed})


@pytest.mark.parametrize(
    ("accuracy", "parts"),
    [
        (lambda m, batch: batch > m, ("accuracy '<lambda>': must return one share", "bool[4]")),
        (lambda m, batch: float(m), ("accuracy '<lambda>': cannot be traced by JAX", "ConcretizationTypeError")),
        (lambda m, batch: batch.missing, ("accuracy '<lambda>': cannot be traced by JAX", "AttributeError")),
    ],
)
def test_row_08_an_accuracy_is_tried_before_the_run_and_not_after_it(accuracy, parts):
    with refused(ValueError, *parts):
        batches(problem=MEAN(data=np.arange(4.0), accuracy=accuracy), batch_size=2)
