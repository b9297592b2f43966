"""The tables of Runs, the best of many starts, and files that hold everything and pickle nothing."""

from __future__ import annotations

import dataclasses
import pickletools
import zipfile
from collections import OrderedDict
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import gdjax

FRAME = ["lane", "start", "optimizer", "schedule", "rate", "batch_size", "status", "steps", "examples", "final_loss",
         "best_loss", "grad_norm"]
HITS = ["lane", "target", "hit", "steps_before", "steps", "steps_after", "examples"]
CURVES = ["lane", "step", "examples", "loss"]


class Point(NamedTuple):
    x: np.ndarray
    y: np.ndarray


@pytest.fixture(scope="module")
def runs() -> gdjax.Runs:
    """Three starts with a sound rate and one that diverges, 12 epochs of 10 steps, 6 marks."""
    return gdjax.minibatch(gdjax.problems.get("line-fit"), batch_size=10, rates=[0.2, 50.0], starts=3, key=3,
                           max_epochs=12, marks=6, targets=[1.0, 0.1, 1e-3])


def made(curve, *, marks=(1, 10, 100), start_loss=8.0, targets=(1.0,), floor=0.0, params=None) -> gdjax.Runs:
    """Runs of lanes whose losses at the marks are `curve`, (lanes, marks), written by hand."""
    curve = np.array(curve, float)
    lanes = len(curve)
    return gdjax.Runs(
        problem="hand", optimizer="sgd", batch_size=4, examples=8, max_steps=marks[-1], schedules=("constant",),
        rates=(0.5,), targets=targets, floor=floor, start=np.arange(lanes), setting=np.zeros(lanes, int),
        status=np.full(lanes, gdjax.stopping.BUDGET, np.int8), steps=np.full(lanes, marks[-1], np.int32),
        final_loss=curve[:, -1], best_loss=curve.min(axis=1), grad_norm=np.ones(lanes),
        start_loss=np.full(lanes, start_loss), marks=np.array(marks), curve=curve,
        params=np.zeros((lanes, 2)) if params is None else params, width=16,
        lane_steps_run=int(16 * marks[-1]),
    )


def test_one_row_for_every_lane(runs):
    frame = runs.frame()
    assert list(frame.columns) == FRAME
    assert frame.lane.tolist() == list(range(6))
    assert frame.start.tolist() == [0, 0, 1, 1, 2, 2], "lanes are ordered by start, then setting"
    assert frame.rate.tolist() == [0.2, 50.0] * 3
    assert (frame.batch_size == 10).all() and set(frame.optimizer) == {"sgd"} and set(frame.schedule) == {"constant"}
    assert frame.status.tolist() == ["budget", "diverged"] * 3
    assert (frame.examples == 10 * frame.steps).all()
    sound = frame.rate == 0.2
    assert (frame.steps[sound] == 120).all() and (frame.steps[~sound] < 120).all()
    assert np.isinf(frame.final_loss[~sound]).all(), "a diverged lane ends at +inf, not at NaN that pandas would skip"
    assert np.isfinite(frame.best_loss).all() and (frame.best_loss <= frame.final_loss).all()
    assert (frame.best_loss[sound] <= runs.curve[sound].min(axis=1)).all()
    assert runs.lane_steps_needed == frame.steps.sum()


def test_one_row_for_every_lane_and_target(runs):
    hits = runs.hits()
    assert list(hits.columns) == HITS
    assert len(hits) == 18 and hits.hit.dtype == bool
    assert set(hits.target) == {1.0, 0.1, 1e-3}
    missed = hits[~hits.hit]
    assert (missed.target == 1e-3).sum() == 6, "the optimum is 0.08"
    assert missed[["steps_before", "steps", "steps_after", "examples"]].isna().all(axis=None)
    hit = hits[hits.hit]
    assert len(hit) == 6 and set(hit.lane) == {0, 2, 4}
    assert ((hit.steps_before <= hit.steps) & (hit.steps <= hit.steps_after)).all()
    assert hit.examples.to_numpy() == pytest.approx(10 * hit.steps.to_numpy())


def test_curves_hold_the_start_and_every_mark_that_was_reached(runs):
    curves = runs.curves()
    assert list(curves.columns) == CURVES
    assert curves[curves.lane == 0].step.tolist() == [0, *runs.marks.tolist()]
    assert curves[curves.lane == 0].loss.to_numpy() == pytest.approx([runs.start_loss[0], *runs.curve[0]])
    assert (curves.examples == 10 * curves.step).all()
    assert np.isfinite(curves.loss).all()
    diverged = curves[curves.lane == 1]
    assert len(diverged) < 7 and diverged.step.max() <= runs.steps[1]


def test_no_targets_give_an_empty_table_with_its_columns():
    hits = made([[4.0, 2.0, 1.0]], targets=()).hits()
    assert list(hits.columns) == HITS and len(hits) == 0


def test_hits_on_curves_written_by_hand():
    runs = made([[4.0, 2.0, 0.5], [4.0, 1.0, 0.5], [0.5, 4.0, 4.0], [4.0, 4.0, 4.0]])
    hits, places = runs.hits(), ["steps_before", "steps", "steps_after"]
    assert hits.hit.tolist() == [True, True, True, False]
    # loss 2 → 0.5 over steps 10 → 100: 1 lies half-way in log loss, so half-way in log s
    assert hits.loc[0, places].tolist() == pytest.approx([10, geometric_mean(10, 100), 100])
    assert hits.loc[1, places].tolist() == [1, 10, 10], "met exactly at a mark"
    assert hits.loc[2, places].tolist() == [0, 1, 1], "met by the first update; a later rise takes no hit back"
    assert hits.examples[0] == pytest.approx(4 * geometric_mean(10, 100))


