"""A study survives what a suite of cells survives: a failed claim, a killed worker, a wrong name, a resume."""

from __future__ import annotations

import io
import multiprocessing
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from rich.console import Console

from bench import cli, store
from bench.executors import run_suite
from bench.study.claim import Claim, Outcome
from bench.study.verdicts import LOOKS, Judged, VerdictTable
from bench.suite import suite_from

FAKES = "tests.bench.study.fake_claims"


def go(name: str, folder: Path, claims: str | list[str] = "all", resume: bool = False) -> int:
    return run_suite(suite_from({"name": name, "claims": claims}), folder, resume=resume, worker=FAKES)


def statuses(folder: Path) -> dict[str, str]:
    return {cell["claim"]: cell["status"] for cell in store.read_run(folder)["cells"]}


def test_a_failed_claim_costs_no_other_and_a_resume_runs_it_alone(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    assert go("fine", folder) == 3
    assert statuses(folder) == {"edge": "finished", "broken": "failed", "evil": "finished"}
    assert "out of ideas" in next(cell["note"] for cell in store.read_run(folder)["cells"] if cell["note"])
    shown = capfd.readouterr().out
    assert "✓ holds" in shown and "! failed" in shown and "2 of 3 claims finished" in shown
    assert "partial: 2 of 3 claims" in (folder / "report.md").read_text(encoding="utf-8")
    kept = {path: path.stat().st_mtime_ns for path in (folder / "parts").rglob("part.json")}
    monkeypatch.setenv("FAKE_CLAIM_MENDED", "yes")
    assert go("fine", folder, resume=True) == 0
    assert all(path.stat().st_mtime_ns == before for path, before in kept.items())
    assert set(statuses(folder).values()) == {"finished"}
    assert "complete: 3 of 3 claims" in (folder / "report.md").read_text(encoding="utf-8")
    assert sorted(pd.read_parquet(folder / "claims.parquet")["number"]) == [1, 2, 3]
    assert list(pd.read_csv(folder / "claims.csv")["claim"]) == ["edge", "broken", "evil"]
    (folder / "claims.csv").unlink()
    assert CliRunner().invoke(cli.cli, ["report", str(folder)]).exit_code == 0  # the parts say whose report it is
    assert (folder / "claims.csv").exists()
    assert CliRunner().invoke(cli.cli, ["doctor", str(folder)]).exit_code == 0


def test_a_killed_worker_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_WORKER_ONCE", str(tmp_path / "once"))
    assert go("kill", tmp_path / "run") == 0
    assert set(statuses(tmp_path / "run").values()) == {"finished"}
    warned = store.read_run(tmp_path / "run")["warnings"]
    assert any("claim.broken: worker killed by SIGKILL" in text for text in warned)


def test_an_unknown_claim_is_answered_with_the_closest_and_leaves_no_folder(
        tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert go("fine", tmp_path / "run", ["edge", "evli"]) == 2
    assert "error: claims[1]: unknown name (got 'evli'). Did you mean 'evil'? Known: edge, broken, evil." in (
        capfd.readouterr().err)
    assert not (tmp_path / "run").exists()


def test_a_stop_heard_within_a_claim_is_no_failure_of_it(tmp_path: Path) -> None:
    """A warning of the experiment is a message to the parent, and every message hears whether to stop."""
    from bench.speaker import Stopped
    from bench.study.worker import StudyWorker

    ours, theirs = multiprocessing.Pipe()
    worker = StudyWorker(theirs, suite_from({"name": "t", "claims": "all"}), tmp_path, set())

    def warns(seed: int) -> Outcome:
        ours.send({"kind": "stop"})
        worker.say(kind="warning", text="loss is not finite at a start")
        return Outcome("holds", "never said", [])

    with pytest.raises(Stopped):
        worker.run_claim(Claim(1, "warns", "Statement.", "Method.", warns))
    assert ours.recv()["kind"] == "progress"
    assert ours.recv()["kind"] == "warning"
    assert not ours.poll() and not (tmp_path / "parts").exists()


@pytest.mark.parametrize("width", [40, 80, 140])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_the_terminal_has_one_line_for_each_claim_at_any_width(width: int, encoding: str) -> None:
    rows = [Judged(number, f"a claim of a long name that is number {number}", verdict, "0.4998 [0.4995, 0.5001]" * 9)
            for number, verdict in enumerate(LOOKS, 8)]
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="replace")
    Console(file=stream, width=width, no_color=True).print(VerdictTable(rows))
    stream.flush()
    lines = stream.buffer.getvalue().decode(encoding).splitlines()  # type: ignore[attr-defined]
    assert len(lines) == len(rows) and max(len(line) for line in lines) <= width
    assert all(line.split()[0] == str(row.number) for line, row in zip(lines, rows, strict=True))
    assert all(row.verdict in line for line, row in zip(lines, rows, strict=True))
    assert all(("0.4998" in line) == (width == 140) for line in lines)


def test_where_there_is_no_edge_a_line_ends_with_its_text() -> None:
    stream = io.StringIO()
    Console(file=stream, width=10_000).print(VerdictTable([Judged(1, "noise floor", "holds", "1.02×")]))
    assert len(stream.getvalue()) < 80
