"""Findings in words: a figure with its interval in the unit that fits, the same in tables, page and terminal."""

from __future__ import annotations

import math

from bench.analysis.intervals import Estimate
from bench.analysis.words import number, seconds_number, seconds_words, together
from bench.study.claim import Finding


def figure_words(finding: Finding) -> str:
    """A finding's figure and its 95 % interval, where it has one.

    Example:
        >>> figure_words(Finding("edge", 0.4998, 0.4995, 0.5001)), figure_words(Finding("p", 0.25, unit="share"))
        ('0.4998 [0.4995, 0.5001]', '25 %')
    """
    bounded = not (math.isnan(finding.low) and math.isnan(finding.high))
    if not bounded or finding.low == finding.value == finding.high:
        return value_words(finding.value, finding.unit)
    if finding.unit == "seconds":
        return seconds_words(Estimate(finding.value, finding.low, finding.high))
    scale = 100.0 if finding.unit == "share" else 1.0
    value, low, high = together([scale * part for part in (finding.value, finding.low, finding.high)])
    return f"{_with_unit(value, finding.unit)} [{low}, {high}]"


def expected_words(finding: Finding) -> str:
    """What theory says of a finding: "0.5", or "" where it says nothing."""
    return "" if math.isnan(finding.expected) else value_words(finding.expected, finding.unit)


def ratio_words(finding: Finding) -> str:
    """How many times the expected figure was measured: "1.02×", or "" where that has no meaning.

    Example:
        >>> ratio_words(Finding("edge", 0.51, expected=0.5))
        '1.02×'
    """
    if not math.isfinite(finding.expected) or not finding.expected or not math.isfinite(finding.value):
        return ""
    return f"{number(finding.value / finding.expected, 4)}×"


def value_words(value: float, unit: str) -> str:
    """One figure with its unit.

    Example:
        >>> value_words(0.25, "share"), value_words(12.0, "steps"), value_words(0.002, "seconds")
        ('25 %', '12 steps', '2 ms')
    """
    if unit == "seconds":
        return seconds_number(value)
    return _with_unit(number(100.0 * value if unit == "share" else value), unit)


def _with_unit(value: str, unit: str) -> str:
    return {"": value, "×": f"{value}×", "share": f"{value} %"}.get(unit, f"{value} {unit}")
