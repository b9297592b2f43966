"""Whatever happens to a process, a part is whole or not there, and what is not whole is named and run again."""

from __future__ import annotations

import errno
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy
import pandas
import pytest

from bench import files, store
from bench.store import FolderError, Run

ROWS = pandas.DataFrame({"problem": ["a", "a"], "batch_size": [1, 2], "loss": [0.5, math.inf]})


def a_run() -> Run:
    return {"schema": 1, "suite": "t", "config": {}, "config_hash": "", "command": [], "started": "", "finished": None,
            "device": "cpu", "environment": {}, "mark_ratio": {}, "problems": {}, "cells": [], "warnings": []}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run = tmp_path / "run"
    run.mkdir()
    store.create(run, a_run())
    return run


def groups_of(folder: Path) -> tuple[list[str], list[str]]:
    warnings: list[str] = []
    return store.finished_groups(folder, warnings.append), warnings


def test_a_group_comes_back_as_it_was_written(folder: Path) -> None:
    store.write_group(folder, "a.sgd.1", {"lanes": ROWS})
    pandas.testing.assert_frame_equal(pandas.read_parquet(folder / "parts/a.sgd.1/lanes.parquet"), ROWS)
    assert groups_of(folder) == (["a.sgd.1"], [])


def test_the_manifest_is_there_before_any_part(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    store.create(tmp_path / "run", a_run())
    assert store.read_run(tmp_path / "run") == a_run()
    assert list((tmp_path / "run" / "parts").iterdir()) == []


@pytest.mark.parametrize("moment", ["os.rename", "bench.files.digest", "bench.files.sync"])
def test_a_process_killed_while_writing_leaves_the_old_state(folder: Path, moment: str) -> None:
    store.write_group(folder, "a.sgd.1", {"lanes": ROWS})
    module, name = moment.rsplit(".", 1)
    script = (f"import os, signal, sys, pandas, pathlib, bench.store, {module}\n"
              f"{module}.{name} = lambda *given: os.kill(os.getpid(), signal.SIGKILL)\n"
              "rows = pandas.DataFrame({'x': [1]})\n"
              "bench.store.write_group(pathlib.Path(sys.argv[1]), 'b.sgd.1', {'lanes': rows})\n")
    done = subprocess.run([sys.executable, "-c", script, str(folder)], check=False, capture_output=True)
    assert done.returncode == -9
    assert list(files.leftovers(folder)) != []
    assert store.collect(folder) == []
    assert len(pandas.read_parquet(folder / "lanes.parquet")) == len(ROWS)
    assert groups_of(folder) == (["a.sgd.1"], [])
    assert [path.name for path in (folder / "parts").iterdir()] == ["a.sgd.1"]  # the leftover is gone


def test_a_failed_write_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "sync", full)
    with pytest.raises(OSError, match="No space"):
        store.write_group(folder, "a.sgd.1", {"lanes": ROWS})
    assert list((folder / "parts").iterdir()) == []
    with pytest.raises(FolderError, match="make room"):
        store.write_run(folder, a_run() | {"suite": "changed"})
    assert store.read_run(folder)["suite"] == "t"


def test_a_part_is_never_changed(folder: Path) -> None:
    store.write_group(folder, "a.sgd.1", {"lanes": ROWS})
    with pytest.raises(FolderError, match="never changed"):
        store.write_group(folder, "a.sgd.1", {"lanes": ROWS[:1]})
    assert len(pandas.read_parquet(folder / "parts/a.sgd.1/lanes.parquet")) == 2


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "remove", "foreign", "newer", "garbage"])
def test_a_damaged_part_is_moved_away_and_counts_as_missing(folder: Path, damage: str) -> None:
    for group in ("a.sgd.1", "a.sgd.2"):
        store.write_group(folder, group, {"lanes": ROWS})
    part = folder / "parts/a.sgd.2"
    table, index = part / "lanes.parquet", part / "part.json"
    content = table.read_bytes()
    if damage == "truncate":
        table.write_bytes(content[:len(content) // 2])
    elif damage == "flip":
        table.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    elif damage == "empty":
        table.write_bytes(b"")
    elif damage == "remove":
        table.unlink()
    elif damage == "foreign":
        index.write_bytes((folder / "parts/a.sgd.1/part.json").read_bytes())
    elif damage == "newer":
        index.write_text(json.dumps(json.loads(index.read_text()) | {"schema": 2}))
    else:
        index.write_bytes(b"\x00{")
    left_out = store.collect(folder)  # only leaves out
    assert len(left_out) == 1
    assert len(pandas.read_parquet(folder / "lanes.parquet")) == 2
    groups, warnings = groups_of(folder)
    assert groups == ["a.sgd.1"]
    assert len(warnings) == 1
    assert warnings[0].startswith("parts/a.sgd.2: ")
    assert [path.name[:7] for path in (folder / "corrupt").iterdir()] == ["a.sgd.2"]
    store.write_group(folder, "a.sgd.2", {"lanes": ROWS})  # and can be run again
    assert groups_of(folder) == (["a.sgd.1", "a.sgd.2"], [])


def test_collect_joins_parts_and_can_be_repeated(folder: Path) -> None:
    store.write_group(folder, "a.sgd.1", {"lanes": ROWS, "hits": ROWS})
    store.write_group(folder, "a.sgd.2", {"lanes": ROWS.assign(loss=[1, 2])})  # whole numbers meet fractions
    for _ in range(2):
        assert store.collect(folder) == []
        lanes = pandas.read_parquet(folder / "lanes.parquet")
        assert lanes["loss"].tolist() == [0.5, math.inf, 1.0, 2.0]
        assert len(pandas.read_parquet(folder / "hits.parquet")) == 2
        assert not (folder / "curves.parquet").exists()


def test_the_second_run_in_a_folder_is_refused_at_once(folder: Path) -> None:
    script = ("import sys, pathlib\nfrom bench import store\n"
              "try:\n    with store.locked(pathlib.Path(sys.argv[1])): print('held')\n"
              "except store.FolderError as error: print(error)\n")
    with store.locked(folder):
        inside = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=True)
    after = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=True)
    assert "another run holds this folder" in inside.stdout
    assert after.stdout.strip() == "held"


