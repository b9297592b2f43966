"""The gate: canned saves of pytest-benchmark give the right exit code and words; nothing here is timed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench import cli as command_line
from bench import gate
from bench.analysis import regressions
from bench.analysis.regressions import Change, changes, confirm, spread
from bench.display import Display

TESTS = {"step": 4e-6, "sampling": 2e-5, "compile": 0.3}
WOBBLE = (1.0, 1.02, 0.99)  # of three processes: spread 3 %, limit the floor of 10 %
MACHINE: dict[str, object] = {
    "cpu_model": "AMD EPYC", "cores_logical": 2, "affinity": [0, 1], "python": "3.11.7", "backend": "cpu",
    "device_kind": "cpu", "device_count": 1, "x64": False, "matmul_precision": "None",
    "versions": {"jax": "0.10.2", "jaxlib": "0.10.2"}, "settings": {}, "git_commit": "abcdef0123", "git_dirty": False,
    "load_before": [0.1]}


def save(folder: Path, name: str, seconds: Mapping[str, float], machine: Mapping[str, object] = MACHINE) -> None:
    """A save as pytest-benchmark 5 writes it, what the gate does not read left out."""
    home = folder / "Linux-CPython-3.11-64bit"
    home.mkdir(exist_ok=True)
    number = len(list(home.iterdir())) + 1
    benchmarks = [{"fullname": f"bench/test_steps.py::test_{test}", "stats": {"median": value, "min": 0.9 * value}}
                  for test, value in seconds.items()]
    text = json.dumps({"machine_info": {"node": "x", "gdjax": machine}, "benchmarks": benchmarks})
    (home / f"{number:04}_{name}.json").write_text(text)


class Fake:
    """Stands in for pytest: saves the canned times by a factor each process, `again` in the further one."""

    def __init__(self, factor: Mapping[str, Sequence[float]] | None = None, again: float = 1.0,
                 machine: Mapping[str, object] = MACHINE, tests: Mapping[str, float] = TESTS) -> None:
        self.factor, self.again, self.machine, self.tests = factor or {}, again, machine, tests
        self.asked: list[tuple[str, list[str]]] = []

    def __call__(self, folder: Path, name: str, tests: Sequence[str]) -> None:
        place = len(self.asked)
        self.asked.append((name, list(tests)))
        further = name.startswith("again")
        asked = [test.rpartition("::test_")[2] for test in tests] if further else self.tests
        save(folder, name, {test: self.tests[test] * (self.again if further else
                                                      WOBBLE[place] * self.factor.get(test, (1.0,) * 3)[place])
                            for test in asked}, self.machine)


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later second for each run: a save is named by its time, and two runs of a test fall in one second."""
    from datetime import UTC, datetime, timedelta

    class Later:
        count = 0

        @classmethod
        def now(cls, zone: object) -> datetime:
            cls.count += 1
            return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=cls.count)

        strptime = staticmethod(datetime.strptime)

    monkeypatch.setattr(gate, "datetime", Later)


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")


