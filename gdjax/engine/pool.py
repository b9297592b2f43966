"""The only loop: slots of lanes step together, ended lanes write their outcome, free slots take the next of the queue.

A *group* is the lanes that share a batch stream: the settings of one start (`batches="per-start"`), one lane
("independent"), or all ("common"). A slot holds a group; its members are at the same step, so one batch serves them.
The queue, the slots and the outcome table are arrays of fixed shape: one executable serves any number of lanes.
"""

from __future__ import annotations

import functools
from typing import cast

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.typing import ArrayLike

from gdjax import goals, sampling
from gdjax.engine import layout, sharding
from gdjax.engine import step as one
from gdjax.engine.measure import Lane, in_rows, loss_alone, loss_and_norm, score_alone
from gdjax.engine.shape import NEVER, Outcome, Queue, Shape, Slots, merged
from gdjax.engine.step import Hyper
from gdjax.optimizers import averages, scored
from gdjax.problem import Problem, PyTree
from gdjax.stopping import BUDGET, RUNNING, Rules, goes_on, status, why

CHUNK = 64, 1024  # fewest and most steps between looks at the queue
Carry = tuple[Slots, Outcome, jax.Array, jax.Array]


def run(
    shape: Shape, data: PyTree, held_out: PyTree, queue: Queue, marks: jax.Array, rules: Rules,
    mesh: Mesh | None = None,
) -> tuple[Outcome, jax.Array]:
    """Outcomes of all groups of the queue, and the steps that every slot ran (busy or not).

    Args:
        shape: the static part.
        data: pytree of (examples, …) arrays on the device, or None.
        held_out: the same of the held-out examples where targets are on them, else None.
        marks: (marks,) int32 steps increasing, padded with NEVER; without any, nothing is scored (timing).
        rules: what ends a lane.
        mesh: the devices that each step slots of their own, with a part of the data; None where one steps all.
    """
    whole = sharding.unpadded(data, shape.problem.examples)
    held_out = sharding.unpadded(held_out, shape.problem.held_out_examples)
    first = jnp.arange(shape.slots)
    slots = begin(shape, queue, first, rules)
    # one axis for all lanes: of (queue, members) XLA copied the whole table to another layout and back in every turn
    outcome = jax.tree.map(lambda leaf: jnp.zeros((shape.queue * shape.members, *leaf.shape[2:]), leaf.dtype),
                           slots.seen._replace(params=layout.join(shape.apart, slots.params)))

    def unfinished(carry: Carry) -> jax.Array:
        slots, _, waiting, _ = carry
        return (waiting < queue.length) | ~jnp.all(slots.done)

    def turn(carry: Carry) -> Carry:
        slots, outcome, waiting, ran = carry
        slots, count = _step_together(shape, whole if shape.full_batch else data, slots, marks, rules, mesh)
        slots = _score(shape, whole, held_out, slots, marks, rules)
        slots, outcome = _retire(shape, slots, outcome)
        if shape.queue > shape.slots:
            slots, waiting = _refill(shape, slots, queue, waiting, rules)
        return slots, outcome, waiting, ran + count

    begun = (slots, outcome, jnp.minimum(queue.length, shape.slots), jnp.int32(0))
    _, outcome, _, ran = jax.lax.while_loop(unfinished, turn, begun)
    return jax.tree.map(lambda table: table.reshape(shape.queue, shape.members, *table.shape[1:]), outcome), ran


def _step_together(
    shape: Shape, data: PyTree, slots: Slots, marks: jax.Array, rules: Rules, mesh: Mesh | None
) -> tuple[Slots, jax.Array]:
    """All slots forward to the nearest mark of any of them, or to the next look at the queue."""
    busy = jnp.any(slots.seen.status == RUNNING, axis=1)
    to_mark = jnp.minimum(_next_mark(marks, slots.mark), rules.max_steps) - slots.step
    gap = jnp.min(jnp.where(busy, to_mark, NEVER))
    count = jnp.where(jnp.any(busy), jnp.minimum(gap, _chunk(slots.step, busy)) if shape.full_batch else gap, 0)

    steps = functools.partial(advance, shape, apart=mesh is not None)
    before = slots.seen.steps + count
    slots = (steps if mesh is None else sharding.with_own_slots(steps, mesh))(data, slots, count, rules)
    return _end(shape, data, slots, before, rules) if shape.full_batch else slots, count


