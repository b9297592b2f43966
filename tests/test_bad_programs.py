"""Programs, files and words that do not fit a call: the field, what came, what to do instead."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import gdjax
from tests.refusals import BOWL, LINE, batches, bowl, refused


def test_a_program_of_another_call():
    program = gdjax.compile(LINE, batch_size=10, width=16)
    with refused(TypeError, "program: must be what gdjax.compile gives (got 'x'). Leave it out"):
        batches(program="x")
    with refused(TypeError, "program: must be what gdjax.compile gives (got 'x')"):
        gdjax.range_test(LINE, batch_size=10, key=0, max_steps=2, program="x")
    with refused(ValueError, "program: was compiled for another problem (got 'line-fit' at 0x", "needs 'bowl' at 0x",
                 "Compile one for this call, or leave it out.") as raised:
        bowl(program=program)
    assert len(str(raised.value)) < 200, "not with all its data"
    with refused(ValueError, "program: was compiled for another optimizer (got 'sgd', needs 'adam')"):
        batches(program=program, optimizer="adam")
    with jax.enable_x64(True), refused(
            ValueError, "program: was compiled in another x64 mode (got False, needs True). Compile it again"):
        batches(program=program)


@pytest.mark.parametrize("door", [bowl, lambda schedules: gdjax.compile(BOWL, batch_size=1, schedules=schedules)])
def test_a_bare_function_as_schedule(door):
    with refused(TypeError, "schedules: must be names or schedules (got <function",
                 "Wrap a function t -> factor with gdjax.schedules.custom"):
        door(schedules=lambda t: 1 - t)


def test_words_for_numbers_and_other_things():
    with refused(TypeError, "stop_at_target: must be True or False (got 'no'). True ends a lane"):
        bowl(targets=[0.1], stop_at_target="no")
    with refused(ValueError, "held_out: must be a share inside (0, 1) (got '0.2'). 0.2 holds out a fifth."):
        gdjax.data.split(np.ones((4, 1)), np.ones(4), held_out="0.2")
    with refused(TypeError, "problem: must be a gdjax.Problem (got 'bowl'). Use gdjax.problems.get(name)."):
        gdjax.check_gradient("bowl")


def test_files_that_are_no_runs(tmp_path):
    np.savez(tmp_path / "foreign.npz", X=np.zeros(2))
    np.save(tmp_path / "one.npy", np.zeros(2))
    (tmp_path / "text.npz").write_text("lane,loss")
    (tmp_path / "empty.npz").touch()
    (tmp_path / "cut.npz").write_bytes((tmp_path / "foreign.npz").read_bytes()[:80])
    for name, what in (("foreign.npz", "which holds X"), ("one.npy", "which holds one array"),
                       *((name, "which is no whole NPZ file") for name in ("text.npz", "empty.npz", "cut.npz"))):
        with refused(ValueError, "load: must be a file that Runs.save wrote (got '", name, what, "Give the path"):
            gdjax.Runs.load(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        gdjax.Runs.load(tmp_path / "none.npz")


def test_hits_have_their_dtypes_without_targets_too():
    without, with_targets = bowl().hits(), bowl(targets=[0.1]).hits()
    assert len(without) == 0 and without.dtypes.to_dict() == with_targets.dtypes.to_dict()
