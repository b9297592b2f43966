"""Numbers and names in words, the same ones in sentences, tables and figures."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.analysis.intervals import Estimate

_SCHEDULES = {"constant": "a constant rate", "inverse_time": "inverse-time decay", "exponential": "exponential decay",
              "staircase": "staircase decay", "linear": "linear decay", "inverse_sqrt": "inverse-square-root decay",
              "polynomial": "polynomial decay", "cosine": "cosine decay", "step": "one step down",
              "rex": "REX decay", "cosine_restarts": "cosine restarts", "triangular": "triangular cycles",
              "one_cycle": "one cycle", "trapezoid": "warm-up, plateau and decay"}
_SECONDS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
LOSS_DIGITS = 7  # of a loss whose optimum is not known, at most: what float32 holds


def rounded(value: float, digits: int = 3) -> float:
    """A number to so many digits, by which its unit and the way it is written are chosen: 999.6 is told as 1,000.

    Example:
        >>> rounded(999.6), rounded(432.0, 2)
        (1000.0, 430.0)
    """
    return float(f"{value:.{digits}g}")


def number(value: float, digits: int = 3) -> str:
    """A number to three digits, whole from 1,000 on: 0.0123, 412, 12,346; ∞ and – where there is none.

    Example:
        >>> number(12345.6), number(999.6), number(432, 2), number(math.inf)
        ('12,346', '1,000', '430', '∞')
    """
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    told = rounded(value, digits)
    return f"{value:,.0f}" if 1000 <= abs(told) < 1e9 else f"{told:.{max(digits, 3)}g}"


def together(values: Sequence[float], most: int = 5) -> list[str]:
    """Numbers that are compared, to three digits or to as many as tell two of the width they span.

    Args:
        values: ∞ and NaN are no part of the width.
        most: digits at most.

    Example:
        >>> together([-4.9964, -4.9971, -4.995]), together([0.21, 1.4])
        (['-4.9964', '-4.9971', '-4.995'], ['0.21', '1.4'])
    """
    finite = [value for value in values if math.isfinite(value)]
    width, largest = (max(finite) - min(finite), max(map(abs, finite))) if finite else (0.0, 0.0)
    if width == 0 or largest >= 1e9:
        return [number(value) for value in values]
    places, before = math.floor(-math.log10(width)) + 2, math.floor(math.log10(largest)) + 1
    if before + places <= 3:
        return [number(value) for value in values]
    places = max(min(places, most - before), 0)
    return [f"{round(value, places):,.10g}" if math.isfinite(value) else number(value) for value in values]


def estimate_words(estimate: Estimate) -> str:
    """A number with its interval: "1.3 [1.2, 1.5]"."""
    return f"{number(estimate.value)} [{number(estimate.low)}, {number(estimate.high)}]"


def loss_words(estimate: Estimate) -> str:
    """A loss, which may be far from 0, with its interval, its ends told apart: "-4.9964 [-4.9971, -4.995]"."""
    value, low, high = together(estimate, LOSS_DIGITS)
    return f"{value} [{low}, {high}]"


def seconds_words(estimate: Estimate) -> str:
    """Seconds with their interval in the unit that fits: "41 ms [38, 45]".

    Example:
        >>> seconds_words(Estimate(0.041, 0.038, 0.045))
        '41 ms [38, 45]'
    """
    if not math.isfinite(estimate.value):
        return number(estimate.value)
    scale, unit = next(((scale, unit) for scale, unit in _SECONDS if rounded(estimate.value) >= scale), _SECONDS[0])
    value, low, high = (number(part / scale) for part in estimate)
    return f"{value} {unit} [{low}, {high}]"


def seconds_number(value: float) -> str:
    """Seconds in the unit that fits: "41 ms"."""
    return seconds_words(Estimate(value, value, value)).split(" [")[0] if math.isfinite(value) else number(value)


def problem_label(problem: object, optimizer: object, *, several: bool) -> str:
    """A problem in a table or a figure, with the optimizer where there are several: "digits-softmax (adam)"."""
    return f"{problem} ({optimizer})" if several else str(problem)


def schedule_words(name: str) -> str:
    """A schedule in a sentence, with its numbers behind it; one that gdjax does not ship by its name.

    Example:
        >>> schedule_words("inverse_time"), schedule_words("cosine(warmup=0.1)")
        ('inverse-time decay', 'cosine decay (warmup=0.1)')
    """
    kind, opened, numbers = name.partition("(")
    words = _SCHEDULES.get(kind, f"schedule {kind}")
    return f"{words} ({numbers}" if opened else words


def schedule_label(name: str) -> str:
    """A schedule in a legend: "inverse time"."""
    kind, opened, numbers = name.partition("(")
    return f"{kind.replace('_', ' ')}{f' ({numbers}' if opened else ''}"


def batch_words(batch_size: int, examples: int) -> str:
    """A batch size in a sentence: "batch 64", "the full batch (1797)" when a step uses every example."""
    return f"the full batch ({batch_size})" if batch_size == examples else f"batch {batch_size}"


def batch_label(batch_size: int, examples: int) -> str:
    """A batch size on an axis: "64", "all (1797)"."""
    return f"all ({batch_size})" if batch_size == examples else str(batch_size)
