"""Shards: every group is in exactly one, the same wherever it is asked for, and a shard is a run of its own."""

from __future__ import annotations

import functools
import json
import random
from pathlib import Path

import pandas
import pytest
from click.testing import CliRunner

from bench import cli as command_line
from bench import executors, store
from bench.cells import group_of
from bench.executors import run_suite
from bench.folder_check import check_run
from bench.report.content import progress
from bench.shards import Shard, assigned, shard_from, shards_of, whole_of
from bench.size import size_of
from bench.suite import Suite, load_suite, suite_from
from bench.tables import Tables, empty
from tests.bench.test_executors import FAKES

SUITE = 'name = "{name}"\nproblems = ["a", "b"]\nbatch_sizes = [1, 13]\nschedules = ["constant"]\n'


@pytest.fixture
def _fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_line, "run_suite", functools.partial(executors.run_suite, **FAKES))


def a_suite(name: str = "fine", sizes: list[int] | None = None, **changes: object) -> Suite:
    return suite_from({"name": name, "problems": ["a", "b"], "batch_sizes": sizes or [1, 13, 99],
                       "schedules": ["constant", "cosine"], **changes})


def go(folder: Path, number: int | None, of: int = 2, resume: bool = False, suite: Suite | None = None,
       **modules: str) -> int:
    shard = None if number is None else Shard(number, of)
    return run_suite(suite or a_suite(), folder, "auto", resume, shard, **FAKES, **modules)


