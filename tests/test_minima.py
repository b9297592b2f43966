"""Minima of many starts: kinds, shares, curvature and numbers against closed forms and float64 references."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import binomtest, ortho_group

import gdjax
from gdjax import linkage, newton
from gdjax.stopping import BUDGET, CONVERGED, DIVERGED

COLUMNS = ["minimum", "kind", "loss", "lanes", "share", "share_low", "share_high", "status", "curvature_low",
           "curvature_high", "grad_norm", "lane", "starts_99"]
SIDE, RATE, STEPS = 40, 0.002, 600
HIMMELBLAU = np.array([[3.0, 2.0], [-2.805118, 3.131312], [-3.779310, -3.283186], [3.584428, -1.848126]])
"""The four minima as tables print them, to six decimals."""


def grid() -> np.ndarray:
    axis = -5 + 10 * (np.arange(SIDE) + 0.5) / SIDE
    return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2).astype(np.float32)


@pytest.fixture(scope="module")
def valley() -> gdjax.Runs:
    """Himmelblau's function from 1,600 starts, every one of 600 steps."""
    return gdjax.bgd(gdjax.problems.get("himmelblau"), rates=RATE, starts=grid(), key=0, max_steps=STEPS)


@pytest.fixture(scope="module")
def found(valley) -> gdjax.minima.Found:
    return gdjax.minima.find(valley)


@pytest.fixture
def ended(valley):
    """Runs of lanes that stopped at given parameters, as a function."""

    def make(problem, params, status=BUDGET, start_loss=8.0) -> gdjax.Runs:
        params = jax.tree.map(np.asarray, params)
        lanes = len(jax.tree.leaves(params)[0])
        both = jax.jit(jax.vmap(jax.value_and_grad(problem.objective), (0, None)))
        loss, slope = both(params, problem.device_data())
        status = np.broadcast_to(np.asarray(status, np.int8), (lanes,))
        norm = np.sqrt(sum((np.asarray(leaf).reshape(lanes, -1) ** 2).sum(axis=1) for leaf in jax.tree.leaves(slope)))
        return dataclasses.replace(
            valley, problem=problem.name, params=params, status=status, start=np.arange(lanes),
            setting=np.zeros(lanes, int), steps=np.full(lanes, 7), start_loss=np.full(lanes, start_loss),
            final_loss=np.where(status == DIVERGED, np.inf, loss), best_loss=np.asarray(loss),
            grad_norm=np.where(status == DIVERGED, np.nan, norm))

    return make


def test_the_four_minima_of_himmelblau(valley, found):
    table = found.table
    assert list(table.columns) == COLUMNS
    assert table.minimum.tolist() == [1, 2, 3, 4] and set(table.kind) == {"minimum"}
    assert table.lanes.sum() == SIDE**2 and (np.diff(table.lanes) <= 0).all(), "equal losses: most lanes first"
    assert (table.loss < 1e-20).all(), "0 at all four, by Newton in float64"
    nearest = np.abs(found.points[:, None] - HIMMELBLAU).max(axis=2).argmin(axis=1)
    assert sorted(nearest) == [0, 1, 2, 3]
    assert found.points == pytest.approx(HIMMELBLAU[nearest], abs=1e-6), "the six decimals that tables print"
    for row, (x, y) in zip(table.itertuples(), found.points, strict=True):
        hessian = [[12 * x**2 + 4 * y - 42, 4 * x + 4 * y], [4 * x + 4 * y, 12 * y**2 + 4 * x - 26]]
        assert [row.curvature_low, row.curvature_high] == pytest.approx(np.linalg.eigvalsh(hessian), rel=1e-9)
        assert valley.params[row.lane] == pytest.approx(np.array([x, y]), abs=0.01), "its lane indexes runs.params"
        assert row.grad_norm == valley.grad_norm[found.label == row.minimum].min() == valley.grad_norm[row.lane]


