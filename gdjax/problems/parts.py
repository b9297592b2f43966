"""What the problems on data share: checks of their arguments, held-out examples, cross entropy, penalty."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from gdjax import data
from gdjax.problems.checks import real

RIDGE = 1e-3
SPREAD = 0.1  # standard deviation of random starts

Examples = tuple[np.ndarray, np.ndarray]
"""Features (examples, features) with their outcomes or labels (examples,)."""

Params = dict[str, jax.Array]


def check_examples(
    X: np.ndarray,
    y: np.ndarray,
    held_out: Examples | None,
    outcomes: Callable[[np.ndarray], np.ndarray] = np.asarray,
) -> tuple[Examples, Examples | None]:
    """Training examples and held-out ones, both checked alike, or the reason why they are none.

    Args:
        X: features, (examples, features).
        y: outcomes, (examples,).
        held_out: features and outcomes kept from training, with the columns of X, or None.
        outcomes: what checks (and converts) outcomes that are finite numbers already.

    Raises:
        TypeError, ValueError: see `gdjax.data.check_features`; what `outcomes` raises; held-out examples that are not a
            pair, or whose columns are not those of X. Errors of held-out examples begin with `held_out`.
    """
    X, y = data.check_features(X, y)
    train = X, outcomes(y)
    if held_out is None:
        return train, None
    if not (isinstance(held_out, tuple | list) and len(held_out) == 2):
        raise TypeError(f"held_out: must be the pair (X, y) (got {type(held_out).__name__}). "
                        "Give features and outcomes kept from training.")
    try:
        X_held, y_held = data.check_features(*held_out)
        y_held = outcomes(y_held)
    except (TypeError, ValueError) as error:
        raise type(error)(f"held_out: {error}") from error
    if X_held.shape[1] != X.shape[1]:
        raise ValueError(f"held_out: must have the columns of X (got {X_held.shape[1]}, X has {X.shape[1]}). "
                         "Cut both from one table.")
    return train, (X_held, y_held)


def check_classified(
    X: np.ndarray, y: np.ndarray, held_out: Examples | None, classes: int | None
) -> tuple[Examples, Examples | None, int]:
    """What `check_examples` gives where outcomes are labels 0…K−1, and K.

    Args:
        X: features, (examples, features).
        y: labels, (examples,).
        held_out: features and labels kept from training, with the columns of X, or None.
        classes: K; None takes the largest label of y + 1, at least 2.
    """
    if classes is None:
        _, numbers = data.check_features(X, y)
        classes = max(int(numbers.max()) + 1, 2)
    return *check_examples(X, y, held_out, lambda y: data.check_labels(y, classes)), classes


def summary(what: str, X: np.ndarray, *details: str) -> str:
    """The `source` of a problem on data of one's own: "ridge regression, 40 examples, 3 features, ridge 0.1"."""
    return ", ".join([what, f"{X.shape[0]} examples", f"{X.shape[1]} features", *details])


def check_ridge(ridge: float) -> float:
    """The ridge λ, or an error when it is no number, negative or not finite."""
    if not (math.isfinite(real("ridge", ridge)) and ridge >= 0):
        raise ValueError(f"ridge: must be a finite number of at least 0 (got {ridge}). It is λ of (λ/2)‖W‖².")
    return float(ridge)


def cross_entropy(scores: jax.Array, label: jax.Array) -> jax.Array:
    """Cross entropy of softmax(scores) against one label: log Σₖ exp(zₖ) − z_label, scores (classes,)."""
    # a select, not scores[label]: its gradient needs no scatter, which is slow on CPU and unordered on GPU
    return log_sum_exp(scores) - jnp.sum(jnp.where(jnp.arange(scores.size) == label, scores, 0))


