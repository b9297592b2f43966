"""The gradient noise scale in words: one sentence per trajectory."""

from __future__ import annotations

import math
from collections.abc import Iterable

from bench.analysis.comparisons import FEWEST
from bench.analysis.goals import Goal
from bench.analysis.noise_along import NoiseAlong
from bench.analysis.words import batch_words, estimate_words, schedule_words


def noise_sentences(found: Iterable[NoiseAlong]) -> list[str]:
    """How the noise scale changes along every trajectory, and the critical batch size that is fitted beside it."""
    return [_sentence(along) for along in found]


def _sentence(along: NoiseAlong) -> str:
    optimizer = f" ({along.optimizer})" if along.several_optimizers else ""
    first, last = along.curve["starts"].iloc[[0, -1]]
    starts = f"{first} starts" if last == first else f"{first} starts, {last} at the end"
    text = (f"{along.problem}{optimizer} on {along.device}: the gradient noise scale {_course(along)} along the run "
            f"({batch_words(along.batch_size, along.examples)} with {schedule_words(along.schedule)}, "
            f"{along.curve['step'].iloc[-1]:,} steps, {starts}, {along.method})")
    if math.isnan(along.b_crit.value):
        return f"{text}; no critical batch size could be fitted beside it."
    return (f"{text}; the fitted critical batch size to get {Goal(along.target, along.gap).got} is "
            f"{estimate_words(along.b_crit)}.")


def _course(along: NoiseAlong) -> str:
    """What becomes of it from the start to the end; whether that is a change, where neither interval is too narrow."""
    first, last = along.at(0), along.at(-1)
    if math.isnan(last.value):
        return f"is {estimate_words(first)} examples at the start, and none at the end (no start has one there)"
    verb, why = "goes", " (no change seen: the intervals overlap)"
    if along.curve["starts"].iloc[[0, -1]].min() < FEWEST:
        why = f" (whether that is a change takes {FEWEST} starts at both ends)"
    elif last.low > first.high or last.high < first.low:
        verb, why = "grows" if last.low > first.high else "falls", ""
    return f"{verb} from {estimate_words(first)} to {estimate_words(last)} examples{why}"
