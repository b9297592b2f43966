"""Merged shards are the run that was not divided; what does not belong together is refused and nothing is changed."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pandas
import pytest
from click.testing import CliRunner

from bench import cli as command_line
from bench import files, merge, store
from bench.cells import group_of
from bench.executors import run_suite
from bench.folder_check import check_run
from bench.merge import _other_results, merge_folders
from bench.shards import Shard
from bench.suite import suite_from
from tests.bench.merging import REAL, Folders, edit, into, rows, state
from tests.bench.test_shards import a_suite, go, groups


@pytest.mark.slow
def test_real_shards_merge_to_the_tables_of_the_undivided_run(tmp_path: Path, undivided: Path) -> None:
    suite = suite_from(REAL)
    folders = [tmp_path / str(number) for number in (1, 2)]
    for number, folder in enumerate(folders, start=1):
        assert run_suite(suite, folder, "cpu", False, Shard(number, 2), reported=number == 1) == 0
        store.collect(folder)
        assert check_run(folder).code == 0
    assert "of shard 1/2" in (folders[0] / "report.md").read_text()
    out = tmp_path / "merged"
    assert merge_folders(folders, out) == 0
    assert "complete: 6 of 6 cells." in (out / "report.md").read_text()
    for name in ("lanes", "hits", "curves", "chosen"):
        pandas.testing.assert_frame_equal(rows(out, name), rows(undivided, name))
    what = ["problem", "optimizer", "batch_size", "device", "program", "quantity", "process"]
    timed = [rows(folder, "timing").groupby(what).size() for folder in (out, undivided)]
    pandas.testing.assert_series_equal(*timed)
    assert check_run(out).code == 0
    # line-fit is in both shards: no one of them could choose whose trajectory is followed, the whole can
    assert not (out / "noise_scale.parquet").exists()
    parts = state(out / "parts")
    assert run_suite(suite, out, "cpu", resume=True, reported=False) == 0
    store.collect(out)
    assert set(state(out / "parts")) - set(parts) == {
        f"line-fit.gradients/{name}" for name in ("part.json", "noise_scale.parquet")}
    pandas.testing.assert_frame_equal(rows(out, "noise_scale"), rows(undivided, "noise_scale"))


def test_the_merge_of_the_shards_is_the_run_that_was_not_divided(tmp_path: Path, shards: Folders) -> None:
    before = [state(folder) for folder in shards]
    assert into(shards, tmp_path / "merged") == 0
    assert go(tmp_path / "all", None) == 0
    for name in ("lanes", "timing"):
        pandas.testing.assert_frame_equal(rows(tmp_path / "merged", name), rows(tmp_path / "all", name))
    run, whole = store.read_run(tmp_path / "merged"), store.read_run(tmp_path / "all")
    plain = [{key: value for key, value in cell.items() if key != "shard"} for cell in run["cells"]]
    assert plain == whole["cells"]
    assert run["problems"] == whole["problems"]
    assert run["finished"] is not None and "shard" not in run
    assert (len(run["environments"]), set(run["made_on"].values())) == (1, {0})
    assert run["warnings"] == []
    found = check_run(tmp_path / "merged")
    assert found.code == 0
    assert not any(line.startswith("extra") for line in found.lines)
    assert [state(folder) for folder in shards] == before


def test_the_order_of_the_folders_and_naming_one_twice_change_nothing(tmp_path: Path, shards: Folders) -> None:
    assert into(shards, tmp_path / "a") == 0
    assert into([shards[1], shards[0], shards[1], tmp_path / "shard-1" / ".." / "shard-2"], tmp_path / "b") == 0
    assert store.read_run(tmp_path / "a")["cells"] == store.read_run(tmp_path / "b")["cells"]
    pandas.testing.assert_frame_equal(pandas.read_parquet(tmp_path / "a/lanes.parquet"),
                                      pandas.read_parquet(tmp_path / "b/lanes.parquet"))


def test_a_copy_of_a_part_is_the_same_part(tmp_path: Path, shards: Folders) -> None:
    shutil.copytree(shards[0], tmp_path / "copy")
    assert into([*shards, tmp_path / "copy"], tmp_path / "merged") == 0
    assert len(pandas.read_parquet(tmp_path / "merged/lanes.parquet")) == 6


def test_a_merged_folder_can_be_merged_with_the_shard_that_it_lacked(tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in (1, 2, 3)]
    for number, folder in enumerate(folders, start=1):
        assert go(folder, number, 3) == 0
    assert into(folders[:2], tmp_path / "two") == 3
    assert into([tmp_path / "two", folders[2]], tmp_path / "three") == 0
    assert into(folders, tmp_path / "at-once") == 0
    assert store.read_run(tmp_path / "three")["cells"] == store.read_run(tmp_path / "at-once")["cells"]


def test_row_27_a_missing_shard_is_named_and_the_rest_is_merged(
        tmp_path: Path, shards: Folders, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "merged"
    assert into(shards[:1], out) == 3
    said = capfd.readouterr().out
    assert f"6 of 12 cells finished in {out}" in said
    lacking = [group for group in dict.fromkeys(map(group_of, store.read_run(out)["cells"])) if group not in groups(
        shards[0])]
    assert f"6 of 12 cells are missing: {', '.join(lacking)}; run shard 2/2 and merge again, or go on here: " in said
    assert store.read_run(out)["finished"] is None
    assert check_run(out).code == 3
    assert len(pandas.read_parquet(out / "lanes.parquet")) == 3


def test_a_merged_folder_goes_on_with_what_is_missing(tmp_path: Path, shards: Folders) -> None:
    out = tmp_path / "merged"
    assert into(shards[:1], out) == 3
    kept = state(out / "parts")
    assert go(out, None, resume=True) == 0
    assert kept.items() <= state(out / "parts").items()
    run = store.read_run(out)
    assert {cell["status"] for cell in run["cells"]} == {"finished"}
    assert sorted(part.name for part in store.parts_of(out) if "timing" in part.name) == [
        "a.timing.1-of-2", "a.timing.2-of-2", "b.timing.1-of-2", "b.timing.2-of-2"]
    assert set(run["made_on"]) == {part.name for part in store.parts_of(out)}
    assert len(run["environments"]) == 1
    assert check_run(out).code == 0
    assert into(shards, tmp_path / "both") == 0
    pandas.testing.assert_frame_equal(rows(out, "timing"), rows(tmp_path / "both", "timing"))


def test_interrupted_runs_of_one_suite_are_merged_too(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name, kept in (("first", ("a.sgd.1", "a.sgd.13")), ("second", ("a.sgd.99", "b.sgd.1", "b.timing"))):
        assert go(tmp_path / name, None) == 0
        for part in store.parts_of(tmp_path / name):
            if part.name not in kept:
                shutil.rmtree(part)
        edit(tmp_path / name, lambda run, kept=kept: [  # type: ignore[misc]
            cell.update(status="pending") for cell in run["cells"] if group_of(cell) not in kept])
    merged = tmp_path / "merged runs"
    assert into([tmp_path / "first", tmp_path / "second"], merged) == 3
    said = capfd.readouterr().out
    go_on = f"go on: python -m bench run SUITE --out '{merged}' --resume."
    assert f"4 of 12 cells are missing: b.sgd.13, b.sgd.99; {go_on}" in said
    assert "6 of 12 cells have no step times: a.sgd.1, a.sgd.13, a.sgd.99; go on:" in said
    assert go(merged, None, resume=True) == 0
    assert check_run(merged).code == 0


def measured_anew(folder: Path, *groups: str) -> None:
    """Give parts other bytes of memory or other seconds, as every run has them."""
    for group in groups:
        part = folder / "parts" / group
        tables = {path.stem: pandas.read_parquet(path) for path in part.glob("*.parquet")}
        shutil.rmtree(part)
        if "timing" in group:
            tables["timing"]["seconds"] += 1.0
        else:
            tables["memory"] = pandas.DataFrame({"problem": ["a"], "peak_bytes": [hash(folder.name)]})
        store.write_group(folder, group, tables)


def test_groups_that_two_interrupted_runs_have_are_measured_in_one_of_them(tmp_path: Path) -> None:
    """Results are the same, bytes and seconds never: those of a problem come from the folder of its step times."""
    kept = {"first": ("a.sgd.1", "a.sgd.13", "a.sgd.99", "a.timing", "b.sgd.1"), "second": (
        "a.sgd.1", "a.sgd.13", "a.timing", "b.sgd.1", "b.sgd.13", "b.sgd.99", "b.timing")}
    for name, mine in kept.items():
        assert go(tmp_path / name, None) == 0
        for part in store.parts_of(tmp_path / name):
            if part.name not in mine:
                shutil.rmtree(part)
        measured_anew(tmp_path / name, *mine)
    for order in (["first", "second"], ["second", "first"]):
        out = tmp_path / "-".join(order)
        assert into([tmp_path / name for name in order], out) == 0
        assert check_run(out).code == 0
        for group in {*kept["first"], *kept["second"]}:
            source = "first" if group.startswith("a.") else "second"
            assert state(out / "parts" / group) == state(tmp_path / source / "parts" / group)


def test_step_times_without_one_of_the_cells_are_taken_anew(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A folder in which a group failed has step times of the others."""
    for name in ("first", "second"):
        assert go(tmp_path / name, None) == 0
    shutil.rmtree(tmp_path / "first/parts/a.sgd.13")
    shutil.rmtree(tmp_path / "second/parts/a.timing")
    assert into([tmp_path / "first", tmp_path / "second"], tmp_path / "merged") == 3
    assert "6 of 12 cells have no step times: a.sgd.1, a.sgd.13, a.sgd.99; go on" in capfd.readouterr().out
    assert not (tmp_path / "merged/parts/a.timing").exists()
    assert store.read_run(tmp_path / "merged")["finished"] is None
    assert go(tmp_path / "merged", None, resume=True) == 0
    assert check_run(tmp_path / "merged").code == 0


