"""Eigenvalues of many lanes: LAPACK's, and never in a batch, which hangs where two programs run side by side."""

from __future__ import annotations

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax.eigen import eigh
from gdjax.optimizers import newton

LONG = 300  # seconds that a run of a few may take before it counts as hung


def symmetric(*shape: int) -> np.ndarray:
    drawn = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    return drawn + drawn.swapaxes(-1, -2)


def batches(jaxpr: jax.extend.core.Jaxpr) -> list[tuple[int, ...]]:
    """Shapes of what is decomposed anywhere in a program."""
    found = []
    for equation in jaxpr.eqns:
        if equation.primitive.name == "eigh":
            found.append(equation.invars[0].aval.shape)
        for inner in jax.tree.leaves(list(equation.params.values())):
            inner = getattr(inner, "jaxpr", inner)
            found += batches(inner) if hasattr(inner, "eqns") else []
    return found


@pytest.mark.parametrize("shape", [(3, 3), (7, 3, 3), (4, 5, 9, 9)])
def test_values_and_vectors_are_those_of_each_matrix(shape: tuple[int, ...]) -> None:
    many = eigh
    for _ in shape[2:]:
        many = jax.vmap(many)
    matrices = symmetric(*shape)
    values, vectors = jax.jit(many)(matrices)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(matrices.astype(np.float64)), atol=1e-5)
    np.testing.assert_allclose(vectors * values[..., None, :] @ vectors.mT, matrices, atol=1e-5)
    alone = [eigh(matrix) for matrix in matrices.reshape(-1, *shape[-2:])]
    np.testing.assert_array_equal(values.reshape(-1, shape[-1]), np.stack([each for each, _ in alone]))
    np.testing.assert_array_equal(vectors.reshape(-1, *shape[-2:]), np.stack([each for _, each in alone]))


def test_lanes_never_hand_lapack_a_batch() -> None:
    matrices = jnp.asarray(symmetric(4, 5, 9, 9))
    assert set(batches(jax.make_jaxpr(jax.vmap(jax.vmap(eigh)))(matrices).jaxpr)) == {(9, 9)}
    in_one = jax.make_jaxpr(jax.vmap(jnp.linalg.eigh))(matrices[0])
    assert set(batches(in_one.jaxpr)) == {(5, 9, 9)}, "the check sees them"


def test_newton_ends_where_pieces_run_side_by_side() -> None:
    """65 lanes of 15 parameters are three pieces: jaxlib's batched LAPACK, waited for on two threads at once, hung."""
    problem, found = gdjax.problems.get("iris-softmax"), []

    def run() -> None:
        found.append(gdjax.bgd(problem, optimizer=newton, rates=1.0, starts=65, key=0, max_steps=8))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(LONG)
    assert found, f"not through after {LONG} s"
    assert found[0].final_loss == pytest.approx(problem.optimum, abs=1e-6)
