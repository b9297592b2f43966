"""The program that a call runs in: its shape chosen by what is static in the call, compiled ahead of time and kept."""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence

import jax
from jax.sharding import Mesh

from gdjax import arguments, goals, optimizers, tracing
from gdjax import lanes as lane_tables
from gdjax.engine import sharding
from gdjax.engine.placement import mesh_of, pools, side_by_side
from gdjax.engine.program import Program, program_for
from gdjax.engine.shape import Shape
from gdjax.engine.streamed import Streamed, window
from gdjax.engine.width import best_width
from gdjax.lanes import Setting
from gdjax.optimizers import Optimizer
from gdjax.problem import Problem
from gdjax.promotion import usual_promotion
from gdjax.reading import Stream
from gdjax.schedules import Schedule

Schedules = str | Schedule | Sequence[str | Schedule]
Devices = int | Sequence[int] | None
Sampling = str | Stream
MARK_BLOCK = 32  # marks of a program are a multiple of this or one, so that one more mark seldom compiles anything
QUEUE = 1 << 16  # groups that wait on the device at once: a longer queue takes memory and saves no time


def compile(
    problem: Problem, *, batch_size: int, optimizer: Optimizer | str = "sgd", schedules: Schedules = "constant",
    sampling: Sampling = "shuffle", batches: str = "per-start", marks: int = 1, tolerance: float = 0.0,
    stall: float | None = None, width: int | None = None, settings: int = 1, starts: int | None = None,
    hyper: Sequence[str] = (), devices: Devices = None, shard_examples: bool = False, target_on: str = goals.LOSS,
) -> Program:
    """The program that a call of `minibatch` with these arguments runs in, compiled ahead of time and kept.

    Args:
        schedules: all kinds it should hold; each one adds to the cost of a step.
        sampling: see `minibatch`; a stream gives a `gdjax.Streamed`.
        marks: most marks a lane may have.
        settings: how many settings share a batch (per-start), rounded up to a power of two of at most 16.
        starts: how many starts are coming, to choose the width by; None fills the width.
        hyper: names of the optimizer's further numbers that its settings will give.
        devices: how many devices share the lanes, or their numbers in `jax.devices()`; None: the default one.
        shard_examples: these devices share the examples instead, see `minibatch`.
        target_on: what its targets may be on, see `minibatch`.

    Raises:
        ValueError, TypeError: a bad argument, or what `preflight` refuses.

    Example:
        >>> program = gdjax.compile(gdjax.problems.get("line-fit"), batch_size=10, schedules=["constant", "cosine"],
        ...                         width=16)
        >>> program.width
        16
    """
    rule = arguments.sampling(sampling)
    arguments.target_on(arguments.problem(problem), target_on)
    size = arguments.batch_size(problem, batch_size)
    tracing.preflight(problem, optimizer, hyper, size)
    shape_of = functools.partial(
        _shape, batch_size=size, optimizer=optimizer, schedules=schedules, batches=batches, marks=marks,
        tolerance=tolerance, stall=stall, width=width, settings=settings, starts=starts, hyper=hyper, devices=devices,
        shard_examples=shard_examples, target_on=target_on)
    with usual_promotion():
        if isinstance(rule, Stream):
            buffer, block = arguments.stream(problem, rule, size, devices)
            shape, _ = shape_of(window(problem, buffer), sampling="shuffle")
            return Streamed.of(problem, shape, rule, block)
        return program_for(*shape_of(problem, sampling=rule))


