"""Starts × settings -> lanes, and lanes -> the groups that share a batch stream."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from gdjax import blocks
from gdjax.engine.step import Hyper
from gdjax.lapack import one_by_one
from gdjax.problem import Problem, PyTree
from gdjax.schedules import Formula, Schedule, pad_shape
from gdjax.xla import options_for_draws

BATCHES = ("per-start", "independent", "common")
KEY_STARTS, KEY_BATCHES, KEY_BLOCKS = 0, 1, 3  # what is folded into the caller's key; 2 is for range tests
MEMBERS = 16  # settings that share a batch in one group: more gain little, fewer waste the sharing
START_BYTES = 4 << 20  # starts are drawn in blocks of a size that depends on the problem only, so start i is start i


@dataclass(frozen=True)
class Setting:
    """A schedule with a rate, and further hyperparameters of the optimizer by name: what is tuned.

    `hyper` may be given as a mapping; it is kept as pairs in the order of their names.

    >>> gdjax.Setting(gdjax.schedules.cosine(), 0.1, {"momentum": 0.9}).hyper
    (('momentum', 0.9),)
    """

    schedule: Schedule
    rate: float
    hyper: Mapping[str, float] | tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "hyper", tuple(sorted(self.numbers.items())))

    @property
    def numbers(self) -> dict[str, float]:
        """`hyper` as a dict."""
        return dict(self.hyper)


@dataclass(frozen=True)
class Lanes:
    """The lanes of a call, start-major: lane = start · settings + setting."""

    start: np.ndarray  # (lanes,)
    setting: np.ndarray  # (lanes,)
    origin: np.ndarray  # (groups,) the start whose parameters the group begins with
    stream: np.ndarray  # (groups, 2) the two numbers that name its batch stream
    table: np.ndarray  # (groups, members) the setting of each member, −1 for padding

    @property
    def row(self) -> np.ndarray | slice:
        """Where each lane is among the members of all groups, padding counted."""
        settings, members = int(self.setting[-1]) + 1, self.table.shape[1]
        stride = -(-settings // members) * members
        return slice(None) if stride == settings else self.start * stride + self.setting


def arrange(starts: int, settings: int, batches: str, members: int) -> Lanes:
    """Lanes in groups of at most `members` settings of one start.

    Batch streams are named (start, 0) per start, (start, setting + 1) for independent lanes, and alike for common ones.

    >>> gdjax.lanes.arrange(2, 3, "per-start", 2).table.tolist()
    [[0, 1], [2, -1], [0, 1], [2, -1]]
    """
    start, setting = np.divmod(np.arange(starts * settings), settings)
    blocks = -(-settings // members)
    origin, block = np.divmod(np.arange(starts * blocks, dtype=np.int32), np.int32(blocks))
    table = block[:, None] * np.int32(members) + np.arange(members, dtype=np.int32)
    stream = {
        "per-start": np.stack([origin, 0 * origin], 1),
        "independent": np.stack([origin, table[:, 0] + 1], 1),
        "common": np.broadcast_to([2**32 - 1, 0], (len(origin), 2)),
    }[batches]
    return Lanes(start, setting, origin, stream, np.where(table < settings, table, np.int32(-1)))


def members_for(settings: int, batches: str, full_batch: bool) -> int:
    """Lanes per group: a power of two up to 16 that the settings fill; 1 where nothing is shared."""
    if full_batch or batches != "per-start":
        return 1
    return min(MEMBERS, 1 << max(0, math.ceil(math.log2(settings))))


def formulas_of(schedules: Sequence[Schedule]) -> tuple[Formula, ...]:
    """The kinds of schedule in a call, each formula once, ordered by name: the static part of the schedules."""
    by_name = {(schedule.name, repr(schedule.formula)): schedule.formula for schedule in schedules}
    return tuple(by_name[key] for key in sorted(by_name))


def hyper_table(
    settings: Sequence[Setting], formulas: tuple[Formula, ...], numbers: Mapping[str, float], max_steps: int,
    steps_per_epoch: float, dtype: np.dtype,
) -> Hyper:
    """The settings as arrays, (settings,) leaves.

    `formulas` are the kinds that the program holds, `numbers` its further hyperparameters with their defaults.
    """
    schedules = [setting.schedule for setting in settings]
    horizon = np.array([schedule.horizon_steps(max_steps, steps_per_epoch) for schedule in schedules])
    leaves = {
        "rate": np.array([setting.rate for setting in settings], dtype),
        "kind": np.array([formulas.index(schedule.formula) for schedule in schedules], np.int32),
        "horizon": horizon.astype(dtype),
        "last": np.array([1.0 if schedule.unit == "budget" else np.inf for schedule in schedules], dtype),
        "warmup": (horizon * [schedule.warmup for schedule in schedules]).astype(dtype),
        "shape": np.stack([pad_shape(schedule) for schedule in schedules]).astype(dtype),
        "numbers": {name: np.array([setting.numbers.get(name, value) for setting in settings], dtype)
                    for name, value in numbers.items()},
        "valid": np.ones(len(settings), bool),
    }
    return Hyper(**cast("dict[str, Any]", leaves))  # on the host; inside a program they are device arrays


def draw_starts(problem: Problem, key: jax.Array, starts: int) -> PyTree:
    """Random starts 0 … starts − 1, host arrays with a leading (starts,) axis.

    Start i comes from fold_in(key, i) and is drawn in a block of fixed size, so it has the same bits for any number of
    starts.
    """
    block = start_block(problem)
    draw = problem.once(("draw", block), lambda: _drawer(problem, block))
    return blocks.in_places(((blocks.places(first, block, starts), draw(key, jnp.uint32(first)))
                             for first in range(0, starts, block)), starts)


def start_block(problem: Problem) -> int:
    """Starts drawn together: a power of two from 16 to 4,096 whose parameters stay below 4 MiB."""
    return 1 << int(np.clip(math.log2(START_BYTES / max(problem.parameter_bytes, 1)), 4, 12))


def streams(key: jax.Array, stream: np.ndarray) -> np.ndarray:
    """Seeds of batch streams, (groups, 2) uint32, from the (groups, 2) numbers that name them.

    Drawn in blocks of fixed size, like starts.
    """
    block = 4096
    padded = np.zeros((-(-len(stream) // block) * block, 2), np.uint32)
    padded[: len(stream)] = stream
    return blocks.in_places(((blocks.places(first, block, len(stream)),
                              np.asarray(_seeder()(key, padded[first : first + block])))
                             for first in range(0, len(padded), block)), len(stream))


@functools.cache
def _seeder() -> Callable[..., jax.Array]:
    def seed(key: jax.Array, pair: jax.Array) -> jax.Array:
        return jax.random.bits(jax.random.fold_in(jax.random.fold_in(key, pair[0]), pair[1]), (2,), jnp.uint32)

    return jax.jit(jax.vmap(seed, (None, 0)), compiler_options=options_for_draws())


def _drawer(problem: Problem, block: int) -> Callable[[jax.Array, jax.Array], PyTree]:
    def draw(key: jax.Array, first: jax.Array) -> PyTree:
        index = first + jnp.arange(block, dtype=jnp.uint32)
        return jax.vmap(lambda i: problem.start(jax.random.fold_in(key, i)))(index)

    return jax.jit(one_by_one(draw), compiler_options=options_for_draws())
