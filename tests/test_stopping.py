"""How lanes end: the precedence of statuses, divergence, stall, targets, marks, and hits between marks."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax import stopping
from gdjax.stopping import BUDGET, CONVERGED, DIVERGED, RUNNING, STALLED, TARGET

PARABOLA = gdjax.problems.get("parabola")  # (x − 3)²: with rate r a step multiplies x − 3 by 1 − 2r
INITIAL_LOSS = 26.640560


RULES = stopping.Rules(*(jnp.float32(value) for value in (0.1, 0.5, 100.0, 0.01)), jnp.int32(10))


def numbers(*values):
    return [None if value is None else jnp.float32(value) for value in values]


def status_of(loss=1.0, norm=1.0, step=5):
    """Status at a mark under tolerance 0.1, target 0.5, divergence above 100, budget 10."""
    return int(stopping.status(RULES, *numbers(loss, norm), jnp.int32(step)))


def why_of(loss=1.0, norm=1.0, stall=True):
    """Status of a lane that a step has ended, under the same rules."""
    return int(stopping.why(RULES, *numbers(loss, norm), stall))


def goes_on(loss=1.0, norm=1.0, decrease=1.0, running=True):
    """Whether a step goes on under the same rules, stall below 0.01."""
    masked = None if norm is None else lambda sound: jnp.where(sound, jnp.float32(norm), jnp.nan)
    loss, decrease = numbers(loss, decrease)
    return bool(stopping.goes_on(RULES, jnp.asarray(running), loss, masked, decrease))


def test_statuses_in_their_precedence():
    everything = {"loss": 0.2, "norm": 0.05, "step": 10}
    assert status_of() == RUNNING
    assert status_of(**everything | {"loss": math.nan}) == DIVERGED
    assert status_of(**everything) == CONVERGED
    assert status_of(**everything | {"norm": 1.0}) == TARGET
    assert status_of(step=10) == BUDGET
    assert why_of(loss=math.nan, norm=0.05) == DIVERGED
    assert why_of(norm=0.05) == CONVERGED
    assert why_of() == STALLED
    assert why_of(stall=False) == CONVERGED, "the step saw a norm below the tolerance, whatever rounding says now"
    assert stopping.STATUSES == ("running", "diverged", "converged", "target", "stalled", "budget")


def test_the_edges_of_the_rules():
    assert status_of(norm=0.1) == CONVERGED and status_of(norm=0.1001) == RUNNING
    assert status_of(loss=0.5) == TARGET and status_of(loss=0.5001) == RUNNING
    assert status_of(loss=100.0) == RUNNING and status_of(loss=100.1) == DIVERGED
    assert goes_on(norm=0.1001) and not goes_on(norm=0.1)
    assert not goes_on(running=False)
    assert goes_on(loss=100.0) and not goes_on(loss=100.1)
    assert goes_on(decrease=0.01) and not goes_on(decrease=0.0099)
    for value in (math.nan, math.inf, -math.inf):
        assert status_of(loss=value) == why_of(loss=value) == DIVERGED and not goes_on(loss=value)
    for value in (math.nan, math.inf):
        assert status_of(norm=value) == why_of(norm=value) == DIVERGED and not goes_on(norm=value)
    assert status_of(norm=None) == RUNNING and goes_on(norm=None, decrease=None)
    assert goes_on(loss=0.2), "targets end lanes at marks only"


@pytest.mark.parametrize("examples", [442, 1797])
def test_marks_come_after_the_same_number_of_examples_at_every_batch_size(examples):
    used = [size * stopping.mark_steps(1000 * examples // size, 8, 0) for size in (1, 13, examples)]
    for size, each in zip((1, 13, examples), used, strict=True):
        assert np.abs(each - used[0]).max() <= size, "but for rounding to whole steps"


def descend(**changed):
    """Three starts 1, 10 and 100 away from the minimum of the parabola."""
    starts = 3 + np.array([1.0, 10.0, 100.0], np.float32)
    return gdjax.bgd(PARABOLA, **{"rates": 0.25, "starts": starts, "key": 0, "max_steps": 15, **changed})


def test_a_lane_diverges_a_million_gaps_above_the_optimum():
    runs = descend(rates=1.5, max_steps=200)  # the loss grows fourfold in every step
    first = [math.ceil(math.log(1e6 * INITIAL_LOSS / away**2, 4)) for away in (1, 10, 100)]
    assert runs.frame().steps.tolist() == first
    assert set(runs.frame().status) == {"diverged"}
    assert np.isinf(runs.frame().final_loss).all()
    assert runs.frame().best_loss.tolist() == [1.0, 100.0, 10_000.0], "best so far is the start"
    assert not runs.hits().hit.any()


def test_without_an_optimum_only_what_is_not_finite_diverges():
    free = gdjax.Problem(name="parabola-free", loss=PARABOLA.loss, init=PARABOLA.init)
    starts = np.array([13.0], np.float32)
    runs = gdjax.bgd(free, rates=1.5, starts=starts, key=0, max_steps=200)
    # 100·4ˢ leaves float32 (3.4e38) after 61 steps; its gradient 20·2ˢ would hold to step 124
    assert runs.frame().status.tolist() == ["diverged"]
    assert runs.frame().steps.tolist() == [math.ceil(math.log(3.4e38 / 100, 4))]


def test_a_constant_rate_stalls_when_a_step_gains_too_little():
    runs = descend(stall=1e-3, max_steps=200)
    # loss away²/4ˢ: the gain of step s is 3·away²/4ˢ, below 1e-3 first at s = ⌈log₄(3·away²/1e-3)⌉
    assert runs.frame().steps.tolist() == [math.ceil(math.log(3 * away**2 / 1e-3, 4)) for away in (1, 10, 100)]
    assert set(runs.frame().status) == {"stalled"}


def test_budget_and_tolerance():
    runs = descend()
    assert set(runs.frame().status) == {"budget"} and set(runs.frame().steps) == {15}
    runs = descend(tolerance=0.01)
    # gradient 2·away/2ˢ; at tolerance 0 only a gradient of exactly 0 is converged
    assert runs.frame().steps.tolist() == [math.ceil(math.log2(2 * away / 0.01)) for away in (1, 10, 100)]
    assert set(runs.frame().status) == {"converged"}
    assert (runs.frame().grad_norm <= 0.01).all()


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize(("rate", "more", "status"), [
    (1.5, {}, "diverged"),
    (0.25, {}, "budget"),
    (0.25, {"targets": [2 / 4**10], "stop_at_target": True}, "target"),
    (0.25, {"tolerance": 2.5 / 2**10}, "converged"),
    (1.5, {"targets": [1e-9], "stop_at_target": True, "tolerance": 1e-9}, "diverged")])
@pytest.mark.parametrize("marks", [1, 3])
def test_what_the_last_mark_shows_ends_a_lane(batch_size, rate, more, status, marks):
    same = gdjax.Problem(name="same-examples", loss=lambda x, example: (x - example) ** 2, init=PARABOLA.init,
                         data=np.full(4, 3.0, np.float32), optimum=0.0, initial_loss=1.0)
    runs = gdjax.minibatch(same, batch_size=batch_size, rates=rate, starts=np.array([4.0], np.float32), key=0,
                           max_steps=10, marks=marks, **more)
    end = (1 - 2 * rate) ** 20  # (x − 3)² after ten steps; 4¹⁰ is above a million times the initial gap of 1
    lane = runs.frame().iloc[0]
    assert (lane.status, lane.steps) == (status, 10)
    assert lane.final_loss == (math.inf if status == "diverged" else end)
    assert lane.best_loss == min(1.0, end)
    assert runs.curve[0, -1] == end


def test_a_target_met_at_the_start_is_hit_at_step_0():
    runs = descend(targets=[1.0], stop_at_target=True)
    assert runs.frame().steps[0] == 0 and runs.frame().status[0] == "target"
    hits = runs.hits()
    assert hits.hit.tolist() == [True] * 3
    assert hits.loc[0, ["steps_before", "steps", "steps_after", "examples"]].tolist() == [0, 0, 0, 0]
    assert (hits.steps[1:] > 0).all()
    going_on = descend(targets=[1.0])
    assert going_on.frame().steps.tolist() == [15] * 3
    assert going_on.hits().steps[0] == 0


def test_a_target_below_the_optimum_is_a_miss_at_the_budget():
    runs = descend(targets=[-1.0], stop_at_target=True)
    assert set(runs.frame().status) == {"budget"}
    hits = runs.hits()
    assert not hits.hit.any()
    assert hits[["steps_before", "steps", "steps_after", "examples"]].isna().all(axis=None)


def test_geometric_decay_is_interpolated_exactly_from_the_start_and_nearly_between_marks():
    """The loss is away²·4⁻ˢ: the target is crossed at s = log₄(away²/target), wherever the marks lie."""
    runs = descend(targets=[0.9, 1e-2, 1e-6], marks=28, max_steps=6000)  # the first at 6, 8, 10, 13 and 17
    hits = runs.hits()
    away = np.array([1.0, 10.0, 100.0])[hits.lane]
    crossed = np.log(away**2 / hits.target) / np.log(4)
    assert hits.hit.all()
    assert (hits.steps_before <= crossed).all() and (crossed <= hits.steps_after).all()
    assert np.array_equal(hits.examples, hits.steps), "without data one step is one example"
    # between marks of ratio R straight in log s and straight in s differ by a ratio of 1 + (ln R)²/8 at most
    ratio = np.where(hits.steps_before > 0, hits.steps_after / hits.steps_before.clip(1), 1.0)
    least = np.maximum(crossed, hits.steps_before + 1)  # a hit takes one update more than the mark before it
    assert (np.abs(hits.steps - least) <= crossed * (np.log(ratio) ** 2 / 8 + 1e-5)).all()
    assert 1.0 in ratio and 1.2 < ratio.max() < 1.5 and (least > crossed).any() and (least == crossed).sum() > 4


def test_between_marks_one_step_apart_a_hit_is_the_first_update_that_meets_the_target():
    """(x − 3)² times (1 − 2r)² in an update: rate 0.5 ends at f* in one, others take ⌈log_(1−2r)²(target/away²)⌉."""
    rates, targets = [0.5, 0.45, 0.25], [0.9, 0.09, 1e-3]
    hits = descend(rates=rates, targets=targets, max_steps=15, marks=400).hits().to_numpy()[:, 2:6].astype(float)
    away, rate, target = (grid.ravel() for grid in np.meshgrid([1.0, 10.0, 100.0], rates, targets, indexing="ij"))
    order = np.argsort(-target, kind="stable")  # of `hits`: by target, then lane
    needed = [1 if each == 0.5 else math.ceil(math.log(goal / start**2, (1 - 2 * each) ** 2))
              for start, each, goal in zip(away[order], rate[order], target[order], strict=True)]
    assert hits.tolist() == [[1, after - 1, after, after] for after in needed]


@pytest.mark.parametrize(
    ("before", "after", "high", "low", "target", "floor", "step"),
    [
        (10, 40, 4.0, 1.0, 2.0, 0.0, 20.0),  # half-way in log loss is half-way in log s
        (10, 40, 5.0, 2.0, 3.0, 1.0, 20.0),  # the floor is taken off first
        (10, 40, 4.0, 2.0, 2.0, 0.0, 40.0),  # at the mark itself
        (0, 40, 4.0, 1.0, 2.0, 0.0, 20.0),  # from the start s itself is straight
        (10, 40, 3.0, 1.0, 2.0, -math.inf, 20.0),  # floor unknown: the loss is straight
        (100, 400, 4.0, 0.0, 2.0, 0.0, 100 * 4 ** (1 / 128)),  # the floor counts as 2⁻¹²⁶, 128 halvings below 4
        (10, 40, 4.0, 0.0, 2.0, 0.0, 11.0),  # 10 · 4^(1/128) = 10.1, but a hit takes one more update at least
        (0, 40, 4.0, 0.0, 2.0, 0.0, 1.0),
        (10, 11, 4.0, 1.0, 2.0, 0.0, 11.0),
        (10, 40, math.inf, 1.0, 2.0, 0.0, 40.0),  # nothing is known of the way: the mark itself
    ],
)
def test_hits_between_two_marks(before, after, high, low, target, floor, step):
    found = stopping.interpolate(*(np.array([float(x)]) for x in (before, after, high, low)), target, floor)
    assert found[0] == pytest.approx(step, rel=1e-12)


def test_marks_are_the_same_shares_of_every_budget():
    long, longer = stopping.mark_steps(10_000, 13, 0), stopping.mark_steps(1_000_000, 13, 0)
    assert longer / 1e6 == pytest.approx(long / 1e4, abs=1e-4), "but for rounding to whole steps"
    assert longer[1:] / longer[:-1] == pytest.approx(10**0.25, rel=1e-3)
    assert (longer[0], longer[-1]) == (1000, 1_000_000)


@pytest.mark.parametrize("budget", [1, 2, 5, 100, 4321])
def test_marks_are_whole_steps_without_repeats_that_end_at_the_budget(budget):
    marks = stopping.mark_steps(budget, 24, 0)
    assert marks[0] >= 1 and marks[-1] == budget and (np.diff(marks) > 0).all() and len(marks) <= 24
    assert stopping.mark_steps(budget, None, 0).tolist() == [budget], "no targets: only the end is scored"
    ratios = stopping.mark_steps(100_000, None, 3)
    assert (ratios[1:] / ratios[:-1]).max() < 1.26, "32 marks over three decades: ratio 1.25"
