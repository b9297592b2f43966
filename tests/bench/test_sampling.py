"""Suites that draw their examples otherwise: with replacement, or from a file that memory can't hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import bench
import gdjax
from bench import pilot, step_times, targets
from bench.bad_input import SuiteError
from bench.executors import run_suite
from bench.experiment import REPORTED, Group, measure
from bench.planning import facts_of, groups_of
from bench.suite import Suite, config_hash, suite_from

NAME = "tests.bench.test_sampling:make_problem"
FIRST = 512  # of the examples of breast cancer: a multiple of the batch size
WHOLE = {"buffer": FIRST, "block": FIRST}  # then an epoch is one buffer, shuffled as in memory
SMALL = {"name": "streamed", "problems": [NAME], "batch_sizes": [32], "schedules": ["constant", "linear"], "rates": 2,
         "horizons": [1.0], "tuning_starts": 2, "starts": 3, "gaps": [0.3, 0.1], "epochs": 3.0, "min_steps": 10,
         "marks": 6, "width": 16, "widenings": 0, "repeats": 2, "min_sample_s": 0.002, "noise_groups": 1,
         "noise_processes": 1}


def make_problem() -> gdjax.Problem:
    """Logistic regression on the first examples of breast cancer."""
    cancer = gdjax.problems.get("cancer-logistic")
    return replace(cancer, name="short", data=jax.tree.map(lambda leaf: leaf[:FIRST], cancer.data), initial_loss=None)


def make_whole() -> gdjax.Problem:
    """A loss of all examples together."""
    return gdjax.Problem(name="whole", batch_loss=lambda w, x: jnp.var(x - w), optimum=0.0,
                         init=lambda key: jax.random.normal(key, ()), data=np.arange(40.0))


def suite(**changed: object) -> Suite:
    return suite_from({**SMALL, **changed})


def planned(**changed: object) -> tuple[list[Group], list[str]]:
    return groups_of(suite(**changed), "cpu", lambda text: None)


@pytest.fixture
def no_copy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No problem may put all of its data on the device."""
    with monkeypatch.context() as patched:
        patched.setattr(gdjax.Problem, "device_data", lambda _: pytest.fail("all data were copied to the device"))
        yield


def tables_of(**changed: object) -> dict[str, pd.DataFrame]:
    (group,), errors = planned(**changed)
    assert errors == []
    return measure(group).tables


@pytest.fixture(scope="module")
def held() -> dict[str, pd.DataFrame]:
    return tables_of()


def test_a_buffer_of_everything_gives_the_tables_of_examples_in_memory(held, no_copy) -> None:
    """Same starts, batches, tuning and targets: what is chosen is equal, losses are but for how sums round."""
    streamed = tables_of(sampling=WHOLE)
    for name in ("lanes", "hits", "curves", "chosen"):
        pd.testing.assert_frame_equal(streamed[name], held[name], rtol=1e-4, atol=1e-5, obj=name)
    assert held["hits"].hit.any() and not held["hits"].hit.all()


def test_gaps_need_no_copy_where_no_range_test_ran_before(no_copy) -> None:
    tables = tables_of(sampling=WHOLE, rates=[0.1, 0.3])
    assert set(tables["hits"].gap) == {0.3, 0.1} and set(tables["lanes"].rate) >= {0.1, 0.3}


def test_drawn_with_replacement_they_are_the_lanes_of_the_library(held) -> None:
    tables, (group,) = tables_of(sampling="replacement"), planned(sampling="replacement")[0]
    lanes = tables["lanes"][tables["lanes"].split == "reported"]
    for row in lanes.drop_duplicates(["schedule", "rate"]).itertuples():
        runs = gdjax.minibatch(group.problem, batch_size=32, rates=row.rate, schedules=row.schedule, starts=3,
                               key=jax.random.fold_in(jax.random.key(0), REPORTED), max_steps=group.steps,
                               sampling="replacement")
        mine = lanes[(lanes.schedule == row.schedule) & (lanes.rate == row.rate)].sort_values("start")
        np.testing.assert_allclose(mine.final_loss, runs.final_loss, rtol=1e-5)
    shuffled = held["lanes"][held["lanes"].split == "reported"]
    assert not set(lanes.final_loss) & set(shuffled.final_loss)


def test_step_times_of_what_is_streamed_are_of_whole_buffers(no_copy) -> None:
    (group,), _ = planned(sampling={"buffer": 128, "block": 16})
    rows = pd.DataFrame(list(step_times.step_times([group], {}, lambda: None)))
    steps = rows[rows.quantity == "step"]
    assert set(steps.program) == {"solo", "batched"} and (steps.seconds > 0).all()
    assert (steps.steps % 4 == 0).all()
    assert not steps[~steps.warmup].voided.any(), "nothing compiles while it is timed"
    assert set(rows.quantity) == {"step", "transfer", "trace", "compile", "first_run"}, "a score is a pass of its own"
    counts = {(0, kind): int(steps[steps.program == kind].steps.max()) for kind in ("solo", "batched")}
    again = pd.DataFrame(list(step_times.step_times_again([group], counts, 2, 1, lambda: None)))
    for (_, kind), count in counts.items():
        assert set(again[(again.quantity == "step") & (again.program == kind)].steps) == {count}


