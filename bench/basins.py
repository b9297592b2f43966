"""Basins of attraction of a problem in two parameters: a grid of starts, where each one ends, a few paths."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd

import gdjax
from bench.bad_input import field_error

STARTS = 512 * 512
MOST_STARTS, MOST_STEPS = 2048 * 2048, 1_000_000
STEPS = 2000
RATES = (*(float(f"{digit}e{power}") for power in range(-5, 1) for digit in (1, 2, 5)), 10.0)
TRIAL = 7  # a range test runs 7 × 7 starts with each of these rates
QUARTER = 4  # and a quarter of the steps
SMALLEST = 3e-6  # tolerance on the gradient norm, as a share of the median norm over the landscape
LOOK = 33  # looks along each axis for that median
PATHS = 3  # 3 × 3 paths are drawn


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the picture is asked to show, checked."""

    problem: gdjax.Problem
    optimizer: str
    side: int  # starts along each axis
    rate: float | None  # None: by a range test
    steps: int
    out: Path


@dataclass(frozen=True, kw_only=True)
class Basins:
    """What the picture shows: columns of `box` and `names` are the two parameters, x then y."""

    problem: str
    optimizer: str
    rate: float
    searched: bool  # the rate is a range test's
    steps: int
    side: int
    names: tuple[str, str]
    box: np.ndarray  # (2, 2) low and high of each parameter
    loss: np.ndarray  # (side, side) of the starts, row = y
    label: np.ndarray  # (side, side) minimum that each start ends at, as gdjax.minima.find numbers them
    table: pd.DataFrame  # one row per minimum
    points: np.ndarray  # (minima, 2)
    paths: np.ndarray  # (paths, points, 2)


def check(problem: str, optimizer: str, starts: int, rate: float | None, steps: int, out: Path | None) -> Request:
    """The request, or a ValueError that says what is wrong with it, before anything runs."""
    if optimizer not in gdjax.optimizers.names():
        gdjax.optimizers.get(optimizer)  # raises, naming the closest
    for field, value, most in (("--starts", starts, MOST_STARTS), ("--steps", steps, MOST_STEPS)):
        if not 1 <= value <= most:
            raise ValueError(field_error(field, f"must be from 1 to {most:,}", value, "Change it to a value in range."))
    if rate is not None and not 0 < rate < math.inf:
        raise ValueError(field_error("--rate", "must be above 0 and finite", rate,
                                     "Leave it out to have it found by a range test."))
    path = Path("results") / f"basins-{problem}.png" if out is None else out
    if path.suffix != ".png":
        raise ValueError(field_error("--out", "must end in .png", str(path), "The picture is a PNG file."))
    if path.is_dir():
        raise ValueError(field_error("--out", "is a folder", str(path), "Give the name of a file."))
    made = gdjax.problems.get(problem)
    shapes = jax.tree.leaves(made.shapes)
    count = sum(math.prod(leaf.shape) for leaf in shapes)
    if count != 2:
        raise ValueError(field_error("PROBLEM", "must have two parameters for a picture", f"{problem} with {count}",
                                     "Take one such as himmelblau; runs.minima() serves any number."))
    return Request(problem=made, optimizer=optimizer, side=math.isqrt(starts - 1) + 1, rate=rate, steps=steps, out=path)