def mean_cross_entropy(scores: jax.Array, labels: jax.Array) -> jax.Array:
    """Mean cross entropy over a batch, scores (classes, examples), labels (examples,).

    Examples are the last axis: sums over ten classes then run along vectors of examples. Against `cross_entropy` mapped
    over examples (classes last) a full-batch step of digits-softmax took 0.6, a batch of 32 0.7 of the time.
    """
    chosen = jnp.where(jnp.arange(scores.shape[0])[:, None] == labels, scores, 0)
    return jnp.mean(log_sum_exp(scores) - jnp.sum(chosen, axis=0))


def log_sum_exp(scores: jax.Array) -> jax.Array:
    """log Σₖ exp(zₖ) over the first axis."""
    top = jax.lax.stop_gradient(jnp.max(scores, axis=0))
    few = top.ndim == 1 and 4 <= top.size <= 16 and scores.dtype == jnp.float32 and jax.default_backend() == "cpu"
    return top + jnp.log(jnp.sum((_exp if few else jnp.exp)(scores - top), axis=0))


@jax.custom_jvp
def _exp(z: jax.Array) -> jax.Array:
    """exp(z) of float32 numbers of at most 0 by additions and products; exp(−87) for those below −87.

    XLA gives those of fewer than 17 examples side by side one by one. In batches shared by 16 settings a step of
    digits-softmax took 0.85, 0.75, 0.7 and 0.6 of the time with this at batch sizes 4, 8, 12 and 16; where each
    lane has its own, 1.0 to 1.1 times. From 17 on, vectors of XLA's are faster.

    Source: S. Moshier, Cephes, expf.
    """
    z = jnp.maximum(z, -87)  # 2ⁿ exp(r), |r| ≤ (log 2)/2
    n = jnp.floor(1.44269504 * z + 0.5)
    r = z - n * 0.693359375 + n * 2.12194440e-4  # log 2 in two parts: few bits in the first make its product exact
    p = 1.9875691500e-4 * r + 1.3981999507e-3
    for factor in (8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1):
        p = p * r + factor
    power = jax.lax.bitcast_convert_type((n.astype(jnp.int32) + 127) << 23, jnp.float32)
    return (p * r * r + r + 1) * power


@_exp.defjvp
def _exp_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    """exp' = exp."""
    value = _exp(*primals)
    return value, value * tangents[0]


@jax.custom_jvp
def softplus(z: jax.Array) -> jax.Array:
    """log(1 + exp(z)), elementwise.

    XLA's CPU compiler gives log(1 + u) one by one, and jax.nn.softplus asks for it in its derivative too. A gradient of
    2,276 scores took 0.08 of the time with this, loss and gradient 0.18.
    """
    u = jnp.exp(-jnp.abs(z))
    return jnp.maximum(z, 0) + (_log1p(u) if u.dtype == jnp.float32 else jnp.log1p(u))


@softplus.defjvp
def _softplus_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    """softplus' = the logistic function."""
    return softplus(*primals), jax.nn.sigmoid(*primals) * tangents[0]


def _log1p(u: jax.Array) -> jax.Array:
    """log(1 + u) of float32 numbers from 0 to 1, by log(1 + u) = 2 artanh(s), s = u/(2 + u) ≤ 1/3, as its series."""
    s = u / (2 + u)
    square, total = s * s, jnp.full_like(s, 1 / 13)
    for power in (11, 9, 7, 5, 3, 1):
        total = total * square + 1 / power
    return 2 * s * total


def share_of_largest(scores: jax.Array, labels: jax.Array) -> jax.Array:
    """Share of a batch whose own class has the largest score, scores (classes, examples), labels (examples,).

    Of equal largest scores the first counts.
    """
    return jnp.mean((jnp.argmax(scores, axis=0) == labels).astype(scores.dtype))


def penalty(ridge: float, first: jax.Array, *others: jax.Array) -> jax.Array:
    """(λ/2) Σ ‖W‖² over the weights given."""
    total = jnp.sum(first**2)
    for weights in others:
        total += jnp.sum(weights**2)
    return 0.5 * ridge * total
