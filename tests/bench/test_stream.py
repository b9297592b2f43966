"""What streaming costs: known arms in words, table and picture; a real run of the smallest size; what is refused."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import gdjax
from bench import stream, stream_picture
from bench.analysis.intervals import Estimate
from bench.cli import cli
from bench.stream import Arm, FileRun

MISSED = Estimate(math.inf, math.inf, math.inf)


def arm(order: str, buffer: int, block: int, ratio: float) -> Arm:
    known = math.isfinite(ratio)
    return Arm(order=order, buffer=buffer, block=block, rate=0.1,
               epochs=Estimate(4 * ratio, 3 * ratio, 5 * ratio) if known else MISSED,
               ratio=Estimate(ratio, 0.9 * ratio, 1.2 * ratio) if known else MISSED)


FOUND = [arm("random", 1797, 1797, 1.0), arm("random", 80, 1, 1.1), arm("random", 80, 80, 1.05),
         arm("outcome", 80, 1, 1.5), arm("outcome", 80, 80, math.inf)]
FILE = FileRun(file_bytes=20_000_000_000, examples=1_000_000, lanes=16, batch_size=256, seconds=60.0, read_s=10.0,
               peak_bytes=2_000_000_000, before_bytes=200_000_000, loss_before=0.7, loss_after=0.3)


def test_what_is_said_of_known_arms(tmp_path: Path) -> None:
    request = stream.check("digits-softmax", 16, 24, 0, None, tmp_path / "x.png")
    said = "\n".join(stream.words(request, FOUND, FILE))
    assert "24 seeds: with full shuffling the target (0.01 of the initial gap) takes 4.00 epochs" in said
    assert "file in random order: from 1.05× [0.95, 1.26] the epochs (buffer 80, block 80) to 1.10×" in said
    assert "file sorted by outcome: from 1.50× [1.35, 1.80] the epochs (buffer 80, block 1) to not reached" in said
    assert "20 GB file of 1,000,000 examples, 16 lanes" in said
    assert "60 s for three passes, 1 GB a second (reading alone: 2 GB a second); 2 GB at most" in said


def test_the_picture_says_what_was_found(tmp_path: Path) -> None:
    request = stream.check("digits-softmax", 16, 24, 0, None, tmp_path / "x.png")
    stream_picture.write(request, FOUND)
    text = (tmp_path / "x.svg").read_text(encoding="utf-8")
    for said in ("buffer of 80 examples", "not in 40 epochs", "full shuffling", "file sorted by outcome", "24 seeds"):
        assert said in text
    assert (tmp_path / "x.png").stat().st_size > 10_000


def test_orders_hold_the_same_examples() -> None:
    problem = gdjax.problems.get("digits-softmax")
    labels = {order: np.asarray(stream.in_order(problem, order).data[1]) for order in stream.ORDERS}
    assert (np.diff(labels["outcome"]) >= 0).all()
    assert (np.diff(labels["random"]) < 0).any()
    features = {order: np.asarray(stream.in_order(problem, order).data[0]) for order in stream.ORDERS}
    rows = [np.sort(np.sum(each * np.arange(1, 65), axis=1)) for each in features.values()]
    np.testing.assert_allclose(rows[0], rows[1])


def test_a_real_run_of_the_smallest_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "EPOCHS", 4)
    monkeypatch.setattr(stream, "SHARES", (0.2,))
    monkeypatch.setattr(stream, "PARTS", (4, 1))
    out = tmp_path / "made" / "stream.png"
    done = CliRunner().invoke(cli, ["stream", "cancer-logistic", "--batch-size", "8", "--seeds", "3", "--gigabytes",
                                    "0.01", "--folder", str(tmp_path), "--out", str(out)])
    assert done.exit_code == 0, done.output
    table = pd.read_csv(out.with_suffix(".csv"))
    assert list(table.order) == ["random", "random", "random", "outcome", "outcome"]
    assert list(table.block) == [569, 28, 112, 28, 112]
    assert table.ratio[0] == 1
    assert (table.epochs_low <= table.epochs).all() and (table.epochs <= table.epochs_high).all()
    row = pd.read_csv(tmp_path / "made" / "stream-file.csv").iloc[0]
    assert row.examples == 100_000 and row.file_bytes > 26_000_000 and row.loss_after < row.loss_before
    assert out.exists() and not list(tmp_path.glob("gdjax-stream-*")), "the file is removed"


@pytest.mark.parametrize(("arguments", "says"), [
    (["bowl"], "PROBLEM: must have data with outcomes"), (["nothing"], "unknown name"),
    (["--seeds", "2"], "--seeds: must be from 3"), (["--batch-size", "1000"], "--batch-size: must be from 1 to 44"),
    (["--gigabytes", "-1"], "--gigabytes: must be from 0"), (["--gigabytes", "nan"], "--gigabytes: must be from 0"),
    (["--gigabytes", "1000"], "too little for the file"), (["--out", "x.jpg"], "--out: must end in .png"),
    (["--folder", "not/there"], "--folder: must be a folder"),
])
def test_bad_requests_are_refused(arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=20_000_000_000))
    done = CliRunner().invoke(cli, ["stream", *arguments])
    assert done.exit_code == 2
    assert says in " ".join(done.output.split())
