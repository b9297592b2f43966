"""Basins of attraction in a process of its own: a grid of starts, where each one ends, a few paths."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection

import jax
import jax.numpy as jnp
import numpy as np

import gdjax
from bench.bad_input import field_error
from bench.basins import Basins, Request
from bench.picture_worker import Say, serve
from bench.problems import Warn, problem_from

RATES = (*(float(f"{digit}e{power}") for power in range(-5, 1) for digit in (1, 2, 5)), 10.0)
TRIAL = 7  # a range test runs 7 × 7 starts with each of these rates
QUARTER = 4  # and a quarter of the steps
SMALLEST = 3e-6  # tolerance on the gradient norm, as a share of the median norm over the landscape
LOOK = 33  # looks along each axis for that median
PATHS = 3  # 3 × 3 paths are drawn
POINTS = 50  # of a path, at most: each is a call of the whole program


def main(connection: Connection, payload: dict[str, object]) -> None:
    """The basins of one request."""
    request = payload["request"]
    assert isinstance(request, Request)

    def work(problem: gdjax.Problem, say: Say) -> Iterator[Basins]:
        yield find(request, problem, say)

    serve(connection, "auto", lambda warn: problem_of(request, warn), work)


def problem_of(request: Request, warn: Warn) -> gdjax.Problem:
    """The problem of a request, or a ValueError or TypeError that says what is wrong with its names."""
    gdjax.optimizers.get(request.optimizer)
    problem = problem_from(request.problem, warn)
    gdjax.preflight(problem, request.optimizer, batch_size=problem.examples)
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(problem.shapes))
    if count != 2:
        raise ValueError(field_error("PROBLEM", "must have two parameters for a picture",
                                     f"{request.problem} with {count}",
                                     "Take one such as himmelblau; runs.minima() serves any number."))
    return problem


def find(request: Request, problem: gdjax.Problem, say: Say) -> Basins:
    """Run the starts of a request and sort them by where they end; `say` is told how far it is."""
    optimizer, side = request.optimizer, request.side
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
        paths=_paths(run, _beside(box, _grid(box, PATHS)), rate, request.steps),
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
    starts = _points(drawn)
    low, high = starts.min(axis=0), starts.max(axis=0)
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


def _points(params: object) -> np.ndarray:
    """Parameters with a leading axis as points, (lanes, 2)."""
    leaves = jax.tree.leaves(params)
    return np.concatenate([np.reshape(leaf, (len(leaf), -1)) for leaf in leaves], axis=1).astype(np.float64)


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


def _paths(run: Callable[[np.ndarray, float, int], gdjax.Runs], starts: np.ndarray, rate: float, steps: int
           ) -> np.ndarray:
    """Paths of a few lanes, (starts, points, 2): every step at first, then ever fewer.

    Each point is where the same lanes end on a smaller budget, so that a path is what the program of the colours does,
    whatever its optimizer sees.
    """
    last = max(1, int(run(starts, rate, steps).steps.max()))
    shown = np.unique(np.geomspace(1, last, POINTS).astype(int))
    return np.stack([starts, *(_points(run(starts, rate, int(step)).params) for step in shown)], axis=1)
