"""Where a second device wins: planted crossings are found where they are, and nothing is said of what is not known."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from bench.analysis.crossover import crossovers, passes_one, ratios
from bench.analysis.throughput import best_so_far, knee
from bench.analysis.verdicts import SAME

LANES = [4**power for power in range(8)]


def run(rate, *, sizes=(1,), lanes=LANES, spread=0.0, status=None) -> pd.DataFrame:
    """A table whose lane-steps per second are `rate(size, lanes)`, with intervals `spread` wide on both sides."""
    rows = []
    for size in sizes:
        for count in lanes:
            state = (status or {}).get((size, count), "finished")
            value = rate(size, count) if state == "finished" else math.nan
            rows.append({"batch_size": size, "lanes": count, "status": state, "lane_steps_per_s": value,
                         "lane_steps_per_s_low": value * (1 - spread), "lane_steps_per_s_high": value * (1 + spread)})
    return pd.DataFrame(rows)


def flat(size, lanes):
    return 1000.0


def growing(size, lanes):
    return 10.0 * lanes * size


def test_a_planted_crossing_is_found_exactly():
    """B = 10·L·size passes A = 1000 at L = 100/size: straight in the logarithms, so the interpolation is exact."""
    found = crossovers(ratios(run(flat, sizes=(1, 8)), run(growing, sizes=(1, 8))))
    assert [each.kind for each in found] == ["from", "from"]
    assert [each.lanes for each in found] == pytest.approx([100, 12.5])


def test_the_interval_of_a_crossing_is_that_of_the_ratio():
    """Rates known to ±10 %: the ratio lies within 0.9/1.1 and 1.1/0.9, and so does the place where it is 1."""
    one = crossovers(ratios(run(flat, spread=0.1), run(growing, spread=0.1)))[0]
    assert (one.low, one.high) == pytest.approx((100 * 0.9 / 1.1, 100 * 1.1 / 0.9))


@pytest.mark.parametrize(("rate", "kind", "lanes"), [
    (lambda size, lanes: 2000.0, "always", 0.0),
    (lambda size, lanes: 500.0, "never", math.inf),
    (lambda size, lanes: 1000.0, SAME, math.inf),
])
def test_a_device_that_always_never_or_nowhere_wins(rate, kind, lanes):
    one = crossovers(ratios(run(flat), run(rate)))[0]
    assert (one.kind, one.lanes) == (kind, lanes)


def test_a_lead_that_is_lost_again_is_no_crossing():
    """B grows early and stays at 2000; A starts at 1000 and passes it at the end."""
    late = run(lambda size, lanes: 1000.0 if lanes < 1000 else 9000.0)
    one = crossovers(ratios(late, run(lambda size, lanes: 2000.0)))[0]
    assert (one.kind, one.lanes) == ("between", math.inf)


@pytest.mark.parametrize(("last", "spread", "kind", "lanes"), [
    (1300.0, 0.1, "from", 1.0),  # the last alone leaves out 1 (1.3 · 0.9/1.1 = 1.06), though all ratios are above it
    (1050.0, 0.1, SAME, math.inf),  # nor does the last (0.86)
    (1010.0, 0.001, SAME, math.inf),  # left out, but below the floor of 2 %
])
def test_a_win_is_told_of_where_a_corner_shows_it(last, spread, kind, lanes):
    """B leads by 0.5 % at every lane count but the last."""
    ahead = run(lambda size, lanes: last if lanes == LANES[-1] else 1005.0, spread=spread)
    one = crossovers(ratios(run(flat, spread=spread), ahead))[0]
    assert (one.kind, max(one.lanes, 1.0)) == (kind, lanes)
    assert LANES[-2] < one.high < LANES[-1] if kind == "from" else one.high == math.inf


@pytest.mark.parametrize(("before", "kind"), [(500.0, "never"), (1995.0, "between")])
def test_a_lead_that_the_last_corner_does_not_show_is_none(before, kind):
    """B does 5 % more than A with the most lanes, both known to ±10 %; with fewer it does half, or twice as much."""
    a = run(lambda size, lanes: 1900.0 if lanes == LANES[-1] else 1000.0, spread=0.1)
    b = run(lambda size, lanes: 1995.0 if lanes == LANES[-1] else before, spread=0.1)
    one = crossovers(ratios(a, b))[0]
    assert (one.kind, one.lanes, one.high) == (kind, math.inf, math.inf) and one.low < LANES[-1]


def test_a_job_runs_in_waves_where_fewer_lanes_are_faster():
    """Past its best width of 16 lanes a device loses nothing: the job runs 16 lanes at a time."""
    peak = run(lambda size, lanes: 100.0 * min(lanes, 16) / max(1, lanes / 16))
    best = best_so_far(peak)
    assert best["lane_steps_per_s"].tolist() == [100, 400, *[1600] * 6]
    assert best["best_lanes"].tolist() == [1, 4, *[16] * 6]


def test_no_memory_means_waves_and_no_time_means_not_known():
    """A job too large for the memory runs in waves; where time ran out nothing was measured, so nothing is said."""
    short = run(flat, status={(1, 4096): "oom", (1, 16384): "skipped"})
    assert best_so_far(short)["lanes"].tolist() == LANES[:7]
    assert ratios(short, run(flat))["lanes"].tolist() == LANES[:7]


def test_a_batch_size_without_a_finished_corner_is_left_out():
    table = run(flat, sizes=(1, 8), status={(8, lanes): "oom" for lanes in LANES})
    assert set(best_so_far(table)["batch_size"]) == {1}
    assert best_so_far(run(flat, status={(1, lanes): "skipped" for lanes in LANES})).empty


def test_a_difference_within_the_interval_or_the_floor_is_not_told_of():
    """1.5 times with intervals of ±30 % reaches below 1 (1.5·0.7/1.3 = 0.81); 1.01 times is below the floor of 2 %."""
    wide = ratios(run(flat, spread=0.3), run(lambda size, lanes: 1500.0, spread=0.3))
    small = ratios(run(flat), run(lambda size, lanes: 1010.0))
    assert set(wide["verdict"]) == set(small["verdict"]) == {SAME}


def test_swapped_runs_tell_the_opposite():
    there, back = ratios(run(flat), run(growing)), ratios(run(growing), run(flat))
    assert np.allclose(there["ratio"] * back["ratio"], 1)
    turned = {"faster": "slower", "slower": "faster", SAME: SAME}
    assert [turned[each] for each in there["verdict"]] == back["verdict"].tolist()


def test_a_ratio_of_exactly_one_is_no_win():
    assert passes_one(np.array([1.0, 4.0]), np.array([1.0, 1.0])) == math.inf


@pytest.mark.parametrize(("rates", "wanted"), [
    ([1, 4, 16, 64], None),  # grows to the last
    ([1, 9, 10, 10], 4),  # the second has 90 % of the best
    ([10, 9, 8, 7], 1),  # falls from the first
])
def test_the_knee(rates, wanted):
    assert knee(np.array([1, 4, 16, 64]), np.array(rates, float)) == wanted