def find(request: Request, say: Callable[[str], None]) -> Basins:
    """Run the starts of a request and sort them by where they end; `say` is told how far it is."""
    problem, optimizer, side = request.problem, request.optimizer, request.side
    say(f"{problem.name}: {side} x {side} = {side**2:,} starts, {optimizer}, at most {request.steps:,} steps each")
    box = _box(problem)
    tolerance = SMALLEST * _steepness(problem, box)
    program = gdjax.compile(problem, batch_size=problem.examples, optimizer=optimizer, tolerance=tolerance,
                            starts=side * side)

    def run(points: np.ndarray, rates: float | Sequence[float], steps: int) -> gdjax.Runs:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # starts that are not finite are diverged lanes of the picture
            return gdjax.bgd(problem, rates=rates, starts=_params(problem, points), key=0, optimizer=optimizer,
                             tolerance=tolerance, max_steps=steps, program=program)

    rate = request.rate
    if rate is None:
        trial = run(_grid(box, TRIAL), RATES, max(1, request.steps // QUARTER))
        rate = calm_rate(trial.status.reshape(-1, len(RATES)), trial.final_loss.reshape(-1, len(RATES)))
        say(f"rate {rate:g}, found by a range test")
    runs = run(_grid(box, side), rate, request.steps)
    say(f"{runs.lane_steps_needed:,} lane-steps run")
    found = gdjax.minima.find(runs, problem=problem)
    return Basins(
        problem=problem.name, optimizer=optimizer, rate=rate, searched=request.rate is None, steps=request.steps,
        side=side, names=_names(problem), box=box, loss=runs.start_loss.reshape(side, side),
        label=found.label.reshape(side, side), table=found.table, points=found.points,
        paths=_paths(problem, optimizer, rate, request.steps, _beside(box, _grid(box, PATHS))),
    )


def calm_rate(status: np.ndarray, loss: np.ndarray) -> float:
    """The smallest of `RATES` at which nearly as many trial lanes converge as at the best one.

    Small, because a lane near the edge of divergence jumps from basin to basin. Where fewer than half converge at any:
    of the rates at which the fewest diverge, the one of the lowest median loss.

    Args:
        status, loss: (starts, rates) of the trial lanes' ends.
    """
    converged = (status == gdjax.stopping.CONVERGED).sum(axis=0)
    if 2 * converged.max() >= len(status):
        return RATES[int((converged >= 0.98 * converged.max()).argmax())]
    diverged = (status == gdjax.stopping.DIVERGED).sum(axis=0)
    middle = np.sort(np.where(np.isfinite(loss), loss, np.inf), axis=0)[len(loss) // 2]
    return RATES[int(np.where(diverged == diverged.min(), middle, np.inf).argmin())]


def _box(problem: gdjax.Problem) -> np.ndarray:
    """What is shown, (2 parameters, low and high): the domain, or where 4,096 random starts lie, rounded outwards."""
    if problem.domain is not None:
        return np.array([problem.domain] * 2, np.float64)
    drawn = gdjax.lanes.draw_starts(problem, jax.random.key(0), 4096)
    starts = np.concatenate([np.reshape(leaf, (4096, -1)) for leaf in jax.tree.leaves(drawn)], axis=1)
    low, high = starts.min(axis=0).astype(np.float64), starts.max(axis=0).astype(np.float64)
    step = 10.0 ** np.floor(np.log10(np.maximum(high - low, 1e-9))) / 20
    return np.stack([np.floor(low / step) * step, np.ceil(high / step) * step], axis=1)


def _grid(box: np.ndarray, side: int) -> np.ndarray:
    """Starts in the middle of side × side cells, (side², 2), x fastest."""
    middle = (np.arange(side) + 0.5) / side
    x, y = (low + (high - low) * middle for low, high in box)
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def _beside(box: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points moved a little: on an axis of symmetry a path would lead to a saddle, or nowhere."""
    return points + (box[:, 1] - box[:, 0]) * (0.037, -0.023)


def _params(problem: gdjax.Problem, points: np.ndarray) -> object:
    """Points as parameters of the problem with a leading axis."""
    leaves, tree = jax.tree.flatten(problem.shapes)
    columns = np.split(points, np.cumsum([math.prod(leaf.shape) for leaf in leaves])[:-1], axis=1)
    return jax.tree.unflatten(tree, [column.reshape(-1, *leaf.shape).astype(leaf.dtype)
                                     for column, leaf in zip(columns, leaves, strict=True)])


def _names(problem: gdjax.Problem) -> tuple[str, str]:
    """What the axes are called: x0 and x1 of one array, else the place of each parameter."""
    leaves = jax.tree.leaves_with_path(problem.shapes)
    if len(leaves) == 1:
        return "x0", "x1"
    first, second = (jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in leaves)
    return first, second


def _steepness(problem: gdjax.Problem, box: np.ndarray) -> float:
    """Median gradient norm over the landscape."""
    data = problem.device_data()

    @jax.jit
    @gdjax.lapack.one_by_one
    def norms(params: object) -> jax.Array:
        gradients = jax.vmap(jax.grad(problem.objective), (0, None))(params, data)
        return jnp.sqrt(sum(jnp.sum(leaf.reshape(leaf.shape[0], -1) ** 2, axis=1)
                            for leaf in jax.tree.leaves(gradients)))

    found = np.asarray(norms(_params(problem, _grid(box, LOOK))))
    found = found[np.isfinite(found)]
    return float(np.median(found)) or 1.0 if len(found) else 1.0


def _paths(problem: gdjax.Problem, optimizer: str, rate: float, steps: int, starts: np.ndarray) -> np.ndarray:
    """Paths of a few lanes, (starts, points, 2): every step at first, then ever fewer, 300 in all."""
    data = problem.device_data()
    made = optax.with_extra_args_support(gdjax.optimizers.get(optimizer)(rate))

    def loss_of(params: object) -> jax.Array:
        return problem.objective(params, data)

    def step(carry: tuple[object, object], _: None) -> tuple[tuple[object, object], object]:
        params, state = carry
        loss, gradient = jax.value_and_grad(loss_of)(params)
        changes, state = made.update(gradient, state, params, value=loss, grad=gradient, value_fn=loss_of)
        return (optax.apply_updates(params, changes), state), params

    @jax.jit
    @gdjax.lapack.one_by_one
    def path(params: object) -> object:
        return jax.vmap(lambda one: jax.lax.scan(step, (one, made.init(one)), length=steps + 1)[1])(params)

    walked = path(_params(problem, starts))
    points = np.concatenate([np.reshape(leaf, (len(starts), steps + 1, -1)) for leaf in jax.tree.leaves(walked)],
                            axis=2)
    shown = np.unique(np.geomspace(1, steps + 1, 300).astype(int)) - 1
    return points[:, shown].astype(np.float64)


def words(basins: Basins) -> list[str]:
    """What the picture shows, a line for each minimum, at most ten of them."""
    lines = []
    for row in basins.table.to_dict("records"):
        name = f"{row['kind']} {row['minimum']}" if row["minimum"] > 0 else row["kind"]
        share, low, high = (f"{100 * row[each]:.4g} %" for each in ("share", "share_low", "share_high"))
        lines.append(f"{name}: loss {row['loss']:.4g}, {row['lanes']:,} starts, {share} [{low}, {high}]")
    found = int((basins.table.minimum > 0).sum())
    if found > 10:
        lines[10:found] = [f"and {found - 10:,} more minima"]
    if (basins.table.share[basins.table.minimum == 0] > 0.05).any():
        lines.append("many starts are not at rest: more --steps, another --rate, or --optimizer adam")
    return lines
