"""Lanes over data that are read in buffers: all lanes step through a buffer, then wait together for the next one.

What `Program` does for data on the device. No lane waits in a queue, since a buffer is gone when it has been used: the
parameters and optimizer states of all lanes are held, in pieces of the program's width, and pieces whose lanes have all
ended are left out.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from gdjax import goals, stopping
from gdjax.engine import measure as scores
from gdjax.engine import placement, pool
from gdjax.engine.program import example_arguments
from gdjax.engine.shape import Outcome, Queue, Shape, Slots, Starts
from gdjax.engine.step import Hyper
from gdjax.lanes import Lanes
from gdjax.lapack import one_by_one
from gdjax.optimizers import scored
from gdjax.precision import at_least_float32
from gdjax.problem import Problem, PyTree
from gdjax.reading import Reader
from gdjax.stopping import BUDGET, RUNNING, Rules
from gdjax.xla import options_for_losses

Mean = Callable[[Problem, PyTree, PyTree], PyTree]
"""Of a problem's parameters on a batch, what is averaged over all examples: numbers, or arrays such as a gradient."""

FEWEST_ROWS, MOST_ROWS = 64, 4096  # examples scored together
FEWEST_LANES = 16  # and lanes; bit-equal in any order at multiples of it


def window(problem: Problem, buffer: int) -> Problem:
    """The problem on a buffer of examples: what the step is compiled for. Its data are one row, repeated unstored."""
    def on_buffer() -> Problem:
        data = jax.tree.map(lambda leaf: np.broadcast_to(leaf[:1], (buffer, *leaf.shape[1:])), problem.data)
        return replace(problem, data=data, held_out=None)

    return problem.once(("window", buffer), on_buffer)


