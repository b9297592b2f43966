"""A flax (nnx) network as a problem: which rate and schedule name digits best that it never saw?

    python examples/flax_model.py          # needs flax: pip install -e '.[examples]'

gdjax wants three things: parameters that are a pytree of arrays, the loss of ONE example, and a random start from a
key. `nnx.split` takes a model apart into its structure (the same for every start) and its weights, `nnx.merge` puts it
together.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

import gdjax

try:
    from flax import nnx
except ImportError:
    raise SystemExit("error: flax: is not installed. Run: pip install -e '.[examples]'") from None


class Network(nnx.Module):
    """64 pixels -> 32 tanh units -> 10 scores; flax draws the weights."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.hidden = nnx.Linear(64, 32, rngs=rngs)
        self.scores = nnx.Linear(32, 10, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.scores(jnp.tanh(self.hidden(x)))


STRUCTURE = nnx.graphdef(nnx.eval_shape(lambda: Network(nnx.Rngs(0))))  # draws no weights


def init(key: jax.Array) -> dict:
    """One start: the model's weights as nested dicts of arrays, which `runs.save` can write too."""
    _, weights = nnx.split(Network(nnx.Rngs(key)), nnx.Param)
    return nnx.to_pure_dict(weights)


def loss(params: dict, example: tuple[jax.Array, jax.Array]) -> jax.Array:
    """Cross entropy of one image: (64,) pixels and its digit."""
    pixels, digit = example
    scores = nnx.merge(STRUCTURE, params)(pixels)
    return jax.nn.logsumexp(scores) - scores[digit]


def accuracy(params: dict, X: np.ndarray, y: np.ndarray) -> float:
    """Share of the images that the model names rightly; a merged model takes whole batches."""
    return float((nnx.merge(STRUCTURE, params)(jnp.asarray(X)).argmax(1) == y).mean())


def main(epochs: float = 10.0, starts: int = 4) -> dict[tuple[str, float], float]:
    """Train on four fifths of the digits; print and return the held-out accuracy of each schedule and rate."""
    X, y = gdjax.data.digits()
    X, y = (X / 16).astype(np.float32), y.astype(np.int32)
    order = np.random.default_rng(0).permutation(len(y))
    train, held_out = order[:1437], order[1437:]
    problem = gdjax.Problem(name="flax digits", loss=loss, init=init, data=(X[train], y[train]))
    runs = gdjax.minibatch(problem, batch_size=32, rates=[0.03, 0.3, 3.0], schedules=["constant", "cosine"],
                           starts=starts, key=0, max_epochs=epochs)
    found = {}
    for (schedule, rate), rows in runs.frame().groupby(["schedule", "rate"]):
        lane = rows.final_loss.idxmin()  # of the starts, the one with the lowest training loss
        found[schedule, rate] = accuracy(jax.tree.map(lambda leaf, lane=lane: leaf[lane], runs.params),
                                         X[held_out], y[held_out])
        print(f"{schedule:>8}, rate {rate:<4g}: training loss {rows.final_loss.min():.3f}, "
              f"held-out accuracy {found[schedule, rate]:.1%}")
    return found


if __name__ == "__main__":
    main()