def test_shares_are_those_of_a_float64_descent(found):
    ends = grid().astype(np.float64)
    for _ in range(STEPS):
        x, y = ends.T
        a, b = x**2 + y - 11, x + y**2 - 7
        ends = ends - RATE * np.stack([4 * x * a + 2 * b, 2 * a + 4 * y * b], axis=1)
    nearest = np.linalg.norm(ends[:, None] - found.points, axis=2).argmin(axis=1) + 1
    assert np.linalg.norm(ends - found.points[nearest - 1], axis=1).max() < 1e-3
    assert (nearest == found.label).mean() >= 1 - 2 / SIDE**2, "but for two starts on a border, by float32 rounding"
    for row in found.table.itertuples():
        interval = binomtest(int(row.lanes), SIDE**2).proportion_ci(method="wilson")
        assert row.share == row.lanes / SIDE**2
        assert (row.share_low, row.share_high) == pytest.approx((interval.low, interval.high), rel=1e-12)
        assert row.starts_99 == math.ceil(math.log(0.01) / math.log(1 - row.share))


def test_the_order_of_lanes_changes_nothing_but_their_numbers(valley, found):
    order = np.random.default_rng(0).permutation(SIDE**2)
    lanes = {name: getattr(valley, name)[order] for name in ("params", "status", "final_loss", "start_loss",
                                                             "grad_norm", "setting", "start")}
    other = gdjax.minima.find(dataclasses.replace(valley, **lanes))
    assert (other.label == found.label[order]).all()
    assert (lanes["params"][other.table.lane] == valley.params[found.table.lane]).all(), "the same end points"
    assert other.table.drop(columns="lane").equals(found.table.drop(columns="lane"))


def test_runs_minima_is_the_table(valley, found):
    assert valley.minima().equals(found.table)
    assert valley.minima(problem=gdjax.problems.get("himmelblau"), tolerance=1e-2).equals(found.table)