@dataclass(frozen=True)
class Streamed:
    """Programs for a problem, optimizer and batch size whose examples a reader brings.

    Attributes:
        problem: the whole.
        shape: of a piece of lanes on a buffer (`window`).
    """

    problem: Problem
    shape: Shape
    reader: Reader

    @classmethod
    def of(cls, problem: Problem, shape: Shape, block: int, words: np.ndarray) -> Streamed:
        """For the shape of a program on a `window` of the problem.

        Args:
            block: examples read together.
            words: (2,) uint32, what the order of blocks is drawn from.
        """
        shape = replace(shape, queue=shape.slots, marks=1)
        return cls(problem, shape, Reader(problem.data, problem.cast, shape.problem.examples, block, words))

    @property
    def width(self) -> int:
        """Lanes side by side."""
        return self.shape.slots * self.shape.members

    def measure(self, params: PyTree) -> tuple[np.ndarray, np.ndarray]:
        """Losses and gradient norms over all data, (lanes,) each; params (lanes, …) leaves."""
        loss, gradient = self._means(_loss_and_gradient, params)
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
        advance = _stepper(shape)
        stops = [*(int(mark) for mark in marks if mark < budget), budget]
        per_buffer = shape.problem.examples // shape.batch_size
        buffers, data = self.reader.buffers(-(-budget // per_buffer)), None
        done = ran = 0
        for place, stop in enumerate(stops):
            alive = [number for number, each in enumerate(seen) if each.running.any()]
            while alive and done < stop:
                if done % per_buffer == 0:
                    data = next(buffers)
                count = min(stop - done, per_buffer - done % per_buffer)
                step = functools.partial(_advanced, advance, data, count, rules)
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
        outcome = jax.tree.map(lambda leaf: leaf[:members][lanes.row], _joined([each.outcome() for each in seen]))
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
        whole = _joined(held)
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
        return jax.tree.map(lambda leaf: np.asarray(leaf).reshape(-1, *leaf.shape[2:]), params)

    def _means(self, mean: Mean, params: PyTree) -> Any:
        """Means over all examples in the order of the file, float64, (lanes, …) leaves; summed in tiles of rows."""
        lanes = jax.tree.leaves(params)[0].shape[0]
        block = min(self.width, -(-lanes // FEWEST_LANES) * FEWEST_LANES)
        tile = min(1 << int(np.log2(np.clip(scores.SCORES // block, FEWEST_ROWS, MOST_ROWS))), self.reader.examples)
        rows = max(self.reader.buffer // tile, 1) * tile

        def summer(rows: int, tile: int) -> jax.stages.Compiled:
            problem = self.shape.problem
            return problem.once(("sums", mean, rows, tile, block, placement.context()),
                                lambda: _summer(problem, mean, rows, tile, block))

        of_tiles, rest = summer(rows=rows, tile=tile), self.reader.examples % tile
        of_rest = summer(rows=rest, tile=rest) if rest else None
        parts = [jax.tree.map(functools.partial(scores.block_of, first=first, block=block), params)
                 for first in range(0, lanes, block)]
        total: PyTree = None
        for length, data in self.reader.in_order(rows):
            total = _added(total, of_tiles, data, length // tile, tile, parts)
            if of_rest and length % tile:
                last = jax.tree.map(functools.partial(_rows_of, first=length - rest, rows=rest), data)
                total = _added(total, of_rest, last, 1, rest, parts)
        return jax.tree.map(lambda leaf: leaf[:lanes] / self.reader.examples, total)

    def _number(self, value: np.ndarray) -> np.ndarray:
        """Means in the dtype of the loss."""
        with np.errstate(over="ignore"):
            return value.astype(self.shape.problem.loss_like.dtype)

    def _norm(self, gradient: PyTree) -> np.ndarray:
        squares = sum(np.sum(np.square(leaf.reshape(len(leaf), -1)), axis=1) for leaf in jax.tree.leaves(gradient))
        return self._number(np.sqrt(squares))


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
        params = jax.tree.map(lambda leaf: np.array(leaf).reshape(-1, *leaf.shape[2:]), piece.params)
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


def _stepper(shape: Shape) -> jax.stages.Compiled:
    """The executable that takes a piece of lanes so many steps forward on one buffer."""
    def compiled() -> jax.stages.Compiled:
        data, _, queue, _, rules = example_arguments(shape)
        queue = queue._replace(length=np.int32(shape.slots))
        slots = jax.eval_shape(_beginner(shape), queue, rules)
        stepper = jax.jit(one_by_one(functools.partial(pool.advance, shape)), donate_argnums=1)
        lowered = stepper.lower(data, slots, jax.ShapeDtypeStruct((), jnp.int32), rules)
        return lowered.compile(options_for_losses(shape.problem.data is not None))

    return shape.problem.once(("step", shape, placement.context()), compiled)


def _advanced(
    advance: Callable[..., Slots], data: PyTree, count: int, rules: Rules, piece: Slots
) -> Slots:
    """A piece after so many steps, waited for: the buffer is let go next."""
    return jax.block_until_ready(advance(data, piece, np.int32(count), rules))


def _summer(problem: Problem, mean: Mean, rows: int, tile: int, lanes: int) -> jax.stages.Compiled:
    """The executable (data, tiles, params) -> sum of the means over each of the first tiles of rows, for many lanes."""
    many = jax.vmap(functools.partial(mean, problem), (0, None))

    def means(params: PyTree, batch: PyTree) -> PyTree:
        return jax.tree.map(at_least_float32, many(params, batch))

    def total(data: PyTree, tiles: jax.Array, params: PyTree) -> PyTree:
        def part(number: jax.Array) -> PyTree:
            return jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, number * tile, tile), data)

        def add(number: jax.Array, sums: PyTree) -> PyTree:
            return jax.tree.map(jnp.add, sums, means(params, part(number)))

        like = jax.eval_shape(means, params, jax.eval_shape(part, jnp.int32(0)))
        return jax.lax.fori_loop(0, tiles, add, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), like))

    data = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((rows, *leaf.shape[1:]), leaf.dtype), problem.like())
    params = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((lanes, *leaf.shape), leaf.dtype),
                          problem.shapes)
    lowered = jax.jit(one_by_one(total)).lower(data, jax.ShapeDtypeStruct((), jnp.int32), params)
    return lowered.compile(options_for_losses(problem.data is not None))


def _added(
    total: PyTree | None, summer: Callable[..., PyTree], data: PyTree, tiles: int, tile: int, parts: Sequence[PyTree]
) -> PyTree:
    """The total over examples, float64 on the host, with those of so many tiles added; blocks of lanes side by side."""

    def sums(part: PyTree) -> PyTree:
        return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64) * tile, summer(data, np.int32(tiles), part))

    found = _joined(list(placement.mapped(sums, parts, None)))
    return found if total is None else jax.tree.map(np.add, total, found)


def _joined(trees: Sequence[PyTree]) -> PyTree:
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), trees[0], *trees[1:])


def _rows_of(leaf: jax.Array, first: int, rows: int) -> jax.Array:
    return leaf[first : first + rows]


def _loss_and_gradient(problem: Problem, params: PyTree, batch: PyTree) -> PyTree:
    return jax.value_and_grad(problem.objective)(params, batch)
