"""Problems of a user, as module:function, in the commands that take one problem: made, told of, refused as in `run`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import gdjax
from bench import basins, basins_worker, device, growth, growth_worker, stream, stream_arms
from bench.cli import cli
from bench.problems import Warn
from bench.scale import worker
from tests.bench.scale.test_walk import FakeConnection

USER = "tests.bench.user_problem"
BAD = [("make_nothing", "must return a gdjax.Problem"), ("make_vector", "must return one real number"),
       ("make_trouble", "cannot be made (got KeyError: 'no such column')"),
       ("make_exit", "cannot be made (got SystemExit: usage: DATA)"),
       ("", "must be a problem's name or module:function")]
Make = Callable[[str, Warn], gdjax.Problem]


def of_growth(name: str, warn: Warn) -> gdjax.Problem:
    return growth_worker.problem_of(growth.check(name, "cpu", 1_000, 0.1, 0.0, 1, 1, None), warn)


def of_basins(name: str, warn: Warn) -> gdjax.Problem:
    return basins_worker.problem_of(basins.check(name, "sgd", 9, 0.1, 10, None), warn)


def of_stream(name: str, warn: Warn) -> gdjax.Problem:
    return stream_arms.problem_of(stream.check(name, 1, 3, 0, None, None), warn)


@pytest.fixture
def _no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' own JAX stays as it is."""
    monkeypatch.setattr(device, "open_device", lambda *_: SimpleNamespace(trouble="", warning="", platform="cpu"))


@pytest.mark.parametrize("make", [of_growth, of_basins, of_stream])
def test_a_users_problem_is_made_and_said_to_run_code_of_theirs(make: Make) -> None:
    said: list[str] = []
    assert make(f"{USER}:make_line", said.append).name == "line"
    assert said == [f"runs code of yours: {USER}:make_line"]


@pytest.mark.parametrize(("function", "says"), BAD)
def test_what_is_no_problem_is_refused_with_the_reason(function: str, says: str) -> None:
    with pytest.raises((ValueError, TypeError)) as raised:
        of_growth(f"{USER}:{function}", lambda text: None)
    assert says in str(raised.value)


@pytest.mark.usefixtures("_no_device")
@pytest.mark.parametrize("function", ["make_nothing", "make_vector"])
@pytest.mark.parametrize("module", [growth_worker, stream_arms])
def test_a_wrong_kind_is_bad_input_and_no_dead_worker(module, function: str) -> None:
    """A TypeError and a ValueError."""
    connection = FakeConnection()
    request = (growth.check(f"{USER}:{function}", "cpu", 1_000, 0.1, 0.0, 1, 1, None) if module is growth_worker else
               stream.check(f"{USER}:{function}", 1, 3, 0, None, None))
    module.main(connection, {"request": request, "lanes": 1_000})
    assert [(message["kind"], message.get("code")) for message in connection.sent] == [("warning", None), ("error", 2)]


@pytest.mark.usefixtures("_no_device")
@pytest.mark.parametrize(("asked", "name", "made_by"), [(f"{USER}:make_line", "line", f"{USER}:make_line"),
                                                        ("line-fit", "line-fit", None)])
def test_the_manifest_of_a_scaling_run_tells_own_problems_apart(asked: str, name: str, made_by: str | None,
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    """By name, by what made them, by a hash of their data; nothing is measured here."""
    for method in ("_ceilings", "_level"):
        monkeypatch.setattr(worker.Walk, method, lambda *_: None)
    connection = FakeConnection()
    worker.Walk(connection, worker.Request(asked, "cpu", 60.0, 4, 2, 0.002)).run()
    facts = next(message["facts"] for message in connection.sent if message["kind"] == "plan")
    assert facts["problem"] == name and facts.get("made_by") == made_by
    assert facts["data_sha256"] == gdjax.data.fingerprint(worker.problem_from(asked, lambda text: None).data)


def test_pictures_have_names_that_files_may_have() -> None:
    assert basins.check("my_module:make", "sgd", 9, None, 10, None).out == Path("results/basins-my_module_make.png")


@pytest.mark.parametrize("command", ["scale", "growth", "basins", "stream", "targets"])
def test_the_help_says_so(command: str) -> None:
    assert "my_module:make_problem" in " ".join(str(cli.commands[command].help).split())
