"""Ratios in words: the same ones on the terminal, in the page and in the sentence."""

from __future__ import annotations

import math

import pandas as pd

_WIDE = 1_000  # times: an end of an interval beyond it says only that nothing is known
LABELS = {
    "seconds_solo": "to target, one training", "seconds_batched": "to target, in a sweep",
    "step_s_solo": "step, one training", "step_s_batched": "lane-step, full width",
    "trace_s": "trace", "compile_s": "compile", "first_run_s": "first run", "transfer_s": "data to the device",
}


def faster_words(row: pd.Series) -> str:
    """How B stands to A: "7.2× faster [6.6, 7.9]", "as fast [0.98, 1.03]"; a dash where there is nothing to tell.

    Example:
        >>> faster_words(pd.Series({"ratio": 0.5, "low": 0.4, "high": 0.8}))
        '2.00× slower [1.25, 2.50]'
    """
    ratio, low, high = (float(row[name]) for name in ("ratio", "low", "high"))
    if math.isnan(ratio):
        return "–"
    if f"{ratio:.2f}" == "1.00":
        return "as fast" + interval_words(low, high)
    if ratio < 1:
        return f"{times(inverse(ratio))} slower{interval_words(inverse(high), inverse(low))}"
    return f"{times(ratio)} faster{interval_words(low, high)}"


def count_words(count: int, noun: str) -> str:
    """How many there are.

    >>> count_words(1, "cell"), count_words(24, "cell")
    ('1 cell', '24 cells')
    """
    return f"{count} {noun}{'' if count == 1 else 's'}"


def inverse(ratio: float) -> float:
    """The ratio the other way round: that of a target which only one side reaches is 0 or ∞."""
    return 1 / ratio if ratio else math.inf


def times(ratio: float) -> str:
    """A ratio alone: "7.25×"; "∞×" where only one side reaches the target."""
    return f"{_short(ratio)}×"


def interval_words(low: float, high: float) -> str:
    """An interval to stand behind its value: " [0.98, 1.03]"; nothing where it is not known.

    Example:
        >>> interval_words(6e-6, 169_684.0)  # that of two processes: whatever is beyond 1,000 is no measured digit
        ' [<0.01, >1,000]'
    """
    ends = (f">{_WIDE:,}" if _WIDE < end < math.inf else _short(end) for end in (low, high))
    return "" if math.isnan(low) else f" [{', '.join(ends)}]"


def _short(value: float) -> str:
    if math.isinf(value):
        return "∞"
    if 0 < value < 0.005:
        return "<0.01"
    return f"{value:.2f}" if value < 10 else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"
