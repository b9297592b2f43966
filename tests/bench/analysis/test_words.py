"""Numbers just below the next unit: rounded first, then written."""

from __future__ import annotations

import math

import pytest

from bench.analysis.goals import Goal
from bench.analysis.intervals import Estimate
from bench.analysis.words import loss_words, number, seconds_number, seconds_words
from bench.scale.room import bytes_words
from bench.scale.words import short


@pytest.mark.parametrize(("value", "digits", "words"), [
    (999.4, 3, "999"), (999.6, 3, "1,000"), (-999.96, 3, "-1,000"), (99.7, 2, "100"), (432.0, 2, "430"),
    (0.09996, 3, "0.1"), (999_999_999.7, 3, "1e+09"), (999_400_000.0, 3, "999,400,000"), (2e9, 3, "2e+09"),
    (0.0, 3, "0"), (1.24e-5, 2, "1.2e-05"), (-math.inf, 3, "−∞"), (math.nan, 3, "–"),
])
def test_a_number_has_no_exponent_below_1e9(value: float, digits: int, words: str) -> None:
    assert number(value, digits) == words


def test_seconds_are_told_in_the_unit_of_what_they_are_rounded_to() -> None:
    assert seconds_words(Estimate(0.9997, 0.98, 1.02)) == "1 s [0.98, 1.02]"
    assert [seconds_number(value) for value in (0.0009996, 9.996e-7, 0.9994, 0.0)] == ["1 ms", "1 µs", "999 ms", "0 s"]


def test_large_counts_and_bytes_go_on_to_the_next_unit() -> None:
    assert [short(value) for value in (999.4, 999.6, 999_600, 2.5e12)] == ["999", "1 k", "1 M", "2,500 G"]
    assert bytes_words(999_700_000) == "1 GB"


def test_losses_far_from_zero_keep_the_digits_of_their_interval() -> None:
    assert loss_words(Estimate(-4.9964, -4.9972, -4.995)) == "-4.9964 [-4.9972, -4.995]"
    assert loss_words(Estimate(0.5, 0.4, math.inf)) == "0.5 [0.4, ∞]"
    assert Goal(20000.02).words == "at most 20,000"
