"""What a program is made of: its static shape, and the arrays of the queue, the slots and the outcome table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from gdjax import goals
from gdjax.engine import layout
from gdjax.engine.step import Hyper
from gdjax.optimizers import Optimizer
from gdjax.problem import Problem, PyTree
from gdjax.schedules import Formula

NEVER = jnp.iinfo(jnp.int32).max
Leaf = TypeVar("Leaf", jax.Array, np.ndarray)


@dataclass(frozen=True)
class Shape:
    """What is static in a program: everything that, when changed, compiles anew."""

    problem: Problem
    optimizer: Optimizer
    batch_size: int
    formulas: tuple[Formula, ...]
    numbers: tuple[str, ...]
    sampling: str
    slots: int
    members: int
    queue: int
    marks: int
    warmup: bool = False  # whether any schedule has one
    stall: bool = False
    norm_at_marks: bool = False
    target_on: str = goals.LOSS

    @property
    def full_batch(self) -> bool:
        """Every step sees all data: its loss and gradient norm are there at every step and can end a lane."""
        return self.batch_size == self.problem.examples

    @property
    def on_held_out(self) -> bool:
        """Targets are on the held-out examples."""
        return self.target_on != goals.LOSS and self.problem.held_out is not None

    @property
    def apart(self) -> PyTree | None:
        """Shapes of the parameters where the slots hold each number as an array of its own, see `layout`."""
        return layout.apart(self.problem, self.optimizer)


class Starts(NamedTuple):
    """Where lanes begin, leading axis (starts,)."""

    params: PyTree
    loss: np.ndarray  # (starts,) of all data
    norm: np.ndarray  # (starts,) of the gradient over all data
    score: np.ndarray | tuple[()]  # (starts,) what targets are on; () where that is the loss


class Queue(NamedTuple):
    """Groups waiting for a slot, leading axis (queue,)."""

    start: Starts  # of each group
    seed: ArrayLike  # (queue, 2) uint32, the batch stream
    hyper: Hyper  # (queue, members)
    length: ArrayLike  # () groups really there


class Outcome(NamedTuple):
    """What an observer sees of each lane, leading axes (queue, members)."""

    params: PyTree
    status: jax.Array
    steps: jax.Array
    loss: jax.Array  # at the lane's end
    best: jax.Array  # smallest at any mark, the start and the end
    curve: jax.Array  # (…, marks), NaN after the end
    score: jax.Array | tuple[()]  # the same of what targets are on; () where that is the loss


class Slots(NamedTuple):
    """What the next step needs; leading axis (slots,), lanes (slots, members)."""

    group: jax.Array
    step: jax.Array
    epoch: jax.Array  # where the next batch begins
    position: jax.Array
    # (slots, batch) its examples. Drawn a step ahead: in the step itself XLA fuses the drawing into the gather and
    # draws every index again for every feature (B = 128, own batches: 30 against 12 microseconds a lane-step).
    drawn: jax.Array
    mark: jax.Array
    seed: jax.Array
    hyper: Hyper
    params: PyTree  # as `layout` holds them
    state: PyTree
    done: jax.Array  # outcome written
    seen: Outcome  # of the lanes in the slots; its params are unused


def merged(leaf: Leaf) -> Leaf:
    """An array over groups and their members -> over lanes; −1 as the length would divide by the size of empty ones."""
    return leaf.reshape(leaf.shape[0] * leaf.shape[1], *leaf.shape[2:])
