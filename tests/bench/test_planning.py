"""What a suite comes to: wrong budgets and names are refused before the first cell, a user's module counts whole."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import gdjax
from bench.experiment import Group
from bench.planning import groups_of
from bench.suite import suite_from

USER = "tests.bench.user_problem"


def planned(**changes: object) -> tuple[list[Group], list[str]]:
    suite = suite_from({"name": "x", "problems": ["line-fit"], "batch_sizes": [10, "all"], "schedules": ["constant"],
                        "epochs": 20.0, "min_steps": 40, **changes})
    return groups_of(suite, "cpu", lambda text: None)


def test_steps_that_32_bits_cannot_count_are_refused() -> None:
    """Of 100 examples 2e8 epochs are 2e9 steps of 10 examples and 3e8 epochs are 3e9; 2**31 − 2 can be counted."""
    groups, errors = planned(epochs=2e8)
    assert [group.steps for group in groups] == [2_000_000_000, 200_000_000]
    assert errors == []
    groups, errors = planned(epochs=3e8)
    assert errors == ["epochs: line-fit, batch size 10: must come to fewer than 2,147,483,647 steps of a lane, "
                      "not 3,000,000,000 (got 300000000.0). Lower epochs, or leave this batch size out."]


def test_names_that_a_users_module_registers_may_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dome_module.py").write_text("""
import optax

import gdjax

def formula(t, shape):
    return 1 - t**2

@gdjax.schedules.register
def dome():
    return gdjax.schedules.Schedule("dome", formula)

@gdjax.optimizers.register
def clipped(rate, norm=1.0):
    return optax.chain(optax.clip_by_global_norm(norm), optax.sgd(rate))

def make():
    return gdjax.Problem(name="square", loss=lambda x: x * x, init=lambda key: 1.0, optimum=0.0)
""")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    try:
        groups, errors = planned(problems=["dome_module:make"], batch_sizes=["all"], schedules=["constant", "dome"],
                                 optimizers=["adam", "clipped"])
    finally:
        gdjax.schedules.KINDS.pop("dome", None)
        gdjax.optimizers.OPTIMIZERS.pop("clipped", None)
        sys.modules.pop("dome_module", None)
    assert errors == []
    assert [(group.problem.name, group.optimizer) for group in groups] == [("square", "adam"), ("square", "clipped")]


def test_unknown_names_are_told_beside_what_else_is_wrong() -> None:
    _, errors = planned(problems=["digits-sofmax"], schedules=["constant", "cosin"], optimizers=["addam"])
    assert [error.split(":")[0] for error in errors] == ["problems[0]", "schedules[1]", "optimizers[0]"]


@pytest.mark.parametrize(("changes", "said"), [
    ({"problems": ["digits-sofmax"]}, "Did you mean 'digits-softmax'?"),
    ({"schedules": ["cosin"]}, "Did you mean 'cosine'?"),
    ({"optimizers": ["addam"]}, "Did you mean 'adam"),
    ({"batch_sizes": [101]}, "has 100 examples (got 101)"),
    ({"problems": ["digits-mlp"]}, "optimum is not known"),
    ({"problems": [f"{USER}:make_nothing"]}, "must return a gdjax.Problem"),
    ({"problems": [f"{USER}:make_vector"]}, "must return one real number"),
    ({"problems": [f"{USER}:make_trouble"]}, "KeyError: 'no such column'"),
    ({"problems": ["no_such_module:make"]}, "no_such_module"),
])
def test_bad_names_are_errors(changes: dict[str, object], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])  # a user's module is looked for in the working folder too
    _, errors = planned(**changes)
    assert len(errors) == 1 and said in errors[0]


def test_names_with_numbers_are_schedules_and_optimizers_of_a_suite() -> None:
    groups, errors = planned(schedules=["constant", "constant(warmup=0.1)", "inverse_time(decay=20)", "inverse_time"],
                             optimizers=["sgd", "sgd(momentum=0.5)"])
    assert errors == []
    assert {group.optimizer for group in groups} == {"sgd", "sgd(momentum=0.5)"}
    _, errors = planned(schedules=["cosine", "cosine(ende=1)", "inverse_time(decay=10)", "inverse_time"],
                        optimizers=["sgd", "sgd(moment=0.5)"])
    assert errors == [
        "schedules[1]: cosine: unknown name (got 'ende'). Did you mean 'end'? Known: end, horizon, unit, warmup.",
        "optimizers[1]: sgd: unknown name (got 'moment'). Did you mean 'momentum'? "
        "Known: momentum, nesterov, accumulator_dtype."]
    _, errors = planned(schedules=["inverse_time(decay=10)", "inverse_time", "cosine(horizon=0.5)"])
    assert errors == [
        "schedules[1]: is the same schedule as 'inverse_time(decay=10)' (got 'inverse_time'). Leave one out.",
        "schedules[2]: must not have a horizon of its own, which is tuned (got 'cosine(horizon=0.5)'). "
        "Leave horizon and unit out, and use horizons = [0.5, 1.0]."]


def test_a_users_module_that_ends_the_process_is_a_fault_of_the_suite() -> None:
    _, errors = planned(problems=[f"{USER}:make_exit"])
    assert errors == [f"problems[0]: {USER}:make_exit: cannot be made (got SystemExit: usage: DATA). "
                      "Call the function by hand to see why."]


def test_where_a_file_is_named_its_module_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dotted_module.py").write_text("")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    _, errors = planned(problems=["dotted_module.py:make_problem"])
    assert len(errors) == 1
    assert errors[0].endswith(". Write dotted_module:make_problem, in the folder of that file.")


def test_one_schedule_by_two_names_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(gdjax.schedules.KINDS, "flat", gdjax.schedules.constant)
    _, errors = planned(schedules=["constant", "flat"])
    assert errors == ["schedules[1]: is the same schedule as 'constant' (got 'flat'). Leave one out."]


@pytest.mark.parametrize(("rates", "fine"), [
    ([0.1], False), ([0.1, 0.1 + 2e-17], False), ([0.1, 0.2], True), (1, True)])
def test_constant_has_as_many_settings_as_schedules_with_horizons_or_the_suite_is_refused(
        rates: list[float] | int, fine: bool) -> None:
    both = {"schedules": ["constant", "cosine"], "horizons": [0.5, 1.0], "rates": rates}
    _, errors = planned(**both)
    assert errors == ([] if fine else [
        f"rates: leave constant too few between them to have as many as each schedule with 2 horizons (got {rates}). "
        "Give two or more that are further apart, or one horizon."])
    for other in ({"schedules": ["constant"]}, {"schedules": ["cosine"]}, {"horizons": [1.0]}):
        assert planned(**{**both, **other})[1] == []
