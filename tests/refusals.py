"""Calls of the front doors with one argument changed, and a context that wants it refused before anything runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import gdjax

LINE, BOWL = gdjax.problems.get("line-fit"), gdjax.problems.get("bowl")


@contextmanager
def refused(error: type[Exception], *parts: str) -> Iterator[pytest.ExceptionInfo]:
    """Wants this error with these parts of text in this order, before anything is drawn, measured or compiled."""

    def never(*arguments: object, **named: object):
        raise AssertionError("something ran before the bad argument was refused")

    text = re.compile(".*".join(re.escape(part) for part in parts), re.DOTALL)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(error, match=text) as raised:
        for name in ("gdjax.engine.measure.measure", "gdjax.engine.program.Program.run_lanes",
                     "gdjax.engine.streamed.Streamed.run_lanes", "gdjax.reading.Reader.in_order",
                     "gdjax.compiling.program_for", "gdjax.lanes.draw_starts"):
            patch.setattr(name, never)
        yield raised


def batches(**changed):
    arguments = {"batch_size": 10, "rates": 0.1, "starts": 2, "key": 0, "max_steps": 5, **changed}
    return gdjax.minibatch(arguments.pop("problem", LINE), **arguments)


def bowl(**changed):
    return gdjax.bgd(changed.pop("problem", BOWL), **{"rates": 0.1, "starts": 2, "key": 0, "max_steps": 5, **changed})
