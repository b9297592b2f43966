"""The gradient noise scale in words: one sentence per trajectory."""

from __future__ import annotations

import math
from collections.abc import Iterable

from bench.analysis.noise_along import NoiseAlong
from bench.analysis.words import batch_words, estimate_words, schedule_words, target_words


def noise_sentences(found: Iterable[NoiseAlong]) -> list[str]:
    """How the noise scale changes along every trajectory, and the critical batch size that is fitted beside it."""
    return [_sentence(along) for along in found]


def _sentence(along: NoiseAlong) -> str:
    optimizer = f" ({along.optimizer})" if along.several_optimizers else ""
    first, last = along.at(0), along.at(-1)
    course = "grows" if last.value > first.value else "falls" if last.value < first.value else "goes"
    text = (f"{along.problem}{optimizer} on {along.device}: the gradient noise scale {course} from "
            f"{estimate_words(first)} to {estimate_words(last)} examples along the run "
            f"({batch_words(along.batch_size, along.examples)} with {schedule_words(along.schedule)}, "
            f"{along.curve['step'].iloc[-1]:,} steps, {along.curve['starts'].iloc[0]} starts, {along.method})")
    if math.isnan(along.b_crit.value):
        return f"{text}; no critical batch size could be fitted beside it."
    return (f"{text}; the fitted critical batch size to get the loss {target_words(along.gap, along.target)} is "
            f"{estimate_words(along.b_crit)}.")
