"""Schedules against their formulas in float64, against optax, and as the engine multiplies them into the rate."""

from __future__ import annotations

import itertools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from gdjax import schedules

BUDGET = 400
STEPS = np.arange(BUDGET)



def restarting_cosine(t, lengths, end):
    """The last cycle that has begun at t, walked to one by one."""
    begins = [sum(lengths[:place]) / sum(lengths) for place in range(len(lengths))]
    place = max(place for place, begin in enumerate(begins) if begin <= t)
    share = (t - begins[place]) / (lengths[place] / sum(lengths))
    return end + (1 - end) * 0.5 * (1 + math.cos(math.pi * share))


def piecewise(t, *points, curve=lambda share: share):
    """Between points (time, factor); `curve` bends the way between two of them."""
    for (begin, first), (end, last) in itertools.pairwise(points):
        if t <= end:
            return first + (last - first) * curve((t - begin) / (end - begin))
    raise AssertionError(t)


def half_cosine(share):
    return 0.5 * (1 - math.cos(math.pi * share))


def sgdr(lengths, end):
    """Optax's restarts, cycles of these many steps."""
    return optax.sgdr_schedule([{"init_value": 1.0, "peak_value": 1.0, "warmup_steps": 0, "decay_steps": length,
                                 "end_value": end} for length in lengths])


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
    "rex": (schedules.rex(end=0.1), lambda t: 0.1 + 0.9 * (1 - t) / (1 / 2 + (1 - t) / 2)),
    "cosine_restarts": (schedules.cosine_restarts(cycles=3, multiplier=2.0, end=0.1),
                        lambda t: restarting_cosine(t, [1, 2, 4], 0.1)),
    "triangular": (schedules.triangular(cycles=2, low=0.2),
                   lambda t: piecewise(t, (0, 0.2), (0.25, 1), (0.5, 0.2), (0.75, 1), (1, 0.2))),
    "one_cycle": (schedules.one_cycle(rise=0.4, start=10.0, end=50.0),
                  lambda t: piecewise(t, (0, 0.1), (0.4, 1), (1, 0.002), curve=half_cosine)),
    "trapezoid": (schedules.trapezoid(rise=0.15, fall=0.45, end=0.05),
                  lambda t: piecewise(t, (0, 0), (0.15, 1), (0.55, 1), (1, 0.05))),
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
        (schedules.one_cycle(), optax.cosine_onecycle_schedule(BUDGET, 1.0)),
        (schedules.one_cycle(rise=0.5, start=4.0, end=10.0),
         optax.cosine_onecycle_schedule(BUDGET, 1.0, 0.5, 4.0, 10.0)),
        (schedules.cosine_restarts(), sgdr([100] * 4, 0.0)),
        (schedules.cosine_restarts(cycles=2, multiplier=3.0, end=0.1), sgdr([100, 300], 0.1)),
        (schedules.triangular(cycles=2), optax.piecewise_interpolate_schedule(
            "linear", 0.25, {100: 4.0, 200: 0.25, 300: 4.0, 400: 0.25})),
        (schedules.trapezoid(), optax.join_schedules(
            [optax.linear_schedule(0.0, 1.0, 40), optax.linear_schedule(1.0, 0.0, 80)], [320])),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_factors_are_those_of_optax(schedule, peer):
    assert factors(schedule) == pytest.approx(np.asarray(jax.vmap(peer)(STEPS)), rel=1e-5, abs=1e-6)


def test_decay_to_zero_ends_at_zero_and_never_below():
    for schedule in (schedules.linear(), schedules.polynomial(), schedules.cosine(), schedules.rex()):
        found = factors(schedule, [0, BUDGET - 1, BUDGET, 2 * BUDGET])
        assert found[0] == 1 and found[1] > 0 and found[2] == found[3] == pytest.approx(0, abs=1e-7)
        assert (factors(schedule) >= 0).all()


RISING = {"cosine_restarts", "triangular", "one_cycle", "trapezoid"}


@pytest.mark.parametrize("name", FORMULAS)
def test_decays_never_rise_and_every_schedule_reaches_the_rate(name):
    found = factors(schedules.get(name), np.arange(BUDGET + 1))
    assert found.max() == pytest.approx(1, abs=1e-6), "the rate is the largest, so that tuned rates can be compared"
    assert found.min() >= 0
    assert (np.diff(found) > 1e-6).any() == (name in RISING)


