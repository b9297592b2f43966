"""LAPACK is never handed a batch: where two programs run side by side that hung for ever."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

import gdjax
from gdjax.lapack import AXES, _batch, one_by_one

LONG = 300  # seconds that a run of a few may take before it counts as hung
NOISE = 1e-2
X = np.linspace(0, 1, 40, dtype=np.float32)
Y = np.sin(6 * X)

Function = Callable[[jax.Array], object]


def batches(jaxpr: object) -> list[tuple[int, ...]]:
    """Shapes of the batches that LAPACK is handed anywhere in a program."""
    found = []
    for equation in getattr(jaxpr, "eqns", []):
        found += [_batch(equation)] if _batch(equation) else []
        for inner in jax.tree.leaves(list(equation.params.values())):
            found += batches(getattr(inner, "jaxpr", inner))
    return found


def symmetric(*shape: int) -> jax.Array:
    """Well-conditioned matrices with distinct eigenvalues."""
    drawn = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    return jnp.asarray(drawn @ drawn.swapaxes(-1, -2) + np.diag(np.arange(1.0, shape[-1] + 1, dtype=np.float32)))


def tridiagonal_solve(a: jax.Array) -> jax.Array:
    lower, upper = jnp.pad(jnp.diag(a, -1), (1, 0)), jnp.pad(jnp.diag(a, 1), (0, 1))
    return jax.lax.linalg.tridiagonal_solve(lower, jnp.diag(a), upper, a)


def in_a_loop(a: jax.Array) -> jax.Array:
    return jax.lax.fori_loop(0, 3, lambda i, x: jnp.linalg.cholesky(x + a), a)


def in_a_branch(a: jax.Array) -> jax.Array:
    return jax.lax.cond(jnp.trace(a) > 0, jnp.linalg.inv, lambda a: a, a)


def in_a_scan(a: jax.Array) -> jax.Array:
    return jax.lax.scan(lambda x, row: (jnp.linalg.solve(a, x), row @ x), a, a)[1]


def until_small(a: jax.Array) -> jax.Array:
    return jax.lax.while_loop(lambda x: jnp.linalg.slogdet(x)[1] > 0, lambda x: x / 2, a)


FUNCTIONS: dict[str, Function] = {
    "cholesky": jnp.linalg.cholesky, "solve": lambda a: jnp.linalg.solve(a, a[0]), "eigh": jnp.linalg.eigh,
    "svd": jnp.linalg.svd, "qr": jnp.linalg.qr, "eig": jnp.linalg.eig, "determinant": jnp.linalg.slogdet,
    "triangular": lambda a: jax.scipy.linalg.solve_triangular(a, a, lower=True), "schur": jax.scipy.linalg.schur,
    "hessenberg": jax.scipy.linalg.hessenberg, "tridiagonal": jax.lax.linalg.tridiagonal,
    "tridiagonal solve": tridiagonal_solve, "gradient": jax.grad(lambda a: jnp.sum(jnp.linalg.inv(a)[0] ** 2)),
    "checkpoint": jax.grad(jax.checkpoint(lambda a: jnp.linalg.slogdet(a)[1])), "jit": jax.jit(jnp.linalg.inv),
    "loop": in_a_loop, "branch": in_a_branch, "scan": in_a_scan, "while": until_small,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_many_matrices_give_what_each_gives_alone_and_no_batch_is_left(name: str) -> None:
    function, matrices = FUNCTIONS[name], symmetric(4, 3, 9, 9)
    many = jax.vmap(jax.vmap(function))
    assert (4, 3) in batches(jax.make_jaxpr(many)(matrices).jaxpr), "else the next line asserts nothing"
    assert batches(jax.make_jaxpr(one_by_one(many))(matrices).jaxpr) == []
    alone = [function(matrix) for matrix in matrices.reshape(-1, 9, 9)]
    expected = jax.tree.map(lambda *leaves: np.stack(leaves).reshape(4, 3, *leaves[0].shape), *alone)
    found = jax.jit(one_by_one(many))(matrices)
    for values, leaf in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(values, leaf, rtol=1e-5, atol=1e-5 * np.abs(leaf).max())


def test_a_program_without_them_is_left_as_it_is() -> None:
    def step(x: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, 3, lambda i, x: jnp.tanh(x @ x.T) + i, x)

    assert str(jax.make_jaxpr(one_by_one(jax.vmap(step)))(symmetric(2, 3, 3))) == str(
        jax.make_jaxpr(jax.vmap(step))(symmetric(2, 3, 3)))


def test_elsewhere_than_on_a_cpu_batches_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert batches(jax.make_jaxpr(one_by_one(jax.vmap(jnp.linalg.cholesky)))(symmetric(2, 3, 3)).jaxpr) == [(2,)]


def test_every_primitive_of_jax_is_known() -> None:
    others = {"cholesky_update", "lu_pivots_to_permutation", "symmetric_product"}  # not LAPACK's
    known = {getattr(jax.lax.linalg, name).name for name in dir(jax.lax.linalg) if name.endswith("_p")}
    assert known - others <= set(AXES)


def evidence(params: jax.Array) -> jax.Array:
    """Negative log marginal likelihood of a Gaussian process, up to its constant: params log amplitude, log length."""
    kernel = jnp.exp(params[0] - 0.5 * ((X[:, None] - X) / jnp.exp(params[1])) ** 2) + NOISE * jnp.eye(len(X))
    factor = jnp.linalg.cholesky(kernel)
    weights = jax.scipy.linalg.cho_solve((factor, True), Y)
    return Y @ weights / 2 + jnp.sum(jnp.log(jnp.diagonal(factor)))


PROCESS = gdjax.Problem(
    name="process", loss=evidence, init=lambda key: jnp.array([0.0, -1.0]) + 0.3 * jax.random.normal(key, (2,)))


def through(run: Callable[[], gdjax.Runs]) -> gdjax.Runs:
    """What a run gives, or a failure where it hangs."""
    found: list[gdjax.Runs] = []
    thread = threading.Thread(target=lambda: found.append(run()), daemon=True)
    thread.start()
    thread.join(LONG)
    assert found, f"not through after {LONG} s, or ended by the error above"
    return found[0]


def test_a_gaussian_process_is_trained_in_pieces_side_by_side() -> None:
    """Five pieces on two threads hung; losses are scikit-learn's at the same parameters, and they fall."""
    runs = through(lambda: gdjax.bgd(PROCESS, rates=2e-3, starts=80, key=0, max_steps=10, width=16))
    for lane in (0, 37, 79):
        amplitude, length = np.exp(np.asarray(runs.params[lane], np.float64))
        process = GaussianProcessRegressor(ConstantKernel(amplitude) * RBF(length), alpha=NOISE, optimizer=None)
        known = process.fit(X[:, None], Y).log_marginal_likelihood_value_
        assert runs.final_loss[lane] == pytest.approx(-known - len(X) / 2 * np.log(2 * np.pi), rel=1e-4)
    assert (runs.final_loss < runs.start_loss).all()


