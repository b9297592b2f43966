"""Intervals against numbers worked out by hand, and their coverage against data of known median."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.analysis.intervals import (
    RESAMPLES,
    censored_median,
    ert,
    hit_interval,
    median_interval,
    median_resamples,
    percentile_interval,
    ratio_of_medians,
    scaled_ratio,
    two_sided_p,
    wilson,
)

INF = math.inf


@pytest.mark.parametrize(("hits", "lanes", "low", "high"), [
    (16, 32, 0.336309, 0.663691), (0, 10, 0.0, 0.277533), (10, 10, 0.722467, 1.0), (1, 4, 0.045587, 0.699358)])
def test_wilson_is_the_closed_form(hits: int, lanes: int, low: float, high: float) -> None:
    share, z = hits / lanes, 1.959963985
    middle, half = share + z * z / (2 * lanes), z * math.sqrt(share * (1 - share) / lanes + z * z / (4 * lanes**2))
    formula = [(middle + sign * half) / (1 + z * z / lanes) for sign in (-1, 1)]
    assert wilson(hits, lanes) == pytest.approx((share, low, high), abs=1e-6)
    assert [low, high] == pytest.approx(formula, abs=1e-6)


@pytest.mark.parametrize(("steps", "median"), [
    ([3.0, 1.0, 2.0], 2.0), ([4.0, 1.0, 3.0, 2.0], 2.5), ([1.0, INF, INF], INF), ([1.0, 3.0, INF, INF], 3.0),
    ([INF], INF)])
def test_median_is_infinite_exactly_when_fewer_than_half_hit(steps: list[float], median: float) -> None:
    assert censored_median(np.array(steps)) == median


def test_median_resamples_are_medians_of_resamples() -> None:
    values = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    draws = np.random.default_rng([0, 5]).integers(0, 5, (RESAMPLES, 5))
    assert np.array_equal(median_resamples(values), np.median(values[draws], axis=1))


def test_median_interval_agrees_with_the_binomial_law_of_order_statistics() -> None:
    # P(bootstrap median of 5 <= smallest) = P(Bin(5, 1/5) >= 3) = 0.0579 > 2.5 %, so the interval is the whole range
    assert median_interval(np.array([5.0, 1.0, 2.0, 3.0, 4.0])) == (3.0, 1.0, 5.0)


def test_plain_median_of_losses_is_infinite_when_half_diverged() -> None:
    assert median_interval(np.array([1.0, 2.0, INF, INF])).value == INF


def test_ert_is_steps_of_all_lanes_over_hits() -> None:
    estimate = ert(np.array([10.0, 20.0, 100.0, 100.0]), np.array([True, True, False, False]))
    assert estimate.value == 230 / 2
    assert 10 <= estimate.low < 115
    assert estimate.high == INF  # (1/2)^4 = 6 % of the resamples draw no hit


def test_ert_without_a_hit_is_infinite() -> None:
    assert ert(np.full(3, 50.0), np.zeros(3, bool)) == (INF, INF, INF)


def test_hit_interval_contains_the_bracket_of_equal_hits() -> None:
    assert hit_interval(np.full(8, 10.0), np.full(8, 12.0), np.full(8, 14.0)) == (12.0, 10.0, 14.0)


def test_hit_interval_in_seconds_scales_value_and_bracket() -> None:
    steps = np.full(8, 12.0)
    assert hit_interval(steps - 2, steps, steps + 2, np.full(5, 0.5)) == (6.0, 5.0, 7.0)


def test_seconds_interval_is_wider_than_either_part_alone() -> None:
    random = np.random.default_rng(1)
    steps, seconds = random.lognormal(3, 0.3, 32), random.lognormal(0, 0.3, 10)
    both = hit_interval(steps, steps, steps, seconds)
    alone = hit_interval(steps, steps, steps)
    assert both.high / both.low > alone.high / alone.low


def test_interval_in_seconds_covers_hits_anywhere_in_the_bracket_with_step_times_that_vary() -> None:
    """All starts hit between marks 20 and 27 at a step that only the truth knows; 10 step times vary by 20 %."""
    random, covered, trials = np.random.default_rng(0), 0, 400
    before, middle, after = (np.full(32, step) for step in (20.0, 23.2, 27.0))
    for _ in range(trials):
        found = hit_interval(before, middle, after, random.lognormal(0, 0.2, 10))
        covered += found.low <= random.uniform(20, 27) <= found.high
    assert covered >= 0.95 * trials


def test_missing_step_times_give_nan() -> None:
    assert all(math.isnan(part) for part in hit_interval(np.ones(3), np.ones(3), np.ones(3), np.array([])))


def test_ratio_of_paired_samples_that_differ_by_a_factor_has_no_width() -> None:
    steps = np.random.default_rng(2).lognormal(3, 1, 31)
    assert ratio_of_medians(2 * steps, steps, paired=True) == pytest.approx((2.0, 2.0, 2.0))
    unpaired = ratio_of_medians(2 * steps, steps, paired=False)
    assert unpaired.low < 1.5 < 2.5 < unpaired.high


@pytest.mark.parametrize("lanes", [1, 4, 31, 500])  # 500: drawn in chunks of 8,000 resamples
def test_paired_resamples_are_medians_and_sums_of_the_same_starts(lanes: int) -> None:
    """What counting how often a start was drawn gives, is what laying the drawn starts out gives, to the last bit."""
    steps = np.random.default_rng(5).lognormal(3, 1, lanes).round(1)  # some are equal
    hit = steps < 40
    random = np.random.default_rng([0, lanes])
    chunks = [8000, RESAMPLES - 8000] if lanes == 500 else [RESAMPLES]
    draws = np.concatenate([random.integers(0, lanes, (chunk, lanes)) for chunk in chunks])
    above, below = (np.sort(np.where(known, steps, INF)[draws], axis=1) for known in (hit, ~hit))
    with np.errstate(divide="ignore", invalid="ignore"):
        medians = [np.where(np.isinf(right), left, (left + right) / 2) for left, right in (
            (each[:, (lanes - 1) // 2], each[:, lanes // 2]) for each in (above, below))]
        ratio = np.where(medians[0] == medians[1], 1.0, medians[0] / medians[1])
        spent = steps[draws].sum(axis=1) / hit[draws].sum(axis=1)
    found = ratio_of_medians(np.where(hit, steps, INF), np.where(hit, INF, steps), paired=True)
    assert found[1:] == percentile_interval(ratio)
    assert ert(steps, hit)[1:] == percentile_interval(spent)


def test_both_missed_is_a_tie_and_one_missed_is_a_loss() -> None:
    missed, hit = np.full(4, INF), np.full(4, 5.0)
    assert ratio_of_medians(missed, missed, paired=True) == (1.0, 1.0, 1.0)
    assert ratio_of_medians(missed, hit, paired=True) == (INF, INF, INF)
    assert ratio_of_medians(hit, missed, paired=True) == (0.0, 0.0, 0.0)


def test_ratio_takes_step_times_into_account() -> None:
    steps = np.full(4, 10.0)
    slow, fast = np.full(3, 6.0), np.full(3, 2.0)
    assert ratio_of_medians(steps, steps, paired=True, scales=(slow, fast)) == pytest.approx((3.0, 3.0, 3.0))


@pytest.mark.parametrize("alike", [INF, 0.0])
def test_a_tie_stays_one_whatever_a_step_takes(alike: float) -> None:
    """Two misses, or two hits at the start; where only some resamples have one, the interval reaches 1."""
    slow, fast, ties = np.full(3, 6.0), np.full(3, 2.0), np.full(32, alike)
    assert ratio_of_medians(ties, ties, paired=True, scales=(slow, fast)) == (1.0, 1.0, 1.0)
    steps = np.where(np.arange(32) < 17, 10.0, alike)
    assert ratio_of_medians(steps, steps, paired=True, scales=(slow, fast)) == pytest.approx((3.0, 1.0, 3.0))


def test_p_is_that_of_a_normal_where_the_resamples_are_one() -> None:
    drawn = np.random.default_rng(0).normal(0.2, 0.1, 10_000)
    assert two_sided_p(0.2, drawn) == pytest.approx(0.0455, rel=0.1)  # two standard errors
    far = np.where(drawn > 0.3, INF, drawn)  # a sixth has no end: that does not make the other side less sure
    assert two_sided_p(0.2, far) == pytest.approx(0.0455, rel=0.1)
    assert two_sided_p(INF, np.array([0.1, INF] * 50)) == pytest.approx(0.01)  # one in a hundred resamples
    assert two_sided_p(0.0, np.zeros(10)) == 1.0
    assert math.isnan(two_sided_p(math.nan, np.full(10, math.nan)))


def test_intervals_that_hold_at_once_are_wider_and_hold() -> None:
    """Twelve equal cells on common starts: all intervals of the ratios to the soonest hold 1 in 95 of 100 runs."""
    random, cells, runs = np.random.default_rng(1), 12, 60
    held = []
    for _ in range(runs):
        steps = np.exp(random.normal(0, 0.15, (32, 1)) + random.normal(0, 0.15, (32, cells)))
        soonest = np.median(steps, axis=0).argmin()
        resamples = [scaled_ratio(other, steps[:, soonest], paired=True).resamples
                     for place, other in enumerate(steps.T) if place != soonest]
        held.append([np.mean([low <= 1 <= high for low, high in ends]) == 1 for ends in (
            [percentile_interval(each, count) for each in resamples] for count in (1, cells - 1))])
    alone, at_once = np.mean(held, axis=0)
    assert at_once >= 0.95 - 2 * math.sqrt(0.05 * 0.95 / runs) and alone < 0.8


def test_paired_samples_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="got 3 and 2"):
        ratio_of_medians(np.ones(3), np.ones(2), paired=True)


def test_large_samples_are_drawn_in_chunks() -> None:
    values = np.random.default_rng(3).normal(size=1001)
    resamples = median_resamples(values)
    assert len(resamples) == RESAMPLES
    # the standard error of a median of n normal numbers is 1.2533/√n
    assert np.std(resamples) == pytest.approx(1.2533 / math.sqrt(1001), rel=0.25)


def test_interval_of_the_median_covers_it_through_geometric_marks() -> None:
    """Log-normal hit times of median 500, seen at marks 1.3 apart and interpolated, 32 starts: about 95 % must cover.

    The loss falls as a power of the steps, so interpolation in log steps between the two marks is exact up to a curve;
    what is tested is that resampling interpolated hits, widened to the bracket, neither collapses nor is useless.
    """
    random = np.random.default_rng(4)
    marks = np.geomspace(1, 1e6, round(math.log(1e6) / math.log(1.3)))
    covered, trials = 0, 400
    for _ in range(trials):
        true = 500 * random.lognormal(0, 0.6, 32)
        after = np.searchsorted(marks, true)
        low, high = marks[after - 1], marks[after]
        # a loss that is convex in log steps (log loss = −(log steps)^1.5) makes log interpolation inexact, as it is
        share = (np.log(true) ** 1.5 - np.log(low) ** 1.5) / (np.log(high) ** 1.5 - np.log(low) ** 1.5)
        interval = hit_interval(low, low * (high / low) ** share, high)
        covered += interval.low <= 500 <= interval.high
    assert 0.90 <= covered / trials <= 0.98


def test_percentile_interval_keeps_infinity() -> None:
    assert percentile_interval(np.array([1.0] * 50 + [INF] * 50)) == (1.0, INF)