RESTARTS = [(1, 1), (3, 1), (7, 1), (10, 1), (49, 1), (3, 2), (5, 3), (8, 1.5)]


@pytest.mark.parametrize(("cycles", "multiplier"), RESTARTS)
def test_restarts_land_on_the_step_that_begins_a_cycle(cycles, multiplier):
    """In budgets of up to 100,000 steps and cycles of whole steps: there the factor is 1, a step earlier near the end.

    Beyond, float32 holds no time for every step, and a restart may come a few steps early.
    """
    unit = 2 ** (cycles - 1) if multiplier == 1.5 else 1  # the shortest first cycle of which all are whole steps
    shares = np.cumsum([0, *(round(unit * multiplier**cycle) for cycle in range(cycles))])
    schedule = schedules.cosine_restarts(cycles=cycles, multiplier=multiplier)
    for scale in (scale for scale in (10, 11, 13, 97, 1000) if scale * shares[-1] <= 100_000):
        begins, budget = scale * shares[:-1], int(scale * shares[-1])
        steps = np.concatenate([begins, begins - 1, [budget]]).clip(0)
        found = factors(schedule, np.resize(steps, 128), budget)
        assert found[:cycles] == pytest.approx(np.ones(cycles), abs=1e-6), (scale, "a cycle begins at the rate")
        left = half_cosine_left(1 / (scale * np.diff(shares)[:-1]))  # one step of each cycle
        assert found[cycles + 1:2 * cycles] == pytest.approx(left, rel=0.02, abs=1e-6), (scale, "and no step sooner")
        assert found[2 * cycles] == pytest.approx(0, abs=1e-6), "the last cycle ends with the horizon"


