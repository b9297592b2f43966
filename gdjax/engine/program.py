"""Compiled programs: a pool of fixed shape, compiled ahead of time, kept, and run over any number of lanes."""

from __future__ import annotations

import functools
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.typing import DTypeLike

from gdjax import blocks, goals, optimizers
from gdjax import lanes as lane_tables
from gdjax.engine import measure as scores
from gdjax.engine import placement, pool, sharding
from gdjax.engine.cost import Cost, step_cost
from gdjax.engine.shape import NEVER, Outcome, Queue, Shape, Starts, merged
from gdjax.engine.step import Hyper
from gdjax.lanes import Lanes, Setting
from gdjax.problem import Problem, PyTree
from gdjax.promotion import usual_promotion
from gdjax.reading import Stream
from gdjax.stopping import Rules
from gdjax.xla import options_for_losses

KEPT = 128  # programs of all problems together: one takes some ten megabytes
PARTS = (placement.EXAMPLES, placement.EXAMPLES, placement.LANES, placement.WHOLE,  # data, held-out ones, queue, marks,
         placement.WHOLE)  # rules
_lock = threading.Lock()
_kept: deque[weakref.ref[Program]] = deque()


@dataclass(frozen=True)
class Stepper:
    """`run(steps, marks=0)` steps a full width of lanes: what a clock times, after `prepare` off the clock."""

    run: Callable[[int, int], PyTree]
    prepare: Callable[[], None] = lambda: None

    def __call__(self, steps: int, marks: int = 0) -> PyTree:
        """What an observer sees of the lanes, not waited for."""
        return self.run(steps, marks)