def test_the_end_of_a_lane_is_a_mark_that_follows_the_last_one_it_reached():
    """(x − 3)² from 10 away falls as 100/4ˢ: 1e-4 is crossed at s = log₄ 1e6, between mark 4 and the end at step 11."""
    runs = gdjax.bgd(gdjax.problems.get("parabola"), rates=0.25, starts=np.array([13.0], np.float32), key=0,
                     max_steps=1000, tolerance=0.01, targets=[1e-4], marks=6)
    assert runs.marks.tolist() == [1, 4, 16, 63, 251, 1000]
    assert runs.curves().step.tolist() == [0, 1, 4, 11]
    hit, crossed = runs.hits().loc[0], np.log(1e6) / np.log(4)
    assert (hit.steps_before, hit.steps_after) == (4, 11)
    assert hit.steps == pytest.approx(4 * (11 / 4) ** ((crossed - 4) / 7), rel=1e-6), "log s is straight in log loss"


def geometric_mean(low: float, high: float) -> float:
    return (low * high) ** 0.5


def test_the_best_lane_is_the_finite_lowest(runs):
    params, row = runs.best()
    assert row.final_loss == runs.final_loss[np.isfinite(runs.final_loss)].min()
    assert isinstance(row, pd.Series) and list(row.index) == FRAME
    assert (params["w"], params["b"]) == (runs.params["w"][row.lane], runs.params["b"][row.lane])
    tricky = dataclasses.replace(runs, final_loss=np.array([np.nan, np.inf, 3.0, -np.inf, 2.0, np.nan]))
    assert tricky.best()[1].lane == 4
    lost = dataclasses.replace(runs, final_loss=np.full(6, np.inf))
    with pytest.raises(ValueError, match=r"best: every one of the 6 lanes diverged. Use smaller rates."):
        lost.best()


def assert_equal_runs(left: gdjax.Runs, right: gdjax.Runs):
    for field in dataclasses.fields(gdjax.Runs):
        mine, other = getattr(left, field.name), getattr(right, field.name)
        assert jax.tree.structure(mine) == jax.tree.structure(other), field.name
        for one, two in zip(jax.tree.leaves(mine), jax.tree.leaves(other), strict=True):
            assert np.asarray(one).dtype == np.asarray(two).dtype, field.name
            assert np.array_equal(one, two, equal_nan=np.asarray(one).dtype.kind == "f"), field.name


def test_what_is_saved_is_loaded_bit_for_bit(runs, tmp_path):
    path = tmp_path / "runs of mine.npz"
    runs.save(path)
    again = gdjax.Runs.load(path)
    assert_equal_runs(again, runs)
    assert [file.name for file in tmp_path.iterdir()] == [path.name], "nothing half-written stays behind"
    pd.testing.assert_frame_equal(again.hits(), runs.hits())
    again.save(str(path))  # over itself, by a path that is text
    assert_equal_runs(gdjax.Runs.load(str(path)), runs)


@pytest.mark.parametrize(
    "params",
    [
        np.arange(4.0).reshape(2, 2),
        {"w": np.ones((2, 3), np.float32), "b": np.zeros(2)},
        ({"b": [np.ones(2), (np.zeros(2), np.full((2, 1, 1), 7.0))], "a": None}, np.ones((2, 2), np.float16)),
        {"z": {"late": np.ones(2)}, "a": np.zeros((2, 0))},
        {"w": jnp.ones((2, 2), jnp.bfloat16)},
    ],
    ids=["array", "dict", "nested", "order", "bfloat16"],
)
def test_parameters_of_any_plain_tree_come_back(params, tmp_path):
    runs = made([[4.0, 2.0, 1.0], [4.0, 2.0, 1.0]], params=params, floor=-np.inf)
    runs.save(tmp_path / "runs.npz")
    assert_equal_runs(gdjax.Runs.load(tmp_path / "runs.npz"), runs)


@pytest.mark.parametrize(
    ("params", "text"),
    [
        (Point(np.zeros(2), np.zeros(2)), r"save: parameters must be dicts, lists and tuples of arrays \(got Point\)"),
        (OrderedDict(z=np.zeros(2), a=np.ones(2)), r"save: parameters must be dicts, .* \(got OrderedDict\)"),
        ({0: np.zeros(2)}, r"save: dict keys of the parameters must be text \(got \[0\]\)"),
    ],
)
def test_parameters_of_another_class_are_refused_and_the_old_file_kept(params, text, tmp_path):
    path = tmp_path / "runs.npz"
    sound = made([[4.0, 2.0, 1.0], [4.0, 2.0, 1.0]])
    sound.save(path)
    with pytest.raises(TypeError, match=text):
        dataclasses.replace(sound, params=params).save(path)
    assert_equal_runs(gdjax.Runs.load(path), sound)


def test_nothing_is_pickled(runs, tmp_path):
    runs.save(tmp_path / "runs.npz")
    with zipfile.ZipFile(tmp_path / "runs.npz") as archive:
        for name in archive.namelist():
            bits = archive.read(name)
            header = bits[: 10 + int.from_bytes(bits[8:10], "little")]
            assert header.startswith(b"\x93NUMPY") and b"|O" not in header, name
            with pytest.raises(ValueError):
                list(pickletools.genops(bits[len(header):]))
