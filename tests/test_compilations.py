"""What compiles a program and what does not: everything about a lane is data, only the kinds of things are static."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import jax
import numpy as np
import optax
import pytest

import gdjax
from gdjax import schedules, xla

COMPILE_EVENT = "/jax/core/compile/backend_compile_duration"
PROBLEM = gdjax.problems.get("line-fit")
_compiled: list[str] = []


def _note(event: str, seconds: float, **details: object) -> None:
    if event == COMPILE_EVENT:
        _compiled.append(str(details.get("fun_name")))


jax.monitoring.register_event_duration_secs_listener(_note)


@contextmanager
def compiled() -> Iterator[list[str]]:
    """The functions that XLA compiled inside the block, by name."""
    seen: list[str] = []
    before = len(_compiled)
    yield seen
    seen += _compiled[before:]


def run(**changed: object) -> gdjax.Runs:
    return gdjax.minibatch(PROBLEM, **{  # type: ignore[arg-type]
        "batch_size": 6, "rates": [0.1, 0.3], "schedules": ["inverse_time", "cosine"], "starts": 16, "key": 0,
        "targets": [0.5], "max_steps": 50, **changed})


@pytest.fixture(scope="module")
def warm() -> gdjax.Runs:
    """A first call, in which everything compiles that has to."""
    with compiled() as seen:
        runs = run()
    assert "jit(_on_each)" in seen, "the event is one that JAX sends"
    return runs


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"rates": [0.01, 0.7]},
        {"rates": [0.01, 0.02], "schedules": ["cosine", "inverse_time"]},
        {"starts": 11},
        {"key": 1},
        {"key": 2**32 - 1},
        {"targets": [0.4]},
        {"targets": [2.0, 0.4, 0.2], "stop_at_target": True},
        {"marks": 7},
        {"max_steps": 51},
        {"max_steps": None, "max_epochs": 7.5},
        {"schedules": [schedules.inverse_time(decay=3.0), schedules.cosine(end=0.1)]},
        {"schedules": [schedules.inverse_time().over(0.5), schedules.cosine().over(0.25)]},
        {"schedules": [schedules.inverse_time().in_epochs(2.0), schedules.cosine()]},
    ],
    ids=lambda changed: "-".join(changed) or "nothing",
)
def test_new_numbers_compile_nothing(warm, changed):
    with compiled() as seen:
        runs = run(**changed)
    assert seen == []
    only_looks = changed in ({}, {"targets": [0.4]}, {"marks": 7})
    assert np.array_equal(runs.final_loss, warm.final_loss) == only_looks, "and the new numbers were used"


def test_new_starting_parameters_compile_nothing(warm):
    with compiled() as seen:
        run(starts={"w": np.arange(16.0, dtype=np.float32), "b": np.zeros(16, np.float32)})
    assert seen == []


def test_a_new_kind_of_schedule_compiles_one_program_once(warm):
    kinds = ["inverse_time", "cosine", "inverse_sqrt"]
    with compiled() as seen:
        run(schedules=kinds, rates=0.1)
    assert seen.count("jit(_on_each)") == 1
    with compiled() as seen:
        run(schedules=[schedules.inverse_sqrt(decay=3.0), "cosine", "inverse_time"], rates=0.2)
    assert seen == []


def test_a_warm_up_compiles_one_program_once(warm):
    with compiled() as seen:
        run(schedules=["inverse_time", schedules.warmup("cosine", share=0.2)])
    assert seen.count("jit(_on_each)") == 1
    with compiled() as seen:
        run(schedules=[schedules.warmup("inverse_time", share=0.1), "cosine"])
    assert seen == []


def test_a_program_is_compiled_ahead_and_kept(warm):
    with compiled() as seen:
        again = gdjax.compile(PROBLEM, batch_size=6, schedules=["cosine", "inverse_time"], marks=20, settings=4,
                              starts=16)
    assert seen == []
    assert again.width == warm.width
    assert again.compile_s > 0 and again.trace_s > 0


def test_what_is_static_compiles_anew(warm):
    for changed in ({"batch_size": 5}, {"optimizer": optax.adam}):
        with compiled() as seen:
            run(**changed)
        assert seen.count("jit(_on_each)") == 1, changed


def test_an_option_that_xla_does_not_know_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xla, "PRODUCTS", {"xla_of_another_release": "1"})
    assert "xla_of_another_release" not in (xla.options_for_losses(True) or {})
    assert np.isfinite(run(batch_size=7).final_loss).all()


def test_options_that_the_user_has_set_are_left_to_them(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = xla.options_for_losses(True)
    if asked is None:
        pytest.skip("nothing is asked for on this device")
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_cpu_prefer_vector_width=256")
    left = xla.options_for_losses(True)
    assert left == {name: value for name, value in asked.items() if name in xla.PRODUCTS}


def test_programs_of_all_problems_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gdjax.engine.program.KEPT", 2)
    monkeypatch.setattr("gdjax.engine.program._kept", deque())
    problems = [gdjax.problems.get(name) for name in ("bowl", "parabola", "booth")]
    first, *_ = [gdjax.compile(each, batch_size=1, width=32) for each in problems]
    assert gdjax.compile(problems[2], batch_size=1, width=32) is gdjax.compile(problems[2], batch_size=1, width=32)
    assert gdjax.compile(problems[0], batch_size=1, width=32) is not first, "the oldest went"


def test_marks_of_a_call_compile_nothing_where_no_lane_waits() -> None:
    problem = gdjax.problems.get("himmelblau")
    alone, scored = (gdjax.compile(problem, batch_size=1, starts=16, marks=marks) for marks in (1, 20))
    assert alone is scored
    waiting, marked = (gdjax.compile(problem, batch_size=1, starts=4096, marks=marks) for marks in (1, 20))
    assert waiting is not marked and waiting.shape.marks == 1


def test_a_program_says_how_many_marks_it_has_room_for() -> None:
    program = gdjax.compile(gdjax.problems.get("himmelblau"), batch_size=1, starts=4096)
    run = program.stepper([gdjax.Setting(gdjax.schedules.constant(), 0.01)])
    with pytest.raises(ValueError, match=r"marks: the program has room for 1 \(got 4\). Compile it with marks=4"):
        run(10, marks=4)
