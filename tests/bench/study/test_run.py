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
from bench.speaker import Stopped
from bench.study.claim import Claim, Outcome
from bench.study.verdicts import LOOKS, Judged, VerdictTable
from bench.study.worker import StudyWorker
from bench.suite import suite_from
from tests.bench.study.fake_claims import claims

FAKES = "tests.bench.study.fake_claims"


def go(name: str, folder: Path, resume: bool = False, report: str | None = None) -> int:
    return run_suite(suite_from({"name": name, "claims": "all"}), folder, resume=resume, worker=FAKES, report=report)


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
    asked: list[tuple[Path, str]] = []
    monkeypatch.setattr(cli, "write_report", lambda where, module, display: asked.append((where, module)) is None)
    assert CliRunner().invoke(cli.cli, ["report", str(folder)]).exit_code == 0
    assert asked == [(folder, "bench.study.report")]  # the manifest says whose report it is
    assert CliRunner().invoke(cli.cli, ["doctor", str(folder)]).exit_code == 0


def test_a_killed_worker_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_WORKER_ONCE", str(tmp_path / "once"))
    assert go("kill", tmp_path / "run", report="tests.bench.fake_report") == 0
    assert set(statuses(tmp_path / "run").values()) == {"finished"}
    warned = store.read_run(tmp_path / "run")["warnings"]
    assert any("claim.broken: worker killed by SIGKILL" in text for text in warned)


def test_an_unknown_claim_is_answered_with_the_closest_before_a_plan(tmp_path: Path) -> None:
    """An error before the plan leaves no folder: bench/test_executors.py, of a missing device."""
    ours, theirs = multiprocessing.Pipe()
    worker = StudyWorker(theirs, suite_from({"name": "t", "claims": ["edge", "evli"]}), tmp_path, set())
    worker.known = claims  # type: ignore[method-assign]
    worker.work("cpu", 0.0)
    assert ours.recv() == {"kind": "error", "code": 2, "text": "claims[1]: unknown name (got 'evli'). Did you mean "
                                                               "'evil'? Known: edge, broken, evil."}
    assert not ours.poll()


def test_a_stop_heard_within_a_claim_is_no_failure_of_it(tmp_path: Path) -> None:
    """A warning of the experiment is a message to the parent, and every message hears whether to stop."""
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
