"""Folders that do not belong together, are in use or were edited are refused, and nothing is made."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas
import pytest

from bench import merge, store
from bench.store import FolderError
from tests.bench.merging import Folders, edit, into, state
from tests.bench.test_shards import go, groups


def change_config(run: store.Run) -> None:
    run["config"]["epochs"], run["config_hash"] = 30.0, "0" * 64


REFUSED: dict[str, tuple[Callable[[store.Run], object], str]] = {
    "config": (change_config, "epochs: 20.0 -> 30.0"),
    "code": (lambda run: run["environment"].update(code_sha256="f" * 64), "-> ffffffffffff"),
    "versions": (lambda run: run["environment"]["versions"].update(jax="0.0.1"),  # type: ignore[attr-defined]
                 "versions.jax: "),
    "device": (lambda run: run.update(device="gpu"), "device: cpu -> gpu"),
    "device kind": (lambda run: run["environment"].update(device_kind="H100"), "device_kind: None -> H100"),
    "data": (lambda run: run["problems"]["a"].update(data_sha256="0" * 8), "problems.a.data_sha256: None -> 00000000"),
    "targets": (lambda run: run["problems"]["a"].update(targets=[{"target": 0.5, "gap": None}]),
                "problems.a.targets: None -> [{'target': 0.5, 'gap': None}]"),
    "plan": (lambda run: run["plan"].reverse(), "plan: other cells, or in another order"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_other_experiments_are_refused_with_the_difference(
        tmp_path: Path, shards: Folders, capfd: pytest.CaptureFixture[str], what: str) -> None:
    change, said = REFUSED[what]
    edit(shards[1], change)
    assert into(shards, tmp_path / "merged") == 4
    error = capfd.readouterr().err
    assert f"error: {shards[1]}: is another experiment than {shards[0]} (got " in error
    assert said in error
    assert not (tmp_path / "merged").exists()


def test_shards_of_another_division_are_refused(
        tmp_path: Path, shards: Folders, capfd: pytest.CaptureFixture[str]) -> None:
    assert go(tmp_path / "third", 3, 3) == 0
    assert into([shards[0], tmp_path / "third"], tmp_path / "merged") == 4
    assert "(got shards: 2 -> 3)" in capfd.readouterr().err
    assert go(tmp_path / "all", None) == 0
    assert into([shards[0], tmp_path / "all"], tmp_path / "merged") == 4
    assert "(got shards: 2 -> none)" in capfd.readouterr().err


def test_a_group_that_is_there_twice_with_other_content_is_refused(
        tmp_path: Path, shards: Folders, capfd: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(shards[0], tmp_path / "again")
    group = groups(shards[0])[0]
    shutil.rmtree(tmp_path / "again/parts" / group)
    store.write_group(tmp_path / "again", group, {"lanes": pandas.DataFrame({"problem": ["a"], "batch_size": [7]})})
    assert into([*shards, tmp_path / "again"], tmp_path / "merged") == 4
    assert (f"error: parts/{group}: is in two folders with different content (got other lanes in {shards[0]} and "
            f"{tmp_path / 'again'}). Leave one") in capfd.readouterr().err
    assert not (tmp_path / "merged").exists()


def test_a_folder_that_is_being_run_is_refused(
        tmp_path: Path, shards: Folders, capfd: pytest.CaptureFixture[str]) -> None:
    with store.locked(shards[1]):
        assert into(shards, tmp_path / "merged") == 4
    assert f"error: {shards[1]}: a run holds this folder (got a lock)." in capfd.readouterr().err
    assert not (tmp_path / "merged").exists()
    assert into(shards, tmp_path / "merged") == 0


def test_a_folder_that_is_merged_cannot_be_run_meanwhile(
        tmp_path: Path, shards: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    codes = []
    collect = store.collect

    def meanwhile(folder: Path, checked: list[Path]) -> list[str]:
        codes.append(go(shards[0], 1, resume=True))
        return collect(folder, checked)

    monkeypatch.setattr(merge.store, "collect", meanwhile)
    assert into(shards, tmp_path / "merged") == 0
    assert codes == [4]


def test_a_folder_in_use_is_not_merged_into(
        tmp_path: Path, shards: Folders, capfd: pytest.CaptureFixture[str]) -> None:
    before = state(shards[1])
    (tmp_path / "used").mkdir()
    (tmp_path / "used/thesis.tex").write_text("")
    assert into(shards, tmp_path / "used") == 4
    assert f"error: --out: is used already (got {tmp_path / 'used'})." in capfd.readouterr().err
    assert [path.name for path in (tmp_path / "used").iterdir()] == ["thesis.tex"]
    for out in (shards[1], shards[1] / "merged"):
        assert into(shards, out) == 4
        assert "error: --out: is in a folder that is to be merged" in capfd.readouterr().err
    assert state(shards[1]) == before
    (tmp_path / "empty").mkdir()
    assert into(shards, tmp_path / "empty") == 0


def test_folders_that_are_no_runs_are_refused(
        tmp_path: Path, shards: Folders, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert into([*shards, tmp_path / "empty"], tmp_path / "merged") == 4
    assert "run.json: is missing" in capfd.readouterr().err
    assert into([tmp_path / "absent"], tmp_path / "merged") == 4
    edit(shards[0], lambda run: run.update(cells=[]))
    assert into(shards[:1], tmp_path / "merged") == 4
    assert f"error: DIR: no folder has cells (got {shards[0]})." in capfd.readouterr().err
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize(("key", "value", "said"), [
    ("plan", [1], "a plan that is none"), ("shard", [0, 2], "shard: '[0, 2]'"), ("shard", "1/2", "shard: '1/2'"),
    ("made_on", {"a": 3}, "made_on: machines that are not there"),
])
def test_a_manifest_that_was_edited_is_refused(
        tmp_path: Path, shards: Folders, capfd: pytest.CaptureFixture[str], key: str, value: object, said: str) -> None:
    edit(shards[0], lambda run: run.update({key: value}))  # type: ignore[misc]
    assert into(shards, tmp_path / "merged") == 4
    assert f"is not a manifest of a run (got {said})" in capfd.readouterr().err


def test_a_label_that_was_edited_is_refused(shards: Folders) -> None:
    edit(shards[0], lambda run: run["cells"][0].update(shard="first"))  # type: ignore[call-arg]
    with pytest.raises(FolderError, match="a cell of the shard 'first'"):
        store.read_run(shards[0])
