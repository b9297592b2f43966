"""Where many starts ended: end points -> distinct minima, saddles and plateaus; how many starts are enough."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np

from gdjax import arguments, lanes, linkage, newton, problems
from gdjax.newton import Landscape, Survey
from gdjax.problem import Problem
from gdjax.promotion import usual_promotion
from gdjax.scalars import is_real, is_whole
from gdjax.stopping import DIVERGED, STATUSES

if TYPE_CHECKING:
    import pandas as pd

    from gdjax.runs import Runs

NONE, LOST = 0, -1  # labels of lanes without a stationary point, and of diverged ones
MINIMUM, SADDLE, PLATEAU, MOVING = range(4)
KINDS = ("minimum", "saddle", "plateau", "not stationary")
SPREAD_STARTS = 256  # starts that the scale of a landscape is measured by where its domain is not given
FLAT = 1e-4  # a plateau changes the loss by less than this share of a run's usual fall over the spread of the starts
SAME_LOSS = 1e-9  # losses closer than this share of that fall are the same: 0 and 1e-26 at two equal minima
SEEN = 1e-10  # share of that fall that a look around tells from rounding in float64
FINE = 100.0  # end points and isolated minima are told apart to this part of the reach


class Interval(NamedTuple):
    """A number with its interval."""

    value: float
    low: float
    high: float


class Found(NamedTuple):
    """What `find` found."""

    table: pd.DataFrame  # one row per minimum, as `find` says
    label: np.ndarray  # (lanes,) the row's `minimum` of each lane: 1, 2, …; 0 not stationary, −1 diverged
    points: np.ndarray  # (rows with minimum ≥ 1, parameters) float64, the stationary points themselves


@usual_promotion()
def find(runs: Runs, *, problem: Problem | None = None, tolerance: float = 1e-2) -> Found:
    """The distinct stationary points that the lanes of some runs ended at.

    A lane has arrived at a stationary point when Newton's method, started where the lane stopped and run in float64,
    converges to it without going farther than the reach, `tolerance` × the spread of the starts. So two lanes that
    stopped at different distances from one minimum count as one, and two minima side by side as two. Newton's method
    serves to tell lanes apart only: parameters, losses and statuses of the runs stay as they are.

    * A minimum has no negative curvature (eigenvalue of the Hessian of the full objective), a saddle has some; a
      maximum counts as a saddle. Along directions of curvature 0 the loss is looked at a reach away: where it falls the
      point is a saddle (x³), where nothing changes in any direction it is a plateau, else a minimum (x⁴).
    * A plateau is also where a lane stands still short of any stationary point: gradient and curvature that would
      change the loss by less than 1e-4 of the runs' usual fall over the whole spread of the starts.
    * What is left is not stationary: lanes that ran out of budget, that a large rate or noise keeps moving, or that
      hop over a kink (|x|), where the gradient is nowhere small. For stochastic runs, whose lanes hover, use a
      tolerance of 0.05 to 0.2.

    Stationary points at least reach/100 apart are distinct. A connected valley or plateau is one as far as lanes in it
    are a reach apart or less. Points are compared as parameters: two networks that differ by the order of their hidden
    units compute the same and are distinct minima here, of equal loss.

    Args:
        runs: what `bgd`, `sgd` or `minibatch` returned.
        problem: the problem that ran; None looks it up by name among the registered ones.
        tolerance: reach as a share of the spread of starts: √dim · (high − low)/√12 of the problem's domain, or the
            root mean square distance of 256 of its random starts from their mean.

    Returns:
        Found: the table has a row per stationary point, lowest loss first (then most lanes), then one of all lanes
        that are not stationary and one of all that diverged, where there are any. Its columns: minimum (1, 2, …; 0 not
        stationary, −1 diverged), kind, loss (in float64 at the point itself; in the last two rows of `lane`), lanes,
        share with its Wilson 95 % interval share_low and share_high, status (the most frequent), curvature_low and
        curvature_high (smallest and largest eigenvalue; `jax.hessian` up to 200 parameters, 100 steps of Lanczos
        above), grad_norm (smallest of its lanes), lane (the one of that norm: `runs.params` at it are the minimum's)
        and starts_99 (starts needed to meet it with probability 0.99). Shares are of lanes: lanes of one start with
        several settings are not independent.

    Raises:
        ValueError, TypeError: the problem is not registered and not given, is another one, or a bad tolerance.

    Example:
        >>> runs = gdjax.bgd(gdjax.problems.get("himmelblau"), rates=0.01, starts=64, key=0, max_steps=1000)
        >>> gdjax.minima.find(runs).table.kind.tolist()
        ['minimum', 'minimum', 'minimum', 'minimum']

    Source: Nocedal & Wright 2006, "Numerical Optimization", theorems 2.3 and 2.4 (second-order conditions).
    """
    if not (is_real(tolerance) and 0 < tolerance < math.inf):
        raise ValueError(f"tolerance: must be a number above 0 (got {tolerance!r}). It is a share of the spread of the "
                         "starts: use 0.01.")
    problem = _problem_of(runs, problem)
    diverged = runs.status == DIVERGED
    label = np.where(diverged, LOST, NONE)
    alive = np.flatnonzero(~diverged)
    ends = newton.flatten(runs.params)
    if len(alive) == 0:
        nobody = np.zeros(0, int)
        return Found(_table(runs, label, Survey(*[np.zeros(0)] * 7), nobody, nobody), label, ends[:0])

    landscape = _landscape(problem, runs, alive)
    reach = tolerance * landscape.scale
    ends, norm = ends[alive], runs.grad_norm[alive]
    chosen, cell = linkage.representatives(ends, norm, reach / FINE)
    one = jax.tree.map(lambda leaf: leaf[0], runs.params)
    place, arrived = newton.settle(problem, ends[chosen], one, reach, landscape)
    rest = np.flatnonzero(arrived | (norm[chosen] * landscape.scale <= FLAT * landscape.height))
    # most arrive at few places: curvature is measured once at each
    first, spot = linkage.representatives(place[rest], np.where(arrived, norm[chosen], np.inf)[rest], reach / FINE)
    points, standing = place[rest[first]], chosen[rest[first]]
    survey = newton.survey(problem, points, one, reach, landscape)
    kind = _kinds(survey, arrived[rest[first]], landscape)
    group = _groups(points, kind, survey.isolated, reach)
    of_lane = np.full(len(chosen), -1)
    of_lane[rest] = group[spot]
    best, number = _order(points, survey.loss, group, np.bincount(of_lane[cell] + 1), norm[standing],
                          landscape.height, reach)
    label[alive] = np.append(number, NONE)[of_lane[cell]]
    at_best = Survey(*(leaf[best] for leaf in survey))
    return Found(_table(runs, label, at_best, kind[best], alive[standing[best]]), label, points[best])


def wilson(hits: int, starts: int, confidence: float = 0.95) -> Interval:
    """Share of starts that hit, with its Wilson score interval.

    (p̂ + z²/2n ± z √(p̂(1 − p̂)/n + z²/4n²)) / (1 + z²/n), z the normal quantile of (1 + confidence)/2.

    Raises:
        ValueError, TypeError: no starts, hits that are not between 0 and them, a confidence outside (0, 1).

    Example:
        >>> round(gdjax.minima.wilson(16, 32).low, 4)
        0.3363

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    starts = arguments.positive_int("starts", starts, "starts")
    if not is_whole(hits):
        raise TypeError(f"hits: must be a whole number of starts (got {hits!r}). Give an int from 0 to {starts}.")
    if not 0 <= hits <= starts:
        raise ValueError(f"hits: must be from 0 to starts (got {hits} of {starts}). Count the starts that hit.")
    _check_confidence(confidence)
    share = hits / starts
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    middle = share + z * z / (2 * starts)
    width = z * math.sqrt(share * (1 - share) / starts + (z / (2 * starts)) ** 2)
    below, above = ((middle + side * width) / (1 + z * z / starts) for side in (-1, 1))
    return Interval(share, 0.0 if hits == 0 else below, 1.0 if hits == starts else above)


def best_of(hits: int, starts: int, count: int) -> Interval:
    """Probability that the best of `count` random starts is global: 1 − (1 − p)^count, p = hits/starts.

    Its 95 % interval is that of p (Wilson), carried through: the formula grows with p.

    Args:
        hits: starts that ended at the global minimum, or below the loss that counts as such.
        starts: starts that were tried.
        count: how many will be tried.

    Example:
        >>> round(gdjax.minima.best_of(25, 100, 8).value, 4)
        0.8999
    """
    count = arguments.positive_int("count", count, "starts")
    return Interval(*(1.0 if p == 1 else -math.expm1(count * math.log1p(-p)) for p in wilson(hits, starts)))


def starts_needed(hits: int, starts: int, confidence: float = 0.99) -> Interval:
    """Random starts needed so that the best of them is global with the probability `confidence`.

    ⌈log(1 − confidence) / log(1 − p)⌉, p = hits/starts; ∞ when p = 0. `low` and `high` are the numbers at the two ends
    of p's Wilson 95 % interval: `high` is the cautious one.

    Example:
        >>> gdjax.minima.starts_needed(25, 100).value
        17.0
    """
    _check_confidence(confidence)
    share, low, high = wilson(hits, starts)
    return Interval(*(_enough(p, confidence) for p in (share, high, low)))


def _enough(share: float, confidence: float) -> float:
    if share in (0, 1):
        return math.inf if share == 0 else 1.0
    needed = math.log1p(-confidence) / math.log1p(-share)
    whole = round(needed)  # 1 − 0.9 is not quite 0.1: a quotient that is whole but for rounding is whole
    return float(max(1, whole if abs(needed - whole) <= 1e-12 * needed else math.ceil(needed)))


def _check_confidence(confidence: float) -> None:
    if not is_real(confidence):
        raise TypeError(f"confidence: must be a number (got {confidence!r}). Use for example 0.99.")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: must be between 0 and 1 (got {confidence}). Use for example 0.99.")


def _problem_of(runs: Runs, problem: Problem | None) -> Problem:
    if problem is None:
        if runs.problem not in problems.names():
            raise ValueError(f"problem: {runs.problem!r} is not registered, so its loss is not known here (got None). "
                             "Pass the problem that ran: runs.minima(problem=...).")
        problem = problems.get(runs.problem)
        _check_loss(runs, problem)
    problem = arguments.problem(problem)
    want, have = ([(leaf.shape[skip:]) for leaf in jax.tree.leaves(tree)] + [jax.tree.structure(tree)]
                  for tree, skip in ((problem.shapes, 0), (runs.params, 1)))
    if problem.name != runs.problem or want != have:
        raise ValueError(f"problem: is not the one that ran (got {problem.name!r} with parameters {want}, the runs are "
                         f"of {runs.problem!r} with {have}). Pass the problem that ran.")
    return problem


def _check_loss(runs: Runs, problem: Problem) -> None:
    """Raise ValueError where a registered problem of the same name gives another loss than the runs have."""
    lane = int(np.argmin(runs.final_loss))
    final = float(runs.final_loss[lane])
    params = jax.tree.map(lambda leaf: leaf[lane], runs.params)
    alike = jax.tree.map(np.shape, problem.shapes) == jax.tree.map(np.shape, params)
    if not alike or not math.isfinite(final):
        return  # that it has other parameters is told by who asks
    loss = float(jax.jit(problem.objective)(params, problem.device_data()))
    if not math.isclose(loss, final, rel_tol=1e-3, abs_tol=1e-3 * abs(float(runs.start_loss[lane]) - final)):
        raise ValueError(f"problem: the registered {runs.problem!r} is not the one that ran (its loss at the end of "
                         f"lane {lane} is {loss:g}, the runs have {final:g}). Pass the problem that ran: "
                         "runs.minima(problem=...).")


def _landscape(problem: Problem, runs: Runs, alive: np.ndarray) -> Landscape:
    """How far starts lie apart, and how far a lane usually falls."""
    if problem.domain is not None:
        size = sum(leaf[0].size for leaf in jax.tree.leaves(runs.params))
        scale = math.sqrt(size / 12) * (problem.domain[1] - problem.domain[0])
    else:
        starts = newton.flatten(lanes.draw_starts(problem, jax.random.key(0), SPREAD_STARTS))
        scale = math.sqrt(((starts - starts.mean(axis=0)) ** 2).sum(axis=1).mean())
        if scale == 0:  # one start for all: then its size
            scale = float(np.linalg.norm(starts[0])) or 1.0
    fall = runs.start_loss[alive].astype(np.float64) - runs.final_loss[alive].min()
    return Landscape(scale, float(np.median(np.abs(fall))) or 1.0)


def _kinds(survey: Survey, arrived: np.ndarray, landscape: Landscape) -> np.ndarray:
    bend = np.maximum(np.abs(survey.lowest), np.abs(survey.highest))
    zero = newton.FLAT * np.maximum(bend, landscape.curvature)
    seen = SEEN * landscape.height
    still = (survey.rise <= seen) & (survey.drop <= seen) & (bend <= zero)
    kind = np.where((survey.lowest < -zero) | (survey.drop > seen), SADDLE, np.where(still, PLATEAU, MINIMUM))
    slow = (survey.norm * landscape.scale <= FLAT * landscape.height) & (bend <= FLAT * landscape.curvature)
    return np.where(arrived, kind, np.where(slow, PLATEAU, MOVING))


def _groups(points: np.ndarray, kind: np.ndarray, isolated: np.ndarray, reach: float) -> np.ndarray:
    """Number of the cluster of each point, (points,) 0, 1, …; −1 where it moves."""
    group = np.full(len(kind), -1)
    for each in (MINIMUM, SADDLE, PLATEAU):
        for alone in (True, False):
            rows = np.flatnonzero((kind == each) & (isolated == alone))
            if len(rows):
                group[rows] = 1 + group.max() + linkage.link(points[rows], reach / FINE if alone else reach)
    return group


def _order(
    points: np.ndarray, loss: np.ndarray, group: np.ndarray, count: np.ndarray, norm: np.ndarray, height: float,
    reach: float,
) -> tuple[np.ndarray, np.ndarray]:
    """The row that stands for each cluster, clusters by loss, lanes and place; and each cluster's number from 1."""
    by_group = np.lexsort((norm, group))
    first = by_group[np.flatnonzero(np.diff(group[by_group], prepend=-2))]
    first = first[group[first] >= 0]
    level = np.round(loss[first] / (SAME_LOSS * height))
    place = np.round(points[first] / reach).T
    rank = np.lexsort((*place[::-1], -count[group[first] + 1], level))
    number = np.empty(len(first), int)
    number[rank] = 1 + np.arange(len(first))
    return first[rank], number


def _table(runs: Runs, label: np.ndarray, points: Survey, kind: np.ndarray, lane: np.ndarray) -> pd.DataFrame:
    import pandas as pd

    found = len(lane)
    rest = [(each, word) for each, word in ((NONE, KINDS[MOVING]), (LOST, "diverged")) if (label == each).any()]
    number = np.array([*range(1, found + 1), *(each for each, _ in rest)])
    outcomes = np.zeros((found + 2, len(STATUSES)), int)
    np.add.at(outcomes, (label + 1, runs.status), 1)
    outcomes = outcomes[number + 1]
    count = outcomes.sum(axis=1)
    lane = np.array([*lane, *(_calmest(runs, label == each) for each, _ in rest)], np.int64)
    nothing = [np.nan] * len(rest)
    share = np.array([wilson(int(each), len(label)) for each in count])
    return pd.DataFrame({
        "minimum": number,
        "kind": [*(KINDS[each] for each in kind), *(word for _, word in rest)],
        "loss": [*points.loss, *runs.final_loss[lane[found:]]],
        "lanes": count,
        "share": share[:, 0], "share_low": share[:, 1], "share_high": share[:, 2],
        "status": np.array(STATUSES, object)[outcomes.argmax(axis=1)],
        "curvature_low": [*points.lowest, *nothing],
        "curvature_high": [*points.highest, *nothing],
        "grad_norm": runs.grad_norm[lane],
        "lane": lane,
        "starts_99": [*(starts_needed(int(each), len(label)).value for each in count[:found]), *nothing],
    })


def _calmest(runs: Runs, chosen: np.ndarray) -> int:
    """The lane with the smallest gradient among those chosen; the first of diverged ones, which have none."""
    norm = np.where(np.isfinite(runs.grad_norm), runs.grad_norm, np.inf)
    return int(np.flatnonzero(chosen)[norm[chosen].argmin()])
