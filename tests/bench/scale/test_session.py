"""The parent of a scaling run: what it writes, what it says, its exit codes, whatever becomes of the worker."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from bench import cli as command_line
from bench import parent
from bench.scale import corners, session

WALK = "tests.bench.scale.fake_walk"


def table_of(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "scaling.parquet").set_index(["batch_size", "lanes"])


def call(*arguments: str) -> tuple[int, str]:
    """Exit code, and stdout and stderr together."""
    done = CliRunner().invoke(command_line.cli, ["scale", *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_a_whole_run_leaves_manifest_table_and_picture(tmp_path, capsys):
    """The manifest says what was measured and on what; four corners, of which the largest had no memory."""
    folder = tmp_path / "run"
    assert session.run("oom", folder, worker=WALK) == parent.FINE
    manifest = json.loads((folder / "run.json").read_text())
    assert (manifest["kind"], manifest["problem"], manifest["dtype"], manifest["matmul_precision"]) == (
        "scale", "oom", "float32", "highest")
    assert manifest["ceilings"] == {"matmul_flops": 1e11, "copy_bytes_s": 1e10} and manifest["finished"]
    assert {"cpu_model", "versions", "affinity", "git_commit", "load_after"} <= set(manifest["environment"])
    table = table_of(folder)
    assert list(table.reset_index().columns.sort_values()) == sorted(corners.COLUMNS)
    assert table["status"].to_dict() == {(1, 1): "finished", (1, 4): "finished", (100, 1): "finished", (100, 4): "oom"}
    assert table.loc[(1, 4), "lane_steps_per_s"] == 4000 and table["lane_steps_per_s"].isna().sum() == 1
    assert len(pd.read_csv(folder / "scaling.csv")) == 4
    assert (folder / "scaling-cpu.png").read_bytes()[1:4] == b"PNG" and (folder / "scaling-cpu.svg").exists()
    said = capsys.readouterr().out
    assert "ceilings of cpu: 100 GFLOP/s in float32 products, 10 GB/s read and written" in said
    assert "a step of one lane takes 1 ms." in said
    assert "batch 1 4 k at 4 lanes (0.004 % of the matmul ceiling)" in said
    assert "batch 100 from 4 lanes on: oom (needs 9 GB)." in said


def test_a_killed_worker_costs_its_corner_and_what_comes_after(tmp_path, capsys):
    """SIGKILL is often the kernel's, for memory: that is said, and what was measured stays."""
    assert session.run("killed", tmp_path / "run", worker=WALK) == parent.CELLS_FAILED
    table = table_of(tmp_path / "run")
    assert table["status"].to_dict() == {(1, 1): "finished", (1, 4): "failed", (100, 1): "finished",
                                         (100, 4): "skipped"}
    assert "SIGKILL" in table.loc[(1, 4), "note"] and table.loc[(100, 4), "note"] == "the worker had ended"
    assert "SIGKILL" in capsys.readouterr().out


def test_row_20_ctrl_c_keeps_what_is_measured(tmp_path):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background of a shell it is ignored
    try:
        assert session.run("interrupted", tmp_path / "run", worker=WALK) == parent.INTERRUPTED
    finally:
        signal.signal(signal.SIGINT, before)
    table = table_of(tmp_path / "run")
    assert table["status"].tolist() == ["finished", "skipped", "finished", "skipped"]
    assert table.loc[(1, 4), "note"] == "interrupted"
    assert (tmp_path / "run" / "scaling-cpu.png").exists()


def test_a_worker_that_breaks_before_its_plan_leaves_no_folder(tmp_path, capsys):
    assert session.run("no-plan", tmp_path / "run", worker=WALK) == parent.CELLS_FAILED
    assert "broken before the plan" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_run_that_measured_nothing_fails_and_says_why(tmp_path, capsys):
    assert session.run("nothing", tmp_path / "run", worker=WALK) == parent.CELLS_FAILED
    assert "error: no corner was measured (got no time). Allow more --minutes" in capsys.readouterr().err
    assert (table_of(tmp_path / "run")["status"] == "skipped").all()


@pytest.mark.parametrize(("option", "value", "wrong"), [
    ("--max-lanes", "0", "--max-lanes: must be from 1 to 1,048,576 (got 0)"),
    ("--max-lanes", "1048577", "--max-lanes: must be from 1 to 1,048,576 (got 1048577)"),
    ("--minutes", "0", "--minutes: must be above 0 and finite (got 0.0)"),
    ("--minutes", "-1", "--minutes: must be above 0"),
    ("--minutes", "nan", "--minutes: must be above 0 and finite (got nan)"),
    ("--minutes", "inf", "--minutes: must be above 0 and finite (got inf)"),
])
def test_numbers_without_meaning_are_refused_before_anything_starts(tmp_path, monkeypatch, option, value, wrong):
    monkeypatch.setattr(session, "Child", None)
    code, said = call("bowl", option, value, "--out", str(tmp_path / "run"))
    assert code == parent.BAD_INPUT and f"error: {wrong}" in said
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_used_or_can_not_be_written_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(session, "Child", None)
    (tmp_path / "file").write_text("mine")
    code, said = call("bowl", "--out", str(tmp_path))
    assert code == parent.FOLDER and "is not empty (got 'file'). Use another --out." in said
    code, said = call("bowl", "--out", str(tmp_path / "file" / "below"))
    assert code == parent.FOLDER and "cannot be written" in said
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_rows_of_corners_that_were_not_reached_say_which_smaller_one_ended_the_walk():
    told = {(1, 1): {"batch_size": 1, "lanes": 1, "status": "finished", "note": ""},
            (1, 4): {"batch_size": 1, "lanes": 4, "status": "oom", "note": "needs 9 GB"}}
    rows = corners.rows_of([(1, 16), (1, 1), (1, 4), (8, 1)], told, "interrupted", {"device": "cpu"})
    assert [(row["batch_size"], row["lanes"], row["status"], row["note"]) for row in rows] == [
        (1, 1, "finished", ""), (1, 4, "oom", "needs 9 GB"), (1, 16, "skipped", "oom at 4 lanes"),
        (8, 1, "skipped", "interrupted")]


@pytest.mark.parametrize(("lanes", "cores", "wanted"), [(1, 2, (1, 1)), (4, 2, (1, 4)), (16, 2, (1, 16)),
                                                        (64, 2, (2, 32)), (64, 64, (4, 16)), (256, 6, (6, 43)),
                                                        (1 << 20, 1, (1, 1 << 20))])
def test_lanes_are_spread_over_the_cores_and_all_of_them_run(lanes, cores, wanted):
    assert corners.pieces_of(lanes, cores) == wanted
    assert wanted[0] * wanted[1] >= lanes and wanted[0] <= cores


def test_lane_counts_and_batch_sizes_are_those_that_there_are():
    assert corners.lane_counts(1 << 20) == [4**power for power in range(11)]
    assert corners.lane_counts(1) == [1] and corners.lane_counts(3) == [1] and corners.lane_counts(64)[-1] == 64
    assert corners.batch_sizes(1) == [1] and corners.batch_sizes(32) == [1, 8, 32]
    assert corners.batch_sizes(1797) == [1, 8, 32, 128, 1797]
