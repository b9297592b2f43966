"""Schedules against their formulas in float64, against optax, and as the engine multiplies them into the rate."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from gdjax import schedules

BUDGET = 400
STEPS = np.arange(BUDGET)

FORMULAS = {
    "constant": (schedules.constant(), lambda t: 1.0),
    "exponential": (schedules.exponential(decay=3.0), lambda t: math.exp(-3 * t)),
    "staircase": (schedules.staircase(factor=0.5, every=0.125), lambda t: 0.5 ** math.floor(t / 0.125)),
    "linear": (schedules.linear(end=0.25), lambda t: 1 - 0.75 * t),
    "inverse_time": (schedules.inverse_time(decay=20.0), lambda t: 1 / (1 + 20 * t)),
    "inverse_sqrt": (schedules.inverse_sqrt(decay=50.0), lambda t: 1 / math.sqrt(1 + 50 * t)),
    "polynomial": (schedules.polynomial(power=3.0, end=0.1), lambda t: 0.1 + 0.9 * (1 - t) ** 3),
    "cosine": (schedules.cosine(end=0.05), lambda t: 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * t))),
    "step": (schedules.step(factor=0.1, at=0.75), lambda t: 1.0 if t < 0.75 else 0.1),
}


def factors(schedule, steps=STEPS, budget=BUDGET, pace=10.0):
    return schedules.evaluate(schedule, np.asarray(steps), budget, pace)


def test_every_kind_has_a_formula_here():
    assert set(FORMULAS) == set(schedules.KINDS)
    for name, (schedule, _) in FORMULAS.items():
        assert schedule.name == name
        assert schedules.get(name).label == name, "a name stands for the kind with its defaults"


@pytest.mark.parametrize("name", FORMULAS)
def test_factors_are_the_formula_over_a_whole_budget(name):
    schedule, formula = FORMULAS[name]
    assert factors(schedule) == pytest.approx([formula(s / BUDGET) for s in STEPS], rel=2e-6, abs=2e-7)
    # complete after half the budget, and the last value from there on
    half = [formula(min(s / (BUDGET / 2), 1.0)) for s in STEPS]
    assert factors(schedule.over(0.5)) == pytest.approx(half, rel=2e-6, abs=2e-7)


@pytest.mark.parametrize(
    ("schedule", "peer"),
    [
        (schedules.exponential(decay=-math.log(0.01)), optax.exponential_decay(1.0, BUDGET, 0.01)),
        (schedules.staircase(factor=0.5, every=0.1), optax.exponential_decay(1.0, BUDGET // 10, 0.5, staircase=True)),
        (schedules.linear(end=0.1), optax.linear_schedule(1.0, 0.1, BUDGET)),
        (schedules.polynomial(power=2.0, end=0.1), optax.polynomial_schedule(1.0, 0.1, 2.0, BUDGET)),
        (schedules.cosine(end=0.02), optax.cosine_decay_schedule(1.0, BUDGET, alpha=0.02)),
        (schedules.step(factor=0.1, at=0.5), optax.piecewise_constant_schedule(1.0, {BUDGET // 2: 0.1})),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_factors_are_those_of_optax(schedule, peer):
    assert factors(schedule) == pytest.approx(np.asarray([peer(s) for s in STEPS]), rel=1e-5, abs=1e-6)


def test_decay_to_zero_ends_at_zero_and_never_below():
    for schedule in (schedules.linear(), schedules.polynomial(), schedules.cosine()):
        found = factors(schedule, [0, BUDGET - 1, BUDGET, 2 * BUDGET])
        assert found[0] == 1 and found[1] > 0 and found[2] == found[3] == pytest.approx(0, abs=1e-7)
        assert (factors(schedule) >= 0).all()


def test_epochs_are_opt_in_and_do_not_stop():
    schedule = schedules.inverse_time(decay=1.0).in_epochs(2.0)
    # one epoch is 10 steps: t counts units of two epochs, whatever the budget
    assert factors(schedule) == pytest.approx(1 / (1 + STEPS / 20), rel=1e-6)
    assert np.array_equal(factors(schedule, budget=50), factors(schedule, budget=5000))
    linear = schedules.linear(end=0.5).in_epochs(3.0)
    assert factors(linear, [0, 15, 30, 300]) == pytest.approx([1, 0.75, 0.5, 0.5]), "a straight line ends where it ends"


def test_warm_up_climbs_from_the_first_step_and_then_the_schedule_begins():
    found = factors(schedules.warmup("linear", share=0.1))
    assert found[:40] == pytest.approx((np.arange(40) + 1) / 40, rel=1e-5)
    assert found[40:] == pytest.approx(1 - (np.arange(40, 400) - 40) / 360, rel=1e-5, abs=1e-6)
    # of the horizon, not of the budget
    short = factors(schedules.warmup("constant", share=0.5).over(0.1))
    assert short[:21] == pytest.approx([*np.arange(1, 21) / 20, 1.0])


def test_the_engine_multiplies_the_rate_by_the_factor_of_every_step():
    """On f(x) = x a step subtracts the rate: after s steps x = x₀ − rate·Σ factors."""
    slope = gdjax.Problem(name="slope", loss=lambda x: x, init=lambda key: jnp.zeros(()))
    kinds = [schedule for schedule, _ in FORMULAS.values()]
    kinds += [schedules.warmup("cosine", share=0.25).over(0.5), schedules.inverse_time(decay=2.0).in_epochs(40.0),
              schedules.custom(lambda t: 1 + t, name="rising")]
    runs = gdjax.bgd(slope, rates=[1.0, 0.5], schedules=kinds, starts=1, key=0, max_steps=BUDGET, marks=30)
    assert runs.curve.shape == (24, len(runs.marks))
    for lane, (kind, rate) in enumerate((kind, rate) for kind in kinds for rate in (1.0, 0.5)):
        sums = np.cumsum(factors(kind, pace=1.0).astype(np.float64))[runs.marks - 1]
        assert runs.curve[lane] == pytest.approx(-rate * sums, rel=2e-5), kind.label


def test_a_custom_schedule_is_a_function_of_time():
    bumpy = schedules.custom(lambda t: 1 + jnp.sin(20 * t), name="bumpy")
    assert bumpy.label == "bumpy"
    assert factors(bumpy) == pytest.approx(1 + np.sin(20 * STEPS / BUDGET), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(
    ("schedule", "label"),
    [
        (schedules.inverse_time(), "inverse_time"),
        (schedules.inverse_time(decay=20.0), "inverse_time(decay=20)"),
        (schedules.polynomial(power=1.5, end=0.25).over(0.5), "polynomial(power=1.5, end=0.25, horizon=0.5)"),
        (schedules.cosine().in_epochs(3.0), "cosine(horizon=3, unit=epochs)"),
        (schedules.warmup(schedules.step(at=0.25), share=0.05), "step(at=0.25, warmup=0.05)"),
    ],
)
def test_labels_say_what_is_not_the_default(schedule, label):
    assert schedule.label == label


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: schedules.exponential(decay=-1.0), r"schedules: decay: must be a .* at least 0 \(got -1.0\)"),
        (lambda: schedules.inverse_time(decay=math.inf), r"schedules: decay: .*\(got inf\)"),
        (lambda: schedules.staircase(factor=1.5), r"schedules: factor: must be a number in \(0, 1\] \(got 1.5\)"),
        (lambda: schedules.staircase(every=0.0), r"schedules: every: .*\(got 0.0\)"),
        (lambda: schedules.step(at=math.nan), r"schedules: at: .*\(got nan\)"),
        (lambda: schedules.linear(end=-0.1), r"schedules: end: .*\(got -0.1\)"),
        (lambda: schedules.cosine().over(1.5), r"schedule cosine: horizon: must be in \(0, 1.0\] .*\(got 1.5\)"),
        (lambda: schedules.cosine().over(0.0), r"schedule cosine: horizon: .*\(got 0.0\)"),
        (lambda: schedules.warmup("cosine", share=1.0), r"schedule cosine: warmup: must be in \[0, 1\).*\(got 1.0\)"),
        (lambda: schedules.get("cosin"), r"schedules: unknown name \(got 'cosin'\). Did you mean 'cosine'\? Known"),
    ],
)
def test_numbers_out_of_range_are_refused(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_something_that_is_no_schedule_is_refused():
    with pytest.raises(TypeError, match=r"schedules: must be names or schedules \(got 3\).*gdjax.schedules.custom"):
        schedules.get(3)
