"""Differences against derivatives known on paper, and check_gradient against gradients made wrong on purpose."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from tests.refusals import refused

BOWL = gdjax.problems.get("bowl")


@pytest.mark.parametrize(("at", "gradient"), [((3, 4), (6, 8)), ((0, 2), (0, 4)), ((3, 0), (6, 0))])
def test_the_textbook_gradients_of_the_bowl(at, gradient):
    numerical = gdjax.numerical_gradient(lambda x: np.sum(x**2), np.array(at))
    assert numerical == pytest.approx(np.array(gradient), abs=1e-9)
    assert jax.grad(BOWL.loss)(jnp.array(at, jnp.float32)).tolist() == list(gradient)


def test_a_jax_function_is_evaluated_in_float64():
    # in float32 the rounding error at h = 1e-4 would be about 1e-7·e/1e-4 = 3e-3
    numerical = gdjax.numerical_gradient(lambda x: jnp.sum(jnp.exp(x)), jnp.ones(3))
    assert numerical == pytest.approx(np.full(3, np.e), rel=1e-8)
    assert numerical.dtype == np.float64
    assert not jax.config.jax_enable_x64


def test_functions_that_need_jax_arrays_get_them():
    numerical = gdjax.numerical_gradient(lambda x: jnp.sum(x.at[0].set(0.0) ** 3), np.array([5.0, 2.0]))
    assert numerical == pytest.approx(np.array([0.0, 12.0]), rel=1e-7)


def test_any_pytree_keeps_its_structure():
    at = {"w": np.array([[1.0, 2.0]]), "rest": (3.0, np.float32(0.5))}
    gradient = gdjax.numerical_gradient(lambda p: np.sum(p["w"] ** 3) + p["rest"][0] * p["rest"][1], at)
    assert gradient["w"] == pytest.approx(np.array([[3.0, 12.0]]), rel=1e-7)
    assert [float(leaf) for leaf in gradient["rest"]] == pytest.approx([0.5, 3.0], rel=1e-7)


def test_the_central_difference_is_second_order_and_the_forward_one_first():
    # exp at 0: forward error h/2, central error h²/6
    for h in (1e-1, 1e-2, 1e-3):
        forward = float(gdjax.numerical_gradient(np.exp, 0.0, h=h, scheme="forward")) - 1
        central = float(gdjax.numerical_gradient(np.exp, 0.0, h=h)) - 1
        assert forward == pytest.approx(h / 2, rel=0.05)
        assert central == pytest.approx(h**2 / 6, rel=0.01)


def test_the_error_against_h_is_u_shaped():
    errors = {h: abs(float(gdjax.numerical_gradient(np.exp, 1.0, h=h)) - np.e) for h in (1e-1, 1e-5, 1e-13, 1e-50)}
    assert errors[1e-5] < 1e-9 < errors[1e-13] < errors[1e-50]
    assert errors[1e-1] > 1e-3
    assert errors[1e-50] == np.e, "x + 1e-50 is x: the difference is 0"


def test_f_may_change_its_argument_without_harm():
    def careless(x):
        x *= 2
        return np.sum(x)

    assert gdjax.numerical_gradient(careless, np.array([1.0, 2.0])) == pytest.approx(np.array([2.0, 2.0]))


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"h": 0.0}, ValueError, r"h: must be a finite number above 0 \(got 0.0\)"),
        ({"h": np.nan}, ValueError, r"h: .*got nan"),
        ({"h": "a"}, ValueError, r"h: must be a finite number above 0 \(got 'a'\)"),
        ({"f": 3}, TypeError, r"f: must be a function x -> number \(got 3\). Give"),
        ({"scheme": "backward"}, ValueError, r"scheme: must be one of central, forward \(got 'backward'\). The error"),
        ({"f": lambda x: x}, ValueError, r"f: must return one number \(got shape \(2,\)\)"),
        ({"f": lambda x: None}, TypeError, r"f: must return a real number \(got None\)"),
        ({"f": lambda x: 1j * x[0]}, TypeError, "f: must return a real number"),
        ({"x": {"a": "text"}}, TypeError, r"x\['a'\]: must hold real numbers"),
    ],
)
def test_bad_arguments_are_named(change, error, text):
    arguments = {"f": lambda x: x[0] ** 2, "x": np.ones(2), **change}
    with pytest.raises(error, match=text):
        gdjax.numerical_gradient(**arguments)


def wrong_gradient(factor):
    @jax.custom_jvp
    def square(x):
        return x**2

    square.defjvp(lambda primals, tangents: (primals[0] ** 2, factor * primals[0] * tangents[0]))
    return gdjax.Problem(name="wrong", loss=lambda x: jnp.sum(square(x)), init=lambda key: jax.random.normal(key, (2,)))


def test_a_wrong_gradient_is_found_with_its_size():
    at = np.array([1.0, -2.0])
    assert gdjax.check_gradient(wrong_gradient(2.0), params=at).max_relative_error < 1e-9
    found = gdjax.check_gradient(wrong_gradient(2.2), params=at)
    assert found.max_absolute_error == pytest.approx(0.4, rel=1e-6), "2.2·2 − 2·2"
    assert found.max_relative_error == pytest.approx(0.4 / 4.4, rel=1e-6)


def test_the_check_is_in_float64_and_leaves_no_trace():
    found = gdjax.check_gradient(gdjax.problems.get("line-fit"))
    assert (found.dtype, found.h, found.coordinates) == ("float64", 1e-5, 2)
    assert found.max_relative_error < 1e-9
    assert not jax.config.jax_enable_x64
    assert all(leaf.dtype == jnp.float32 for leaf in gdjax.problems.get("line-fit").device_data())


def test_a_loss_that_fixes_float32_is_checked_in_float32():
    def scanned(x):
        return jax.lax.scan(lambda total, xi: (total + xi**2, None), jnp.zeros((), jnp.float32), x)[0]

    init = lambda key: jax.random.normal(key, (3,))  # noqa: E731
    for loss in (scanned, lambda x: jnp.sum(x.astype(jnp.float32) ** 2)):
        found = gdjax.check_gradient(gdjax.Problem(name="narrow", loss=loss, init=init))
        assert found.dtype == "float32"
        assert found.max_relative_error < 1e-3


def test_many_parameters_are_sampled_and_the_key_says_which():
    problem = gdjax.problems.quadratic(np.linspace(1, 2, 500))
    assert gdjax.check_gradient(problem, coordinates=7).coordinates == 7
    first, again, other = (gdjax.check_gradient(problem, key, coordinates=7) for key in (3, jax.random.key(3), 4))
    assert first == again != other


def test_a_loss_given_per_batch_is_checked_too():
    problem = gdjax.Problem(name="whole", batch_loss=lambda w, x: jnp.var(w * x), data=np.array([1.0, 2.0, 6.0]),
                            init=lambda key: jax.random.normal(key))
    found = gdjax.check_gradient(problem, params=2.0)
    assert found.max_relative_error < 1e-9


@pytest.mark.parametrize(("changed", "error", "parts"), [
    *(({"key": key}, ValueError, ("key: must be in [0, 2**32)", f"(got {key})")) for key in (-1, 2**32)),
    *(({"key": key}, TypeError, ("key: must be a whole number", f"(got {key!r})")) for key in (1.5, True, "0")),
    ({"coordinates": 0}, ValueError, ("coordinates: must be at least 1 (got 0)",)),
    *(({"coordinates": many}, TypeError, ("coordinates: must be a whole number of parameters", f"(got {many!r})"))
      for many in (2.5, "a", True)),
    *(({"h": h}, ValueError, ("h: must be a finite number above 0", f"(got {h!r})")) for h in ("a", -1.0, True)),
    ({"params": np.zeros(7)}, ValueError, ("params: must have shape (2,) (got (7,))", "as init does")),
    ({"params": {"w": np.zeros(2)}}, ValueError, ("params: parameters must have the problem's tree", "'w'", "as init")),
    ({"problem": gdjax.problems.get("line-fit"), "params": {"w": np.zeros(1)}}, ValueError,
     ("params: parameters must have the problem's tree (got PyTreeDef({'w': *}))", "{'b': *, 'w': *}")),
    ({"problem": "bowl"}, TypeError, ("problem: must be a gdjax.Problem (got 'bowl')",)),
])
def test_bad_arguments_of_the_check_are_refused(changed, error, parts):
    with refused(error, *parts):
        gdjax.check_gradient(**{"problem": BOWL, **changed})
