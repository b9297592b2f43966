"""Every verdict can come out in each of its three ways: the rules on figures that are, nearly are, and are not so."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from bench.analysis.intervals import Estimate, wilson
from bench.study.claim import CLAIMS, VERDICTS, Outcome
from bench.study.claims import batches, differences, flat, methods, minima, noise, rates, scaling, speed, stale, timing
from bench.study.claims.parts import exact

HOLDS, LIMITS, NOT = VERDICTS
NO_STARTS, ALL_STARTS = wilson(0, 64), wilson(64, 64)


def about(value: float, half: float) -> Estimate:
    return Estimate(value, value - half, value + half)


EDGE, SLOPE, DEARER = exact(1.0), about(-1.0, 0.02), about(900.0, 50.0)
BOUNCING, SETTLED, OFF = exact(0.5), exact(1e-4), exact(0.02)
FLOOR, BY_RATE, BY_BATCH, LOWER = about(1.0, 0.05), about(1.0, 0.1), about(-1.0, 0.05), about(0.02, 0.01)
EXACT_LAWS, OTHER_LAWS = [about(-1.0, 0.01), about(1.0, 0.01)], [about(-0.5, 0.01), about(0.5, 0.01)]
TRUER, NO_TRUER = [(about(0.2, 0.02), about(0.97, 0.01))], [(about(0.2, 0.02), about(0.2, 0.02))]
UP, DOWN = [exact(1.0), exact(2.0)], [exact(-1.0), exact(-1.0)]
HUNT = minima.Hunt(about(0.25, 0.01), np.array([1, 2]), [about(0.25, 0.01), about(0.4375, 0.01)])
NEARLY = replace(HUNT, best=[about(0.3, 0.01), about(0.5, 0.01)])
FAR = replace(HUNT, best=[about(0.5, 0.01), about(0.8, 0.01)])
FEWER, MORE = [about(0.1, 0.05)] * 4, [about(0.1, 0.05), about(3.0, 0.5)]

CASES: list[tuple[Callable[..., str], str, tuple[object, ...]]] = [
    (rates.judge_rates, HOLDS, ([EDGE] * 5, SLOPE, DEARER, ALL_STARTS)),
    (rates.judge_rates, LIMITS, ([EDGE] * 5, SLOPE, DEARER, NO_STARTS)),
    (rates.judge_rates, LIMITS, ([EDGE, exact(1.05)], SLOPE, DEARER, ALL_STARTS)),
    (rates.judge_rates, NOT, ([EDGE, exact(1.5)], SLOPE, DEARER, ALL_STARTS)),
    (rates.judge_rates, NOT, ([EDGE] * 5, about(0.0, 0.1), about(1.0, 0.1), ALL_STARTS)),
    (rates.judge_bounces, HOLDS, ([(ALL_STARTS, BOUNCING, [SETTLED, SETTLED])] * 2,)),
    (rates.judge_bounces, LIMITS, ([(ALL_STARTS, BOUNCING, [SETTLED]), (NO_STARTS, SETTLED, [SETTLED])],)),
    (rates.judge_bounces, NOT, ([(ALL_STARTS, BOUNCING, [SETTLED, OFF])] * 2,)),
    (noise.judge_floor, HOLDS, (FLOOR, BY_RATE, BY_BATCH, [LOWER] * 3)),
    (noise.judge_floor, LIMITS, (about(1.4, 0.05), BY_RATE, BY_BATCH, [LOWER] * 3)),
    (noise.judge_floor, LIMITS, (about(1.0, 0.5), BY_RATE, BY_BATCH, [LOWER] * 3)),  # too wide to prove anything
    (noise.judge_floor, NOT, (FLOOR, about(0.0, 0.1), BY_BATCH, [LOWER] * 3)),
    (noise.judge_floor, NOT, (FLOOR, BY_RATE, BY_BATCH, [about(1.0, 0.1)] * 3)),
    (noise.judge_variance, HOLDS, (EXACT_LAWS, [-1.0, 1.0], TRUER)),
    (noise.judge_variance, LIMITS, (OTHER_LAWS, [-1.0, 1.0], TRUER)),
    (noise.judge_variance, NOT, (EXACT_LAWS[::-1], [-1.0, 1.0], TRUER)),
    (noise.judge_variance, NOT, (EXACT_LAWS, [-1.0, 1.0], NO_TRUER)),
    (batches.judge_batches, HOLDS, (about(-0.9, 0.1), about(-0.02, 0.05))),
    (batches.judge_batches, LIMITS, (about(-0.9, 0.1), about(-0.2, 0.1))),
    (batches.judge_batches, NOT, (about(-0.9, 0.1), about(-0.9, 0.1))),
    (batches.judge_batches, NOT, (about(-0.1, 0.1), about(-0.1, 0.1))),  # never fell: nothing stopped
    (batches.judge_seconds, HOLDS, ([True, True], [[about(0.5, 0.1)] * 2] * 2)),
    (batches.judge_seconds, LIMITS, ([True, True], [[about(0.5, 0.1)] * 2, [about(0.5, 0.1), about(1.2, 0.1)]])),
    (batches.judge_seconds, LIMITS, ([True, False], [[about(0.5, 0.1)] * 2] * 2)),
    (batches.judge_seconds, NOT, ([True, True], [[about(0.5, 0.1), about(1.2, 0.1)]] * 2)),
    (timing.judge_batch, HOLDS, (about(0.1, 0.05), about(0.02, 0.01))),
    (timing.judge_batch, LIMITS, (about(0.8, 0.05), about(0.02, 0.01))),
    (timing.judge_batch, NOT, (about(1.0, 0.05), about(1.2, 0.1))),
    (minima.judge_hunts, HOLDS, ([HUNT, HUNT],)),
    (minima.judge_hunts, LIMITS, ([HUNT, NEARLY],)),
    (minima.judge_hunts, NOT, ([HUNT, FAR],)),
    (minima.judge_hunts, NOT, ([replace(HUNT, p=wilson(64, 64), best=[wilson(64, 64)] * 2)],)),  # no local minimum
    (flat.judge_escape, HOLDS, ([ALL_STARTS] * 3, [NO_STARTS] * 3)),
    (flat.judge_escape, LIMITS, ([NO_STARTS, ALL_STARTS], [NO_STARTS] * 2)),
    (flat.judge_escape, NOT, ([NO_STARTS] * 2, [NO_STARTS] * 2)),
    (flat.judge_escape, NOT, ([ALL_STARTS, NO_STARTS], [NO_STARTS, ALL_STARTS])),
    (flat.judge_flat, HOLDS, (ALL_STARTS, ALL_STARTS, ALL_STARTS, exact(1.0))),
    (flat.judge_flat, LIMITS, (ALL_STARTS, NO_STARTS, ALL_STARTS, exact(1.0))),
    (flat.judge_flat, NOT, (ALL_STARTS, NO_STARTS, ALL_STARTS, exact(1.3))),
    (flat.judge_flat, NOT, (NO_STARTS, NO_STARTS, ALL_STARTS, exact(1.0))),
    (scaling.judge_scaling, HOLDS, (about(1.0, 0.02), about(50.0, 5.0))),
    (scaling.judge_scaling, LIMITS, (about(0.5, 0.02), about(50.0, 5.0))),
    (scaling.judge_scaling, LIMITS, (about(1.0, 0.02), about(0.9, 0.05))),
    (scaling.judge_scaling, NOT, (about(-0.1, 0.02), about(0.9, 0.05))),
    (speed.judge_slowing, HOLDS, ([about(1.5, 0.1), about(3.0, 0.1)], exact(1.0))),
    (speed.judge_slowing, LIMITS, ([exact(1.0), exact(3.0)], exact(1.0))),
    (speed.judge_slowing, LIMITS, ([exact(1.0), exact(1.0)], exact(1.0))),
    (speed.judge_slowing, NOT, ([exact(1.0), exact(0.9)], exact(0.0))),
    (differences.judge_differences, HOLDS, (UP, [1.0, 2.0], DOWN, [about(400.0, 50.0)], about(90.0, 5.0))),
    (differences.judge_differences, LIMITS, (UP, [2.0, 2.0], DOWN, [about(400.0, 50.0)], about(90.0, 5.0))),
    (differences.judge_differences, LIMITS, (UP, [1.0, 2.0], DOWN, [about(400.0, 50.0)], about(0.5, 0.1))),
    (differences.judge_differences, NOT, (UP, [1.0, 2.0], UP, [about(400.0, 50.0)], about(90.0, 5.0))),
    (differences.judge_differences, NOT, (UP, [1.0, 2.0], DOWN, [about(1.0, 0.1)], about(90.0, 5.0))),
    (minima.judge_spread, HOLDS, ([wilson(0, 256)] * 2, [wilson(200, 256)] * 2)),
    (minima.judge_spread, LIMITS, ([wilson(0, 256)] * 2, [wilson(200, 256), wilson(0, 256)])),
    (minima.judge_spread, NOT, ([wilson(0, 256)] * 2, [wilson(0, 256)] * 2)),
    (minima.judge_spread, NOT, ([wilson(0, 256), wilson(100, 256)], [wilson(200, 256)] * 2)),
    (methods.judge_methods, HOLDS, ([FEWER] * 2, [FEWER] * 2)),
    (methods.judge_methods, LIMITS, ([FEWER] * 2, [FEWER, MORE])),
    (methods.judge_methods, LIMITS, ([MORE, FEWER], [FEWER] * 2)),
    (methods.judge_methods, NOT, ([MORE] * 2, [FEWER] * 2)),
    (stale.judge_stale, HOLDS, ([exact(2.0), about(1.0, 0.009)], (0, 1), [ALL_STARTS] * 2)),
    (stale.judge_stale, LIMITS, ([exact(2.0), exact(1.1)], (0, 1), [ALL_STARTS] * 2)),
    (stale.judge_stale, LIMITS, ([exact(2.0), about(1.0, 0.1)], (0, 1), [ALL_STARTS] * 2)),  # proves nothing
    (stale.judge_stale, NOT, ([exact(2.0), exact(1.0)], (0, 1), [ALL_STARTS, NO_STARTS])),
]


@pytest.mark.parametrize(("judge", "word", "figures"), CASES,
                         ids=[f"{judge.__name__}-{word}-{place}" for place, (judge, word, _) in enumerate(CASES)])
def test_a_verdict_follows_from_the_figures(judge: Callable[..., str], word: str, figures: tuple[object, ...]) -> None:
    assert judge(*figures) == word


def test_every_rule_is_seen_to_give_all_three_words() -> None:
    words = {judge: {word for other, word, _ in CASES if other is judge} for judge, _, _ in CASES}
    assert len(words) == 16
    assert all(seen == set(VERDICTS) for seen in words.values())


def test_the_claims_are_numbered_and_whole() -> None:
    assert sorted(claim.number for claim in CLAIMS.values()) == list(range(1, 17))
    assert all(claim.statement.endswith(".") and claim.method.endswith(".") for claim in CLAIMS.values())


def test_a_fourth_word_is_refused() -> None:
    with pytest.raises(ValueError, match=r"verdict: must be one of holds, .* \(got 'perhaps'\)"):
        Outcome("perhaps", "", ())


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_figure_that_is_none_never_holds(value: float) -> None:
    nothing = exact(value)
    assert noise.judge_floor(nothing, nothing, nothing, [nothing]) == NOT
    assert minima.judge_spread([nothing], [nothing]) == NOT
    assert timing.judge_batch(nothing, nothing) == NOT