@dataclass(frozen=True)
class Program:
    """One executable: a lane pool for (problem, optimizer, batch size, schedule kinds, width).

    Attributes:
        trace_s, compile_s: seconds of tracing and lowering, and of XLA's compilation.
        mesh: the devices that share the lanes or the examples; None for the default one.
        x64: JAX's x64 mode that it was compiled in.
    """

    shape: Shape
    executable: Callable
    trace_s: float
    compile_s: float
    mesh: Mesh | None = None
    x64: bool = field(default_factory=lambda: jax.config.read("jax_enable_x64"))

    @property
    def problem(self) -> Problem:
        """What is descended."""
        return self.shape.problem

    @property
    def width(self) -> int:
        """Lanes side by side in a pool: slots × members."""
        return self.shape.slots * self.shape.members

    @property
    def devices(self) -> int:
        """Devices that share the lanes or the examples."""
        return 1 if self.mesh is None else self.mesh.size

    @property
    def shared(self) -> str:
        """What the devices share: "lanes" or "examples"."""
        return sharding.AXIS if sharding.over_examples(self.mesh) else "lanes"

    @property
    def lanes(self) -> int:
        """Lanes side by side on all devices."""
        return self.width * self.pools

    @property
    def pools(self) -> int:
        """Lane pools: one on each device that shares the lanes, one over all that share the examples."""
        return placement.pools(self.mesh)

    @property
    def sampling(self) -> str | Stream:
        """How examples are drawn: "shuffle", "replacement" or a stream."""
        return self.shape.sampling

    @property
    def most_marks(self) -> int:
        """Marks that a lane may have."""
        return self.shape.marks

    @property
    def stride(self) -> int:
        """Steps that a `stepper` comes in: it takes multiples of them."""
        return 1

    def of_key(self, root: jax.Array) -> Program:
        """The program as a call with this key runs it."""
        return self

    @property
    def memory_bytes(self) -> int:
        """Memory that a run takes at once on each device, as XLA planned it: arguments, results, what is between.

        Example:
            >>> import gdjax
            >>> gdjax.compile(gdjax.problems.get("bowl"), batch_size=1, width=16).memory_bytes > 16 * 2 * 4
            True
        """
        plan = cast("jax.stages.Compiled", self.executable).memory_analysis()
        assert plan is not None, "XLA plans the memory of every program on CPUs and GPUs"
        return int(plan.argument_size_in_bytes + plan.output_size_in_bytes + plan.temp_size_in_bytes
                   - plan.alias_size_in_bytes)

    @usual_promotion()
    def cost(self) -> Cost:
        """Floating point operations of a lane-step, and the fewest bytes that it can move.

        Example:
            >>> import gdjax
            >>> cost = gdjax.compile(gdjax.problems.get("bowl"), batch_size=1, width=16).cost()
            >>> cost.bytes  # two float32 parameters, read and written
            16.0
        """
        alone = replace(self.shape, slots=1, queue=1)
        return step_cost(alone, example_arguments(alone), self.width)

    def stepper(self, settings: Sequence[Setting], key: int = 0, max_steps: int = 1000) -> Stepper:
        """A function `run(steps, marks=0)` that steps a full width of lanes: what a clock times.

        Lanes are starts 0, 1, … with the settings in turn; their schedules span `max_steps`. Nothing is scored unless
        `marks` are asked for, evenly spaced. The result is not waited for: block on it.

        Example:
            >>> import gdjax, jax
            >>> program = gdjax.compile(gdjax.problems.get("line-fit"), batch_size=10, width=16)
            >>> run = program.stepper([gdjax.Setting(gdjax.schedules.constant(), 0.1)])
            >>> len(jax.block_until_ready(run(100)).status)
            16
        """
        shape, number = self.shape, self.problem.loss_like.dtype.type
        data = self._data()
        queue = full_width(shape, self.pools, settings, jax.random.key(key), max_steps,
                           self.problem.examples / shape.batch_size)
        queue = jax.block_until_ready(jax.tree.map(jnp.asarray, self.spread(queue)))

        def run(steps: int, marks: int) -> PyTree:
            if marks > shape.marks:
                raise ValueError(f"marks: the program has room for {shape.marks} (got {marks}). "
                                 f"Compile it with marks={marks}.")
            at = np.full(shape.marks, NEVER, np.int32)
            at[:marks] = np.linspace(steps / max(marks, 1), steps, marks).astype(np.int32)
            # nothing ends a lane but the budget
            rules = Rules(number(-1.0), number(-np.inf), number(np.inf), number(-np.inf), np.int32(steps))
            return self.executable(*data, queue, *self.copied(at, rules))[0]

        return Stepper(run)

    def spread(self, queue: Queue) -> Queue:
        """A queue of host arrays as the executable takes it: its leading axes over the devices."""
        return placement.placed(queue, self.mesh, placement.LANES)

    def copied(self, marks: np.ndarray, rules: Rules) -> tuple[jax.Array, Rules]:
        """Marks and rules as the executable takes them: every device sees them whole."""
        return placement.placed((cast("jax.Array", marks), rules), self.mesh, placement.WHOLE)

    def measure(self, params: PyTree) -> tuple[np.ndarray, np.ndarray]:
        """Losses and gradient norms over all data, (lanes,) each; params (lanes, …) leaves."""
        return scores.measure(self.problem, params, self.mesh)

    def measure_ends(self, params: PyTree) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """`measure` of final parameters, and their held-out loss and accuracy where the problem has them."""
        return scores.measure_ends(self.problem, params, self.mesh)

    def run_lanes(
        self, lanes: Lanes, starts: Starts, seeds: np.ndarray, hyper: Hyper, marks: np.ndarray, rules: Rules
    ) -> tuple[Outcome, int]:
        """Outcomes of all lanes, host arrays with a leading (lanes,) axis, and the lane-steps that the slots ran.

        The queue goes through the executable in pieces of its fixed length.
        """
        shape, pools, total = self.shape, self.pools, len(lanes.origin)
        data = self._data()
        padded = np.full(shape.marks, NEVER, np.int32)
        padded[: len(marks)] = marks
        rest = self.copied(padded, rules)

        pieces = [np.array_split(np.arange(first, min(first + pools * shape.queue, total)), pools)
                  for first in range(0, total, pools * shape.queue)]

        def run(parts: list[np.ndarray]) -> tuple[np.ndarray, tuple[Outcome, jax.Array]]:
            """Where each group of a piece goes, −1 for padding; its outcome, and the steps that its pool ran."""
            rows = np.concatenate([np.resize(part, shape.queue) for part in parts])
            real = np.concatenate([np.arange(shape.queue) < len(part) for part in parts])
            origin, table = lanes.origin[rows], lanes.table[rows]
            chosen = jax.tree.map(lambda leaf: leaf[table], hyper)._replace(valid=cast("jax.Array", table >= 0))
            queue = Queue(jax.tree.map(lambda leaf: leaf[origin], starts), seeds[rows], chosen,
                          np.array([len(part) for part in parts], np.int32))
            outcome, ran = placement.on_host(self.executable(*data, self.spread(queue), *rest))
            curve, score = jax.tree.map(lambda leaf: leaf[..., : len(marks)], (outcome.curve, outcome.score))
            outcome = outcome._replace(curve=curve, score=score)  # there is room for more marks
            return np.where(real, rows, -1), (outcome, ran)

        groups, ran = blocks.in_places(placement.mapped(run, pieces, self.mesh), total)
        of_lanes = jax.tree.map(lambda leaf: merged(leaf)[lanes.row], groups)
        firsts = [part[0] for parts in pieces for part in parts if len(part)]
        return of_lanes, int(ran[firsts].sum()) * self.width

    def _data(self) -> tuple[PyTree, PyTree]:
        """The data, and the held-out examples where targets are on them, as the executable takes them."""
        return (placement.data_on(self.problem, self.mesh),
                placement.data_on(self.problem, self.mesh, "held_out") if self.shape.on_held_out else None)