def test_the_plan_knows_the_initial_loss_and_the_buffers_without_a_copy(no_copy) -> None:
    groups, errors = planned(sampling={"buffer": 100, "block": 10}, batch_sizes=[8, 32])
    assert errors == []
    facts = facts_of(groups, groups)["short"]
    assert facts["stream"] == {"buffer": 96, "block": 10} and facts["sampling"] == {"buffer": 100, "block": 10}
    assert facts["noise_scale"] is False
    assert facts["data_sha256"] == gdjax.data.fingerprint(make_problem().data)
    gaps = [target["target"] for target in facts["targets"]]
    problem = make_problem()
    begin = gdjax.lanes.draw_starts(problem, jax.random.key(1001), 1001)
    exact = np.median([_logistic(np.asarray(w, np.float64), np.asarray(b, np.float64), problem)
                       for w, b in zip(*jax.tree.leaves(begin)[::-1], strict=True)])
    assert facts["initial_loss"] == pytest.approx(exact, rel=1e-5)
    assert gaps == pytest.approx([problem.optimum + gap * (exact - problem.optimum) for gap in (0.3, 0.1)], rel=1e-4)


@pytest.mark.parametrize(("changed", "says"), [
    ({"batch_sizes": [257]}, "batch_sizes: batch_size: must be at most half of the 512 examples"),
    ({"batch_sizes": ["all"]}, "batch_sizes: batch_size: must be at most half of the 512 examples"),
    ({"sampling": {"buffer": 40}}, "batch_sizes: Stream: buffer: must be at least twice the batch size of 32 (got 40)"),
    ({"sampling": {"buffer": 64, "block": 65}}, "problems[0]: Stream: block: must be at most the buffer of 64"),
    ({"problems": ["bowl"], "batch_sizes": [1]}, "problems[0]: sampling: problem 'bowl' has no data to stream"),
    ({"problems": ["tests.bench.test_sampling:make_whole"], "batch_sizes": [4]},
     "problems[0]: sampling: a loss that does not split into examples"),
])
def test_what_can_not_be_streamed_is_refused_at_the_plan(changed, says) -> None:
    groups, (error,) = planned(**{"sampling": "stream", **changed})
    assert groups == [] and error.startswith(says)


def test_devices_do_not_share_what_is_streamed(monkeypatch) -> None:
    _, errors = planned(sampling="stream", devices=2, batch_sizes=[8, 32])
    assert errors == ["devices: tests.bench.test_sampling:make_problem: one device takes what is streamed (got 2). "
                      'Leave devices out, or sampling = "stream".']


@pytest.mark.parametrize("given", [
    "streamed", 1, {}, {"buffer": 0}, {"buffer": True}, {"buffer": 10.0}, {"block": 10, "size": 3}, ["shuffle"], None])
def test_a_suite_says_how_examples_are_drawn_or_is_refused(given) -> None:
    with pytest.raises(SuiteError) as raised:
        suite(sampling=given)
    (error,) = raised.value.errors
    assert error.startswith('sampling: must be "shuffle", "replacement", "stream", or a table of buffer and block')
    with pytest.raises(SuiteError) as raised:
        suite(problem={NAME: {"sampling": given}} if given is not None else {NAME: {"sampling": 0.5}})
    assert f'problem."{NAME}".sampling: must be' in str(raised.value)


def test_a_problem_may_say_it_for_itself_and_shuffling_is_no_change() -> None:
    own = suite(problem={NAME: {"sampling": "stream"}}, sampling="replacement")
    assert own.settings_for(NAME).sampling == "stream" and own.sampling == "replacement"
    assert config_hash(suite(sampling="shuffle")) == config_hash(suite())
    hashes = {config_hash(suite(sampling=each)) for each in ("shuffle", "replacement", "stream", {"buffer": 64})}
    assert len(hashes) == 4
    assert suite_from(suite(sampling={"buffer": 64}).config()).sampling == {"buffer": 64}


def test_a_pilot_draws_as_the_suite_does(no_copy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pilot.device, "open_device", lambda *_: SimpleNamespace(trouble="", warning=""))
    monkeypatch.setattr(pilot.warnings, "showwarning", pilot.warnings.showwarning)
    asked = targets.check(NAME, "cpu", 32, 0.1, 3.0, 4, "20,90", 0)
    said: list[dict] = []
    link = SimpleNamespace(send=said.append, poll=lambda: False)
    pilot.main(link, {"request": replace(asked, sampling=WHOLE)})  # type: ignore[arg-type]
    assert said[-1]["kind"] == "done" and said[-1]["facts"]["scores"][1] < said[-1]["facts"]["scores"][0]
    pilot.main(link, {"request": replace(asked, sampling={"buffer": 40})})  # type: ignore[arg-type]
    assert said[-1]["kind"] == "error" and "Stream: buffer: must be at least twice" in said[-1]["text"]


def test_a_run_from_its_plan_to_its_report(tmp_path) -> None:
    folder = tmp_path / "run"
    assert run_suite(suite(sampling={"buffer": 128, "block": 16}), folder, "cpu") == 0
    found = bench.load(folder)
    assert {cell["status"] for cell in found.run["cells"]} == {"finished"} and found.noise_scale.empty
    assert set(found.timing.process) == {0, 1}
    assert np.isfinite(pd.read_csv(folder / "summary.csv").seconds_solo_median).any()
    for name in ("report.md", "report.html"):
        said = (folder / name).read_text()
        assert "examples read in shuffled blocks of 16 into buffers of 128, which all starts share" in said


def _logistic(weights: np.ndarray, intercept: np.ndarray, problem: gdjax.Problem) -> float:
    features, labels = (np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(problem.data))
    score = features @ weights + intercept
    return float(np.mean(np.logaddexp(0, score) - labels * score) + 0.5e-3 * weights @ weights)
