"""gdjax against compiled code that is no JAX: scikit-learn's SGD loop, and the machine's own matrix product."""

from __future__ import annotations

import os

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.linear_model import SGDClassifier

import gdjax
from bench import environment
from bench.ceilings import SIDE
from bench.peers.workload import RIDGE, Entry, Workload, examples, random_starts

LANES = 512
TRAINED = 16  # of them by scikit-learn, one after another
RATE, EPOCHS = 0.01, 20
BGD_STEPS = 40


def build(name: str) -> Workload:
    """sgd-scikit-learn: one example a step. bgd-matmul: all examples a step against the matrix product."""
    return _scikit() if name == "sgd-scikit-learn" else _products()


def _scikit() -> Workload:
    problem = gdjax.problems.get("cancer-logistic")
    starts = random_starts(problem, LANES)
    X, y = examples(problem)

    def ours() -> gdjax.Runs:
        return gdjax.sgd(problem, starts=starts, rates=RATE, key=0, max_epochs=EPOCHS, batches="independent")

    def theirs() -> list[SGDClassifier]:
        return [SGDClassifier(loss="log_loss", alpha=RIDGE, learning_rate="constant", eta0=RATE, max_iter=EPOCHS,
                              tol=None, random_state=lane).fit(
                    X, y, coef_init=starts["w"][lane], intercept_init=0.0)
                for lane in range(TRAINED)]

    def losses(models: list[SGDClassifier]) -> np.ndarray:
        found = []
        for model in models:
            z = (X @ model.coef_[0] + model.intercept_[0]).astype(np.float64)
            found.append(np.mean(np.logaddexp(0, z) - y * z) + RIDGE / 2 * np.sum(model.coef_**2))
        return np.asarray(found)

    platform = jax.devices()[0].platform
    cores = len(environment.affinity() or range(os.cpu_count() or 1)) if platform == "cpu" else 1
    return Workload(
        "sgd-scikit-learn", f"SGD on cancer-logistic, one example a step, {LANES} starts with batches of their own, "
        f"{EPOCHS} epochs; seconds of all cores that work",
        Entry("gdjax.sgd", ours, lambda runs: np.asarray(runs.final_loss, float), cores=cores),
        (Entry("scikit-learn: SGDClassifier", theirs, losses, goal=6.0, share=TRAINED / LANES),), per_core=True)


def _products() -> Workload:
    problem = gdjax.problems.get("digits-softmax")
    starts = random_starts(problem, LANES)
    n, features, classes = problem.examples, starts["W"].shape[2], starts["W"].shape[1]
    operations = 2 * 2 * n * features * classes * LANES * BGD_STEPS  # scores, and the gradient of W
    side = SIDE.get(jax.devices()[0].platform, SIDE["gpu"])
    matrix = jax.random.normal(jax.random.key(0), (side, side)) / side**0.5
    multiply = jax.jit(jnp.matmul).lower(matrix, matrix).compile()

    def ours() -> gdjax.Runs:
        return gdjax.bgd(problem, starts=starts, rates=0.5, key=0, max_steps=BGD_STEPS)

    def products() -> jax.Array:
        product = matrix
        for _ in range(-(-operations // (2 * side**3))):
            product = multiply(product, matrix)
        return product

    share = -(-operations // (2 * side**3)) * 2 * side**3 / operations
    return Workload(
        "bgd-matmul", f"BGD on digits-softmax, {LANES} lanes, {BGD_STEPS} steps, against as many operations in "
        f"products of {side}² matrices: the ratio is the share of the machine's matmul rate",
        Entry("gdjax.bgd", ours, lambda runs: np.asarray(runs.final_loss, float)),
        (Entry("as many operations in products (a share)", products, None, goal=0.35, share=share),))
