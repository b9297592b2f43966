"""Targets on the loss or the error of held-out examples: scored at the marks, hit, stopped at."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax

RNG = np.random.default_rng(0)
X, NOISE = RNG.normal(size=(120, 4)), RNG.normal(size=(120, 3))
Y = (X @ RNG.normal(size=(4, 3)) + NOISE).argmax(axis=1)
TRAIN, HELD = (X[:80], Y[:80]), (X[80:], Y[80:])
CALL = {"batch_size": 8, "rates": [0.05, 0.3], "starts": 3, "key": 0, "max_steps": 60, "marks": 6}
LEVELS = {"loss": [0.9, 0.8], "held_out_loss": [0.9, 0.8], "error": [0.4, 0.3]}


@pytest.fixture(scope="module")
def problem() -> gdjax.Problem:
    return gdjax.problems.softmax_regression(*TRAIN, classes=3, held_out=HELD, name="three classes")


def run(problem, target_on, **changed):
    call = {**CALL, "targets": LEVELS[target_on], "target_on": target_on, **changed}
    return gdjax.minibatch(problem, **call)


def by_hand(params, examples) -> dict[str, float]:
    """Loss and error of softmax regression in float64 NumPy."""
    X, y = examples
    W, b = (np.asarray(params[name], np.float64) for name in ("W", "b"))
    z = np.asarray(X, np.float64) @ W.T + b
    z -= z.max(axis=1, keepdims=True)
    of_class = np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(y)), y]
    return {"held_out_loss": of_class.mean() + 0.5e-3 * (W**2).sum(), "error": (z.argmax(axis=1) != y).mean()}


@pytest.mark.parametrize("target_on", ["held_out_loss", "error"])
def test_marks_hold_what_targets_are_on_by_hand(problem, target_on):
    """The parameters at a mark are those of a run that ends there: the rate is constant, batches are of start, step."""
    runs = run(problem, target_on)
    for place, mark in enumerate(runs.marks):
        ended = run(problem, "loss", max_steps=int(mark), targets=())
        for lane in range(6):
            params = jax.tree.map(lambda leaf, lane=lane: leaf[lane], ended.params)
            wanted = by_hand(params, HELD)[target_on]
            assert runs.score_curve[lane, place] == pytest.approx(wanted, abs=1e-5), (lane, mark)
    first = jax.tree.map(lambda leaf: leaf[0], run(problem, "loss", max_steps=1, rates=1e-30, targets=()).params)
    assert runs.start_score[0] == pytest.approx(by_hand(first, HELD)[target_on], abs=1e-5)


@pytest.mark.parametrize("target_on", ["held_out_loss", "error"])
def test_lanes_step_as_if_targets_were_on_the_loss(problem, target_on):
    runs, plain = run(problem, target_on), run(problem, "loss")
    assert np.array_equal(runs.curve, plain.curve) and np.array_equal(runs.final_loss, plain.final_loss)
    assert plain.score_curve is None and plain.start_score is None


@pytest.mark.parametrize("target_on", ["held_out_loss", "error"])
def test_hits_are_looked_for_in_what_targets_are_on(problem, target_on):
    runs = run(problem, target_on)
    scores = np.column_stack([runs.start_score, runs.score_curve])
    steps = np.array([0, *runs.marks])
    hits = runs.hits()
    assert hits.hit.any() and not hits.hit.all()
    for row in hits.itertuples():
        met = np.flatnonzero(scores[row.lane] <= row.target + 1e-6)
        assert row.hit == bool(len(met))
        if row.hit and met[0] > 0:
            before, after = scores[row.lane, met[0] - 1], scores[row.lane, met[0]]
            assert (row.steps_before, row.steps_after) == (steps[met[0] - 1], steps[met[0]])
            share = (before - row.target) / (before - after)  # linear in the score, geometric in the steps
            first = max(row.steps_before, 1)
            wanted = first * (row.steps_after / first) ** share if row.steps_before else row.steps_after * share
            assert row.steps == pytest.approx(max(wanted, row.steps_before + 1), rel=1e-5)  # one update more at least


@pytest.mark.parametrize("target_on", ["held_out_loss", "error"])
def test_a_lane_stops_at_the_first_mark_that_meets_the_lowest_target(problem, target_on):
    free, stopped = run(problem, target_on), run(problem, target_on, stop_at_target=True)
    meets = free.score_curve <= LEVELS[target_on][-1] + 1e-6
    assert meets.any() and not meets.any(axis=1).all()
    ends = np.where(meets.any(axis=1), free.marks[meets.argmax(axis=1)], 60)
    assert stopped.steps.tolist() == ends.tolist()
    assert [gdjax.stopping.STATUSES[each] == "target" for each in stopped.status] == meets.any(axis=1).tolist()
    assert stopped.hits().equals(free.hits())


def test_a_start_that_meets_the_lowest_target_makes_no_step(problem):
    runs = run(problem, "error", targets=[1.0], stop_at_target=True)
    assert runs.steps.tolist() == [0] * 6 and (runs.hits().steps == 0).all()


@pytest.mark.parametrize("width", [16, 64])
def test_the_order_of_lanes_and_the_width_change_nothing(problem, width):
    first = run(problem, "error", width=16, stop_at_target=True)
    other = run(problem, "error", width=width, rates=CALL["rates"][::-1], stop_at_target=True, batches="per-start")
    back = [start * 2 + 1 - setting for start in range(3) for setting in range(2)]
    assert np.array_equal(first.score_curve, other.score_curve[back], equal_nan=True)
    assert first.steps.tolist() == other.steps[back].tolist()


def test_without_held_out_examples_the_error_is_that_of_the_data():
    problem = gdjax.problems.softmax_regression(*TRAIN, classes=3)
    runs = run(problem, "error")
    params = jax.tree.map(lambda leaf: leaf[0], runs.params)
    assert runs.score_curve[0, -1] == pytest.approx(by_hand(params, TRAIN)["error"], abs=1e-6)


@pytest.mark.parametrize("call", [
    {"batch_size": 80, "tolerance": 1e-2, "max_steps": 200, "rates": [0.5, 2.0]},  # lanes end between marks
    {"optimizer": gdjax.optimizers.averaged(optax.sgd)},  # the mean of iterates is what is scored
    {"batches": "independent", "sampling": "replacement"},
    {"batch_size": 1},
])
def test_the_end_of_a_lane_is_scored_alike_however_it_runs(problem, call):
    runs = run(problem, "held_out_loss", **call)
    for lane in range(6):
        params = jax.tree.map(lambda leaf, lane=lane: leaf[lane], runs.params)
        assert runs.scores["held_out_loss"][lane] == pytest.approx(by_hand(params, HELD)["held_out_loss"], rel=1e-5)
    at_budget = runs.steps == runs.max_steps
    assert np.allclose(runs.score_curve[at_budget, -1], runs.scores["held_out_loss"][at_budget])
    ends = runs.curves().groupby("lane").held_out_loss.last()
    assert np.allclose(ends, runs.scores["held_out_loss"])


def test_streamed_examples_give_the_same_scores(problem):
    whole = gdjax.Stream(buffer=80, block=80)  # which shuffles as "shuffle" does
    for of, target_on in ((problem, "error"), (problem, "held_out_loss"),
                          (dataclasses.replace(problem, held_out=None), "error")):
        here, there = run(of, target_on), run(of, target_on, sampling=whole)
        assert np.allclose(here.score_curve, there.score_curve, atol=1e-5), target_on
        assert np.allclose(here.start_score, there.start_score, atol=1e-5)
        stopped = [run(of, target_on, sampling=each, stop_at_target=True).steps for each in ("shuffle", whole)]
        assert np.array_equal(*stopped) and stopped[0].min() < 60


def test_a_diverged_lane_is_a_miss(problem):
    runs = run(problem, "held_out_loss", rates=[0.3, 1e30])
    diverged = np.array([gdjax.stopping.STATUSES[each] == "diverged" for each in runs.status])
    assert diverged.tolist() == [False, True] * 3
    hits = runs.hits()
    assert not hits.hit[hits.lane.isin(np.flatnonzero(diverged))].any() and hits.hit.any()


@pytest.mark.parametrize("wrong", [1, 5, 7])
def test_a_twentieth_wrong_meets_an_error_of_a_twentieth(wrong):
    """1 − 0.95 is 0.05000001 in float32, and other numbers of examples round otherwise."""
    labels = (np.arange(20 * wrong) < wrong).astype(int)  # the problem's loss knows nothing of them: class 0 is told
    problem = gdjax.Problem(
        name="a twentieth", data=(np.ones((len(labels), 1)), labels), init=lambda key: jnp.ones(()),
        loss=lambda w, example: w**2, accuracy=lambda w, batch: jnp.mean((batch[1] == 0) * 1.0))
    runs = gdjax.bgd(problem, rates=0.1, starts=1, key=0, max_steps=3, targets=[0.05], target_on="error",
                     stop_at_target=True)
    assert runs.hits().hit.all() and runs.steps.tolist() == [0]


def test_what_is_saved_is_loaded(problem, tmp_path):
    for target_on in LEVELS:
        runs = run(problem, target_on)
        runs.save(tmp_path / "runs.npz")
        loaded = gdjax.Runs.load(tmp_path / "runs.npz")
        assert loaded.target_on == target_on and loaded.hits().equals(runs.hits())
        assert loaded.curves().equals(runs.curves())


def test_a_program_serves_the_targets_that_it_was_compiled_for(problem):
    shape = {"batch_size": 8, "settings": 2, "marks": 6}
    program = gdjax.compile(problem, target_on="error", **shape)
    assert np.array_equal(run(problem, "error", program=program).score_curve, run(problem, "error").score_curve)
    with pytest.raises(ValueError, match=r"program: was compiled for another target_on \(got 'error', needs 'loss'"):
        run(problem, "loss", program=program)
    with pytest.raises(ValueError, match="target_on: "):
        gdjax.compile(gdjax.problems.get("bowl"), batch_size=1, target_on="error")


@pytest.mark.parametrize(("name", "target_on", "text"), [
    ("digits-softmax", "held_out_loss", r"target_on: problem 'digits-softmax' holds no examples out \(got 'held_out"),
    ("line-fit", "error", r"target_on: problem 'line-fit' has no accuracy \(got 'error'\)"),
    ("digits-held-out", "accuracy", r"target_on: unknown .*accuracy"),
    ("digits-held-out", None, "target_on: unknown"),
])
def test_targets_on_what_a_problem_lacks_are_refused(name, target_on, text):
    with pytest.raises(ValueError, match=text):
        gdjax.minibatch(gdjax.problems.get(name), **{**CALL, "targets": [0.1], "target_on": target_on})
