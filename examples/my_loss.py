"""Your own loss, rates and schedules compared: which gets a robust line through outliers soonest, and how surely?

    python examples/my_loss.py

A problem is one function under `@gdjax.problems.register`, a schedule one under `@gdjax.schedules.register`; both are
then known by name.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

import gdjax


@gdjax.problems.register("robust-line")
def robust_line() -> gdjax.Problem:
    """y = 2x − 1 with one point in ten thrown far off; log cosh of the residual grows like its size, not its square."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, 400)
    y = 2 * x - 1 + 0.1 * rng.normal(size=400) + np.where(rng.uniform(size=400) < 0.1, 20.0, 0.0)

    def loss(line: jax.Array, example: tuple[jax.Array, jax.Array]) -> jax.Array:  # of ONE example
        x, y = example
        residual = line[0] * x + line[1] - y
        return jnp.logaddexp(residual, -residual) - jnp.log(2.0)

    return gdjax.Problem(name="robust-line", loss=loss, init=lambda key: 5 * jax.random.normal(key, (2,)), data=(x, y))


@gdjax.schedules.register
def half_sine(end: float = 0.0) -> gdjax.schedules.Schedule:
    """A quarter of a sine: end + (1 − end)·(1 − sin ½πt)."""
    return gdjax.schedules.Schedule("half_sine", _half_sine, (end,))


def _half_sine(t: jax.Array, shape: jax.Array) -> jax.Array:
    return shape[0] + (1 - shape[0]) * (1 - jnp.sin(0.5 * jnp.pi * jnp.minimum(t, 1)))


def main(epochs: float = 10.0, starts: int = 64) -> pd.DataFrame:
    """Compare schedules, each at its best rate, and return the table that is printed."""
    problem = gdjax.problems.get("robust-line")
    # nobody knows this loss's minimum: full batches with a small rate come close enough to aim at
    floor = float(gdjax.bgd(problem, rates=1.0, starts=1, key=1, max_steps=500).final_loss[0])
    runs = gdjax.minibatch(
        problem, batch_size=8, rates=[0.03, 0.1, 0.3, 1.0], starts=starts, key=0, targets=[floor + 2e-4],
        schedules=["constant", "half_sine", "one_cycle", gdjax.schedules.inverse_time(decay=20.0)], max_epochs=epochs,
    )
    hits = runs.hits().merge(runs.frame()[["lane", "schedule", "rate"]])
    hits["steps"] = hits.steps.fillna(np.inf)  # a start that missed took forever: the median is over all starts
    table = hits.groupby(["schedule", "rate"]).agg(arrived=("hit", "mean"), median_steps=("steps", "median"))
    best = table.reset_index().sort_values("median_steps").drop_duplicates("schedule")  # each schedule at its best rate
    print(f"steps to within 0.0002 of the lowest loss ({floor:.4f}), batches of 8, medians of {starts} starts:")
    print(best.to_string(index=False, float_format="{:.3g}".format))
    (slope, intercept), _ = runs.best()
    squares = np.polyfit(*problem.data, 1)  # least squares in closed form, to compare
    print(f"the line is {slope:.2f} x {intercept:+.2f}; least squares would say {squares[0]:.2f} x {squares[1]:+.2f}, "
          "the truth is 2 x − 1")
    return best


if __name__ == "__main__":
    main()
