"""The parent of a comparison with peers: what it writes and says, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from bench import cli, parent
from bench.peers import session

FAKE = "tests.bench.peers.fake_peers"


def run(folder: Path, *names: str) -> int:
    return session.run(folder, worker=FAKE, workloads=dict.fromkeys(names, "anywhere"))


@pytest.fixture(autouse=True)
def everything_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "find_spec", lambda name: object())


def test_a_comparison_leaves_table_manifest_and_picture(tmp_path, capsys):
    folder = tmp_path / "run"
    assert run(folder, "one", "slow") == parent.FINE
    table = pd.read_csv(folder / "peers.csv")
    assert table["workload"].tolist() == ["one", "slow"] and table["ratio"].tolist() == [3.0, 3.0]
    manifest = json.loads((folder / "run.json").read_text())
    assert manifest["kind"] == "peers" and manifest["finished"] and manifest["environment"]["cpu_model"]
    assert (folder / "peers.png").read_bytes()[1:4] == b"PNG"
    said = capsys.readouterr().out
    assert "1 of 2 goals met." in said
    assert "below its goal: slow, another: 3 [2.8, 3.2], goal 4" in said


@pytest.mark.parametrize(("names", "code", "rows"), [
    (("one", "broken", "other"), parent.CELLS_FAILED, 2),
    (("one", "differs"), parent.CELLS_FAILED, 2),
    (("one", "no-device", "other"), parent.NO_DEVICE, 1),
])
def test_one_failure_costs_no_other_row_and_is_told(tmp_path, capsys, names, code, rows):
    folder = tmp_path / "run"
    assert run(folder, *names) == code
    assert len(pd.read_csv(folder / "peers.csv")) == rows
    said = "".join(capsys.readouterr())
    assert {"broken": "warning: broken:", "differs": "warning: differs, another: differs",
            "no-device": "error: no such device"}[names[1]] in said


def test_nothing_measured_is_an_error(tmp_path, capsys):
    assert run(tmp_path / "run", "broken") == parent.CELLS_FAILED
    said = capsys.readouterr().out
    assert "warning: broken:" in said and "RuntimeError: broken" in said


def test_a_used_folder_is_refused(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    assert run(tmp_path, "one") == parent.FOLDER
    assert "is not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".txt"] == ["mine.txt"]


@pytest.mark.parametrize(("arguments", "words"), [
    (["--only", "nothing"], "--only: must be one of valley-16384"),
    (["--repeats", "0"], "--repeats: must be at least 1"),
])
def test_bad_requests_are_refused_before_anything_runs(tmp_path, arguments, words):
    done = CliRunner().invoke(cli.cli, ["peers", "--out", str(tmp_path / "run"), *arguments])
    assert done.exit_code == parent.BAD_INPUT and words in done.output
    assert not (tmp_path / "run").exists()


def test_a_peer_that_is_not_installed_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(session, "find_spec", lambda name: None if name == "torch" else object())
    assert session.run(tmp_path / "run") == parent.BAD_INPUT
    assert "peers: needs torch, optimistix, sklearn (got 'no torch')" in capsys.readouterr().err
