"""Lanes over data that are read in buffers: all lanes step through a buffer, then wait together for the next one.

What `Program` does for data on the device. No lane waits in a queue, since a buffer is gone when it has been used: the
parameters and optimizer states of all lanes are held, in pieces of the program's width, and pieces whose lanes have all
ended are left out.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from gdjax import goals, stopping
from gdjax import lanes as lane_tables
from gdjax.engine import measure as scores
from gdjax.engine import passes, placement, pool
from gdjax.engine.program import Program, Stepper, example_arguments, full_width
from gdjax.engine.shape import NEVER, Outcome, Queue, Shape, Slots, Starts, merged
from gdjax.engine.step import Hyper
from gdjax.lanes import Lanes, Setting
from gdjax.lapack import one_by_one
from gdjax.optimizers import scored
from gdjax.problem import Problem, PyTree
from gdjax.reading import Reader, Stream
from gdjax.stopping import BUDGET, RUNNING, Rules
from gdjax.threads import as_here
from gdjax.xla import options_for_losses


def window(problem: Problem, buffer: int) -> Problem:
    """The problem on a buffer of examples: what the step is compiled for. Its data are one row, repeated unstored."""
    def on_buffer() -> Problem:
        data = jax.tree.map(lambda leaf: np.broadcast_to(leaf[:1], (buffer, *leaf.shape[1:])), problem.data)
        return replace(problem, data=data, held_out=None)

    return problem.once(("window", buffer), on_buffer)


@dataclass(frozen=True, kw_only=True)
class Streamed(Program):
    """A program whose examples a reader brings: its executable takes a piece of lanes some steps forward on a buffer.

    Attributes:
        shape: of a piece of lanes on a buffer (`window`).
        whole: the problem on all of its examples.
        stream: the rule by which they are read.
    """

    whole: Problem
    stream: Stream
    reader: Reader

    @classmethod
    def of(cls, problem: Problem, shape: Shape, stream: Stream, block: int) -> Streamed:
        """For the shape of a program on a `window` of the problem; blocks come in the order of key 0 (`of_key`).

        Args:
            block: examples read together.
        """
        shape = replace(shape, queue=shape.slots, marks=1)
        reader = Reader(problem.data, problem.like(), shape.problem.examples, block, _words(jax.random.key(0)))
        return cls(shape, *_compiled(shape), whole=problem, stream=stream, reader=reader)

    def of_key(self, root: jax.Array) -> Streamed:
        """The same with blocks in the order that a caller's key gives them."""
        return replace(self, reader=replace(self.reader, words=_words(root)))

    @property
    def problem(self) -> Problem:
        """What is descended."""
        return self.whole

    @property
    def sampling(self) -> Stream:
        """How examples are drawn."""
        return self.stream

    @property
    def most_marks(self) -> int:
        """Marks that a lane may have: they are kept on the host."""
        return NEVER

    @property
    def stride(self) -> int:
        """Steps that a `stepper` comes in: those of a buffer."""
        return self.shape.problem.examples // self.shape.batch_size

    def buffer(self, number: int) -> PyTree:
        """The examples of the buffer of this number, from 0 on without end, read to the device."""
        return self.reader.load(number)

    def stepper(self, settings: Sequence[Setting], key: int = 0, max_steps: int = 1000) -> Stepper:
        """A function `run(steps, marks=0)` that steps a full width of lanes: what a clock times.

        As `Program.stepper`, but `steps` are whole buffers (a multiple of `stride`): while lanes step through one, the
        next is read and waited for, as in a long descent. The flow of buffers goes on from run to run; `run.prepare()`
        reads the one that the next run begins with. There are no marks: each would be a pass over all examples.

        Example:
            >>> import gdjax
            >>> program = gdjax.compile(gdjax.problems.get("cancer-logistic"), batch_size=8, width=16,
            ...                         sampling=gdjax.Stream(buffer=128))
            >>> run = program.stepper([gdjax.Setting(gdjax.schedules.constant(), 0.1)])
            >>> program.stride, len(run(32).status)
            (16, 16)
        """
        pace = self.problem.examples / self.shape.batch_size
        queue = full_width(self.shape, 1, settings, jax.random.key(key), max_steps, pace)
        queue = jax.block_until_ready(jax.tree.map(jnp.asarray, queue._replace(length=np.int32(self.shape.slots))))
        flow = _Flow(self, queue)
        return Stepper(flow.run, flow.prepare)

    def measure(self, params: PyTree) -> tuple[np.ndarray, np.ndarray]:
        """Losses and gradient norms over all data, (lanes,) each; params (lanes, …) leaves."""
        loss, gradient = self._means(passes.loss_and_gradient, params)
        return self._number(loss), self._norm(gradient)

    def measure_ends(self, params: PyTree) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """`measure` of final parameters, and their held-out loss and accuracy as `measure.measure_ends` gives them."""
        if self.problem.accuracy is None or self.problem.held_out is not None:
            return *self.measure(params), scores.held_out_scores(self.problem, params)
        loss, gradient, accuracy = self._means(Problem.scores_on, params)
        return self._number(loss), self._norm(gradient), {"accuracy": self._number(accuracy)}

    def run_lanes(
        self, lanes: Lanes, starts: Starts, seeds: np.ndarray, hyper: Hyper, marks: np.ndarray, rules: Rules
    ) -> tuple[Outcome, int]:
        """Outcomes of all lanes, host arrays with a leading (lanes,) axis, and the lane-steps that were run."""
        shape, budget = self.shape, int(np.asarray(rules.max_steps))
        pieces = self._begun(lanes, starts, seeds, hyper, rules)
        seen = [_Seen.of(piece, len(marks)) for piece in pieces]
        stops = [*(int(mark) for mark in marks if mark < budget), budget]
        per_buffer = self.stride
        buffers, data = self.reader.buffers(-(-budget // per_buffer)), None
        done = ran = 0
        for place, stop in enumerate(stops):
            alive = [number for number, each in enumerate(seen) if each.running.any()]
            while alive and done < stop:
                if done % per_buffer == 0:
                    data = next(buffers)
                count = min(stop - done, per_buffer - done % per_buffer)
                step = functools.partial(_advanced, self.executable, data, count, rules)
                for number, piece in zip(alive, placement.mapped(step, [pieces[each] for each in alive], None),
                                         strict=True):
                    pieces[number] = piece
                done, ran = done + count, ran + count * len(alive) * self.width
            if stop < budget:
                self._look([pieces[each] for each in alive], [seen[each] for each in alive], place, stop, rules)
        buffers.close()
        for piece, each in zip(pieces, seen, strict=True):
            each.end(each.running, np.full(self.width, BUDGET), budget, self._scored(piece))
        members = len(lanes.origin) * shape.members
        outcome = jax.tree.map(lambda leaf: leaf[:members][lanes.row], passes.joined([each.outcome() for each in seen]))
        return outcome, ran

    def _begun(
        self, lanes: Lanes, starts: Starts, seeds: np.ndarray, hyper: Hyper, rules: Rules
    ) -> list[Slots]:
        """All groups at step 0, a width of lanes at a time; the last piece is filled up with lanes that never run."""
        begin, slots, groups = _beginner(self.shape), self.shape.slots, len(lanes.origin)

        def begun(first: int) -> Slots:
            length = min(slots, groups - first)
            rows = first + np.resize(np.arange(length), slots)
            origin, table = lanes.origin[rows], lanes.table[rows]
            chosen = jax.tree.map(lambda leaf: leaf[table], hyper)._replace(valid=cast("jax.Array", table >= 0))
            queue = Queue(jax.tree.map(lambda leaf: leaf[origin], starts), seeds[rows], chosen, np.int32(length))
            return begin(queue, rules)

        return [begun(first) for first in range(0, groups, slots)]

    def _look(
        self, pieces: Sequence[Slots], seen: Sequence[_Seen], mark: int, step: int, rules: Rules
    ) -> None:
        """Score running lanes at a mark, and note those that end there."""
        if not pieces:
            return
        held = [self._scored(piece) for piece in pieces]
        whole = passes.joined(held)
        if self.shape.norm_at_marks:
            losses, norms = self.measure(whole)
        else:
            losses, norms = self._number(self._means(Problem.objective, whole)), None
        goal_scores = self._goal_scores(whole)
        for place, (each, params) in enumerate(zip(seen, held, strict=True)):
            here = slice(place * self.width, (place + 1) * self.width)
            norm, score = (None if numbers is None else numbers[here] for numbers in (norms, goal_scores))
            code = stopping.status(rules, losses[here], norm, np.full(self.width, step), np.where, score)
            each.mark(mark, losses[here], score)
            each.end(each.running & (code != RUNNING), code, step, params)

    def _goal_scores(self, params: PyTree) -> np.ndarray | None:
        """What targets are on, (lanes,); None where that is the loss."""
        if self.shape.target_on == goals.LOSS:
            return None
        known = scores.held_out_scores(self.problem, params)
        if self.problem.held_out is None:
            known = {"accuracy": self._number(self._means(Problem.accuracy_on, params))}
        return goals.of(self.shape.target_on, known)

    def _scored(self, piece: Slots) -> PyTree:
        """The parameters that are looked at, on the host, (width, …) leaves."""
        params = scored(self.shape.optimizer, piece.params, piece.state)
        return jax.tree.map(lambda leaf: merged(np.asarray(leaf)), params)

    def _means(self, mean: passes.Mean, params: PyTree) -> Any:
        """Means over all examples, float64, (lanes, …) leaves."""
        return passes.means(self.shape.problem, self.reader, self.width, mean, params)

    def _number(self, value: np.ndarray) -> np.ndarray:
        """Means in the dtype of the loss."""
        with np.errstate(over="ignore"):
            return value.astype(self.shape.problem.loss_like.dtype)

    def _norm(self, gradient: PyTree) -> np.ndarray:
        squares = sum(np.sum(np.square(leaf.reshape(len(leaf), -1)), axis=1) for leaf in jax.tree.leaves(gradient))
        return self._number(np.sqrt(squares))


@dataclass
class _Flow:
    """Buffers one after another for a stepper; between runs none is held."""

    program: Streamed
    queue: Queue
    place: int = 0
    held: PyTree = None

    def prepare(self) -> None:
        """Read the buffer that the next run begins with."""
        self.held = self.program.buffer(self.place)

    def run(self, steps: int, marks: int) -> PyTree:
        """Lanes from step 0 through whole buffers, each while the next is read."""
        program, number = self.program, self.program.problem.loss_like.dtype.type
        if steps % program.stride or marks:
            raise ValueError(f"steps, marks: must be whole buffers of {program.stride} and 0 (got {steps}, {marks}). "
                             "Use a multiple of the program's stride.")
        rules = Rules(number(-1.0), number(-np.inf), number(np.inf), number(-np.inf), np.int32(NEVER))
        piece = _beginner(program.shape)(self.queue, rules)
        if self.held is None:
            self.prepare()
        with ThreadPoolExecutor(1) as thread:
            for _ in range(steps // program.stride):
                self.place += 1
                following = thread.submit(as_here(program.buffer), self.place)
                piece = _advanced(program.executable, self.held, program.stride, rules, piece)
                self.held = following.result()
        self.held = None
        return piece.seen


@dataclass
class _Seen:
    """What is known of the lanes of a piece, host arrays with a leading (width,) axis: an `Outcome` in the making."""

    params: PyTree
    status: np.ndarray
    steps: np.ndarray
    loss: np.ndarray
    best: np.ndarray
    curve: np.ndarray
    score: np.ndarray | tuple[()]

    @classmethod
    def of(cls, piece: Slots, marks: int) -> _Seen:
        """Of lanes at step 0."""
        status, steps, loss, best = (np.array(each).ravel() for each in piece.seen[1:5])
        status[np.asarray(piece.done).ravel()] = BUDGET  # padding
        params = jax.tree.map(lambda leaf: merged(np.array(leaf)), piece.params)
        curve = np.full((len(loss), marks), np.nan, loss.dtype)
        return cls(params, status, steps, loss, best, curve, curve.copy() if len(piece.seen.score) else ())

    @property
    def running(self) -> np.ndarray:
        """Lanes that nothing has ended, (width,)."""
        return self.status == RUNNING

    def mark(self, mark: int, loss: np.ndarray, score: np.ndarray | None) -> None:
        """Note the losses of running lanes at a mark, and what targets are on."""
        here = self.running
        self.loss[here] = self.curve[here, mark] = loss[here]
        self.best[here] = np.fmin(self.best[here], loss[here])
        if score is not None:
            cast("np.ndarray", self.score)[here, mark] = score[here]

    def end(self, ended: np.ndarray, status: np.ndarray, step: int, params: PyTree) -> None:
        """Note where lanes ended."""
        self.steps[ended], self.status[ended] = step, status[ended]
        for held, leaf in zip(jax.tree.leaves(self.params), jax.tree.leaves(params), strict=True):
            held[ended] = leaf[ended]

    def outcome(self) -> Outcome:
        """The same as the pool gives it."""
        arrays = self.params, self.status, self.steps, self.loss, self.best, self.curve, self.score
        return Outcome(*cast("tuple[jax.Array, ...]", arrays))


def _beginner(shape: Shape) -> Callable[..., Slots]:
    """A function (queue, rules) -> the piece of lanes at step 0."""
    return shape.problem.once(("begin", shape, placement.context()), lambda: jax.jit(one_by_one(
        lambda queue, rules: pool.begin(shape, queue, jnp.arange(shape.slots), rules))))


class _Compiled(NamedTuple):
    """The executable that takes a piece of lanes so many steps forward on one buffer, and what it took to make."""

    executable: Callable[..., Slots]
    trace_s: float
    compile_s: float


def _compiled(shape: Shape) -> _Compiled:
    def compiled() -> _Compiled:
        began = time.perf_counter()
        data, _, queue, _, rules = example_arguments(shape)
        queue = queue._replace(length=np.int32(shape.slots))
        slots = jax.eval_shape(_beginner(shape), queue, rules)
        stepper = jax.jit(one_by_one(functools.partial(pool.advance, shape)), donate_argnums=1)
        lowered = stepper.lower(data, slots, jax.ShapeDtypeStruct((), jnp.int32), rules)
        traced = time.perf_counter()
        executable = lowered.compile(options_for_losses(shape.problem.data is not None))
        return _Compiled(executable, traced - began, time.perf_counter() - traced)

    return shape.problem.once(("step", shape, placement.context()), compiled)


def _words(root: jax.Array) -> np.ndarray:
    """What the order of blocks is drawn from, (2,) uint32."""
    return lane_tables.streams(jax.random.fold_in(root, lane_tables.KEY_BLOCKS), np.zeros((1, 2), np.uint32))[0]


def _advanced(
    advance: Callable[..., Slots], data: PyTree, count: int, rules: Rules, piece: Slots
) -> Slots:
    """A piece after so many steps, waited for: the buffer is let go next."""
    return jax.block_until_ready(advance(data, piece, np.int32(count), rules))