def _chunk(step: jax.Array, busy: jax.Array) -> jax.Array:
    """Steps to the next look at the queue, where lanes end at any step: a 32nd of what those that run have run.

    A lane that has ended waits for the look, which costs as much as some 50 steps in two dimensions.
    """
    mean = jnp.sum(jnp.where(busy, step, 0), dtype=jnp.float32) / jnp.sum(busy)
    return jnp.clip(mean / 32, *CHUNK).astype(jnp.int32)


def _end(shape: Shape, data: PyTree, slots: Slots, expected: jax.Array, rules: Rules) -> Slots:
    """Loss and status of the lanes that ended since the last look, at the parameters where they stand.

    Args:
        expected: steps of the lanes that went on, (slots, members).
    """
    ended = (slots.seen.status == RUNNING) & (slots.seen.steps < expected)

    def look(seen: Outcome) -> Outcome:
        loss, norm = _scores(shape, loss_and_norm, layout.join(shape.apart, slots.params), data)
        return seen._replace(loss=jnp.where(ended, loss, seen.loss), status=jnp.where(
            ended, why(rules, loss, None if averages(shape.optimizer) else norm, shape.stall), seen.status))

    return slots._replace(seen=jax.lax.cond(jnp.any(ended), look, lambda seen: seen, slots.seen))


def advance(shape: Shape, data: PyTree, slots: Slots, count: jax.Array, rules: Rules, apart: bool = False) -> Slots:
    """All slots so many steps forward; `apart` where the data are one device's part of them."""
    if shape.full_batch:
        def step(ahead: jax.Array, slots: Slots) -> Slots:
            return jax.vmap(lambda slot: _step_group(shape, data, slot, ahead, rules))(slots)

        slots = jax.lax.fori_loop(0, count, step, slots)
    else:
        through = functools.partial(_through_epoch, shape, data, count, rules, apart)
        _, slots = jax.lax.while_loop(lambda carry: carry[0] < count, through, (jnp.zeros_like(count), slots))
    return slots._replace(step=slots.step + count)


