"""The command line: exit codes, error texts, and a parent that never imports jax."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench import cli as command_line
from bench import executors

ROOT = Path(__file__).resolve().parents[2]
SUITE = 'name = "{name}"\nproblems = ["a"]\nbatch_sizes = [1, 13]\nschedules = ["constant"]\n'


@pytest.fixture(autouse=True)
def _fake(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = functools.partial(executors.run_suite, worker="tests.bench.fake_worker", report="tests.bench.fake_report")
    monkeypatch.setattr(command_line, "run_suite", fake)


def call(*arguments: str) -> tuple[int, str]:
    """Exit code, and stdout and stderr together."""
    done = CliRunner().invoke(command_line.cli, list(arguments))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def a_file(folder: Path, name: str) -> str:
    path = folder / "suite.toml"
    path.write_text(SUITE.format(name=name))
    return str(path)


def test_the_parent_imports_no_jax() -> None:
    script = ("import sys, bench.cli, bench.executors, bench.child, bench.store, bench.__main__\n"
              "print(sorted({'jax', 'jaxlib', 'gdjax', 'sklearn'} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("code", [0, 1, 3, 4, 5, 130])
def test_run_exits_with_the_code_that_the_run_ends_with(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Which end has which: test_executors.py."""
    monkeypatch.setattr(command_line, "run_suite", lambda *_, **__: code)
    assert call("run", a_file(tmp_path, "fine"), "--out", str(tmp_path / "run"))[0] == code


def test_bad_input_is_exit_2_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(SUITE.format(name="t") + "seed = -1\nbathc_size = 3\n")
    code, said = call("run", str(tmp_path / "bad.toml"), "--out", str(tmp_path / "run"))
    assert code == 2
    assert "error: seed: must be at least 0 (got -1)." in said
    assert "error: bathc_size: unknown key (got 3). Did you mean 'batch_sizes'?" in said
    assert not (tmp_path / "run").exists()
    assert call("run", "quikc")[0] == 2
    assert call("run", "quick", "--device", "tpu")[0] == 2
    assert call("run", "quick", "--resume")[0] == 2


def test_a_folder_in_use_is_exit_4(tmp_path: Path) -> None:
    suite = a_file(tmp_path, "fine")
    code, said = call("run", suite, "--out", str(tmp_path))  # it holds the suite's file
    assert code == 4
    assert "is not empty (got suite.toml)" in said
    assert [path.name for path in tmp_path.iterdir()] == ["suite.toml"]  # not even a lock is left
    assert call("run", suite, "--out", suite)[0] == 4


def test_row_15_a_million_cells_need_yes(tmp_path: Path) -> None:
    sizes, names = list(range(1, 1001)), [f"s{i}" for i in range(1000)]
    path = tmp_path / "huge.toml"
    axes = f"batch_sizes = {sizes}\nschedules = {names}\n".replace("'", '"')
    path.write_text('name = "refuses"\nproblems = ["a"]\n' + axes)
    code, said = call("run", str(path), "--out", str(tmp_path / "run"))
    assert code == 2
    assert "1,000,000 cells" in said
    assert all(word in said for word in ("about 12 days", "of memory", "of disk", "--yes"))  # 408e6 lanes, 300 steps
    assert not (tmp_path / "run").exists()


def test_a_command_that_is_suggested_can_be_typed_whatever_the_folder_is_called(tmp_path: Path) -> None:
    folder = tmp_path / "my runs"
    code, said = call("run", a_file(tmp_path, "fine"), "--no-report", "--out", str(folder))
    assert code == 0 and f"no report: python -m bench report '{folder}' makes one" in said


def test_report_makes_everything_again_from_the_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    assert call("run", a_file(tmp_path, "fine"), "--out", str(folder))[0] == 0
    (folder / "lanes.parquet").unlink()
    monkeypatch.setattr(command_line, "write_report", lambda where, module, display: where == folder)
    assert call("report", str(folder))[0] == 0
    assert (folder / "lanes.parquet").exists()
    code, said = call("report", str(tmp_path / "absent"))
    assert code == 4
    assert "run.json: is missing" in said


def test_doctor_tells_what_is_missing_in_a_run(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    call("run", a_file(tmp_path, "fine"), "--out", str(folder))
    code, said = call("doctor", str(folder))
    assert code == 0
    assert "cells    2 of 2 finished" in said
    store_part = folder / "parts/a.sgd.13/lanes.parquet"
    store_part.write_bytes(b"PAR1")
    code, said = call("doctor", str(folder))
    assert code == 4
    assert "damaged  parts/a.sgd.13: lanes.parquet is truncated or changed" in said
    assert "--resume" in said
    assert store_part.read_bytes() == b"PAR1"  # it looks and does not touch
    assert call("run", a_file(tmp_path, "fine"), "--out", str(folder), "--resume")[0] == 0
    assert call("doctor", str(folder))[0] == 0
    (folder / "hits.parquet").write_bytes(b"")
    assert "damaged  hits.parquet: cannot be read" in call("doctor", str(folder))[1]
    assert call("doctor", str(tmp_path))[0] == 4


def test_doctor_counts_failed_cells(tmp_path: Path) -> None:
    call("run", a_file(tmp_path, "refuses"), "--out", str(tmp_path / "run"))
    code, said = call("doctor", str(tmp_path / "run"))
    assert code == 3
    assert "cells    1 of 2 finished" in said
    assert "failed   a.sgd.13 constant: will not" in said
    assert "missing  parts/a.sgd.13" in said


def test_doctor_of_this_machine_names_versions_and_devices() -> None:
    code, said = call("doctor")
    assert code == 0
    for word in ("python ", "jax ", "optax ", "device   ", "disk ", "load "):
        assert word in said


def test_the_default_folder_is_safe_whatever_the_suites_name() -> None:
    suite = command_line.load_suite("quick")
    odd = suite.model_copy(update={"name": "../../a b<script>" + "x" * 200})
    assert command_line.default_folder(suite, "cpu").as_posix().startswith("results/quick-cpu-20")
    assert command_line.default_folder(odd, "cpu").parent == Path("results")
    assert len(command_line.default_folder(odd, "cpu").name) < 100
