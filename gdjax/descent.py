"""The front doors: bgd, sgd and minibatch over many starts and settings at once."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from gdjax import arguments, compiling, goals, optimizers, parameters, tracing
from gdjax import schedules as schedule_table
from gdjax.compiling import Devices, Sampling, Schedules
from gdjax.engine.program import Program
from gdjax.lanes import BATCHES, Setting
from gdjax.optimizers import Optimizer
from gdjax.problem import Problem, PyTree
from gdjax.promotion import usual_promotion
from gdjax.reading import Stream
from gdjax.running import Limits, descend
from gdjax.runs import Runs
from gdjax.stopping import mark_steps

Rates = float | Sequence[float] | None
Numbers = Mapping[str, float | Sequence[float]] | None
KEY_RANGE = 2  # folded into the caller's key; starts and batches have others (`gdjax.lanes`)
RANGE_RATES = np.logspace(-4, 2, 16)  # what a range test tries: ratio 2.5
RANGE_STARTS = 4


def minibatch(
    problem: Problem, *, batch_size: int, rates: Rates, starts: int | PyTree, key: int | jax.Array,
    optimizer: Optimizer | str = "sgd", schedules: Schedules = "constant", targets: Sequence[float] = (),
    target_on: str = "loss", tolerance: float = 0.0, max_epochs: float | None = None, max_steps: int | None = None,
    marks: int | None = None, sampling: Sampling = "shuffle", batches: str = "per-start", stop_at_target: bool = False,
    width: int | None = None, stall: float | None = None, hyper: Numbers = None,
    settings: Sequence[Setting] | None = None, program: Program | None = None, devices: Devices = None,
    shard_examples: bool = False,
) -> Runs:
    """Mini-batch gradient descent from many random starts with many settings, in one compiled loop.

    w ← w − η(t)·∇J_B(w), J_B the mean loss of a batch of B examples (or what `optimizer` makes of that gradient). A
    batch size that does not divide the number of examples runs across the epoch's edge: every example is still used
    exactly once an epoch.

    Args:
        problem: what to descend.
        batch_size: B, examples per step, 1 … n.
        rates: learning rates η₀; a float, a sequence, or None for five around the one a range test finds with the
            first combination of `hyper`.
        starts: how many random starts, or parameters with a leading (starts,) axis.
        key: seed in [0, 2³²) or a JAX key. Starts and batches are pure functions of (key, start, step).
        optimizer: a name, or a function rate -> optax transformation such as `optax.adam`.
        schedules: names or schedules; every schedule runs with every rate.
        targets: losses, or what `target_on` says, whose first hit is looked for at the marks; duplicates are dropped
            with a warning.
        target_on: what targets are on: "loss", that of all data; "held_out_loss"; or "error", 1 − accuracy, of the
            held-out examples (of the data where none are held out), for which 0.05 asks for an accuracy of 95 %.
        tolerance: full-data gradient norm at which a lane has converged (looked at in every step when B = n and
            iterates are not averaged, else at marks).
        max_epochs, max_steps: the budget of a lane, whichever comes first; one is required.
        marks: how many times the full-data loss is scored on the way; None: 32 with targets, else only at the end.
        sampling: "shuffle" (every example once an epoch), "replacement" (a batch of all examples draws nothing), or for
            data that memory can't hold "stream" or a `gdjax.Stream`: examples are read in shuffled blocks from
            memory-mapped arrays.
        batches: "per-start" (the settings of a start share its batches), "independent" or "common" (one for all lanes).
        stop_at_target: end a lane at the lowest target.
        width: lanes side by side, a multiple of 16, or 1, for bit-equal results in any order; None lets the device
            choose: 1 where steps make large arrays, and on a CPU where a few lanes compute much.
        stall: end a lane when the loss falls by less than this in one step; with B = n and constant schedules only.
        hyper: further numbers of the optimizer by name, {"momentum": [0.5, 0.9]}; every combination runs with every
            rate. They are data of the lanes: a new value compiles nothing. `optimizers.accepted` lists an optimizer's.
        settings: what to run instead of schedules × rates × hyper.
        program: a compiled program of `gdjax.compile` to run in.
        devices: how many devices share the lanes, or their numbers in `jax.devices()`; None: the default one, see
            `jax.default_device`. After `jax.distributed.initialize()` every host makes the same call with devices of
            all hosts, and gets all lanes.
        shard_examples: each device holds only its part of the examples, n / devices of them (and of those held out),
            where a copy of all does not fit. Devices then speak in every step, so it is slower where copies fit; with
            one device it changes nothing. Results are the same but for rounding. `width` is that of all devices
            together, for mini-batches rounded up to a multiple of them.

    Returns:
        Runs, lanes ordered by start, then schedule, then rate, then hyper.

    Raises:
        ValueError, TypeError: a bad argument, before anything is traced.

    Example:
        >>> runs = gdjax.minibatch(gdjax.problems.get("line-fit"), batch_size=10, rates=[0.1, 0.3], starts=4, key=0,
        ...                        max_epochs=20)
        >>> len(runs.frame())
        8

    Source: Robbins & Monro 1951; Goodfellow et al. 2016, Deep Learning, algorithm 8.1.
    """
    size = arguments.batch_size(arguments.problem(problem), batch_size)
    optimizer = optimizers.get(optimizer)
    steps = arguments.budget(problem, size, max_epochs, max_steps)
    root = arguments.key(key)
    searched = rates is None and settings is None
    found = arguments.settings(schedules, 1.0 if searched else rates, hyper, settings)
    numbers = arguments.numbers(problem, optimizer, found)
    tracing.preflight(problem, optimizer, tuple(numbers), size)
    arguments.in_dtype(problem.loss_like.dtype, found, numbers)
    tracing.check_schedules([each.schedule for each in found], steps, problem.examples / size)
    rule = arguments.sampling(sampling)
    arguments.choice("batches", batches, BATCHES)
    arguments.devices(devices)
    arguments.shard_examples(problem, shard_examples, devices)
    if isinstance(rule, Stream):
        arguments.stream(problem, rule, size, devices)
    arguments.stall(stall, found, size, problem, optimizer)
    limits = _limits(steps, tolerance, targets, target_on, stop_at_target, stall)
    arguments.target_on(problem, target_on, limits.targets)
    at = _marks(steps, marks, limits)
    begin = parameters.starts(problem, starts)
    if searched:  # only now: nothing runs before every argument is known to be good
        rates = _range_rates(problem, size, optimizer, root, rule, batches, steps, width, found[0].hyper,
                             devices if shard_examples else None)
        found = arguments.settings(schedules, rates, hyper, None)
    asked: dict[str, Any] = {
        "batch_size": size, "optimizer": optimizer, "schedules": [each.schedule for each in found], "batches": batches,
        "marks": len(at), "tolerance": limits.tolerance, "stall": stall, "width": width, "settings": len(found),
        "starts": _count(begin), "hyper": list(numbers), "target_on": target_on}
    program = program or compiling.compile(problem, sampling=rule, devices=devices, shard_examples=shard_examples,
                                            **asked)
    compiling.check_program(program, problem, optimizer, size, found, numbers, rule, batches, len(at),
                            limits.tolerance, stall is not None, devices, shard_examples, target_on)
    with usual_promotion():
        return descend(program.of_key(root), optimizer, found, begin, root, batches, limits, at)


def bgd(
    problem: Problem, *, rates: Rates, starts: int | PyTree, key: int | jax.Array,
    optimizer: Optimizer | str = "sgd", schedules: Schedules = "constant", targets: Sequence[float] = (),
    target_on: str = "loss", tolerance: float = 0.0, max_epochs: float | None = None, max_steps: int | None = None,
    marks: int | None = None, sampling: Sampling = "shuffle", batches: str = "per-start", stop_at_target: bool = False,
    width: int | None = None, stall: float | None = None, hyper: Numbers = None,
    settings: Sequence[Setting] | None = None, program: Program | None = None, devices: Devices = None,
    shard_examples: bool = False,
) -> Runs:
    """Batch gradient descent: all examples in every step. Arguments as for `minibatch`; also for problems without data.

    Example:
        >>> runs = gdjax.bgd(gdjax.problems.get("bowl"), rates=0.1, starts=3, key=0, tolerance=1e-3, max_steps=1000)
        >>> set(runs.frame().status)
        {'converged'}
    """
    return minibatch(problem, batch_size=arguments.problem(problem).examples, rates=rates, starts=starts, key=key,
                     optimizer=optimizer, schedules=schedules, targets=targets, target_on=target_on,
                     tolerance=tolerance, max_epochs=max_epochs, max_steps=max_steps, marks=marks, sampling=sampling,
                     batches=batches, stop_at_target=stop_at_target, width=width, stall=stall, hyper=hyper,
                     settings=settings, program=program, devices=devices, shard_examples=shard_examples)


def sgd(
    problem: Problem, *, rates: Rates, starts: int | PyTree, key: int | jax.Array,
    optimizer: Optimizer | str = "sgd", schedules: Schedules = "constant", targets: Sequence[float] = (),
    target_on: str = "loss", tolerance: float = 0.0, max_epochs: float | None = None, max_steps: int | None = None,
    marks: int | None = None, sampling: Sampling = "shuffle", batches: str = "per-start", stop_at_target: bool = False,
    width: int | None = None, hyper: Numbers = None, settings: Sequence[Setting] | None = None,
    program: Program | None = None, devices: Devices = None, shard_examples: bool = False,
) -> Runs:
    """Stochastic gradient descent: one example per step. Arguments as for `minibatch`; the problem needs data.

    Example:
        >>> runs = gdjax.sgd(gdjax.problems.get("line-fit"), rates=0.05, starts=3, key=0, max_epochs=5)
        >>> runs.batch_size
        1
    """
    if arguments.problem(problem).data is None:
        raise ValueError(f"problem {problem.name!r}: has no data, so no examples to draw (got data=None). "
                         "Use gdjax.bgd.")
    return minibatch(problem, batch_size=1, rates=rates, starts=starts, key=key, optimizer=optimizer,
                     schedules=schedules, targets=targets, target_on=target_on, tolerance=tolerance,
                     max_epochs=max_epochs, max_steps=max_steps, marks=marks, sampling=sampling, batches=batches,
                     stop_at_target=stop_at_target, width=width, hyper=hyper, settings=settings, program=program,
                     devices=devices, shard_examples=shard_examples)


def range_test(
    problem: Problem, *, batch_size: int, key: int | jax.Array, max_steps: int, optimizer: Optimizer | str = "sgd",
    sampling: Sampling = "shuffle", batches: str = "per-start", width: int | None = None,
    program: Program | None = None, hyper: Mapping[str, float] | tuple[tuple[str, float], ...] = (),
    devices: Devices = None, shard_examples: bool = False,
) -> float:
    """The constant rate with the lowest median loss after a short run: where a grid of rates is centred.

    Sixteen rates from 1e-4 to 1e2, four starts of their own, `max_steps` steps each; diverged lanes count as +inf.
    `hyper` holds the optimizer's further numbers, the same for every rate; `devices` and `shard_examples` are those of
    `minibatch`.

    Example:
        >>> gdjax.range_test(gdjax.problems.get("parabola"), batch_size=1, key=0, max_steps=5) > 0.1
        True

    Source: Smith 2017, arXiv 1506.01186, section 3.3 (there as one run of growing rate).
    """
    # nothing is looked for here
    target_on = goals.LOSS if program is None else compiling.checked(program).shape.target_on
    key_range = jax.random.fold_in(arguments.key(key), KEY_RANGE)
    settings = [Setting(schedule_table.constant(), float(rate), hyper) for rate in RANGE_RATES]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is wrong with these starts is said of the run itself
        runs = minibatch(problem, batch_size=batch_size, rates=None, settings=settings, starts=RANGE_STARTS,
                         key=key_range, optimizer=optimizer, max_steps=max_steps, sampling=sampling, batches=batches,
                         width=width, program=program, devices=devices, shard_examples=shard_examples,
                         target_on=target_on)
    losses = np.median(runs.final_loss.reshape(RANGE_STARTS, len(settings)), axis=0)
    return float(RANGE_RATES[np.nanargmin(np.where(np.isfinite(losses), losses, np.finfo(np.float64).max))])


def _limits(
    steps: int, tolerance: float, targets: Sequence[float], target_on: str, stop_at_target: bool, stall: float | None
) -> Limits:
    found = arguments.targets(targets)
    tolerance = arguments.at_least_zero("tolerance", tolerance)
    if not isinstance(stop_at_target, bool):
        raise TypeError(f"stop_at_target: must be True or False (got {stop_at_target!r}). True ends a lane at the "
                        "lowest target.")
    if stop_at_target and not found:
        raise ValueError("stop_at_target: needs targets (got none). Give targets, the lowest of which ends a lane.")
    return Limits(steps, tolerance, found, target_on, stop_at_target, stall)


def _marks(steps: int, marks: int | None, limits: Limits) -> np.ndarray:
    """The steps at which lanes are scored, (marks,)."""
    if marks is not None:
        marks = arguments.positive_int("marks", marks, "marks")
    return mark_steps(steps, marks, len(limits.targets))


def _count(begin: int | PyTree) -> int:
    """How many starts were asked for, or given."""
    return begin if isinstance(begin, int) else int(jax.tree.leaves(begin)[0].shape[0])


def _range_rates(
    problem: Problem, size: int, optimizer: Optimizer, root: jax.Array, sampling: Sampling, batches: str, steps: int,
    width: int | None, hyper: Mapping[str, float] | tuple[tuple[str, float], ...], sharded_over: Devices,
) -> list[float]:
    centre = range_test(problem, batch_size=size, key=root, max_steps=max(1, steps // 10), optimizer=optimizer,
                        sampling=sampling, batches=batches, width=width, hyper=hyper, devices=sharded_over,
                        shard_examples=sharded_over is not None)
    return [float(rate) for rate in centre * np.logspace(-1, 1, 5)]
