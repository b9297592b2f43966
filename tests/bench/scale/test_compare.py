"""Two scaling runs side by side: a planted crossing in the sentence and the map, what may not be compared."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.analysis import crossover
from bench.analysis.parity import AGREE, DIFFER, EQUAL
from bench.scale import compare, corners, crossover_picture
from bench.scale.parity import UNKNOWN
from tests.bench.scale.fake_walk import row

MANIFEST = {"schema": 1, "kind": "scale", "problem": "p", "examples": 100, "data_sha256": "a", "dtype": "float32",
            "matmul_precision": "highest", "optimizer": "sgd", "schedule": "constant", "batches": "own",
            "initial_loss": 3.0, "optimum": 1.0, "device": "cpu",
            "environment": {"cpu_model": "x", "versions": {}, "affinity": [0]}}
LOSSES = [1.5, 2.0, 2.5]  # of three starts


def folder(path: Path, step_s, losses=None, **changed: object) -> Path:
    """A run folder whose steps take `step_s(batch size, lanes)` seconds, sharp to 1 %; losses by batch size."""
    path.mkdir()
    rows = []
    for size in (1, 8, 100):
        for lanes in (1, 4, 16, 64, 256):
            rate = lanes / step_s(size, lanes)
            rows.append(row(size, lanes, device="cpu", problem="p", examples=100, lane_steps_per_s=rate,
                            lane_steps_per_s_low=rate * 0.99, lane_steps_per_s_high=rate * 1.01,
                            final_losses=(losses or {}).get(size) if lanes == 16 else None))
    corners.table(rows).to_parquet(path / "scaling.parquet", index=False)
    (path / "run.json").write_text(json.dumps(MANIFEST | changed))
    return path


def slow_start(size, lanes):
    """80 µs a step whatever the lanes, up to 256."""
    return 80e-6


def even(size, lanes):
    """10 µs a lane, at the full batch 100 µs."""
    return lanes * (100e-6 if size == 100 else 10e-6)


@pytest.fixture
def pair(tmp_path):
    return folder(tmp_path / "a", even), folder(tmp_path / "b", slow_start, device="gpu")


def test_a_planted_crossing_is_told_and_drawn(pair, tmp_path):
    """80 µs for L lanes against 10 µs a lane: from 8 lanes on; 100 µs a lane at the full batch: always."""
    lines = compare.write(*pair, tmp_path / "out")
    assert lines[0] == ("gpu beats cpu from 8 lanes [7.84, 8.16] on at batch 1; from 8 lanes [7.84, 8.16] on at "
                        "batch 8; at every lane count (1 to 256) at the full batch (100).")
    assert lines[1] == ("B/A in lane-steps per second runs from 0.125× [0.123, 0.128] (batch 1, 1 lane) to "
                        "320× [314, 326] (the full batch (100), 256 lanes); no difference seen at 0 of 15 corners.")
    table = pd.read_csv(tmp_path / "out" / "crossover.csv")
    assert table["verdict"].value_counts().to_dict() == {"faster": 11, "slower": 4}
    assert (tmp_path / "out" / "crossover.png").read_bytes()[1:4] == b"PNG"
    svg = (tmp_path / "out" / "crossover.svg").read_text()
    assert "gpu faster" in svg and "cpu faster" in svg


@pytest.mark.parametrize(("ratios", "said"), [
    ([0.5, 1.05], "never as far as seen (up to 4 lanes)"),
    ([1.2, 1.5], "from 1 lane [1, 1.79] on"),  # 0.8 to 1.36 passes 1 at 4 ** (ln 0.8 / ln (0.8 · 1.1 / 1.5))
    ([1.6, 1.05], "at some lane counts, not seen to at 4,"),
])
def test_a_win_that_no_corner_shows_is_not_told(ratios, said):
    found = pd.DataFrame({"batch_size": 1, "lanes": [1, 4], "ratio": ratios, "ratio_low": np.divide(ratios, [1.5, 1.1]),
                          "ratio_high": np.multiply(ratios, 1.1)})
    found["parity"] = AGREE
    found["verdict"] = [crossover.verdict(*row) for row in found[["ratio", "ratio_low", "ratio_high"]].to_numpy()]
    assert compare.sentences(found, ("cpu", "gpu"), 100)[0] == f"gpu beats cpu {said} at batch 1."


def test_the_map_is_centred_at_one_and_its_line_passes_where_the_devices_are_equal(pair):
    found = compare.map_of(*(compare.load(each) for each in pair))
    axes = crossover_picture.draw(found, ("cpu", "gpu"), "p", 100).axes[0]
    norm = axes.images[0].norm
    assert norm(1.0) == pytest.approx(0.5) and norm.vmax == pytest.approx(320)
    line = np.concatenate([path.vertices for each in axes.collections for path in each.get_paths()])
    on_first_row = line[np.isclose(line[:, 1], 0)]
    assert on_first_row[:, 0] == pytest.approx(np.log(8) / np.log(4)), "columns are powers of four"
    assert [text.get_text() for text in axes.texts][:2] == ["0.12×", "0.5×"]


def test_a_fast_device_whose_losses_differ_wins_nothing(tmp_path):
    """At batch 8 the losses are off by 0.04 in a gap of 2; at the full batch by a ten-thousandth of 1e-4 of it."""
    a = folder(tmp_path / "a", even, dict.fromkeys((1, 8, 100), LOSSES))
    b = folder(tmp_path / "b", slow_start, {1: LOSSES, 8: [loss + 0.04 for loss in LOSSES],
                                            100: [loss + 2e-8 for loss in LOSSES]}, device="gpu")
    lines = compare.write(a, b, tmp_path / "out")
    assert lines[0] == ("gpu beats cpu from 8 lanes [7.84, 8.16] on at batch 1; at every lane count (1 to 256) at the "
                        "full batch (100).")
    assert lines[1].endswith("no difference seen at 0 of 10 corners.")
    assert lines[2:4] == [
        "Losses after the same steps of the same starts, at 3 batch sizes: 1 equal, 1 agree, 1 differ.",
        "No verdict at batch 8: final losses differ by 0.02 of the initial gap (up to 0.0001 is rounding), so a step "
        "does not do the same work."]
    table = pd.read_csv(tmp_path / "out" / "crossover.csv")
    assert table.groupby("batch_size")["parity"].first().to_dict() == {1: EQUAL, 8: DIFFER, 100: AGREE}
    assert table.groupby("batch_size")["loss_change"].first().to_list() == pytest.approx([0, 0.02, 1e-8])
    assert table.loc[table["batch_size"] == 8, "verdict"].isna().all() and (table["ratio"] > 0).all()
    svg = (tmp_path / "out" / "crossover.svg").read_text()
    assert all(said in svg for said in ("losses: equal", "losses: differ", "≠ losses differ: no verdict"))
    axes = crossover_picture.draw(compare.map_of(compare.load(a), compare.load(b)), ("cpu", "gpu"), "p", 100).axes[0]
    assert [text.get_text() for text in axes.texts][5:10] == ["≠ 0.12×", "≠ 0.5×", "≠ 2×", "≠ 8×", "≠ 32×"]
    assert np.isnan(axes.images[0].get_array().filled(np.nan)).all(axis=1).tolist() == [False, True, False]


@pytest.mark.parametrize(("optimum", "losses", "parity"), [
    (1.0, [1.5 + 1.9e-4, 2.0 + 1.9e-4, 2.5 + 1.9e-4], AGREE),  # 0.95e-4 of the gap
    (1.0, [1.5 + 2.1e-4, 2.0 + 2.1e-4, 2.5 + 2.1e-4], DIFFER),
    (None, [1.5, 2.0 + 1.9e-4, 2.5 + 3e-4], AGREE),  # of the loss of A, which is 2 at the median
    (1.0, [math.inf] * 3, DIFFER), (1.0, LOSSES[:2], UNKNOWN)])
def test_losses_are_told_apart_by_a_ten_thousandth_of_the_initial_gap(tmp_path, optimum, losses, parity):
    a = folder(tmp_path / "a", even, {1: LOSSES}, optimum=optimum)
    b = folder(tmp_path / "b", slow_start, {1: losses}, device="gpu")
    found = compare.map_of(compare.load(a), compare.load(b))
    assert found.drop_duplicates("batch_size")["parity"].tolist() == [parity, UNKNOWN, UNKNOWN]


def test_where_all_losses_differ_nothing_is_said_of_speed(tmp_path):
    a, b = (folder(tmp_path / name, even, dict.fromkeys((1, 8, 100), losses), device=name)
            for name, losses in (("cpu", LOSSES), ("gpu", [9.0] * 3)))
    lines = compare.write(a, b, tmp_path / "out")
    assert len([line for line in lines if line.startswith("No verdict at ")]) == 3
    assert not any("beats" in line or "no difference seen" in line for line in lines)


def test_folders_of_before_there_were_losses_load_and_say_that_none_were_measured(pair, tmp_path):
    for each in pair:
        table = pd.read_parquet(each / "scaling.parquet")
        table.drop(columns="final_losses").to_parquet(each / "scaling.parquet")
    lines = compare.write(*pair, tmp_path / "out")
    assert "Losses after the same steps of the same starts, at 3 batch sizes: 3 not measured." in lines
    assert "losses: not measured" in (tmp_path / "out" / "crossover.svg").read_text()


@pytest.mark.parametrize(("field", "value"), [
    ("problem", "q"), ("made_by", "m:f"), ("data_sha256", "b"), ("dtype", "float64"), ("matmul_precision", "default"),
    ("optimizer", "adam")])
def test_row_25_runs_of_something_else_are_refused(pair, tmp_path, field, value):
    (pair[1] / "run.json").write_text(json.dumps(MANIFEST | {field: value}))
    with pytest.raises(compare.CompareError, match=rf"{field}: differs \(got {MANIFEST.get(field)!r} and '{value}'\)"):
        compare.write(*pair, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_folders_that_hold_no_scaling_run_are_refused(pair, tmp_path):
    with pytest.raises(compare.CompareError, match=r"run.json: is not the manifest of a scaling run \(got no folder\)"):
        compare.write(pair[0], tmp_path / "none", tmp_path / "out")
    (pair[1] / "run.json").write_text(json.dumps({"schema": 1, "suite": "quick"}))
    assert not compare.is_scale(pair[1]) and compare.is_scale(pair[0])
    with pytest.raises(compare.CompareError, match="got another kind of run"):
        compare.load(pair[1])
    (pair[1] / "run.json").write_text(json.dumps(MANIFEST | {"schema": 99}))
    with pytest.raises(compare.CompareError, match="has another schema"):
        compare.load(pair[1])


def test_a_damaged_table_is_named(pair, tmp_path):
    (pair[1] / "scaling.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(compare.CompareError, match=r"scaling\.parquet: cannot be read"):
        compare.write(*pair, tmp_path / "out")


def test_two_cpus_that_differ_in_their_cores_are_called_by_their_folders(tmp_path):
    one = folder(tmp_path / "one-core", even)
    two = folder(tmp_path / "two-cores", lambda size, lanes: even(size, lanes) / 2,
                 environment=MANIFEST["environment"] | {"affinity": [0, 1]})
    lines = compare.write(one, two, tmp_path / "out")
    assert lines[0] == "not the same surroundings: affinity: [0] -> [0, 1]"
    assert lines[1].startswith("two-cores beats one-core at every lane count (1 to 256) at batch 1;")


def test_corners_without_a_partner_are_left_out(pair, tmp_path):
    table = pd.read_parquet(pair[1] / "scaling.parquet")
    table[table["lanes"] == 1].to_parquet(pair[1] / "scaling.parquet")
    compare.write(*pair, tmp_path / "out")
    assert pd.read_csv(tmp_path / "out" / "crossover.csv")["lanes"].tolist() == [1, 1, 1]
    table[table["lanes"] == 7].to_parquet(pair[1] / "scaling.parquet")
    with pytest.raises(compare.CompareError, match="has no corner in common"):
        compare.write(*pair, tmp_path / "out")