def run(folder: Path, fake: Fake, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code, and stdout and stderr together."""
    capsys.readouterr()
    code = gate.gate(folder, Display(), fake)
    said = capsys.readouterr()
    return code, said.out + said.err


def words(folder: Path) -> list[str]:
    """The words of all saves, in the order of their numbers."""
    return [path.name.split("_")[1].split("-")[0] for path in sorted(folder.glob("*/*.json"))]


def test_the_first_run_is_saved_and_says_that_there_was_nothing_to_compare_with(tmp_path, capsys):
    fake = Fake()
    code, said = run(tmp_path / "new" / "folder", fake, capsys)
    assert code == 0
    assert "the first run of this machine, nothing to compare with" in said
    assert "slower: by more than max(10 %, 2 × the spread between the 3 processes of either run)" in said
    assert [tests for _, tests in fake.asked] == [["bench/test_steps.py"]] * 3
    assert words(tmp_path / "new" / "folder") == ["gate"] * 3


@pytest.mark.parametrize("factor", [1.0, 1.05], ids=["same", "+5 %"])
def test_what_is_within_ten_per_cent_passes_without_a_further_process(tmp_path, capsys, factor):
    run(tmp_path, Fake(), capsys)
    fake = Fake({"step": (factor,) * 3})
    code, said = run(tmp_path, fake, capsys)
    assert code == 0
    assert len(fake.asked) == 3
    assert "3 benchmarks against the run of 2026-01-01 00:00:0" in said and "(commit abcdef0): 3 no difference" in said
    assert words(tmp_path) == ["gate"] * 6


def test_forty_per_cent_on_one_is_run_again_and_fails(tmp_path, capsys, wide):
    run(tmp_path, Fake(), capsys)
    fake = Fake({"step": (1.4,) * 3}, again=1.38)
    code, said = run(tmp_path, fake, capsys)
    assert code == 6
    assert fake.asked[3][1] == ["bench/test_steps.py::test_step"]
    [row] = [line.split() for line in said.splitlines() if line.strip().startswith("test_")]
    assert row == ["test_step", "4", "µs", "5.6", "µs", "+40", "%", "10", "%", "slower"]
    assert "1 slower, 2 no difference seen" in said
    assert "pytest_benchmark" in said and "gate --accept" in said
    assert words(tmp_path) == ["gate"] * 3 + ["slower"] * 3 + ["again"]


def test_a_run_that_was_slower_is_not_what_the_next_is_compared_with_until_it_is_accepted(tmp_path, capsys):
    slow = Fake({"step": (1.4,) * 3}, again=1.4)
    run(tmp_path, Fake(), capsys)
    assert [run(tmp_path, Fake({"step": (1.4,) * 3}, again=1.4), capsys)[0] for _ in range(2)] == [6, 6]
    done = CliRunner().invoke(command_line.cli, ["gate", "--out", str(tmp_path), "--accept"])
    assert done.exit_code == 0 and "accepted: the run of 20260101-00000" in done.output
    assert run(tmp_path, slow, capsys)[0] == 0


def test_nothing_to_accept_is_bad_input(tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        done = CliRunner().invoke(command_line.cli, ["gate", "--out", str(folder), "--accept"])
        assert done.exit_code == 2
        assert "error: --accept: no run was slower (got nothing to accept in " in done.output
    assert not (tmp_path / "absent").exists()


def test_a_slower_run_before_one_that_passed_is_not_accepted(tmp_path, capsys):
    """The last run that passed stays what the next one is compared with: accepting would say what is not so."""
    run(tmp_path, Fake(), capsys)
    assert run(tmp_path, Fake({"step": (1.4,) * 3}, again=1.4), capsys)[0] == 6
    assert run(tmp_path, Fake(machine=MACHINE | {"cpu_model": "other"}), capsys)[0] == 0
    before = words(tmp_path)
    assert run(tmp_path, Fake(), capsys)[0] == 0
    done = CliRunner().invoke(command_line.cli, ["gate", "--out", str(tmp_path), "--accept"])
    assert done.exit_code == 2
    assert ("error: --accept: a later run has passed and is what the next one is compared with (got the slower one of "
            "20260101-000002, then the run of 2026-01-01 00:00:04 UTC (commit abcdef0)).") in done.output
    assert words(tmp_path) == [*before, *["gate"] * 3]


def test_a_later_run_of_another_machine_does_not_keep_a_slower_one_from_being_accepted(tmp_path, capsys):
    run(tmp_path, Fake(), capsys)
    assert run(tmp_path, Fake({"step": (1.4,) * 3}, again=1.4), capsys)[0] == 6
    assert run(tmp_path, Fake(machine=MACHINE | {"cpu_model": "other"}), capsys)[0] == 0
    assert CliRunner().invoke(command_line.cli, ["gate", "--out", str(tmp_path), "--accept"]).exit_code == 0


def test_a_slower_run_that_cannot_be_read_is_not_accepted(tmp_path, capsys):
    run(tmp_path, Fake(), capsys)
    assert run(tmp_path, Fake({"step": (1.4,) * 3}, again=1.4), capsys)[0] == 6
    gate.saves(tmp_path, "slower")["20260101-000002"][0].write_text("{")
    done = CliRunner().invoke(command_line.cli, ["gate", "--out", str(tmp_path), "--accept"])
    assert done.exit_code == 2 and "error: --accept: 0004_slower-" in done.output
    assert "can't be read (got JSONDecodeError" in done.output and "Run the gate again." in done.output


def test_slow_at_first_sight_but_not_again_passes(tmp_path, capsys):
    run(tmp_path, Fake(), capsys)
    code, said = run(tmp_path, Fake({"step": (1.4,) * 3}, again=1.0), capsys)
    assert code == 0
    assert "slower at first sight: 1" in said and "3 no difference seen" in said
    assert words(tmp_path) == ["gate"] * 6 + ["again"]


def test_faster_is_told_and_passes(tmp_path, capsys, wide):
    run(tmp_path, Fake(), capsys)
    code, said = run(tmp_path, Fake({"step": (0.5,) * 3}), capsys)
    assert code == 0
    assert "-50 %" in said and "1 faster, 2 no difference seen" in said


def test_a_benchmark_whose_processes_differ_is_too_noisy_and_says_its_limit(tmp_path, capsys, wide):
    run(tmp_path, Fake({"step": (1.0, 1.0, 1.5)}), capsys)
    code, said = run(tmp_path, Fake({"step": (1.4,) * 3}, again=1.4), capsys)
    assert code == 0
    assert "1 too noisy, 2 no difference seen; limits 10 to 97 %" in said  # the spread: 0.99 × 1.5 over 1.0, less 1


@pytest.mark.parametrize(("key", "value"), [("cpu_model", "Intel Xeon"), ("affinity", [0]), ("cores_logical", 4),
                                            ("versions", {"jax": "0.11.0", "jaxlib": "0.10.2"}),
                                            ("device_kind", "NVIDIA H100"), ("settings", {"XLA_FLAGS": "--x"})])
def test_another_machine_is_not_compared_with_and_what_differs_is_said(tmp_path, capsys, key, value):
    run(tmp_path, Fake(machine=MACHINE | {key: value}), capsys)
    code, said = run(tmp_path, Fake({"step": (1.4,) * 3}), capsys)
    assert code == 0
    assert "is of another machine (" in said and "nothing to compare with" in said
    difference = said.partition("another machine (")[2].partition(")")[0]
    assert difference.endswith("here") and ";" not in difference


def test_what_may_change_between_runs_is_no_part_of_the_machine(tmp_path, capsys):
    run(tmp_path, Fake(machine=MACHINE | {"load_before": [9.0], "git_commit": "0" * 40, "git_dirty": True}), capsys)
    code, said = run(tmp_path, Fake(), capsys)
    assert code == 0
    assert "(commit 0000000 and changes): 3 no difference seen" in said


def test_the_last_run_of_this_machine_is_found_behind_one_of_another(tmp_path, capsys):
    run(tmp_path, Fake(), capsys)
    run(tmp_path, Fake(machine=MACHINE | {"cpu_model": "other"}), capsys)
    code, _ = run(tmp_path, Fake({"step": (1.4,) * 3}, again=1.4), capsys)
    assert code == 6


def test_damaged_and_unfinished_runs_are_named_and_passed_over(tmp_path, capsys):
    run(tmp_path, Fake(), capsys)
    for _ in range(2):
        run(tmp_path, Fake(), capsys)
    newest, middle = (sorted(tmp_path.glob("*/*.json"))[place] for place in (8, 5))
    newest.unlink()
    middle.write_text('{"benchmarks": [')
    (tmp_path / "stray.txt").touch()
    (newest.parent / "0099_by-hand.json").write_text("{}")
    code, said = run(tmp_path, Fake({"step": (1.4,) * 3}, again=1.4), capsys)
    assert code == 6
    assert "passed over, it has 2 of 3 processes" in said
    assert f"passed over, {middle.name} can't be read (got JSONDecodeError" in said


@pytest.mark.parametrize("text", ["[]", "{}", '{"benchmarks": [], "machine_info": {"gdjax": {"git_commit": "", '
                                  '"git_dirty": true}}}', '{"benchmarks": [{"fullname": "a", "stats": {"median": 0}}], '
                                  '"machine_info": {"gdjax": {"git_commit": "", "git_dirty": null}}}'])
def test_what_is_no_save_is_refused(tmp_path, text):
    path = tmp_path / "0001_gate-20260101-000000-1.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"^0001_gate-20260101-000000-1\.json (can't be read \(got|holds no times)"):
        gate.read_save(path)


def test_new_and_gone_benchmarks_are_told(tmp_path, capsys):
    run(tmp_path, Fake(tests=TESTS | {"old": 1.0}), capsys)
    code, said = run(tmp_path, Fake(tests=TESTS | {"fresh": 1.0}), capsys)
    assert code == 0
    assert "new, not compared: test_fresh" in said and "gone, not compared: test_old" in said
    assert "3 benchmarks against" in said


def test_benchmarks_that_fail_are_exit_3_with_their_words_and_no_run_to_compare_with(tmp_path, capsys):
    code = gate.gate(tmp_path, Display(), lambda folder, name, tests: "E   assert False")
    said = capsys.readouterr().err
    assert code == 3
    assert "error: gate: the benchmarks failed (got the output below). Mend them first.\nE   assert False" in said
    assert gate.gate(tmp_path, Display(), lambda folder, name, tests: None) == 3  # it saved nothing
    assert "pytest-benchmark saved 0 files" in capsys.readouterr().err
    assert gate.saves(tmp_path, "gate") == {}


def test_a_folder_that_cant_be_written_is_exit_4_before_anything_runs(tmp_path, capsys):
    (tmp_path / "file").touch()
    fake = Fake()
    code, said = run(tmp_path / "file" / "below", fake, capsys)
    assert code == 4 and fake.asked == []
    assert "cannot be written (got Not a directory). Use another --out." in said


def test_a_busy_machine_is_warned_of(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(gate.environment, "load", lambda: [7.5, 0.0, 0.0])
    monkeypatch.setattr(gate.environment, "affinity", lambda: [0, 1])
    assert "warning: the load, 7.5, is above half the cores" in run(tmp_path, Fake(), capsys)[1]
    monkeypatch.setattr(gate.environment, "load", lambda: [0.5, 9.0, 9.0])
    assert "warning" not in run(tmp_path, Fake(), capsys)[1]


def test_without_pytest_benchmark_the_gate_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(gate, "find_spec", lambda name: None)
    code, said = run(tmp_path, Fake(), capsys)
    assert code == 2
    assert "error: gate: a package is missing (got no pytest-benchmark). Install it with: make install" in said


def test_pytest_saves_where_and_as_the_gate_expects(tmp_path):
    """The real call, of a test that takes no time: storage, name and machine facts are pytest-benchmark's own."""
    test = tmp_path / "test_quick.py"
    test.write_text("def test_quick(benchmark):\n    benchmark.pedantic(lambda: None, rounds=2)\n")
    (tmp_path / "conftest.py").write_text("from bench.conftest import pytest_benchmark_update_machine_info\n")
    folder = tmp_path / "saves"
    assert gate.run_pytest(folder, "new-20260101-000000-1", [str(test)]) is None
    [path] = gate.saves(folder, "new")["20260101-000000"]
    found = gate.fingerprint(gate.read_save(path).machine)
    assert found["backend"] == "cpu" and found["jax"][0].isdigit() and "None" not in (found["cpu_model"],
                                                                                      found["affinity"])
    test.write_text("def test_quick(benchmark):\n    benchmark.pedantic(lambda: 1 / 0)\n")
    assert "ZeroDivisionError" in gate.run_pytest(folder, "new-20260101-000001-1", [str(test)])


@pytest.mark.parametrize(("before", "now", "limit"), [
    ([1.0, 1.0, 1.0], [2.0, 2.0, 2.0], 0.10),  # the floor
    ([1.0, 1.04, 1.02], [2.0, 2.0, 2.0], 0.10),  # twice 4 % is below it
    ([1.0, 1.2, 1.1], [2.0, 2.0, 2.0], 0.40),  # twice the spread before
    ([1.0, 1.2, 1.1], [2.0, 2.6, 2.2], 0.60),  # twice the spread now, which is more
])
def test_the_limit_is_the_floor_or_twice_the_larger_spread(before, now, limit):
    [found] = changes([{"a": value} for value in before], [{"a": value} for value in now])
    assert found.limit == pytest.approx(limit)
    assert (found.before, found.now) == (sorted(before)[1], sorted(now)[1])


def test_equal_runs_of_noisy_processes_are_hardly_ever_called_slower():
    """400 benchmarks whose processes differ by a log-normal deviation of 3.4 / 2.5 % to 8 %, nothing changed."""
    import numpy as np

    random = np.random.default_rng(0)
    for deviation in (0.0134, 0.03, 0.08):  # six normal values of deviation 1.34 % have a range of 3.4 %
        alarms = suspects = found_30 = 0
        for _ in range(400):
            before, now = (np.exp(deviation * random.standard_normal(3)) for _ in range(2))
            again = float(np.exp(deviation * random.standard_normal()))
            each = confirm(changes([{"a": x} for x in before], [{"a": x} for x in now]), {"a": again})
            suspects += each[0].suspect
            alarms += each[0].slower
            slowed = confirm(changes([{"a": x} for x in before], [{"a": 1.3 * x} for x in now]), {"a": 1.3 * again})
            found_30 += slowed[0].slower
        assert alarms <= 2  # of 400: with 27 benchmarks one run in 7 at most; without the further process up to 8
        assert suspects <= 12
        if deviation < 0.02:
            assert found_30 >= 396


def test_a_change_needs_two_processes_on_either_side():
    with pytest.raises(ValueError, match=r"^before: needs at least two processes \(got 1\)\."):
        changes([{"a": 1.0}], [{"a": 1.0}, {"a": 1.0}])
    with pytest.raises(ValueError, match=r"^now: needs at least two processes \(got 0\)\."):
        changes([{"a": 1.0}, {"a": 1.0}], [])


def test_verdicts():
    assert Change("a", 1.0, 1.4, 0.1).verdict == "no difference seen", "not yet confirmed"
    assert Change("a", 1.0, 1.4, 0.1, again=1.05).verdict == "no difference seen"
    assert Change("a", 1.0, 1.11, 0.1, again=1.11).verdict == "slower"
    assert Change("a", 1.0, 1.09, 0.1).verdict == "no difference seen"
    assert Change("a", 1.2, 1.0, 0.1).verdict == "faster"
    assert Change("a", 1.0, 1.2, 0.6).verdict == "too noisy"
    assert spread([3.0]) == 0
    assert regressions.FLOOR == 0.10 and regressions.SPREADS == 2.0, "as the printed rule has it"
