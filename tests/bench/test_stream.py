"""What streaming costs: known arms in words, table and picture; a real run of the smallest size; what is refused."""

from __future__ import annotations

import math
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import gdjax
from bench import picture_session, stream, stream_arms, stream_picture, stream_worker
from bench.cli import cli
from tests.bench.fake_pictures import ARMS as FOUND
from tests.bench.fake_pictures import FILE

FAKE = "tests.bench.fake_pictures"


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few arms of few epochs."""
    monkeypatch.setattr(stream_arms, "EPOCHS", 4)
    monkeypatch.setattr(stream_arms, "SHARES", (0.2,))
    monkeypatch.setattr(stream_arms, "PARTS", (4, 1))


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


def test_where_full_shuffling_misses_the_target_nothing_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                                                    ) -> None:
    monkeypatch.setattr(stream, "ARMS_WORKER", FAKE)
    out = tmp_path / "stream.png"
    done = CliRunner().invoke(cli, ["stream", "missed", "--gigabytes", "0", "--out", str(out)])
    assert done.exit_code == 3, done.output
    assert "is not reached in 40 epochs: there is nothing to compare streams with" in " ".join(done.output.split())
    table = pd.read_csv(out.with_suffix(".csv"))
    assert table.epochs.tolist() == [math.inf] and table.ratio.isna().all()
    assert not out.exists()


@pytest.mark.usefixtures("_quick")
def test_full_shuffling_that_misses_the_target_is_the_only_arm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_arms, "RATES", (1e-6,))
    only, = arms("cancer-logistic", 8, 3)
    assert math.isinf(only.epochs.value) and all(map(math.isnan, only.ratio))


def test_orders_hold_the_same_examples() -> None:
    problem = gdjax.problems.get("digits-softmax")
    labels = {order: np.asarray(stream_arms.in_order(problem, order).data[1]) for order in stream.ORDERS}
    assert (np.diff(labels["outcome"]) >= 0).all()
    assert (np.diff(labels["random"]) < 0).any()
    features = {order: np.asarray(stream_arms.in_order(problem, order).data[0]) for order in stream.ORDERS}
    rows = [np.sort(np.sum(each * np.arange(1, 65), axis=1)) for each in features.values()]
    np.testing.assert_allclose(rows[0], rows[1])


@pytest.mark.usefixtures("_quick")
def test_real_arms(tmp_path: Path) -> None:
    stream.write_tables(arms("cancer-logistic", 8, 3), None, tmp_path / "x.csv")
    table = pd.read_csv(tmp_path / "x.csv")
    assert list(table.order) == ["random", "random", "random", "outcome", "outcome"]
    assert list(table.block) == [569, 28, 112, 28, 112]
    assert table.ratio[0] == 1
    assert (table.epochs_low <= table.epochs).all() and (table.epochs <= table.epochs_high).all()


def test_a_real_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "ARMS_WORKER", FAKE)
    out = tmp_path / "made" / "stream.png"
    done = CliRunner().invoke(cli, ["stream", "--gigabytes", "0.01", "--folder", str(tmp_path), "--out", str(out)])
    assert done.exit_code == 0, done.output
    row = pd.read_csv(tmp_path / "made" / "stream-file.csv").iloc[0]
    assert row.examples == 100_000 and row.file_bytes > 26_000_000 and row.loss_after < row.loss_before
    assert out.exists() and pd.read_csv(out.with_suffix(".csv")).ratio[0] == 1
    assert not list(tmp_path.glob("gdjax-stream-*")), "the file is removed"


def test_the_file_goes_with_a_process_that_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gdjax, "minibatch", lambda *_, **__: pytest.fail(str(list(tmp_path.iterdir()))))
    with pytest.raises(pytest.fail.Exception, match=r"^\[\]$"):
        stream_worker.measure(tmp_path, 0.0)


def arms(problem: str, batch_size: int, seeds: int) -> list[stream.Arm]:
    request = stream.check(problem, batch_size, seeds, 0, None, None)
    return list(stream_arms.arms(request, stream_arms.problem_of(request, print), lambda _: None))


@pytest.mark.parametrize(("arguments", "says"), [
    (["--seeds", "2"], "--seeds: must be from 3"), (["--batch-size", "0"], "--batch-size: must be at least 1 (got 0)"),
    (["--gigabytes", "-1"], "--gigabytes: must be from 0"), (["--gigabytes", "nan"], "--gigabytes: must be from 0"),
    (["--gigabytes", "1000"], "too little for the file"), (["--out", "x.jpg"], "--out: must end in .png"),
    (["--folder", "not/there"], "--folder: must be a folder"),
])
def test_bad_requests_are_refused(arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=20_000_000_000))
    monkeypatch.setattr(picture_session, "Child", None)
    done = CliRunner().invoke(cli, ["stream", *arguments])
    assert done.exit_code == 2
    assert says in " ".join(done.output.split())


@pytest.mark.parametrize(("problem", "batch_size", "says"), [
    ("bowl", 16, "PROBLEM: must have data with outcomes"), ("nothing", 16, "unknown name"),
    ("digits-softmax", 1000, "--batch-size: is too large for the 1,797 examples of digits-softmax: the smallest "
     "buffer, 5% of them, must hold 2 batches (got 1000). Give at most 44, or a problem of 40,000 examples or more."),
    ("iris-softmax", 16, "(got 16). Give at most 3, or a problem of 640 examples or more."),
    ("linnerud-poisson", 16, "(got 16). Give a problem of 640 examples or more."),
])
def test_bad_problems_are_refused(problem: str, batch_size: int, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        stream_arms.problem_of(stream.check(problem, batch_size, 3, 0, None, None), print)


def test_a_bad_problem_is_exit_2(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["stream", "iris-softmax", "--out", str(tmp_path / "new" / "x.png")])
    assert done.exit_code == 2
    said = done.output.splitlines()
    assert len(said) == 1 and said[0].startswith("error: ") and "a problem of 640 examples or more" in said[0]
    assert not (tmp_path / "new").exists()
