"""ECDF of hit times that are all the same, or 0."""

from __future__ import annotations

import numpy as np
import pytest

from bench.analysis.ecdf import START, ecdf


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