def test_lanes_within_reach_are_at_the_minimum_and_others_are_not(ended):
    """Starts from U(−5, 5)² lie √2 · 10/√12 = 4.08 apart: the reach is 0.0408."""
    reach = 0.01 * math.sqrt(2) * 10 / math.sqrt(12)
    problem = dataclasses.replace(gdjax.problems.get("himmelblau"), domain=(-5.0, 5.0))
    angle = np.linspace(0, 2 * np.pi, 50, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    distance = reach * np.array([1e-6, 0.01, 0.3, 0.99, 1.01, 3.0])
    params = np.array([3.0, 2.0]) + (distance[:, None, None] * ring).reshape(-1, 2)
    status = np.repeat([CONVERGED, BUDGET, CONVERGED, BUDGET, BUDGET, DIVERGED], 50)
    found = gdjax.minima.find(ended(problem, params.astype(np.float64), status), problem=problem)
    assert found.label.tolist() == [1] * 200 + [0] * 50 + [-1] * 50
    assert found.table.kind.tolist() == ["minimum", "not stationary", "diverged"]
    assert found.table.lanes.tolist() == [200, 50, 50]
    assert found.table.status.tolist() == ["converged", "budget", "diverged"], "the most frequent; a tie is the first"
    assert found.table.loss.tolist()[2] == np.inf and np.isnan(found.table.starts_99.tolist()[1:]).all()
    wide = gdjax.minima.find(ended(problem, params.astype(np.float64), status), problem=problem, tolerance=0.04)
    assert wide.label.tolist() == [1] * 250 + [-1] * 50


def patchwork() -> gdjax.Problem:
    """Six landscapes side by side, each ten wide and centred at x = 0, 10, …, 50; starts are spread over 1."""

    def loss(p):
        x, y = p
        pieces = [
            lambda x: x**4 + y**2,  # a minimum of curvature 0
            lambda x: x**3 - 3 * x * y**2,  # the monkey saddle
            lambda x: x**3 + y**2,  # falls on one side only
            lambda x: jnp.maximum(x**2 + y**2 - 1, 0.0) ** 2 + 2.0,  # flat inside the unit circle
            lambda x: (x**2 + y**2 - 1) ** 2 + 3.0,  # a ring of minima
            lambda x: jnp.abs(x) + y**2 + 4.0,  # a kink
            lambda x: x**2 - y**2 + 5.0,  # a saddle
            lambda x: 6.0 + jnp.exp(-x) + y**2,  # falls for ever
        ]
        return jnp.select([x < 10 * i + 5 for i in range(7)], [each(x - 10 * i) for i, each in enumerate(pieces[:-1])],
                          pieces[-1](x - 70))

    return gdjax.Problem(name="patchwork", loss=loss, init=lambda key: jax.random.uniform(key, (2,)),
                         domain=(0.0, math.sqrt(6)))  # a spread of 1


def test_kinds_of_stationary_points(ended):
    problem = patchwork()
    angle = np.linspace(0, 2 * np.pi, 800, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    draw = np.random.default_rng(1)
    near = 0.005 * circle[::40]
    inside = np.stack(np.meshgrid(*[np.linspace(-0.2, 0.2, 60)] * 2), axis=-1).reshape(-1, 2)
    groups = [
        (0, near, "minimum"), (10, near, "saddle"), (20, near, "saddle"),
        (30, inside, "plateau"), (40, circle * draw.uniform(0.996, 1.004, (800, 1)), "minimum"),
        (50, near[near[:, 0] > 1e-3], "not stationary"), (60, near, "saddle"), (70, near, "not stationary"),
    ]
    params = np.concatenate([points + np.array([shift, 0]) for shift, points, _ in groups])
    found = gdjax.minima.find(ended(problem, params), problem=problem)
    place = np.repeat(np.arange(8), [len(points) for _, points, _ in groups])
    kind = dict(zip(found.table.minimum, found.table.kind, strict=True))
    for index, (_, _, wanted) in enumerate(groups):
        label = set(found.label[place == index])
        assert len(label) == 1, f"{wanted} {index} is one: a valley and a plateau hang together"
        assert kind[label.pop()] == wanted, index
    assert len(found.table) == 7, "no two of the six are one, and what moves has one row"
    by_kind = found.table.set_index("loss")
    ring = by_kind.loc[3.0]
    assert [ring.curvature_low, ring.curvature_high] == pytest.approx([0, 8], abs=1e-6), "8r² − … along the radius"
    saddle = by_kind.loc[5.0]
    assert [saddle.curvature_low, saddle.curvature_high] == pytest.approx([-2, 2], abs=1e-12)


def test_one_parameter_that_is_a_scalar(ended):
    """(x² − 1)²: minima of curvature 8 at ±1, and −4 between them."""
    well = gdjax.Problem(name="well", loss=lambda x: (x * x - 1) ** 2 + 0.1 * x,
                         init=lambda key: jax.random.uniform(key, (), minval=-2.0, maxval=2.0))
    roots = np.sort(np.roots([4, 0, -4, 0.1]).real)
    params = np.repeat(roots, [3, 4, 5]) + 1e-3 * np.cos(np.arange(12))
    found = gdjax.minima.find(ended(well, params), problem=well)
    assert found.points[:, 0] == pytest.approx(roots[[0, 2, 1]], abs=1e-10), "lowest loss first"
    assert found.table.kind.tolist() == ["minimum", "minimum", "saddle"]
    assert found.table.lanes.tolist() == [3, 5, 4]
    assert found.table.curvature_low.to_numpy() == pytest.approx(12 * roots[[0, 2, 1]] ** 2 - 4, rel=1e-9)


def test_noisy_lanes_of_a_problem_with_data_and_named_parameters():
    """Least squares: the Hessian of the mean is 2 · mean of (x², x; x, 1); lanes of batches of 10 hover around it."""
    problem = gdjax.problems.get("line-fit")
    runs = gdjax.minibatch(problem, batch_size=10, rates=0.1, starts=64, key=0, max_epochs=60)
    found = gdjax.minima.find(runs, tolerance=0.1)
    x = problem.data[0]
    hessian = 2 * np.array([[1, x.mean()], [x.mean(), (x**2).mean()]])
    assert found.table.kind.tolist()[0] == "minimum" and found.table.lanes.tolist()[0] >= 60
    assert found.table.loss[0] == pytest.approx(problem.optimum, rel=1e-6)
    assert found.points[0] == pytest.approx([problem.minimizer["b"], problem.minimizer["w"]], rel=1e-5)
    assert found.table.loc[0, ["curvature_low", "curvature_high"]].to_numpy(float) == pytest.approx(
        np.linalg.eigvalsh(hessian), rel=1e-5)
    strict = runs.minima(tolerance=1e-7)
    assert strict.kind.tolist() == ["not stationary"], "no lane of noisy steps stands at the minimum itself"


def test_many_parameters_by_lanczos(ended):
    """A quadratic form in 240 parameters with a known spectrum, in a random basis; lanes 0.9 of the reach away."""
    values = np.concatenate([[-3.0, -1.0], np.geomspace(1, 50, 236), [80.0, 100.0]])
    basis = ortho_group.rvs(240, random_state=0)
    matrix, centre = basis * values @ basis.T, np.random.default_rng(0).normal(size=240)

    def loss(params):
        flat = jnp.concatenate([params["a"].ravel(), params["b"]]) - centre
        return 0.5 * flat @ (matrix @ flat)

    form = gdjax.Problem(name="form", loss=loss, domain=(-1.0, 1.0),
                         init=lambda key: {"a": jnp.zeros((10, 14)), "b": jnp.zeros(100)})
    reach = 0.01 * math.sqrt(240 / 12) * 2
    step = np.random.default_rng(1).normal(size=(6, 240))
    ends = centre + 0.9 * reach * step / np.linalg.norm(step, axis=1, keepdims=True)
    params = {"a": ends[:, :140].reshape(-1, 10, 14), "b": ends[:, 140:]}
    found = gdjax.minima.find(ended(form, params), problem=form)
    assert found.table.kind.tolist() == ["saddle"] and found.table.lanes.tolist() == [6]
    assert found.points[0] == pytest.approx(centre, abs=1e-6)
    extremes = np.linalg.eigvalsh(matrix)[[0, -1]]
    assert found.table.loc[0, ["curvature_low", "curvature_high"]].to_numpy(float) == pytest.approx(extremes, rel=1e-8)


@jax.jit
def lanczos_of(matrix: jax.Array, start: jax.Array) -> tuple[jax.Array, jax.Array]:
    return newton.lanczos(lambda v: matrix @ v, start, 24)


@pytest.mark.parametrize("case", ["random", "repeated", "zero start"])
def test_lanczos_of_as_many_steps_as_parameters_is_eigh(x64, case):
    draw = np.random.default_rng(2)
    basis = ortho_group.rvs(24, random_state=1)
    values = np.repeat([-2.0, 0.0, 5.0], 8) if case == "repeated" else np.sort(draw.normal(size=24))
    matrix = jnp.asarray(basis * values @ basis.T)
    start = jnp.zeros(24) if case == "zero start" else jnp.asarray(draw.normal(size=24))
    ritz, vectors = lanczos_of(matrix, start)
    assert np.asarray(ritz) == pytest.approx(values, abs=1e-10)
    assert np.asarray(vectors.T @ vectors) == pytest.approx(np.eye(24), abs=1e-10)
    assert np.asarray(matrix @ vectors) == pytest.approx(np.asarray(vectors * ritz), abs=1e-9)


def test_linkage_joins_chains_and_nothing_farther_than_two_radii():
    """Chains of steps 0.3 of the radius are one, and chains three radii apart are two, in any order and place."""
    draw = np.random.default_rng(3)
    for dimension in (1, 2, 5):
        along = np.linspace(0, 30, 101)[:, None] * np.eye(dimension)[0]
        aside = 33 * np.eye(dimension)[0]
        lines = np.concatenate([along, along + aside, along - aside])
        order = draw.permutation(303)
        label = linkage.link(lines[order] + draw.normal(size=dimension), 1.0)
        assert [len(set(label[(order // 101) == each])) for each in range(3)] == [1, 1, 1]
        assert len(set(label)) == 3
    assert len(set(linkage.link(np.zeros((200_000, 2)), 1.0))) == 1, "coincident points make no pairs"


def test_all_lanes_diverged(ended):
    found = gdjax.minima.find(ended(gdjax.problems.get("himmelblau"), np.zeros((3, 2)), DIVERGED))
    assert found.table.kind.tolist() == ["diverged"] and found.label.tolist() == [-1] * 3
    assert found.table.share.tolist() == [1.0] and found.points.shape == (0, 2)


@pytest.mark.parametrize(("hits", "starts"), [(0, 1), (1, 1), (0, 50), (3, 50), (25, 50), (50, 50), (1, 100_000)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_wilson_is_scipys(hits, starts, confidence):
    interval = binomtest(hits, starts).proportion_ci(confidence, method="wilson")
    found = gdjax.minima.wilson(hits, starts, confidence)
    assert found == pytest.approx((hits / starts, interval.low, interval.high), abs=1e-14)


def test_best_of_many_is_the_closed_form_and_the_simulation():
    found = gdjax.minima.best_of(25, 100, 8)
    assert found.value == pytest.approx(1 - 0.75**8, rel=1e-12)
    share = gdjax.minima.wilson(25, 100)
    assert found[1:] == pytest.approx((1 - (1 - share.low) ** 8, 1 - (1 - share.high) ** 8), rel=1e-12)
    tries = (np.random.default_rng(4).random((200_000, 8)) < 0.25).any(axis=1).mean()
    assert tries == pytest.approx(found.value, abs=4 * math.sqrt(0.9 * 0.1 / 200_000)), "four standard errors"
    assert gdjax.minima.best_of(0, 10, 5)[:2] == (0, 0) and gdjax.minima.best_of(10, 10, 5).value == 1
    tiny = gdjax.minima.best_of(1, 10**9, 3).value
    assert tiny == pytest.approx(3e-9, rel=1e-8), "1 − (1 − p)^N keeps its digits where p is small"


@pytest.mark.parametrize(("hits", "starts", "needed"), [(25, 100, 17), (9, 10, 2), (99, 100, 1), (1, 2, 7), (1, 1, 1)])
def test_starts_needed_is_the_smallest_number_that_is_enough(hits, starts, needed):
    """(9, 10): 1 − 0.1² is 0.99 exactly, so two are enough, whatever the rounding of the logarithms."""
    found = gdjax.minima.starts_needed(hits, starts)
    assert found.value == needed
    assert 1 - (1 - hits / starts) ** needed >= 0.99 - 1e-12
    assert needed == 1 or 1 - (1 - hits / starts) ** (needed - 1) < 0.99
    assert found.low <= found.value <= found.high


def test_a_minimum_never_met_may_need_any_number_of_starts():
    found = gdjax.minima.starts_needed(0, 100)
    assert found.value == math.inf == found.high
    assert found.low == math.ceil(math.log(0.01) / math.log(1 - gdjax.minima.wilson(0, 100).high))


@pytest.mark.parametrize(("call", "error", "text"), [
    (lambda: gdjax.minima.wilson(3, 0), ValueError, "starts: must be at least 1"),
    (lambda: gdjax.minima.wilson(4, 3), ValueError, "hits: must be from 0 to starts (got 4 of 3)"),
    (lambda: gdjax.minima.wilson(0.5, 3), TypeError, "hits: must be a whole number"),
    (lambda: gdjax.minima.best_of(1, 3, 0), ValueError, "count: must be at least 1"),
    (lambda: gdjax.minima.starts_needed(1, 3, 1.0), ValueError, "confidence: must be between 0 and 1 (got 1.0)"),
    (lambda: gdjax.minima.starts_needed(1, 3, "all"), TypeError, "confidence: must be a number"),
])
def test_bad_numbers_are_refused(call, error, text):
    with pytest.raises(error) as raised:
        call()
    assert text in str(raised.value)


@pytest.mark.parametrize("tolerance", [0, -1, math.nan, math.inf, "small", True])
def test_a_bad_tolerance_is_refused(valley, tolerance):
    with pytest.raises(ValueError, match="tolerance: must be a number above 0"):
        valley.minima(tolerance=tolerance)


def test_the_problem_must_be_the_one_that_ran(valley):
    with pytest.raises(ValueError, match=r"problem: 'mine' is not registered.*Pass the problem that ran"):
        dataclasses.replace(valley, problem="mine").minima()
    with pytest.raises(ValueError, match=r"problem: is not the one that ran.*got 'bowl'"):
        valley.minima(problem=gdjax.problems.get("bowl"))
    with pytest.raises(ValueError, match="problem: is not the one that ran"):
        dataclasses.replace(valley, problem="parabola").minima()
    with pytest.raises(TypeError, match=r"problem: must be a gdjax.Problem"):
        valley.minima(problem="himmelblau")


def test_a_problem_of_ones_own_with_a_registered_name_is_not_taken_for_that():
    mine = dataclasses.replace(gdjax.problems.get("bowl"), loss=lambda x: 1 + jnp.sum((x - 3) ** 4), optimum=1.0,
                               initial_loss=None)
    runs = gdjax.bgd(mine, rates=1e-3, starts=8, key=0, max_steps=200)
    with pytest.raises(ValueError, match="the registered 'bowl' is not the one that ran"):
        runs.minima()
    assert runs.minima(problem=mine).lanes.sum() == 8
