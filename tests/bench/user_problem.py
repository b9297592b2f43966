"""Problems of a user, named in a suite as module:function."""

import jax
import numpy as np

import gdjax


def make_problem() -> gdjax.Problem:
    """x², from starts N(0, 1)."""
    return gdjax.Problem(name="square", loss=lambda x: x * x, init=lambda key: jax.random.normal(key), optimum=0.0)


def make_low() -> gdjax.Problem:
    """x² with an optimum that is above its starts."""
    return gdjax.Problem(name="low", loss=lambda x: x * x, init=lambda key: jax.random.normal(key), optimum=9.0)


def make_line() -> gdjax.Problem:
    """y = 2x − 1 of 64 examples, which two parameters fit exactly."""
    x = np.linspace(-1, 1, 64, dtype=np.float32)

    def loss(params: jax.Array, example: tuple[jax.Array, jax.Array]) -> jax.Array:
        return (params[0] * example[0] + params[1] - example[1]) ** 2

    return gdjax.Problem(name="line", loss=loss, init=lambda key: jax.random.normal(key, (2,)), data=(x, 2 * x - 1),
                         optimum=0.0)


def make_nothing() -> None:
    """Not a problem."""


def make_vector() -> gdjax.Problem:
    """A loss that is not one number."""
    return gdjax.Problem(name="vector", loss=lambda x: x, init=lambda key: jax.random.normal(key, (2,)), optimum=0.0)


def make_trouble() -> gdjax.Problem:
    """A function that fails in a way of its own."""
    raise KeyError("no such column")


def make_exit() -> None:
    """A function that ends the process, as a script does that lacks its arguments."""
    raise SystemExit("usage: DATA")
