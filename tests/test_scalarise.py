"""Functions of a few numbers, evaluated number by number: the same bits, and no array of them is made."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax.engine import layout
from gdjax.engine.scalarise import scalarise

POINT = (jnp.float32(0.3), jnp.float32(-1.7))
@jax.custom_vjp
def _doubled(x: jax.Array) -> jax.Array:
    return 2 * x


_doubled.defvjp(lambda x: (2 * x, None), lambda _, ct: (2 * ct,))
FUNCTIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "indices": lambda x: 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2,
    "negative index": lambda x: x[-1] * x[0] + x[-2],
    "slices": lambda x: jnp.sum(x[1:] * x[:-1]) + jnp.sum(x[:1]),
    "sum": lambda x: jnp.sum(x**2),
    "mean": lambda x: jnp.mean(jnp.cos(x)),
    "norm": lambda x: jnp.linalg.norm(x - 1.0),
    "matrix": lambda x: x @ jnp.array([[2.0, 1.0], [1.0, 3.0]]) @ x,
    "max": lambda x: jnp.max(x) + jnp.min(jnp.abs(x)),
    "where": lambda x: jnp.where(x > 0, x, -2 * x).sum(),
    "softplus": lambda x: jax.nn.softplus(x[0]) + jax.nn.logsumexp(x),
    "reversed": lambda x: jnp.dot(x[::-1], jnp.arange(2.0)),
    "sorted": lambda x: jnp.sort(x)[0] * 3,
    "concatenated": lambda x: jnp.prod(jnp.concatenate([x, jnp.ones(3)])),
    "loop": lambda x: jax.lax.fori_loop(0, 3, lambda i, y: y * 0.5 + x[0] * i, x[1]),
    "product": lambda x: jnp.prod(jnp.array([x[0], 2.0, x[1]])),
    "branch": lambda x: jax.lax.cond(x[0] > 0, lambda y: y.sum(), lambda y: y.prod(), x),
    "derivative of the user's": lambda x: _doubled(x)[0] * _doubled(x[1]) + _doubled(jnp.ones(2))[1],
    "remembered": lambda x: jax.checkpoint(lambda y: jnp.sin(y[0]) * y[1])(x),
    "constant": lambda x: jnp.float32(3.0) + 0 * x[0],
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_value_and_gradient_are_those_of_the_function(name: str) -> None:
    def of(numbers: tuple[jax.Array, ...]) -> jax.Array:
        return FUNCTIONS[name](jnp.stack(numbers))

    both = jax.value_and_grad(of)
    for found, expected in zip(jax.tree.leaves(scalarise(both)(POINT)), jax.tree.leaves(both(POINT)), strict=True):
        np.testing.assert_allclose(found, expected, rtol=3e-7, atol=1e-7)
        assert found.dtype == expected.dtype and found.shape == expected.shape


@pytest.mark.parametrize("name", ["rosenbrock", "himmelblau", "bowl"])
def test_no_array_of_the_numbers_is_made(name: str) -> None:
    """Under vmap each value has the axis of the lanes alone."""
    problem = gdjax.problems.get(name)

    def of(numbers: tuple[jax.Array, ...]) -> jax.Array:
        return problem.objective(jnp.stack(numbers), None)

    lanes = tuple(jnp.ones(7) for _ in POINT)
    jaxpr = jax.make_jaxpr(jax.vmap(scalarise(jax.value_and_grad(of))))(lanes).jaxpr
    assert {variable.aval.shape for equation in jaxpr.eqns for variable in equation.outvars} <= {(), (7,)}


def test_who_is_held_apart() -> None:
    def held(name: str, optimizer: str) -> bool:
        return layout.apart(gdjax.problems.get(name), gdjax.optimizers.get(optimizer)) is not None

    assert held("himmelblau", "sgd")
    assert not held("himmelblau", "momentum")  # its state has the shape of the parameters
    assert not held("rosenbrock-10", "sgd")
    assert not held("line-fit", "sgd")


def test_leaves_of_any_shape_come_back_as_they_were() -> None:
    problem = gdjax.Problem(name="tree", loss=lambda p: jnp.sum(p["a"] ** 2) + jnp.sum((p["b"] - 1) ** 2) + p["c"] ** 4,
                            init=lambda key: {"a": jnp.ones((2, 2)), "b": jnp.zeros(3), "c": jnp.float32(2.0)})
    shapes = layout.apart(problem, gdjax.optimizers.get("sgd"))
    params = {"a": jnp.arange(20.0).reshape(5, 2, 2), "b": jnp.arange(15.0).reshape(5, 3), "c": jnp.arange(5.0)}
    held = layout.split(shapes, params)
    assert {leaf.shape for leaf in jax.tree.leaves(held)} == {(5,)}
    back = layout.join(shapes, held)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()) and a.shape == b.shape, back, params))
    runs = gdjax.bgd(problem, rates=0.1, starts=3, key=0, max_steps=50)
    assert jax.tree.map(np.shape, runs.params) == {"a": (3, 2, 2), "b": (3, 3), "c": (3,)}
    np.testing.assert_allclose(runs.params["b"], 1 - 0.8**50, rtol=1e-5)


def test_a_run_is_that_of_plain_gradient_descent() -> None:
    """float64 NumPy with the hand-written gradient, as long as rounding has not told the two apart."""
    start = np.random.default_rng(0).uniform(-2, 2, (16, 2))
    runs = gdjax.bgd(gdjax.problems.get("rosenbrock"), rates=1e-3, starts=start.astype(np.float32), key=0,
                     max_steps=200)
    x, y = start.T
    for _ in range(200):
        slope = y - x * x
        x, y = x - 1e-3 * (-2 * (1 - x) - 400 * x * slope), y - 1e-3 * 200 * slope
    np.testing.assert_allclose(runs.params, np.stack([x, y], 1), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_numbers_are_held_in_pairs_and_come_back_as_they_were(count: int) -> None:
    params = {"x": jnp.arange(3 * count, dtype=jnp.float32).reshape(3, count)}
    shapes = {"x": jax.ShapeDtypeStruct((count,), jnp.float32)}
    numbers = layout.split(shapes, params)
    held = layout.pair(shapes, numbers)
    assert [each.dtype.kind for each in held["x"]] == ["c"] * (count // 2) + ["f"] * (count % 2)
    for found, wanted in zip(layout.unpair(shapes, held)["x"], numbers["x"], strict=True):
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(layout.join(shapes, held)["x"], params["x"])
    assert layout.pair(None, params) is layout.unpair(None, params) is params