def call(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(command_line.cli, ["run", *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def groups(folder: Path) -> list[str]:
    return list(dict.fromkeys(map(group_of, store.read_run(folder)["cells"])))


@pytest.mark.parametrize("shards", [1, 2, 3, 7])
def test_every_group_is_in_one_shard_and_none_is_empty_or_overfull(shards: int) -> None:
    draw = random.Random(shards)
    for count in (shards, shards + 1, 50):
        weights = [draw.lognormvariate(0, 2) for _ in range(count)]
        found = assigned(weights, shards)
        assert len(found) == count and set(found) == set(range(1, shards + 1))
        loads = [sum(weight for weight, number in zip(weights, found, strict=True) if number == shard)
                 for shard in range(1, shards + 1)]
        # the fullest shard got its last group when it had the least: it has at most that group more than any other
        assert max(loads) - min(loads) <= max(weights) + 0.001 * count


def test_the_longest_first_is_balanced_where_turns_are_not() -> None:
    weights = [8.0, 1.0, 8.0, 1.0, 8.0, 1.0, 8.0, 1.0]  # in turns one of two shards would have 32 of 36
    found = assigned(weights, 2)
    assert sum(weight for weight, number in zip(weights, found, strict=True) if number == 1) == 18.0


def test_rounding_of_a_machine_changes_no_shard() -> None:
    weights = [3 + 1e-4 * (each * each % 97) ** 0.75 for each in range(200)]
    assert assigned(weights, 5) == assigned([weight * (1 + 1e-15) for weight in weights], 5)


@pytest.mark.parametrize(("text", "said"), [
    *((text, "must be k/K, two whole numbers") for text in (
        "3", "a/b", "", "1/2/3", "-1/2", "1.0/2", "1/ 2", "1/" + "9" * 5000, "\N{ARABIC-INDIC DIGIT ONE}/2")),
    ("1/0", "K must be at least 1"), ("0/2", "k must be from 1 to 2"), ("3/2", "k must be from 1 to 2"),
    ("1/5", "more shards than groups: the suite has 4"), ("1/999999999", "more shards than groups"),
])
def test_row_27_a_shard_that_is_none_is_exit_2_before_anything_is_made(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "suite.toml").write_text(SUITE.format(name="fine"))
    code, output = call(str(tmp_path / "suite.toml"), "--shard", text, "--out", str(tmp_path / "run"))
    assert code == 2
    assert f"error: --shard: {said}" in output and "(got " in output
    assert [path.name for path in tmp_path.iterdir()] == ["suite.toml"]


def test_row_27_more_shards_than_groups_that_only_the_worker_can_count(
        tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert go(tmp_path / "run", 1, 2, suite=a_suite("fewer")) == 2
    assert "error: --shard: more shards than groups: the suite has 1 (got '1/2'). Use at most 1 shard." in (
        capfd.readouterr().err)
    assert not (tmp_path / "run").exists()


def test_claims_are_not_divided() -> None:
    code, output = call("textbook", "--shard", "1/2")
    assert code == 2
    assert "error: --shard: is for suites of cells, and this is one of claims (got '1/2')." in output


def test_a_shard_is_a_whole_run_of_its_own_cells(tmp_path: Path) -> None:
    for number in (1, 2):
        assert go(tmp_path / str(number), number) == 0
    runs = [store.read_run(tmp_path / str(number)) for number in (1, 2)]
    assert [run["shard"] for run in runs] == [[1, 2], [2, 2]]
    assert [shards_of(run["cells"]) for run in runs] == [["1-of-2"], ["2-of-2"]]
    assert not set(groups(tmp_path / "1")) & set(groups(tmp_path / "2"))
    assert go(tmp_path / "all", None) == 0
    assert sorted(groups(tmp_path / "1") + groups(tmp_path / "2")) == sorted(groups(tmp_path / "all"))
    assert runs[0]["plan"] == runs[1]["plan"]
    assert list(dict.fromkeys(map(group_of, whole_of(runs[1])))) == groups(tmp_path / "all")
    assert all(cell["status"] == "finished" for run in runs for cell in run["cells"])
    assert all(run["finished"] is not None for run in runs)
    for number in (1, 2):
        found = check_run(tmp_path / str(number))
        assert found.code == 0
        assert f"suite    fine on cpu, shard {number} of 2" in found.lines
        assert not any(line.startswith(("extra", "missing", "gradient")) for line in found.lines)
        run = runs[number - 1]
        timing = pandas.DataFrame(run["cells"])[["problem", "optimizer", "batch_size"]]
        tables = Tables(**{name: empty(name) for name in ("lanes", "hits", "curves", "chosen")}, timing=timing, run=run)
        assert progress(tables) == f"complete: 6 of 6 cells of shard {number}/2"


def test_a_shard_goes_on_as_itself_only(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    assert go(folder, 1) == 0
    before = (folder / "run.json").read_bytes()
    for number, of, said in ((2, 2, "shard: 1/2 -> 2/2"), (1, 3, "shard: 1/2 -> 1/3"), (None, 0, "shard: 1/2 -> none")):
        assert go(folder, number, of, resume=True) == 4
        assert f"its run is another experiment (got {said})" in capfd.readouterr().err
    assert (folder / "run.json").read_bytes() == before
    table = folder / "parts" / groups(folder)[0] / "lanes.parquet"
    table.write_bytes(table.read_bytes()[:50])
    assert f"--out {folder} --shard 1/2 --resume" in " ".join(check_run(folder).lines)
    assert go(folder, 1, resume=True) == 0
    assert len(pandas.read_parquet(folder / "lanes.parquet")) == 3
    assert store.read_run(folder)["shard"] == [1, 2]


@pytest.mark.usefixtures("_fake")
def test_the_command_runs_a_shard_and_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_text(SUITE.format(name="refuses"))
    code, output = call(str(tmp_path / "suite.toml"), "--shard", "1/2", "--out", str(tmp_path / "run"))
    assert code in (0, 3)  # batch size 13 of one of the problems refuses
    assert "refuses, shard 1/2: 2 cells" in output
    code, output = call(str(tmp_path / "suite.toml"), "--shard", "2/2", "--out", str(tmp_path / "other"))
    assert code == 3
    assert "--shard=2/2" in output


def test_a_shards_folder_is_named_after_it() -> None:
    name = command_line.default_folder(load_suite("quick"), "cpu", Shard(2, 4)).name
    assert name.startswith("quick-cpu-shard-2-of-4-20")


def test_a_shard_is_as_large_as_its_share() -> None:
    whole = size_of(a_suite())
    part = whole.share(5)
    assert (whole.cells, part.cells) == (12, 3)
    assert part.seconds == pytest.approx(whole.seconds / 5)


def test_each_sampled_program_is_repeated_in_the_shard_that_timed_it(tmp_path: Path) -> None:
    suite = a_suite(noise_groups=2, noise_processes=2)
    for number in (1, 2):
        assert go(tmp_path / str(number), number, suite=suite, noise="tests.bench.fake_noise") == 0
    assert go(tmp_path / "all", None, suite=suite, noise="tests.bench.fake_noise") == 0
    repeated = {name: sorted(part.name for part in store.parts_of(tmp_path / name) if part.name.startswith("noise"))
                for name in ("1", "2", "all")}
    assert repeated["all"] == ["noise.1", "noise.2"]
    assert set(repeated["1"]) <= {"noise.1.1-of-2", "noise.2.1-of-2"}
    assert len(repeated["1"]) + len(repeated["2"]) >= 2
    rows = {name: sum(len(pandas.read_parquet(tmp_path / name / "parts" / part / "timing.parquet")) for part in each)
            for name, each in repeated.items()}
    assert rows["1"] + rows["2"] == rows["all"] == 4  # two groups in two processes
    for name in ("1", "2"):
        found = check_run(tmp_path / name)
        assert found.code == 0
        assert not any(line.startswith("extra") for line in found.lines)


def test_a_suite_is_divided_alike_whatever_its_shards_were_started_with(tmp_path: Path) -> None:
    assert shard_from("2/6", a_suite()) == (2, 6)
    for number in range(1, 7):
        assert go(tmp_path / str(number), number, 6) == 0
    plans = {json.dumps(store.read_run(tmp_path / str(number))["plan"]) for number in range(1, 7)}
    assert len(plans) == 1
    assert [len(groups(tmp_path / str(number))) for number in range(1, 7)] == [1] * 6
