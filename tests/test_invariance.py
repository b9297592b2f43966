"""What must not change an outcome: how many starts, the neighbours, the order, the width, being compiled again."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest

import gdjax
from tests.plain import batches_of

pytestmark = pytest.mark.usefixtures("as_shipped")
LINE = gdjax.problems.get("line-fit")
BOWL = gdjax.problems.get("bowl")


def line_fit(**changed):
    """Mini-batches of 10 on a straight line, at a rate at which every lane descends."""
    arguments = {"batch_size": 10, "rates": 0.2, "starts": 7, "key": 3, "max_epochs": 12, "marks": 6, **changed}
    return gdjax.minibatch(arguments.pop("problem", LINE), **arguments)


def six_settings(**changed):
    """Two rates and three schedules in 4 slots of 8 lanes: padding, shared batches and refilling all take part."""
    return line_fit(**{"batch_size": 7, "rates": [0.05, 0.2], "schedules": ["constant", "cosine", "inverse_time"],
                       "starts": 9, "width": 32, **changed})


def valley(**changed):
    """Batch descent along the bent valley: lanes end at very different steps and their slots are filled again."""
    return gdjax.bgd(gdjax.problems.get("rosenbrock"), **{"rates": [5e-4, 1e-3, 1.5e-3], "starts": 40, "key": 1,
                                                          "tolerance": 0.1, "max_steps": 4000, **changed})


def by_name(runs):
    """(start, schedule, rate) -> the lane's bits: status, steps, losses, curve and parameters."""
    lanes = {}
    for lane, row in runs.frame().iterrows():
        bits = [runs.status[lane], runs.steps[lane], runs.start_loss[lane], runs.final_loss[lane], runs.best_loss[lane],
                runs.grad_norm[lane], runs.curve[lane], *(leaf[lane] for leaf in jax.tree.leaves(runs.params))]
        lanes[row.start, row.schedule, row.rate] = b"".join(np.asarray(part).tobytes() for part in bits)
    return lanes


@pytest.mark.parametrize("name", ["line-fit", "softmax-2x3"])
def test_start_i_is_the_same_start_however_many_there_are(name):
    problem, key = gdjax.problems.get(name), jax.random.key(11)
    many = gdjax.lanes.draw_starts(problem, key, 256)
    for count in (1, 7):
        few = gdjax.lanes.draw_starts(problem, key, count)
        for left, right in zip(jax.tree.leaves(few), jax.tree.leaves(many), strict=True):
            assert np.array_equal(left, right[:count])
    assert len({row.tobytes() for row in jax.tree.leaves(many)[0]}) == 256


def test_starts_drawn_in_several_blocks_are_all_different():
    key = jax.random.key(2)
    many = gdjax.lanes.draw_starts(BOWL, key, 5000)
    assert gdjax.lanes.start_block(BOWL) < 5000
    assert len(np.unique(many, axis=0)) == 5000
    assert np.array_equal(many[:256], gdjax.lanes.draw_starts(BOWL, key, 256))


def test_start_i_has_the_same_batches_however_many_there_are():
    key, names = jax.random.key(4), np.stack([np.arange(256), np.zeros(256, int)], 1)
    many = gdjax.lanes.streams(key, names)
    assert np.array_equal(gdjax.lanes.streams(key, names[:1]), many[:1])
    assert np.array_equal(gdjax.lanes.streams(key, names[:7]), many[:7])
    assert len({tuple(seed) for seed in many.tolist()}) == 256
    walks = [np.concatenate(batches_of(37, 5, seed, 30)) for seed in (many[0], many[6], many[255])]
    assert all((walks[0] != other).any() for other in walks[1:])


def test_start_i_ends_alike_however_many_there_are():
    one, seven, many = line_fit(starts=1), line_fit(), line_fit(starts=256)
    assert by_name(seven) | by_name(one) == by_name(seven), "one program served both: bit for bit"
    assert many.width > seven.width
    assert many.final_loss[:7] == pytest.approx(seven.final_loss, rel=1e-5)
    assert many.curve[:7] == pytest.approx(seven.curve, rel=1e-5)


def test_a_run_repeats_itself_bit_for_bit_even_when_compiled_again():
    first = by_name(line_fit())
    assert by_name(line_fit()) == first
    assert by_name(line_fit(problem=dataclasses.replace(LINE))) == first
    assert by_name(line_fit(key=4)) != first
    assert by_name(line_fit(key=jax.random.key(3))) == first, "a seed and its JAX key are the same key"


def test_the_order_of_settings_changes_nothing():
    there = by_name(six_settings())
    assert len(there) == 54
    assert by_name(six_settings(rates=[0.2, 0.05])) == there
    assert by_name(six_settings(schedules=["inverse_time", "constant", "cosine"])) == there