def test_a_folder_in_use_is_not_probed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run that holds it removes unfinished files, so a probe beside it might not find its own."""
    probed: list[Path] = []
    monkeypatch.setattr(files, "probe", probed.append)
    with store.locked(folder):
        assert probed == [folder]
        with pytest.raises(FolderError, match="another run holds this folder"), store.locked(folder):
            pass
    assert probed == [folder]


def test_a_folder_that_fails_the_probe_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "probe", full)
    with pytest.raises(FolderError, match="No space left"), store.locked(tmp_path / "new"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_where_a_table_has_no_room_the_command_that_makes_it_again_is_said(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, write: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    folder = tmp_path / "my runs"
    folder.mkdir()
    store.create(folder, a_run())
    store.write_group(folder, "a.sgd.1", {"lanes": ROWS})
    monkeypatch.setattr(files, "write_whole", full)
    with pytest.raises(FolderError, match=re.escape(f"make room, then python -m bench report '{folder}'.")):
        store.collect(folder)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("x" * 300), tmp_path / "a\0b"):
        with pytest.raises(FolderError, match="cannot be written"), store.locked(path):
            pass


def test_an_unused_folder_is_taken_back(tmp_path: Path) -> None:
    with store.locked(tmp_path / "new"):
        assert (tmp_path / "new").is_dir()
    assert not (tmp_path / "new").exists()


def test_create_refuses_a_folder_with_something_in_it(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(FolderError, match=r"is not empty \(got thesis\.tex\)\. Add --resume"):
        store.create(tmp_path, a_run())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_the_manifest_holds_no_nan(folder: Path) -> None:
    run = a_run()
    run["environment"] = {"load": math.nan, "best": numpy.float32("inf"), "cores": numpy.int64(2),
                          "list": (1.5, math.inf)}
    store.write_run(folder, run)
    assert store.read_run(folder)["environment"] == {"load": None, "best": None, "cores": 2, "list": [1.5, None]}


def test_a_plain_manifest_is_written_by_the_encoder_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is written again for each group, on the cores that are being timed: 2 s for 10⁵ cells in Python."""
    monkeypatch.setattr(files, "plain", lambda value: pytest.fail("walked through in Python"))
    run = a_run() | {"warnings": ["×"], "problems": {"a": {"examples": 9, "optimum": None}}}
    store.write_run(folder, run)
    assert store.read_run(folder) == run
    text = (folder / "run.json").read_text(encoding="utf-8")
    assert [line.split(":")[0] for line in text.splitlines()[1:-1]] == [f'"{key}"' for key in run]
    assert '"warnings": ["×"]' in text


NEWER = b'{"schema": 2, "cells": [], "config": {}}'


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", NEWER, b"\xff", b"[" * 10**6])
def test_a_wrong_manifest_is_refused(folder: Path, content: bytes) -> None:
    (folder / "run.json").write_bytes(content)
    with pytest.raises(FolderError, match=r"run\.json: .+ \(got .*\)\. "):
        store.read_run(folder)


@pytest.mark.parametrize("group", [
    "my_module:make_problem.sgd.1", "../../etc/passwd", "..", ".", "", "/abs", "a/b", "a\\b", "x" * 300, "ü", "\0",
    "-rf", "a\nb",
])
def test_part_names_stay_inside_the_folder(folder: Path, group: str) -> None:
    name = store.part_name(group)
    assert set(name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
    assert ".." not in name
    assert 0 < len(name) <= 100
    store.write_group(folder, group, {"lanes": ROWS})
    assert groups_of(folder) == ([group], [])


def test_part_names_differ_where_groups_differ() -> None:
    groups = ["a:b", "a_b", "a/b", "a.b", "a..b", "x" * 150, "x" * 151, "-a", "a"]
    assert len({store.part_name(group) for group in groups}) == len(groups)
