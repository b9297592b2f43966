"""Which groups the worker times, at which widths, whatever became of the others."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from bench import store, worker
from bench.executors import run_suite
from bench.experiment import Group, Result, Work
from bench.speaker import Stopped
from bench.suite import Suite, suite_from

SUITE = {"name": "groups", "problems": ["line-fit"], "batch_sizes": [5, 10], "schedules": ["constant", "linear"],
         "rates": 1, "horizons": [1.0], "tuning_starts": 2, "starts": 4, "epochs": 1.0, "min_steps": 10, "marks": 4,
         "width": 16, "repeats": 2, "min_sample_s": 0.001, "noise_groups": 0, "noise_processes": 1, "widenings": 0}
TIMING = "line-fit.timing"
SMALL, LARGE = "line-fit.sgd.5", "line-fit.sgd.10"


class Told:
    """The parent's end, which keeps what it is told."""

    def __init__(self) -> None:
        self.messages: list[dict[str, object]] = []

    def send(self, message: dict[str, object]) -> None:
        self.messages.append(message)

    def poll(self) -> bool:
        return False

    def of(self, kind: str) -> list[dict[str, object]]:
        return [message for message in self.messages if message["kind"] == kind]


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[list[tuple[int, int]]]:
    """(batch size, width) of the groups of each session of step times; groups and times are not measured."""
    sessions: list[list[tuple[int, int]]] = []

    def step_times(groups: list[Group], results: object, between: object) -> list[dict[str, object]]:
        sessions.append([(group.batch_size, group.suite.width) for group in groups])
        return []

    monkeypatch.setattr(worker, "step_times", step_times)
    monkeypatch.setattr(worker, "measure", lambda group: Result({}, 1.0, Work(1), 1.1, 0))
    monkeypatch.setattr(worker.Worker, "_measure_gradients", lambda *_: None)
    monkeypatch.setattr(store, "check_tables", lambda *_: None)
    return sessions


def run(folder: Path, finished: set[str] | None = None, **payload: object) -> Told:
    """A worker's pass over the suite, in this process."""
    (folder / "parts").mkdir(exist_ok=True)
    told = Told()
    made = worker.Worker(told, _suite(), folder, finished or set())  # type: ignore[arg-type]
    made.take(payload)
    made.work("cpu", 0.0)
    return told


def test_an_optimum_above_the_starts_is_a_fault_of_the_suite(tmp_path: Path) -> None:
    told = Told()
    suite = _suite(problems=["tests.bench.user_problem:make_low"], batch_sizes=["all"])
    with pytest.raises(Stopped):
        worker.Worker(told, suite, tmp_path, set()).work("cpu", 0.0)  # type: ignore[arg-type]
    error, = told.of("error")
    assert error["code"] == 2
    assert str(error["text"]).startswith("problem 'low': initial_loss: must be finite and above the optimum of 9")


def _suite(**changes: object) -> Suite:
    return suite_from({**SUITE, **changes})


def _fails_at_10(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(group: Group) -> Result:
        if group.batch_size == 10:
            raise MemoryError("RESOURCE_EXHAUSTED: out of memory")
        return Result({}, 1.0, Work(1), 1.1, 0)

    monkeypatch.setattr(worker, "measure", measure)


def test_row_18_a_group_out_of_memory_leaves_the_step_times_of_the_others(
    tmp_path: Path, timed: list[list[tuple[int, int]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    _fails_at_10(monkeypatch)
    told = run(tmp_path)
    assert timed == [[(5, 16)]]
    assert [(each["group"], each["status"]) for each in told.of("failed")] == [(LARGE, "oom")]
    assert [each["group"] for each in told.of("group")] == [SMALL, TIMING]


def test_row_19_a_group_that_was_given_up_is_not_timed(tmp_path: Path, timed: list[list[tuple[int, int]]]) -> None:
    run(tmp_path, finished={SMALL, LARGE}, given_up=[LARGE])
    assert timed == [[(5, 16)]]


def test_without_a_result_nothing_is_timed(tmp_path: Path, timed: list[list[tuple[int, int]]]) -> None:
    told = run(tmp_path, finished={SMALL, LARGE}, given_up=[SMALL, LARGE])
    assert timed == [] and told.of("group") == []


def test_a_group_that_a_resume_completes_is_timed_together_with_the_others(
    tmp_path: Path, timed: list[list[tuple[int, int]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        _fails_at_10(patch)
        run(tmp_path)
    first = store.finished_groups(tmp_path, lambda text: None)
    assert sorted(first) == [SMALL, TIMING]
    run(tmp_path, finished=set(first))
    assert timed == [[(5, 16)], [(5, 16), (10, 16)]]
    again = sorted(store.finished_groups(tmp_path, lambda text: None))
    assert again == [LARGE, SMALL, TIMING]
    run(tmp_path, finished=set(again))
    assert len(timed) == 2  # nothing is missing


def test_where_memory_runs_out_in_step_times_all_groups_are_halved(
    tmp_path: Path, timed: list[list[tuple[int, int]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = worker.step_times

    def full(*given: object) -> object:
        session(*given)  # type: ignore[arg-type]
        raise MemoryError("RESOURCE_EXHAUSTED: out of memory")

    monkeypatch.setattr(worker, "step_times", full)
    told = run(tmp_path, widths={LARGE: 8})
    assert timed == [[(5, 16), (10, 8)], [(5, 8), (10, 4)]]
    assert [each["group"] for each in told.of("failed")] == [TIMING]


def test_step_times_that_killed_a_worker_are_tried_at_half_of_every_width(
    tmp_path: Path, timed: list[list[tuple[int, int]]]
) -> None:
    run(tmp_path, finished={SMALL, LARGE}, widths={LARGE: 8, TIMING: 8})
    assert timed == [[(5, 8), (10, 4)]]


def test_a_narrowed_width_is_that_of_the_step_times_of_a_resume_too(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert run_suite(_suite(batch_sizes=[5]), folder, "cpu", worker="tests.bench.narrow_worker",
                     report="tests.bench.fake_report") == 0
    assert store.read_run(folder)["widths"] == {SMALL: 8}
    store.withdraw(folder, TIMING)
    assert run_suite(_suite(batch_sizes=[5]), folder, "cpu", resume=True, report="tests.bench.fake_report") == 0
    timing = pd.read_parquet(folder / "timing.parquet")
    assert set(timing[(timing["program"] == "batched") & (timing["quantity"] == "step")]["width"]) == {8}
    assert set(pd.read_parquet(folder / "parts" / store.part_name(SMALL) / "memory.parquet")["width"]) == {8}


def test_a_warning_of_the_library_is_taken_up_once_whatever_its_value(tmp_path: Path) -> None:
    told = Told()
    made = worker.Worker(told, _suite(), tmp_path, set())  # type: ignore[arg-type]
    for text in ("x: too high (got 0.5).", "x: too high (got 0.4).", "y: too high (got 0.4)."):
        made.take_up(text)
    assert [message["text"] for message in told.of("warning")] == ["x: too high (got 0.5).", "y: too high (got 0.4)."]
