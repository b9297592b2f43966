"""What one step of one lane takes whatever it runs on: operations by XLA's count, bytes that it can't do without."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gdjax.engine import pool
from gdjax.engine.shape import Queue, Shape, Slots
from gdjax.problem import PyTree
from gdjax.stopping import Rules


class Cost(NamedTuple):
    """Of a lane-step: operations (NaN where XLA does not count them), and bytes."""

    flops: float
    bytes: float


def step_cost(alone: Shape, arguments: tuple[PyTree, PyTree, Queue, jax.Array, Rules], width: int) -> Cost:
    """Operations and bytes of a lane-step.

    flops = XLA's count over the step of one group before XLA changes it, shared by the group's lanes: loss, gradient,
    rate, update, the drawing of the batch. A loop of unknown length counts once.

    bytes = 2 · (parameters + optimizer state) + examples: parameters and state are read and written; the examples of
    a batch are read once by the lanes that share it, all data once by all lanes of a full-batch program. A lower bound:
    what is computed in between is thought to stay on the chip.

    Args:
        alone: the shape of the program with a single group.
        arguments: shapes and dtypes of that program's arguments.
        width: lanes of the program itself.
    """
    data, _, queue, _, rules = arguments
    problem = alone.problem
    slots = jax.eval_shape(lambda queue, rules: pool.begin(alone, queue, jnp.arange(1), rules), queue, rules)

    def step(data: PyTree, slots: Slots, rules: Rules) -> Slots:
        return pool.advance(alone, data, slots, jnp.int32(1), rules)

    counted = jax.jit(step).lower(data, slots, rules).cost_analysis()
    flops = counted.get("flops", math.nan) if isinstance(counted, dict) else math.nan
    kept = _bytes((slots.params, slots.state)) / alone.members
    examples = _bytes(data) * alone.batch_size / problem.examples
    return Cost(flops / alone.members, 2 * kept + examples / (width if alone.full_batch else alone.members))


def _bytes(tree: PyTree) -> float:
    return float(sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree)))
