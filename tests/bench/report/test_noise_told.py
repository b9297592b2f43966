"""The gradient noise scale of a run as its report tells and draws it, and what that report looks up."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

import bench
from bench.analysis.noise_along import noise_along
from bench.analysis.reported import Reported
from bench.analysis.timing import Times
from bench.report.noise_words import noise_sentences
from bench.report.report import write_report
from tests.bench.synthetic import Plan, seal, write_run


class Noisy(NamedTuple):
    """A run with a gradient noise scale, and what looked its rows up while its report was written."""

    folder: Path
    built: list[str]


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Noisy:
    plan = Plan(batch_sizes=(1, 8, 32, 1797), schedules=("constant",), starts=4, tuning_starts=2)
    folder = write_run(tmp_path_factory.mktemp("noisy"), plan)
    part = folder / "parts" / "digits-softmax.gradients"
    part.mkdir()
    noise_rows((math.inf, 80.0)).to_parquet(part / "noise_scale.parquet")
    seal(part)
    built: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for kind in (Reported, Times):
            made = kind.__init__
            patch.setattr(kind, "__init__", lambda self, of, made=made: (built.append(type(self).__name__),
                                                                         made(self, of))[1])
        write_report(folder)
    return Noisy(folder, built)


def noise_rows(last: tuple[float, float]) -> pd.DataFrame:
    """The table of six starts, of noise scale 5 and 4 by turns at first, and the last ones."""
    return pd.DataFrame({
        "problem": "digits-softmax", "optimizer": "sgd", "batch_size": 32, "schedule": "constant", "horizon": 1.0,
        "rate": 0.3, "device": "cpu", "start": [*range(6)] * 2, "step": [0] * 6 + [900] * 6,
        "loss": [2.3, 2.3] * 3 + [0.21, 0.22] * 3, "signal": 1.0, "noise": 5.0,
        "b_simple": [5.0, 4.0] * 3 + [*last] * 3, "method": "exact", "examples": 1797})


def test_rows_are_looked_up_once(noisy: Noisy) -> None:
    assert sorted(noisy.built) == ["Reported", "Times"]


@pytest.mark.parametrize(("scales", "course"), [
    ((50.0, 80.0), "grows from 4.5 [4, 5] to 65 [50, 80] examples along the run"),
    ((5.0, 80.0), "goes from 4.5 [4, 5] to 42.5 [5, 80] examples (no change seen: the intervals overlap)"),
    ((math.inf, 80.0), "grows from 4.5 [4, 5] to ∞ [80, ∞] examples along the run"),
    ((5.0, math.nan), "goes from 4.5 [4, 5] to 5 [5, 5] examples (whether that is a change takes 6 starts")])
def test_the_course_of_the_noise_scale_is_told(scales: tuple[float, float], course: str) -> None:
    """Also where a start has none, or no signal is left."""
    fits = pd.DataFrame(columns=["problem", "optimizer", "device", "schedule", "b_crit", "target_on", "target"])
    told, = noise_sentences(noise_along(noise_rows(scales), fits).values())
    assert f"the gradient noise scale {course}" in told


def test_the_noise_scale_is_drawn_and_told(noisy: Noisy) -> None:
    """An older run has no such part, and no such figure; figures where it is ∞ or missing: test_noise_scale.py."""
    folder = noisy.folder
    assert len(bench.load(folder).noise_scale) == 12
    for kind in ("png", "svg"):
        assert (folder / "figures" / f"01-digits-softmax-cpu-noise.{kind}").stat().st_size > 1000
    text, page = ((folder / f"report.{kind}").read_text() for kind in ("md", "html"))
    for report in (text, page):
        assert "the gradient noise scale grows from 4.5 [4, 5] to ∞ [80, ∞] examples along the run" in report
        assert "batch 32 with a constant rate, 900 steps, 6 starts, " in report
    assert "Gradient noise scale along the run" in page and "plot-1-noise" in page
    scaling = pd.read_csv(folder / "scaling.csv")
    assert (scaling["b_simple_start"] == 4.5).all()
