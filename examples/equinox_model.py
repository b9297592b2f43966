"""An equinox network as a problem: what does the best of many starts gain, and does a decay help?

    python examples/equinox_model.py       # needs equinox: pip install -e '.[examples]'

An equinox model is a pytree already, but some of its leaves are functions (the activation). gdjax's parameters must be
arrays, so `eqx.partition` takes them apart and `eqx.combine` puts them together inside the loss.
"""

from __future__ import annotations

import jax
import numpy as np
import optax

import gdjax

try:
    import equinox as eqx
except ImportError:
    raise SystemExit("error: equinox: is not installed. Run: pip install -e '.[examples]'") from None


def model(key: jax.Array) -> eqx.nn.MLP:
    """One number -> 32 tanh units -> one number."""
    return eqx.nn.MLP("scalar", "scalar", width_size=32, depth=1, activation=jax.nn.tanh, key=key)


FUNCTIONS = eqx.partition(model(jax.random.key(0)), eqx.is_array)[1]  # what is no array: the same for every start


def init(key: jax.Array) -> eqx.nn.MLP:
    """One start: the arrays of a fresh model, None where the functions were."""
    return eqx.partition(model(key), eqx.is_array)[0]


def loss(params: eqx.nn.MLP, example: tuple[jax.Array, jax.Array]) -> jax.Array:
    """Squared error of one point (x, y)."""
    x, y = example
    return (eqx.combine(params, FUNCTIONS)(x) - y) ** 2


def data() -> tuple[np.ndarray, np.ndarray]:
    """256 points of sin 3x + noise of variance 0.01, which is the mean squared error of the truth."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, 256).astype(np.float32)
    return x, (np.sin(3 * x) + 0.1 * rng.normal(size=256)).astype(np.float32)


def main(epochs: float = 300.0, starts: int = 16) -> gdjax.Runs:
    """Fit with Adam, print how the mean squared errors of the starts spread, and return the runs."""
    problem = gdjax.Problem(name="equinox sine", loss=loss, init=init, data=data())
    runs = gdjax.minibatch(problem, batch_size=32, optimizer=optax.adam, rates=0.05, schedules=["constant", "cosine"],
                           starts=starts, key=0, max_epochs=epochs)
    for name, losses in runs.frame().groupby("schedule").final_loss:
        print(f"{name:>8}: mean squared error {losses.median():.4f} in the median of {starts} starts, "
              f"{losses.min():.4f} the best, {losses.max():.4f} the worst")
    params, _ = runs.best()
    fitted = eqx.combine(params, FUNCTIONS)  # an equinox model again: eqx.tree_serialise_leaves saves it
    print(f"the best says sin 3x at x = 0.5 is {float(fitted(np.float32(0.5))):.3f}; it is {np.sin(1.5):.3f}")
    return runs


if __name__ == "__main__":
    main()
