"""ECDF of hit times: those that are all the same, or 0, and the band."""

from __future__ import annotations

import numpy as np
import pytest

from bench.analysis.ecdf import START, ecdf
from bench.analysis.intervals import wilson


def test_what_the_start_meets_counts_from_half_a_step_on() -> None:
    found = ecdf(np.array([[0.0, 4.0], [0.0, np.inf]]))
    assert found["time"].iloc[[0, -1]].tolist() == [START, 4.0]
    assert found["share"].iloc[[0, -1]].tolist() == [0.5, 0.75]


@pytest.mark.parametrize(("time", "shown"), [(0.0, START), (7.0, 7.0)])
def test_one_time_of_all_is_one_row(time: float, shown: float) -> None:
    found = ecdf(np.full((3, 2), time))
    assert found["time"].tolist() == [shown] and found["share"].tolist() == [1.0]


def test_a_time_below_half_a_step_stays_and_the_start_is_no_later() -> None:
    found = ecdf(np.array([[0.0, 0.1], [0.2, 4.0]]), points=2)
    assert found["time"].tolist() == [0.1, 4.0] and found["share"].tolist() == [0.5, 1.0]


def test_where_all_starts_agree_the_band_is_of_wilson() -> None:
    """Five of five is no certainty: with a share of 0.7 it is seen once in six times (0.7⁵ = 0.17)."""
    found = ecdf(np.array([[1.0, 2.0]] * 5), points=2)
    every, none = wilson(5, 5), wilson(0, 5)
    assert every.low < 0.7 and none.high > 0.3
    assert found["share"].tolist() == [0.5, 1.0]
    assert found["low"].tolist() == pytest.approx([every.low / 2, every.low])
    assert found["high"].tolist() == pytest.approx([(1 + none.high) / 2, 1.0])


def test_where_starts_differ_the_band_is_of_resampled_starts() -> None:
    """One of two starts has hit: a quarter of the resamples hold it twice, a quarter not at all."""
    found = ecdf(np.array([[1.0], [4.0]]), points=2)
    assert found[["share", "low", "high"]].to_numpy()[0].tolist() == [0.5, 0.0, 1.0]