def test_newton_takes_eigenvectors_in_pieces_side_by_side() -> None:
    """65 lanes of 15 parameters are three pieces."""
    problem = gdjax.problems.get("iris-softmax")
    runs = through(lambda: gdjax.bgd(problem, optimizer="newton", rates=1.0, starts=65, key=0, max_steps=8))
    assert runs.final_loss == pytest.approx(problem.optimum, abs=1e-6)


FEATURES = 24  # fewer are solved at once: jaxlib cuts batches by their operations


def solved(params: jax.Array, x: jax.Array) -> jax.Array:
    """Of one example: a system of as many equations as it has features."""
    return x @ jnp.linalg.solve(jnp.outer(x, x) + jnp.diag(jnp.exp(params)), x)


SOLVING = gdjax.Problem(
    name="solving", loss=solved, init=lambda key: 0.1 * jax.random.normal(key, (FEATURES,)),
    data=np.random.default_rng(0).normal(size=(30, FEATURES)))
CALL = {"batch_size": 6, "rates": 0.1, "starts": 20, "key": 0, "max_steps": 10, "width": 8}


def test_devices_that_share_lanes_or_examples_solve_side_by_side_too() -> None:
    code = """
import json, gdjax
from tests.test_lapack import CALL, SOLVING
for shared in (False, True):
    runs = gdjax.minibatch(SOLVING, devices=2, shard_examples=shared, **CALL)
    print(json.dumps(runs.final_loss.tolist()))
"""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=LONG,
                          env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}, cwd=Path(__file__).parents[1])
    assert done.returncode == 0, done.stderr[-3000:]
    alone = through(lambda: gdjax.minibatch(SOLVING, **CALL))
    assert (alone.final_loss < alone.start_loss).all()
    for line in done.stdout.splitlines():
        np.testing.assert_allclose(json.loads(line), alone.final_loss, rtol=1e-5)
    assert len(done.stdout.splitlines()) == 2