@pytest.mark.parametrize("stairs", [10, 300, 500, 1000])
@pytest.mark.parametrize("width", [7, 10])
def test_every_stair_begins_on_its_step(stairs, width):
    budget = stairs * width
    found = factors(schedules.staircase(factor=0.99, every=1 / stairs), np.arange(budget), budget)
    stair = np.round(np.log(found.astype(np.float64)) / math.log(0.99))
    assert np.array_equal(stair, np.arange(budget) // width)


def half_cosine_left(share_left):
    """Factor when this share of a cycle is left."""
    return 0.5 * (1 - np.cos(np.pi * share_left))


def test_a_cycle_falls_all_the_way_and_a_multiplier_near_one_is_one():
    thirds = factors(schedules.cosine_restarts(cycles=3, end=0.2), np.arange(300), 300).reshape(3, 100)
    assert (np.diff(thirds, axis=1) < 0).all() and thirds.min() > 0.2
    assert thirds[1] == pytest.approx(thirds[0], abs=2e-6) and thirds[2] == pytest.approx(thirds[0], abs=2e-6)
    nearly = schedules.cosine_restarts(cycles=4, multiplier=1 + 1e-6)
    assert factors(nearly, STEPS + 0.5) == pytest.approx(factors(schedules.cosine_restarts(), STEPS + 0.5), abs=1e-4)


def test_one_cycle_peaks_at_its_rise_and_ends_below_its_start():
    found = factors(schedules.one_cycle(rise=0.25, start=20.0, end=100.0), np.arange(BUDGET + 1))
    assert found.argmax() == 100 and found[100] == 1
    assert (np.diff(found[:101]) > 0).all() and (np.diff(found[100:]) < 0).all()
    assert found[[0, -1]] == pytest.approx([1 / 20, 1 / 2000], rel=1e-5)


def test_a_trapezoid_without_a_rise_takes_a_warm_up_that_loses_no_step():
    found = factors(schedules.trapezoid(rise=0.0, fall=1.0))
    assert found == pytest.approx(factors(schedules.linear()), abs=2e-7)
    whole = factors(schedules.trapezoid(rise=0.9, fall=0.1), np.arange(BUDGET + 1))
    assert whole.argmax() == 360 and whole[[0, -1]].tolist() == [0, 0], "the shares fill the horizon"
    flat = factors(schedules.trapezoid(rise=0.25, fall=0.25))
    assert (flat[100:300] == 1).all() and flat[99] < 1 and flat[301] < 1
    warm = factors(schedules.warmup(schedules.trapezoid(rise=0.0), share=0.1))
    assert warm[0] == pytest.approx(1 / 40) and warm[39] == 1


def test_what_rises_ends_with_its_horizon_in_epochs_too():
    for name in RISING:
        schedule = schedules.get(name)
        # one epoch is 10 steps, the horizon 30 of them
        found = factors(schedule.in_epochs(3.0), [10, 30, 31, 300])
        assert found[0] == pytest.approx(factors(schedule, [10], 30)[0], rel=1e-5)
        assert found[1:] == pytest.approx(np.full(3, factors(schedule, [30], 30)[0]), abs=1e-6), name


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
    assert runs.curve.shape == (2 * len(kinds), len(runs.marks))
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
        (schedules.cosine_restarts(cycles=3, multiplier=2.0), "cosine_restarts(cycles=3, multiplier=2)"),
        (schedules.one_cycle(end=100.0), "one_cycle(end=100)"),
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
        (lambda: schedules.linear(end=True), r"schedules: end: .*\(got True\)"),
        (lambda: schedules.linear(end="0.1"), r"schedules: end: .*\(got '0.1'\)"),
        (lambda: schedules.rex(end=-1.0), r"schedules: end: .*\(got -1.0\)"),
        (lambda: schedules.cosine_restarts(cycles=0), r"cycles: must be a whole number of at least 1 \(got 0\)"),
        (lambda: schedules.cosine_restarts(cycles=2.5), r"cycles: must be a whole number .*\(got 2.5\)"),
        (lambda: schedules.cosine_restarts(cycles=math.inf), r"cycles: must be a whole number .*\(got inf\)"),
        (lambda: schedules.cosine_restarts(cycles=math.nan), r"cycles: must be a whole number .*\(got nan\)"),
        (lambda: schedules.cosine_restarts(multiplier=0.5), r"multiplier: .* at least 1 \(got 0.5\)"),
        (lambda: schedules.cosine_restarts(end=-0.5), r"end: .*\(got -0.5\)"),
        (lambda: schedules.cosine_restarts(cycles=40, multiplier=2.0), r"millionth .*\(got 40 cycles, multiplier 2\)"),
        (lambda: schedules.cosine_restarts(cycles=10**7), r"a millionth .*\(got 10000000 cycles, multiplier 1\)"),
        (lambda: schedules.cosine_restarts(cycles=21, multiplier=2), r"millionth .*\(got 21 cycles"),  # 2²¹ > 1e6
        (lambda: schedules.cosine_restarts(cycles=1, multiplier=1e300), r"millionth .*multiplier 1e\+300\)"),
        (lambda: schedules.triangular(cycles=-1), r"cycles: must be a whole number .*\(got -1\)"),
        (lambda: schedules.triangular(low=1.0), r"low: must be a number in \[0, 1\) \(got 1.0\)"),
        (lambda: schedules.triangular(low=math.nan), r"low: .*\(got nan\)"),
        (lambda: schedules.one_cycle(rise=0.0), r"rise: must be a number in \(0, 1\] \(got 0.0\)"),
        (lambda: schedules.one_cycle(rise=1.0), r"rise: must be a number in \[0, 1\) \(got 1.0\)"),
        (lambda: schedules.one_cycle(start=0.5), r"start: .* at least 1 \(got 0.5\)"),
        (lambda: schedules.one_cycle(end=math.inf), r"end: .* at least 1 \(got inf\)"),
        (lambda: schedules.trapezoid(rise=-0.1), r"rise: must be a number in \[0, 1\) \(got -0.1\)"),
        (lambda: schedules.trapezoid(fall=0.0), r"fall: must be a number in \(0, 1\] \(got 0.0\)"),
        (lambda: schedules.trapezoid(rise=0.5, fall=0.6), r"rise, fall: must be 1 together at most \(got 0.5 \+ 0.6\)"),
        (lambda: schedules.trapezoid(end=math.nan), r"end: .*\(got nan\)"),
        (lambda: schedules.cosine().over(1.5), r"schedule cosine: horizon: must be in \(0, 1.0\] .*\(got 1.5\)"),
        (lambda: schedules.cosine().over(0.0), r"schedule cosine: horizon: .*\(got 0.0\)"),
        (lambda: schedules.warmup("cosine", share=1.0), r"schedule cosine: warmup: must be in \[0, 1\).*\(got 1.0\)"),
        *((lambda value=value: schedules.linear().over(value), r"schedule linear: horizon: must be in \(0, 1.0\]")
          for value in ("a", None, True)),
        (lambda: schedules.linear().in_epochs("a"), r"horizon: must be in \(0, inf\] .*\(got 'a'\)"),
        (lambda: schedules.warmup("linear", "x"), r"warmup: must be in \[0, 1\).*\(got 'x'\). 0.1 climbs"),
        (lambda: schedules.Schedule("own", math.exp, ("x",)), r"schedule own: its numbers must be .*'x'.*Have the"),
        (lambda: schedules.Schedule("own", math.exp, (1.0,) * 5), r"shape: at most 4 numbers \(got 5\). Write the oth"),
        (lambda: schedules.Schedule("own", math.exp, unit="steps"), r"unit: must be one of .*\(got 'steps'\). in_epo"),
        (lambda: schedules.polynomial(power="a"), r"power: .*\(got 'a'\). Give one such as 1, or leave it out"),
        (lambda: schedules.get("cosin"), r"schedules: unknown name \(got 'cosin'\). Did you mean 'cosine'\? Known"),
        (lambda: schedules.get("cosin(end=0.1)"), r"schedules: unknown name \(got 'cosin'\). Did you mean 'cosine'\?"),
        (lambda: schedules.get("cosine(ende=1)"), r"schedules: cosine: unknown name \(got 'ende'\). Did you mean"),
        (lambda: schedules.get("inverse_time(decay=-1)"), r"schedules: decay: .*\(got -1\)"),
        (lambda: schedules.get("cosine(warmup=2)"), r"schedule cosine: warmup: must be in \[0, 1\).*\(got 2\)"),
        (lambda: schedules.get("cosine(end=True)"), r"schedules: cosine: end: must be a number \(got True\). Write it"),
    ],
)
def test_numbers_out_of_range_are_refused(make, text):
    with pytest.raises(ValueError, match=text):
        make()