def test_a_narrowed_width_goes_with_the_part_that_ran_at_it(tmp_path: Path, shards: Folders) -> None:
    group, other = groups(shards[0])[0], groups(shards[1])[0]
    edit(shards[0], lambda run: run.update(widths={group: 8}, widened={group: 1}))
    edit(shards[1], lambda run: run.update(widths={other: 4, group: 2}))
    assert into(shards, tmp_path / "merged") == 0
    run = store.read_run(tmp_path / "merged")
    assert run["widths"] == {group: 8, other: 4} and run["widened"] == {group: 1}


def test_what_is_measured_may_differ_between_two_parts_and_nothing_else() -> None:
    assert _other_results({"claims": "a", "points": "b"}, {"claims": "c", "points": "d"}) == []
    assert _other_results({"lanes": "a", "memory": "b"}, {"lanes": "c", "memory": "d"}) == ["lanes"]
    assert _other_results({"lanes": "a"}, {"lanes": "a", "hits": "b"}) == ["hits"]


def test_a_failed_cell_stays_failed_and_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    suite = a_suite("refuses")
    for number in (1, 2):
        assert go(tmp_path / str(number), number, suite=suite) == 3
    assert into([tmp_path / "1", tmp_path / "2"], tmp_path / "merged") == 3
    assert "a.sgd.13 (failed), b.sgd.13 (failed); run shards " in capfd.readouterr().out
    notes = {cell["note"] for cell in store.read_run(tmp_path / "merged")["cells"] if cell["status"] == "failed"}
    assert notes == {"will not"}