def _shape(
    problem: Problem, *, batch_size: int, optimizer: Optimizer | str, schedules: Schedules, sampling: str, batches: str,
    marks: int, tolerance: float, stall: float | None, width: int | None, settings: int, starts: int | None,
    hyper: Sequence[str], devices: Devices, shard_examples: bool, target_on: str,
) -> tuple[Shape, Mesh | None]:
    """The shape of a program from the arguments of `compile`, and the mesh it runs on."""
    optimizer = optimizers.get(optimizer)
    kinds = arguments.schedules_of(schedules)
    full = batch_size == problem.examples
    members = lane_tables.members_for(settings, batches, full)
    mesh = mesh_of(arguments.devices(devices), arguments.shard_examples(problem, shard_examples, devices))
    apart = mesh.size if sharding.over_examples(mesh) and not full else 1  # devices that each step slots of their own
    at_once = side_by_side() if mesh is None else pools(mesh)
    share = None if starts is None else -(-starts * settings // at_once)
    widest = (best_width(problem, batch_size, share) if width is None else
              arguments.positive_int("width", width, "lanes"))
    members = min(members, widest)
    groups = None if starts is None else starts * -(-settings // members)
    slots = max(1, widest // members)
    if groups is not None and width is None:  # every core or device gets a share
        slots = min(slots, max(_power(-(-groups // at_once)), min(slots, -(-16 // members))))
    slots = -(-slots // apart) * apart
    waves = not full or marks > 1  # lanes end together: a longer queue would gain nothing, and marks would not line up
    queue = slots if waves or groups is None else max(slots, min(_power(-(-groups // at_once)), QUEUE))
    numbers = tuple(optimizers.defaults(optimizer, problem, hyper))
    # each look at a queue copies the marks of its slots
    room = -(-marks // MARK_BLOCK) * MARK_BLOCK if queue == slots else 1
    shape = Shape(problem, optimizer, batch_size, lane_tables.formulas_of(kinds), numbers, sampling, slots, members,
                  queue, marks=room, warmup=any(each.warmup > 0 for each in kinds), stall=stall is not None,
                  norm_at_marks=tolerance > 0, target_on=target_on)
    return shape, mesh


def check_program(
    program: Program, problem: Problem, optimizer: Optimizer, size: int, found: Sequence[Setting],
    numbers: Collection[str], sampling: Sampling, batches: str, marks: int, tolerance: float, stall: bool,
    devices: Devices, shard_examples: bool, target_on: str,
) -> None:
    """Raise ValueError where a call cannot run in a program that was compiled before."""
    shape = checked(program).shape
    if program.x64 != jax.config.read("jax_enable_x64"):
        raise ValueError(f"program: was compiled in another x64 mode (got {program.x64}, needs {not program.x64}). "
                         f"Compile it again, or run it with jax.enable_x64({program.x64}).")
    for held, wanted in ((program, {"problem": problem, "sampling": sampling}), (shape, {
            "optimizer": optimizer, "batch_size": size, "norm_at_marks": tolerance > 0, "stall": stall,
            "target_on": target_on})):
        for field, value in wanted.items():
            if getattr(held, field) != value:
                raise ValueError(f"program: was compiled for another {field} (got {_in_words(getattr(held, field))}, "
                                 f"needs {_in_words(value)}). Compile one for this call, or leave it out.")
    if devices is not None and mesh_of(arguments.devices(devices), shard_examples) != program.mesh:
        raise ValueError(f"program: was compiled for other devices (got {program.devices} that share the "
                         f"{program.shared}, needs {devices!r} with shard_examples={shard_examples}). Compile it with "
                         "devices=… and shard_examples=…, or leave both out here.")
    lacks = set(numbers) - set(shape.numbers)
    if lacks:
        raise ValueError(f"program: does not hold the number {sorted(lacks)[0]!r} (got {list(shape.numbers)}). "
                         "Compile it with hyper=[…].")
    missing = set(lane_tables.formulas_of([each.schedule for each in found])) - set(shape.formulas)
    rises = any(each.schedule.warmup > 0 for each in found) and not shape.warmup
    if missing or rises or marks > program.most_marks or (batches != "per-start" and shape.members > 1):
        raise ValueError("program: does not hold this call's schedules, warm-ups, marks or batches "
                         f"(got {len(shape.formulas)} kinds, {program.most_marks} marks, {shape.members} lanes a "
                         "batch). Compile it with all of them.")


def checked(program: object) -> Program:
    """A program."""
    if not isinstance(program, Program):
        raise TypeError(f"program: must be what gdjax.compile gives (got {program!r}). Leave it out to have one made.")
    return program


def _in_words(value: object) -> str:
    """What a program was compiled for: a problem and an optimizer by name, since they may hold data."""
    if isinstance(value, Problem):
        return f"{value.name!r} at {id(value):#x}"  # two may have one name
    return repr(optimizers.name_of(value) if callable(value) else value)


def _power(count: int) -> int:
    return 1 << max(0, (count - 1).bit_length())
