"""The comparison on a terminal: whatever its width, every ratio, interval and verdict is there."""

from __future__ import annotations

import io

import pandas as pd
import pytest
from rich.console import Console

from bench.analysis.repeats import Noise
from bench.analysis.verdicts import SAME
from bench.analysis.versus import OVERALL, Versus
from bench.compare.terminal import overall_table


@pytest.mark.parametrize("width", [40, 60, 80])
def test_nothing_is_cut(width: int) -> None:
    row = dict.fromkeys(OVERALL, 0) | {"quantity": "seconds_solo", "cells": 12, "ratio": 1.25, "low": 1.125,
                                       "high": 123_456.0, "verdict": SAME, SAME: 12}
    stream = io.StringIO()
    found = Versus(pd.DataFrame(), pd.DataFrame([row]), Noise(0.01, 4, 0.02, 2))
    Console(file=stream, width=width).print(overall_table(found))
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    said = set(stream.getvalue().split())
    assert {"training", "1.25×", "faster", "[1.12,", ">1,000]", *SAME.split(), "12", "of"} <= said