def test_a_damaged_part_is_left_out_and_taken_from_another_folder(
        tmp_path: Path, shards: Folders, capfd: pytest.CaptureFixture[str]) -> None:
    group = groups(shards[0])[0]
    shutil.copytree(shards[0], tmp_path / "copy")
    (shards[0] / "parts" / group / "lanes.parquet").write_bytes(b"PAR1")
    assert into(shards, tmp_path / "without") == 3
    said = capfd.readouterr().out
    assert f"{shards[0]}/parts/{group}: lanes.parquet is truncated or changed (left out)." in said
    assert f"2 of 12 cells are missing: {group}; run shard 1/2" in said
    assert into([*shards, tmp_path / "copy"], tmp_path / "with") == 0
    assert (shards[0] / "parts" / group / "lanes.parquet").read_bytes() == b"PAR1"


def test_parts_are_links_and_copies_where_there_are_none(
        tmp_path: Path, shards: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    assert into(shards, tmp_path / "linked") == 0

    def other_disk(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", other_disk)
    assert into(shards, tmp_path / "copied") == 0
    assert state(tmp_path / "linked/parts") == state(tmp_path / "copied/parts")
    part = f"parts/{groups(shards[0])[0]}/lanes.parquet"
    assert (tmp_path / "linked" / part).samefile(shards[0] / part)
    assert not (tmp_path / "copied" / part).samefile(shards[0] / part)


@pytest.mark.parametrize("moment", ["os.rename", "bench.store.write_run", "bench.files.sync"])
def test_a_merge_that_cannot_be_written_leaves_nothing(
        tmp_path: Path, shards: Folders, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = [state(folder) for folder in shards]
    with monkeypatch.context() as patch:
        module, name = moment.rsplit(".", 1)
        patch.setattr({"os": os, "bench.store": store, "bench.files": files}[module], name, full)
        assert into(shards, tmp_path / "merged") == 4
    assert not (tmp_path / "merged").exists()
    assert [state(folder) for folder in shards] == before
    (tmp_path / "merged").mkdir()
    (tmp_path / "merged" / ".0123.tmp").mkdir()  # as of a merge that was killed
    assert into(shards, tmp_path / "merged") == 0
    assert not (tmp_path / "merged" / ".0123.tmp").exists()


def test_the_command_merges_and_reports(
        tmp_path: Path, shards: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[Path] = []
    monkeypatch.setattr(merge, "write_report", lambda folder, module, display: not reported.append(folder))
    arguments = ["merge", *map(str, shards), "--out"]
    assert CliRunner().invoke(command_line.cli, [*arguments, str(tmp_path / "a")]).exit_code == 0
    assert reported == [tmp_path / "a"]
    assert CliRunner().invoke(command_line.cli, [*arguments, str(tmp_path / "b"), "--no-report"]).exit_code == 0
    assert reported == [tmp_path / "a"]
    assert CliRunner().invoke(command_line.cli, ["merge", str(shards[0])]).exit_code == 2  # no --out
    assert CliRunner().invoke(command_line.cli, ["merge", "--out", str(tmp_path / "c")]).exit_code == 2