def _through_epoch(
    shape: Shape, data: PyTree, count: jax.Array, rules: Rules, apart: bool, carry: tuple[jax.Array, Slots]
) -> tuple[jax.Array, Slots]:
    """Steps up to the last one that draws the next batch from the same epoch, or to `count` of them.

    All slots are at the same step: they begin together, and lanes end at marks only.
    """
    done, slots = carry
    examples, size = shape.problem.examples, shape.batch_size
    epoch, first = sampling.advance(examples, size, slots.epoch, slots.position)
    # XLA's CPU compiler draws along the last axis, and a short one index by index
    streams_last = shape.slots >= size
    epochs_of = jax.vmap(functools.partial(sampling.epochs_of, shape.sampling, examples, size),
                         out_axes=-1 if streams_last else 0)
    draw = functools.partial(sampling.drawn, shape.sampling, examples, size)
    draw = functools.partial(draw if streams_last else jax.vmap(draw, (0, 0, None), 1), *epochs_of(slots.seed, epoch))
    stop = jnp.minimum(count, done + (examples - first[0] + size - 1) // size)

    def step(ahead: jax.Array, carry: tuple[jax.Array, Slots]) -> tuple[jax.Array, Slots]:
        index, slots = carry
        take = functools.partial(one.take, shape.problem, data)
        batches = sharding.fetch(shape.problem, data, index.T) if apart else jax.vmap(take, 1)(index)
        slots = jax.vmap(lambda slot, batch: _step_group(shape, batch, slot, ahead, rules))(slots, batches)
        return draw(first[0] + (ahead - done) * size), slots

    fresh = slots.step[0] + done == 0  # nothing is drawn yet; the second batch begins in the first epoch too
    index = jax.lax.cond(fresh, lambda: draw(jnp.int32(0)), lambda: slots.drawn.T)
    index, slots = jax.lax.fori_loop(done, stop, step, (index, slots))
    return stop, slots._replace(epoch=epoch, position=first + (stop - done - 1) * size, drawn=index.T)


def _step_group(shape: Shape, batch: PyTree, slot: Slots, ahead: ArrayLike, rules: Rules) -> Slots:
    """One step of one group on a batch, which its members share."""
    problem = shape.problem
    single = shape.batch_size == 1 and not shape.full_batch
    running = slot.seen.status == RUNNING

    def lane(
        hyper: Hyper, held: PyTree, state: PyTree, running: jax.Array, loss_before: jax.Array
    ) -> tuple[PyTree, PyTree, jax.Array, jax.Array]:
        params = layout.unpair(shape.apart, held)

        def loss_of(params: PyTree) -> jax.Array:
            return one.batch_loss(problem, single, layout.join(shape.apart, params), batch)

        own = shape.members == 1 and not shape.full_batch and jax.default_backend() == "cpu"
        loss, gradient = layout.value_and_grad(shape.apart, loss_of, params, own)
        rate = one.rate_at(shape.formulas, shape.warmup, hyper, slot.step + ahead).astype(loss.dtype)
        next_params, next_state = one.update(
            shape.optimizer, rate, hyper.numbers, params, state, loss, gradient, loss_of)
        if not shape.full_batch:  # lanes end at marks only; one that has ended runs on unread
            return layout.pair(shape.apart, next_params), next_state, running, loss_before
        decrease = loss_before - loss if shape.stall else None
        # a mean of iterates ends its lane where it is scored, at marks: this gradient is not its own
        norm = None if averages(shape.optimizer) else functools.partial(one.norm, gradient)
        moves = goes_on(rules, running, loss, norm, decrease)
        params, state = jax.tree.map(
            lambda new, old: jnp.where(moves, new, old), (next_params, next_state), (params, state))
        loss = jnp.where(running, loss, loss_before) if shape.stall else loss_before
        return layout.pair(shape.apart, params), state, moves, loss

    seen = slot.seen
    params, state, moves, loss = jax.vmap(lane)(slot.hyper, slot.params, slot.state, running, seen.loss)
    if shape.full_batch:  # one that has ended stays where it is, so that it ends anew in every step until the next look
        seen = seen._replace(loss=loss, steps=seen.steps + moves)
    return slot._replace(params=params, state=state, seen=seen)


def _score(shape: Shape, data: PyTree, held_out: PyTree, slots: Slots, marks: jax.Array, rules: Rules) -> Slots:
    """Full-data losses of the slots that are at a mark, what targets are on, and what both mean for their lanes."""
    running = slots.seen.status == RUNNING
    at_mark = (slots.step == _next_mark(marks, slots.mark)) & jnp.any(running, axis=1)
    at_end = slots.step >= rules.max_steps

    def score(slots: Slots) -> Slots:
        params = layout.join(shape.apart, scored(shape.optimizer, slots.params, slots.state))
        loss, norm, score = _looked_at(shape, params, data, held_out)
        here = running & at_mark[:, None]
        loss = jnp.where(here, loss, slots.seen.loss)
        found = status(rules, loss, norm, jnp.broadcast_to(slots.step[:, None], loss.shape), score=score)
        is_mark = jnp.arange(shape.marks) == slots.mark[:, None]

        def at(curve: jax.Array, found: jax.Array) -> jax.Array:
            return jnp.where(here[:, :, None] & is_mark[:, None, :], found[:, :, None], curve)

        seen = slots.seen._replace(
            loss=loss,
            status=jnp.where(here, found, slots.seen.status),
            best=jnp.where(here, jnp.fmin(slots.seen.best, loss), slots.seen.best),
            curve=at(slots.seen.curve, loss),
            score=() if score is None else at(cast("jax.Array", slots.seen.score), score),
        )
        return slots._replace(seen=seen, mark=slots.mark + at_mark)

    slots = jax.lax.cond(jnp.any(at_mark), score, lambda slots: slots, slots)
    spent = (slots.seen.status == RUNNING) & at_end[:, None]
    code = jnp.where(spent, jnp.int8(BUDGET), slots.seen.status)
    steps = slots.seen.steps if shape.full_batch else jnp.where(running, slots.step[:, None], slots.seen.steps)
    return slots._replace(seen=slots.seen._replace(status=code, steps=steps))


def _looked_at(
    shape: Shape, params: PyTree, data: PyTree, held_out: PyTree
) -> tuple[jax.Array, jax.Array | None, jax.Array | None]:
    """Loss of all lanes, gradient norm where it ends them, and what targets are on where that is not the loss."""
    lane = loss_and_norm if shape.norm_at_marks else loss_alone
    beside = functools.partial(score_alone, target_on=shape.target_on)

    def both(problem: Problem, params: PyTree, batch: PyTree) -> tuple[jax.Array, ...]:
        return *lane(problem, params, batch), *beside(problem, params, batch)

    of_data = both if shape.target_on != goals.LOSS and held_out is None else lane  # the outputs of examples but once
    loss, *more = _scores(shape, of_data, params, data)
    more += _scores(shape, beside, params, held_out) if held_out is not None else ()
    return loss, more[0] if shape.norm_at_marks else None, more[-1] if shape.target_on != goals.LOSS else None


def _scores(shape: Shape, lane: Lane, params: PyTree, data: PyTree) -> tuple[jax.Array, ...]:
    """Numbers of all lanes, (slots, members) each, from their parameters, (slots, members, …) leaves."""
    found = in_rows(shape.problem, lane, jax.tree.map(merged, params), data)
    return tuple(each.reshape(shape.slots, -1) for each in found)


def _retire(shape: Shape, slots: Slots, outcome: Outcome) -> tuple[Slots, Outcome]:
    """Write the outcome of lanes that have ended since the last look."""
    ended = (slots.seen.status != RUNNING) & ~slots.done

    def write(outcome: Outcome) -> Outcome:
        row = jnp.where(ended, slots.group[:, None] * shape.members + jnp.arange(shape.members), NEVER).ravel()
        params = layout.join(shape.apart, scored(shape.optimizer, slots.params, slots.state))
        seen = slots.seen._replace(params=params, best=jnp.fmin(slots.seen.best, slots.seen.loss))

        def scatter(table: jax.Array, lanes: jax.Array) -> jax.Array:
            return table.at[row].set(merged(lanes), mode="drop")

        return jax.tree.map(scatter, outcome, seen)

    outcome = jax.lax.cond(jnp.any(ended), write, lambda outcome: outcome, outcome)
    return slots._replace(done=slots.done | ended), outcome


def _refill(shape: Shape, slots: Slots, queue: Queue, waiting: jax.Array, rules: Rules) -> tuple[Slots, jax.Array]:
    """Free slots take the next groups of the queue, in order."""
    free = jnp.all(slots.done, axis=1)
    group = waiting + jnp.cumsum(free) - 1
    loads = free & (group < queue.length)

    def load(slots: Slots) -> Slots:
        fresh = begin(shape, queue, jnp.where(loads, group, 0), rules)

        def choose(new: jax.Array, old: jax.Array) -> jax.Array:
            return jnp.where(loads.reshape(-1, *[1] * (new.ndim - 1)), new, old)

        return jax.tree.map(choose, fresh, slots)

    slots = jax.lax.cond(jnp.any(loads), load, lambda slots: slots, slots)
    return slots, waiting + jnp.sum(loads, dtype=jnp.int32)


def begin(shape: Shape, queue: Queue, group: jax.Array, rules: Rules) -> Slots:
    """Slots that hold the given groups at step 0; the start is checked there."""
    zeros = jnp.zeros(group.shape[0], jnp.int32)
    lengths = jnp.broadcast_to(queue.length, (shape.queue,))
    chosen = jax.tree.map(lambda leaf: leaf[group], queue._replace(length=lengths))
    lanes = (group.shape[0], shape.members)

    def spread(leaf: jax.Array) -> jax.Array:
        return jnp.broadcast_to(leaf[:, None], (lanes[0], shape.members, *leaf.shape[1:]))

    start = chosen.start
    params, loss = layout.split(shape.apart, jax.tree.map(spread, start.params)), spread(start.loss)
    state = jax.vmap(jax.vmap(functools.partial(one.begin, shape.optimizer)))(chosen.hyper, params)
    held = layout.pair(shape.apart, params)
    score = None if shape.target_on == goals.LOSS else start.score
    found = status(rules, start.loss, start.norm, zeros, score=score)
    valid = chosen.hyper.valid & (group < queue.length)[:, None]
    code = jnp.where(valid, found[:, None], jnp.int8(BUDGET))
    curve = jnp.full((*lanes, shape.marks), jnp.nan, loss.dtype)
    seen = Outcome((), code, jnp.zeros(lanes, jnp.int32), loss, loss, curve, () if score is None else curve)
    if shape.stall:
        seen = seen._replace(loss=jnp.where(code == RUNNING, jnp.inf, loss))
    drawn = jnp.zeros((group.shape[0], 0 if shape.full_batch else shape.batch_size), jnp.int32)
    return Slots(group, zeros, zeros, zeros, drawn, zeros, chosen.seed, chosen.hyper, held, state, ~valid, seen)


def _next_mark(marks: jax.Array, mark: jax.Array) -> jax.Array:
    return jnp.where(mark < marks.shape[0], marks[jnp.minimum(mark, marks.shape[0] - 1)], NEVER)