def full_width(
    shape: Shape, pools: int, settings: Sequence[Setting], root: jax.Array, max_steps: int, steps_per_epoch: float
) -> Queue:
    """A queue that fills the slots of every pool: starts 0, 1, … with the settings in turn, as a clock times them."""
    many, number = pools * shape.queue, shape.problem.loss_like.dtype.type
    params = lane_tables.draw_starts(shape.problem, jax.random.fold_in(root, 0), many)
    stream = np.stack([np.arange(many), np.zeros(many, np.int64)], 1)
    seeds = lane_tables.streams(jax.random.fold_in(root, 1), stream)
    table = np.arange(many * shape.members).reshape(many, shape.members) % len(settings)
    numbers = optimizers.defaults(shape.optimizer, shape.problem, shape.numbers)
    hyper = lane_tables.hyper_table(settings, shape.formulas, numbers, max_steps, steps_per_epoch, np.dtype(number))
    zeros = np.zeros(many, number)
    start = Starts(params, zeros, np.ones(many, number), () if shape.target_on == goals.LOSS else zeros)
    return Queue(start, seeds, jax.tree.map(lambda leaf: leaf[table], hyper), np.full(pools, shape.slots, np.int32))


def program_for(shape: Shape, mesh: Mesh | None = None) -> Program:
    """The program of a shape on the devices of a mesh, compiled on first use.

    x64 and precision are part of the key.
    """
    with _lock:  # threads that want the same one wait for it
        return shape.problem.once(("program", shape, mesh, placement.context()), lambda: _compiled(shape, mesh))


def _compiled(shape: Shape, mesh: Mesh | None) -> Program:
    began = time.perf_counter()
    program = placement.jitted(functools.partial(_on_each, shape, mesh), mesh, PARTS)
    lowered = program.lower(*example_arguments(shape, mesh))
    traced = time.perf_counter()
    executable = lowered.compile(options_for_losses(shape.problem.data is not None))
    made = Program(shape, executable, traced - began, time.perf_counter() - traced, mesh)
    _kept.append(weakref.ref(made))
    oldest = _kept.popleft()() if len(_kept) > KEPT else None
    if oldest is not None:
        oldest.problem.forget(oldest)
    return made


def _on_each(
    shape: Shape, mesh: Mesh | None, data: PyTree, held_out: PyTree, queue: Queue, marks: jax.Array, rules: Rules
) -> tuple[Outcome, jax.Array]:
    """`pool.run` as each device sees it: its part of the queue, of (1,) length; the steps it ran, beside each group."""
    queue = queue._replace(length=jnp.asarray(queue.length)[0])
    outcome, ran = pool.run(shape, data, held_out, queue, marks, rules,
                            mesh if sharding.over_examples(mesh) and not shape.full_batch else None)
    return outcome, jnp.full(shape.queue, ran)


def example_arguments(shape: Shape, mesh: Mesh | None = None) -> tuple[PyTree, PyTree, Queue, jax.Array, Rules]:
    """Shapes and dtypes of the arguments of a program."""
    problem, pools = shape.problem, placement.pools(mesh)
    number = functools.partial(_like, dtype=problem.loss_like.dtype)
    whole = functools.partial(_like, dtype=jnp.int32)
    queue = shape.queue * pools
    many = queue, shape.members
    hyper = Hyper(number(many), whole(many), number(many), number(many), number(many), number((*many, 4)),
                  {name: number(many) for name in shape.numbers}, _like(many, jnp.bool))
    starts = jax.tree.map(lambda leaf: _like((queue, *leaf.shape), leaf.dtype), problem.shapes)
    seeds = _like((queue, 2), jnp.uint32)
    each = cast("np.ndarray", number((queue,)))
    waiting = Queue(Starts(starts, each, each, () if shape.target_on == goals.LOSS else each), seeds, hyper,
                    whole((pools,)))
    held_out = placement.data_like(problem, mesh, "held_out") if shape.on_held_out else None
    rules = Rules(number(()), number(()), number(()), number(()), whole(()))
    return placement.data_like(problem, mesh), held_out, waiting, whole((shape.marks,)), rules


def _like(shape: tuple[int, ...], dtype: DTypeLike) -> jax.Array:
    """What stands for an array where a program is compiled."""
    return cast("jax.Array", jax.ShapeDtypeStruct(shape, dtype))