@pytest.mark.parametrize("text", [
    "cosine(0.1)", "cosine(end=0.1", "cosine(end=0.1).over(0.5)", "cosine(end=0, end=1)", "(", "cosine()x",
    "cosine(end=[1])", f"cosine(end={'(' * 10_000})"], ids=lambda text: text[:30])
def test_what_is_no_call_with_named_numbers_is_refused(text):
    with pytest.raises(ValueError, match=r"schedules: must be a name, or a name with numbers, each by its name \(got"):
        schedules.get(text)


@pytest.mark.parametrize("made", [
    schedules.inverse_time(decay=20.0), schedules.polynomial(power=3, end=0.25), schedules.constant(),
    schedules.warmup(schedules.cosine_restarts(cycles=3, multiplier=2.0), share=0.125),
    schedules.step(at=0.75).over(0.5), schedules.exponential(decay=2.5).in_epochs(30),
], ids=lambda made: made.label)
def test_a_label_names_its_schedule(made):
    assert schedules.get(made.label) == made
    assert schedules.get(made.label.replace("=", " = ")) == made


def test_something_that_is_no_schedule_is_refused():
    with pytest.raises(TypeError, match=r"schedules: must be names or schedules \(got 3\).*gdjax.schedules.custom"):
        schedules.get(3)


def test_a_new_schedule_is_one_function_that_registers_itself(monkeypatch):
    monkeypatch.setattr("gdjax.schedules.registry.KINDS", dict(schedules.KINDS))

    @schedules.register
    def sawtooth(low: float = 0.5) -> schedules.Schedule:
        """Saw tooth: 1 − (1 − low)·t."""
        return schedules.Schedule("sawtooth", lambda t, shape: 1 - (1 - shape[0]) * t, (low,))

    assert schedules.names()[-1] == "sawtooth"
    assert factors(schedules.get("sawtooth"), [0, 200]).tolist() == [1, 0.75]
    with pytest.raises(ValueError, match=r"schedules: name is taken \(got 'sawtooth'\). Choose another"):
        schedules.register(sawtooth)

    def low_one(low: float) -> schedules.Schedule:
        return schedules.linear(low)

    with pytest.raises(ValueError, match=r"needs a default \(got none for low\)"):
        schedules.register(low_one)
    for value in (3, "cosine", lambda: schedules.constant()):
        with pytest.raises(TypeError, match=r"schedules: must be a function with a name .* Write it with def"):
            schedules.register(value)


@pytest.mark.parametrize("name", schedules.names())
def test_the_first_line_of_a_schedule_is_its_formula(name):
    """Lists and plots show it: "what it is: formula.", short enough for a line."""
    first = schedules.KINDS[name].__doc__.split("\n")[0]
    assert re.fullmatch(r"[^:]+: [^:]+\.", first) and len(first) <= 110
