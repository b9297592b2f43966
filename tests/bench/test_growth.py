"""Growth with the number of lanes: known slopes and ratios, a real run of the smallest size, what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from bench import device, growth, growth_picture, growth_worker
from bench.cli import cli
from bench.growth import Request
from tests.bench.fake_pictures import POINTS as FOUND


def a_request(out: Path) -> Request:
    return Request(problem="himmelblau", device="cpu", most=1_000_000, rate=0.003, tolerance=1e-3, steps=100, repeats=2,
                   out=out)


def test_what_is_said_of_known_points(tmp_path: Path) -> None:
    said = " ".join(growth.words(a_request(tmp_path / "x.png"), FOUND))
    assert growth.exponent(FOUND) == pytest.approx(np.log(200) / np.log(100))
    assert "time grows as lanes^1.15 (lanes^1.30 over the last factor of ten)" in said
    assert "Peak memory beside the table is 1.25× that of 10,000 lanes." in said
    assert "100,000 starts of himmelblau" in said and "0.20 s to a finished frame" in said and "50.0% converged" in said
    assert np.isnan(growth.memory_ratio(FOUND[:2]))


def test_the_picture_says_what_was_found(tmp_path: Path) -> None:
    request = a_request(tmp_path / "x.png")
    growth_picture.write(request, FOUND)
    assert (tmp_path / "x.png").stat().st_size > 10_000
    text = (tmp_path / "x.svg").read_text(encoding="utf-8")
    for said in ("lanes^1.15", "× 1.25 from 10,000 lanes on", "memory, MB", "time to the finished table"):
        assert said in text
    time, _ = growth_picture.draw(request, FOUND[:1]).axes  # one point has no slope
    assert time.get_legend_handles_labels()[1] == ["in proportion to lanes", "measured, median and range"]


def test_a_real_run_of_the_smallest_size(tmp_path: Path) -> None:
    out = tmp_path / "made" / "growth.png"
    done = CliRunner().invoke(cli, ["growth", "--device", "cpu", "--most", "1000", "--repeats", "2", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "1,000 starts of himmelblau" in " ".join(done.output.split())
    row = pd.read_csv(out.with_suffix(".csv")).iloc[0]
    assert row.lanes == row.converged == 1_000  # below the stable limit of this rate every start comes to rest
    assert 0 < row.seconds_low <= row.seconds <= row.seconds_high
    assert row.needed <= row.ran
    assert 25 * 1_000 < row.table_bytes < 1_000_000 < row.peak_bytes
    assert out.exists() and out.with_suffix(".svg").exists()


def test_a_bad_name_is_told_before_a_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the parent does with an error: test_stream.py, test_picture_session.py."""
    monkeypatch.setattr(device, "open_device", lambda *_: device.Opened("cpu", "", ""))
    sent: list[dict[str, object]] = []
    parent = SimpleNamespace(send=sent.append, poll=lambda: False)
    request = dataclasses.replace(a_request(tmp_path / "x.png"), problem="nowhere")
    growth_worker.main(parent, {"request": request, "lanes": 1_000})  # type: ignore[arg-type]
    only, = sent
    assert (only["kind"], only["code"]) == ("error", 2) and "unknown" in str(only["text"])


@pytest.mark.parametrize(("given", "code", "said"), [
    (["--most", "10"], 2, "--most: must be from 1,000 to 100,000,000 (got 10)"),
    (["--rate", "nan"], 2, "--rate: must be above 0 and finite"),
    (["--tolerance", "-1"], 2, "--tolerance: must be at least 0"),
    (["--repeats", "0"], 2, "--repeats: must be from 1"),
    (["--out", "x.pdf"], 2, "--out: must end in .png"),
    (["--device", "gpu", "--most", "1000"], 5, "no gpu device"),
])
def test_bad_input_is_refused(given: list[str], code: int, said: str) -> None:
    done = CliRunner().invoke(cli, ["growth", *given])
    assert done.exit_code == code
    assert said in " ".join(done.output.split())
