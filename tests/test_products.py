"""Small products as sums, and short rows read loose: the same numbers, and no product is left that could be sums."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax.engine import step
from gdjax.engine.products import summed
from tests.test_scalarise import FUNCTIONS, POINT

SMALL = [((30,), "i,i->"), ((4,), "i,i->"), ((8, 30), "bi,i->b"), ((16, 30), "bi,b->i"), ((16, 13), "bi,i->b"),
         ((32, 4), "bi,i->b"), ((3, 4), "ki,bi->kb"), ((8, 4), "bi,bk->ki"), ((2, 3, 5), "abi,i->ab"), ((17,), "i,i->"),
         ((1, 32), "bi,i->b"), ((5, 1), "bi,i->b")]


def _operands(shape: tuple[int, ...], form: str) -> tuple[np.ndarray, np.ndarray]:
    """Random arrays for a form; axes that the first does not have are 6 long."""
    first, second = form.split("->")[0].split(",")
    sizes = dict(zip(first, shape, strict=True))
    draw = np.random.default_rng(0)
    return draw.normal(size=shape), draw.normal(size=[sizes.get(axis, 6) for axis in second])


@pytest.mark.parametrize(("shape", "form"), SMALL, ids=[f"{form} {shape}" for shape, form in SMALL])
def test_small_products_are_sums_of_the_same_value(shape: tuple[int, ...], form: str) -> None:
    left, right = _operands(shape, form)
    product = summed(lambda left, right: jnp.einsum(form, left, right))
    found = product(left.astype(np.float32), right.astype(np.float32))
    np.testing.assert_allclose(found, np.einsum(form, left, right), rtol=1e-5, atol=1e-5)
    assert "dot_general" not in str(jax.make_jaxpr(product)(left.astype(np.float32), right.astype(np.float32)))


@pytest.mark.parametrize(("shape", "form"), [((64,), "i,i->"), ((16, 33), "bi,i->b"), ((32, 30), "bi,i->b"),
                                             ((10, 30), "bi,i->b"), ((16, 4), "bi,ki->bk"), ((8, 4, 3), "abi,ab->ai")])
def test_larger_products_and_batches_of_products_stay(shape: tuple[int, ...], form: str) -> None:
    left, right = (each.astype(np.float32) for each in _operands(shape, form))
    if form == "bi,ki->bk":
        right = np.ones((9, 4), np.float32)
    product = summed(lambda left, right: jnp.einsum(form, left, right))
    assert "dot_general" in str(jax.make_jaxpr(product)(left, right))
    np.testing.assert_allclose(product(left, right), np.einsum(form, left, right), rtol=1e-5, atol=1e-5)


def test_products_in_float64_stay(x64: None) -> None:
    product = summed(lambda left, right: left @ right)
    assert "dot_general" in str(jax.make_jaxpr(product)(np.ones(4), np.ones(4)))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_whatever_a_loss_is_made_of_keeps_value_and_gradient(name: str) -> None:
    both = jax.value_and_grad(FUNCTIONS[name])
    at = jnp.array(POINT)
    for found, wanted in zip(summed(both)(at), both(at), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.parametrize("batch", [1, 8, 9])
@pytest.mark.parametrize("columns", [1, 16, 17, 30, 32, 33])
def test_rows_of_any_width_are_those_of_the_data(columns: int, batch: int) -> None:
    X = np.random.default_rng(0).normal(size=(11, columns)).astype(np.float32)
    problem = gdjax.problems.ridge_regression(X, X[:, 0])
    index = np.arange(11)[-batch:].astype(np.int32)  # the last row has no next one
    rows, outcomes = jax.jit(lambda index: step.take(problem, problem.device_data(), index))(index)
    np.testing.assert_array_equal(rows, X[index] if batch > 1 else X[10])
    np.testing.assert_array_equal(outcomes, X[index, 0] if batch > 1 else X[10, 0])


def test_no_small_product_is_left_in_lanes_that_have_their_batches_to_themselves() -> None:
    problem = gdjax.problems.get("iris-softmax")
    own, shared = (gdjax.compile(problem, batch_size=4, width=16, settings=4, starts=4, batches=batches)
                   for batches in ("independent", "per-start"))
    assert " dot(" not in _loop_of(own) and " dot(" in _loop_of(shared)


def _loop_of(program: gdjax.Program) -> str:
    """What XLA compiles for each step."""
    return "\n".join(line for line in program.executable.as_text().splitlines()  # type: ignore[attr-defined]
                     if "while/body/while/body" in line)