def test_fewer_neighbours_change_nothing():
    there = by_name(six_settings())
    few = by_name(six_settings(starts=4))
    assert few == {name: there[name] for name in few}
    kinds = [gdjax.schedules.get(kind) for kind in ("constant", "cosine", "inverse_time")]
    fewer = by_name(six_settings(rates=None, schedules="constant",
                                 settings=[gdjax.Setting(kinds[2], 0.2), gdjax.Setting(kinds[0], 0.05),
                                           gdjax.Setting(kinds[1], 0.05), gdjax.Setting(kinds[1], 0.2),
                                           gdjax.Setting(kinds[0], 0.2)]))
    assert len(fewer) == 45
    assert fewer == {name: there[name] for name in fewer}


def test_a_lane_that_diverges_changes_no_other():
    sound, mixed = by_name(six_settings()), six_settings(rates=[0.05, 1e6])
    frame = mixed.frame()
    assert set(frame[frame.rate == 1e6].status) == {"diverged"}
    assert np.isinf(frame[frame.rate == 1e6].final_loss).all()
    kept = {name: bits for name, bits in by_name(mixed).items() if name[2] == 0.05}
    assert len(kept) == 27
    assert kept == {name: sound[name] for name in kept}


def test_stopping_at_the_target_changes_nothing_before_the_stop():
    on, off = (six_settings(targets=[1.0, 0.1], marks=20, stop_at_target=stop) for stop in (True, False))
    stopped = on.frame().status == "target"
    assert 10 < stopped.sum() < 54, "some lanes stop and some do not"
    scored = on.marks[None, :] <= on.steps[:, None]
    assert np.array_equal(on.curve[scored], off.curve[scored])
    assert np.isnan(on.curve[~scored]).all()
    assert (on.final_loss[stopped] <= 0.1).all()
    first = off.marks[(off.curve <= 0.1).argmax(axis=1)]
    assert np.array_equal(on.steps[stopped], first[stopped]), "a lane stops at the first mark at or below the target"
    assert (off.steps == off.max_steps).all()
    assert on.hits().equals(off.hits())


def test_widths_change_a_convex_problem_by_rounding_only():
    """Other widths are compared by test_start_i_ends_alike_however_many_there_are."""
    one, many = (line_fit(rates=[0.05, 0.2], width=width) for width in (1, 64))
    assert (one.width, many.width) == (1, 64)
    assert many.final_loss == pytest.approx(one.final_loss, rel=1e-5)
    assert many.curve == pytest.approx(one.curve, rel=1e-5)


def test_widths_change_no_step_count_in_the_bent_valley():
    one, sixteen, many = (valley(width=width) for width in (1, 16, 64))
    assert len(set(one.steps.tolist())) > 60, "lanes end at many different steps"
    assert set(one.frame().status) == {"converged", "diverged", "budget"}
    assert one.steps.tolist() == sixteen.steps.tolist() == many.steps.tolist()
    assert one.status.tolist() == sixteen.status.tolist() == many.status.tolist()
    # without refilling, every round of 16 lanes takes as long as its slowest
    rounds = 16 * sum(int(sixteen.steps[first : first + 16].max()) for first in range(0, 120, 16))
    assert sixteen.lane_steps_needed <= sixteen.lane_steps_run < 0.8 * rounds


def test_the_order_of_lanes_in_the_pool_changes_nothing():
    there = by_name(valley(width=16))
    assert by_name(valley(width=16, rates=[1.5e-3, 5e-4, 1e-3])) == there
    few = by_name(valley(width=16, rates=[1.5e-3], starts=13))
    assert few == {name: there[name] for name in few}


def test_ten_thousand_lanes_through_128_slots_end_where_the_closed_form_ends():
    """On x² + y² a step multiplies x by 1 − 2·rate: ‖gradient‖ = 2‖x₀‖ |1 − 2·rate|ˢ."""
    rates, tolerance = [0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8], 1e-2
    runs = gdjax.bgd(BOWL, rates=rates, starts=1250, key=9, tolerance=tolerance, max_steps=100_000, width=128)
    assert (len(runs.start), runs.width) == (10_000, 128)
    assert set(runs.frame().status) == {"converged"}
    starts = gdjax.lanes.draw_starts(BOWL, jax.random.fold_in(jax.random.key(9), 0), 1250)[runs.start].astype(float)
    shrink = 1 - 2 * np.array(rates)[runs.setting]
    slope = 2 * np.linalg.norm(starts, axis=1) * np.abs(shrink)[None, :] ** (runs.steps - np.array([[0], [1]]))
    assert (slope[0] <= tolerance * (1 + 1e-5)).all(), "at the end the gradient is at the tolerance"
    assert (slope[1] > tolerance * (1 - 1e-5)).all(), "and a step before it was not"
    assert runs.params == pytest.approx(starts * shrink[:, None] ** runs.steps[:, None], rel=1e-4, abs=1e-7)
