"""Figures of the noise scale where losses or noise scales are such as a logarithmic axis cannot show."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.analysis.noise_along import NoiseAlong, noise_along
from bench.report.noise_scale import limits_of, loss_axis, noise_scale_figure
from bench.report.plots.noise_scale import noise_scale_plot
from bench.report.plots.parts import json_ready
from bench.report.style import save
from tests.bench.analysis.test_noise_along import FITS, rows


def along(**columns: object) -> NoiseAlong:
    """The trajectory of three starts at three marks with other columns."""
    (found,) = noise_along(rows().assign(**columns), FITS).values()  # type: ignore[arg-type]
    return found


def test_a_utility_below_zero_has_a_linear_axis_and_a_loss_at_the_optimum_is_left_out_of_a_logarithmic_one() -> None:
    last = pd.Series([3.0, 3.0, 3.0, 2.0, 2.0, 2.0, 0.5, 0.5, 0.5])
    losses, logarithmic = loss_axis(along(loss=last), 0.5)
    assert logarithmic and losses.tolist()[:2] == [2.5, 1.5] and math.isnan(losses[2])
    losses, logarithmic = loss_axis(along(loss=-last), math.nan)
    assert not logarithmic and losses.tolist() == [-3.0, -2.0, -0.5]


def test_the_axis_holds_the_critical_batch_size_and_ends_that_are_numbers() -> None:
    low, high = limits_of(along())
    assert 0 < low < 1.0 and 700.0 < high < math.inf  # noise scales of 1 to 700; the fit's upper end is ∞


@pytest.mark.parametrize("columns", [
    {}, {"loss": -1.0}, {"loss": 0.5}, {"loss": math.inf}, {"loss": [5.0] * 6 + [math.inf] * 3}, {"b_simple": 0.0},
    {"b_simple": [2.0] * 6 + [math.inf] * 3},
], ids=str)
@pytest.mark.parametrize("optimum", [0.5, math.nan])
def test_every_trajectory_can_be_drawn(columns: dict[str, object], optimum: float, tmp_path: Path) -> None:
    """Without a warning, and as JSON without infinities."""
    found = along(**columns)
    names = save(noise_scale_figure(found, "p", optimum), tmp_path / "noise")
    assert all((tmp_path / name).stat().st_size > 1000 for name in names)
    plot = noise_scale_plot(found, optimum, "x")
    assert set(plot.views) == {"0", "1"}
    views = json.loads(json.dumps(json_ready(plot.views), allow_nan=False))
    assert np.shape(views["0"]["data"][0]["band"]) == (2, 3)  # two ends at three marks
    assert len(views["1"]["data"][0]["error_y"]["array"]) == 3
