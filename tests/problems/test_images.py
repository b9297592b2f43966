"""The network of convolutions against the same formula in SciPy and scikit-learn."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import correlate2d
from sklearn.metrics import accuracy_score, log_loss

import gdjax

FEW = 40  # images that SciPy looks at, one channel of one of them after another


def by_hand(params: dict[str, np.ndarray], rows: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Scores, (images, classes)."""
    found = []
    for row in rows:
        units = row.reshape(shape)
        for layer in range(1, len(params) // 2):
            kernel = params[f"K{layer}"]
            mixed = np.stack([sum(correlate2d(units[..., source], kernel[..., source, channel], "same")
                                  for source in range(units.shape[-1])) for channel in range(kernel.shape[-1])], -1)
            units = np.maximum(mixed + params[f"b{layer}"], 0)
            height, width, channels = units.shape
            units = units[: height // 2 * 2, : width // 2 * 2].reshape(
                height // 2, 2, width // 2, 2, channels).max((1, 3))
        found.append(params["W"] @ units.ravel() + params["b"])
    return np.asarray(found)


@pytest.mark.parametrize(("shape", "channels"), [((8, 8), (8, 16)), ((4, 8, 2), (3,)), ((5, 7), (2, 3))])
def test_the_objective_is_cross_entropy_of_the_network_plus_ridge(shape: tuple[int, ...], channels: tuple[int, ...]):
    rng = np.random.default_rng(0)
    X, y = rng.uniform(size=(FEW, np.prod(shape))), np.arange(FEW) % 4
    if channels == (8, 16):
        problem = gdjax.problems.get("digits-cnn")
        X, y = (leaf[:FEW] for leaf in problem.data)
    else:
        problem = gdjax.problems.convolutional(X, y, shape=shape, channels=channels)
    with jax.enable_x64(True):
        start = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), problem.start(jax.random.key(2)))
        start |= {name: jnp.linspace(-0.5, 1, leaf.size) for name, leaf in start.items() if leaf.ndim == 1}
        batch = jnp.asarray(X, jnp.float64), jnp.asarray(y)
        value, right = float(problem.objective(start, batch)), float(problem.accuracy(start, batch))
    params = {name: np.asarray(leaf) for name, leaf in start.items()}
    scores = by_hand(params, np.asarray(X, float), (*shape, 1)[:3])
    chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    penalty = 0.5e-3 * sum(np.sum(leaf**2) for name, leaf in params.items() if leaf.ndim > 1)
    assert value == pytest.approx(log_loss(y, chances, labels=range(scores.shape[1])) + penalty, rel=1e-12)
    assert right == pytest.approx(accuracy_score(y, scores.argmax(axis=1)))


def test_starts_have_the_variance_of_he():
    start = jax.jit(gdjax.problems.get("digits-cnn").start)(jax.random.key(0))
    assert {name: leaf.shape for name, leaf in start.items()} == {
        "K1": (3, 3, 1, 8), "b1": (8,), "K2": (3, 3, 8, 16), "b2": (16,), "W": (10, 64), "b": (10,)}
    # 1,152 and 640 draws: relative standard error of the variance √(2/n) = 4 % and 6 %
    assert float(jnp.var(start["K2"])) == pytest.approx(2 / 72, rel=0.16)
    assert float(jnp.var(start["W"])) == pytest.approx(2 / 64, rel=0.22)
    assert not any(start[name].any() for name in ("b1", "b2", "b"))


def test_it_learns_the_digits():
    problem = gdjax.problems.get("digits-cnn")
    runs = gdjax.minibatch(problem, batch_size=32, optimizer="adam", rates=0.01, starts=2, key=0, max_epochs=3)
    assert (runs.frame().accuracy > 0.95).all()


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"shape": (4, 5)}, ValueError, r"shape: must make a row of X \(got \(4, 5\), which is 20 numbers; X has 16"),
        ({"shape": 16}, ValueError, r"shape: must be \(height, width\) or .* \(got 16\)"),
        ({"shape": (4.0, 4)}, TypeError, r"shape: must be a whole number of at least 1 \(got 4.0\)"),
        ({"channels": ()}, ValueError, r"channels: must be those of one layer or more \(got \(\)\)"),
        ({"channels": 8}, ValueError, r"channels: must be those of one layer or more \(got 8\)"),
        ({"channels": (8, 0)}, ValueError, r"channels: must be at least 1 \(got 0\)"),
        ({"channels": (2, 2, 2)}, ValueError, r"channels: as many layers leave nothing .* \(got 3 layers, images of 4"),
        ({"ridge": -1.0}, ValueError, r"ridge"),
    ],
)
def test_what_makes_no_network_is_refused(given: dict[str, object], error: type[Exception], text: str):
    with pytest.raises(error, match=text):
        gdjax.problems.convolutional(np.eye(16), np.arange(16) % 2, **{"shape": (4, 4)} | given)
