"""Samples that last as long as they are to, whatever the machine did while they were calibrated."""

from __future__ import annotations

from itertools import chain, repeat

import pytest

from bench import clock


def test_samples_grow_where_the_calibration_met_a_slow_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit takes 8 ms while it is calibrated, then 1 ms: the first warm-up is short, what follows is not."""
    pace = chain([8e-3] * 4, repeat(1e-3))
    monkeypatch.setattr(clock, "once", lambda run, count, prepare: (count * next(pace), False))
    job = clock.calibrate(("a",), lambda count: None, min_sample_s=0.1, repeats=3)
    assert job.count < 100
    taken = list(clock.samples([job], seed=0))
    assert [sample.warmup for sample in taken] == [True, True, False, False, False]
    assert taken[0].seconds < 0.1 and all(sample.seconds >= 0.1 for sample in taken[1:])
    assert all(sample.seconds == pytest.approx(1e-3 * sample.count) for sample in taken)


def test_a_job_with_a_count_of_its_own_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "once", lambda run, count, prepare: (1e-6, False))
    assert {sample.count for sample in clock.samples([clock.Job(("a",), lambda count: None, 7, 3)], seed=0)} == {7}


def test_what_is_prepared_before_a_sample_is_off_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit takes 2 ms and what is prepared 50: on the clock one unit would do for samples of 4 ms."""
    now, ready = [0.0], list[int]()

    def prepare() -> None:
        now[0] += 0.05
        ready.append(1)

    def run(count: int) -> None:
        ready.pop()  # it was prepared, once
        now[0] += 0.002 * count

    monkeypatch.setattr(clock.time, "perf_counter", lambda: now[0])
    job = clock.calibrate(("a",), run, min_sample_s=0.004, repeats=3, prepare=prepare)
    assert job.count == 3 and not ready
    assert [sample.seconds for sample in clock.samples([job], seed=0)] == pytest.approx([0.006] * 5)
    assert not ready
