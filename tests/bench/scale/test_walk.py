"""The walk itself: time and memory decide what is measured, the clock is honest, and a small real run."""

from __future__ import annotations

import json
import math
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import jax
import numpy as np
import pandas as pd
import pytest

import gdjax
from bench import clock, device
from bench.analysis.parity import loss_change, median_change
from bench.ceilings import Ceilings
from bench.scale import compare, losses, room, session, timing, worker
from bench.speaker import Stopped

SQUARE = "tests.bench.user_problem:make_problem"
COST = gdjax.Cost(flops=200.0, bytes=50.0)
REACHED = Ceilings(matmul=[1e6], copy=[1e5])


class FakeProgram:
    """A program of `width` lanes: a run begins in `begin_s`, each step takes `step_s`; lanes may end early."""

    def __init__(self, width: int = 2, step_s: float = 1e-3, begin_s: float = 0.0, ends: int | None = None) -> None:
        self.width, self.step_s, self.begin_s, self.ends = width, step_s, begin_s, ends
        self.memory_bytes, self.trace_s, self.compile_s = 1000 * width, 0.0, 0.0
        self.keys: list[int] = []

    def stepper(self, settings, key=0):
        self.keys.append(key)

        def run(steps):
            time.sleep(self.begin_s + steps * self.step_s)
            return SimpleNamespace(steps=np.full((self.width, 1), steps if self.ends is None else self.ends))

        return run

    def cost(self):
        return COST


class FakeConnection:
    """Keeps what is sent; asks for the end once `stop_after` messages are there."""

    def __init__(self, stop_after: float = math.inf) -> None:
        self.sent: list[dict] = []
        self.stop_after = stop_after

    def send(self, message):
        self.sent.append(message)

    def poll(self):
        return len(self.sent) >= self.stop_after

    def recv(self):
        return {"kind": "stop"}

    def rows(self):
        return [message["row"] for message in self.sent if message["kind"] == "group"]


def sample(seconds: float, *, count: int = 10, voided: bool = False) -> clock.Sample:
    return clock.Sample(("0", "step"), 0, False, voided, 0, count, seconds)


def corner(lanes: int = 4, pieces: int = 2) -> timing.Corner:
    return timing.Corner(8, lanes, FakeProgram(lanes // pieces), pieces, lambda steps: [], 0.5, 1e-3, 0.0, 10)


def test_a_row_is_what_the_samples_say():
    """Ten steps in 0.6 s of which 0.5 s are the beginning: 10 ms a step, 400 lane-steps a second for four lanes."""
    row = timing.row(corner(), [sample(0.6)] * 5 + [sample(9.9, voided=True)], 0.5, COST, REACHED)
    assert (row["step_s"], row["step_s_low"], row["step_s_high"]) == pytest.approx((0.01,) * 3)
    assert row["lane_steps_per_s"] == pytest.approx(400)
    assert (row["samples"], row["voided"]) == (5, 1)
    assert row["matmul_share"] == pytest.approx(400 * 200 / 1e6) and row["copy_share"] == pytest.approx(400 * 50 / 1e5)
    assert row["share"] == row["copy_share"] == pytest.approx(0.2)
    assert (row["memory_bytes"], row["bytes_per_lane"]) == (4000, 1000)


def test_samples_in_which_something_compiled_do_not_count():
    with pytest.raises(RuntimeError, match="something compiled in each of the 2 samples"):
        timing.row(corner(), [sample(1.0, voided=True)] * 2, 0.0, COST, REACHED)


def test_pieces_step_side_by_side_with_lanes_of_their_own():
    """Two pieces of 20 ms a step take 20 ms and not 40 where they run at once; each has its own key."""
    program = FakeProgram(step_s=20e-3)
    made = timing.ready(1, 4, program, 2, ThreadPoolExecutor(2), 0.02)
    assert program.keys == [0, 1]
    assert 0.018 < made.step_s < 0.035


def test_a_busy_moment_at_the_first_look_does_not_shorten_the_samples(monkeypatch):
    """The clock took a spike for the work and asks for one step of 1 ms; a sample of 20 ms needs twenty."""
    monkeypatch.setattr(clock, "calibrate", lambda label, run, sample_s, repeats: clock.Job(label, run, 1, repeats))
    made = timing.ready(1, 2, FakeProgram(step_s=1e-3), 1, ThreadPoolExecutor(1), 0.02)
    assert made.count * made.step_s >= 0.9 * 0.02


def test_a_sample_steps_at_least_as_long_as_it_begins():
    """A beginning of 40 ms beside steps of 1 ms: about 40 steps and not 10, or the difference would drown."""
    made = timing.ready(1, 2, FakeProgram(step_s=1e-3, begin_s=0.04), 1, ThreadPoolExecutor(1), 0.01)
    assert made.begin_s == pytest.approx(0.04, rel=0.5)
    assert made.count * made.step_s >= 0.9 * made.begin_s


def test_lanes_that_end_early_are_no_timing():
    with pytest.raises(RuntimeError, match=r"lanes ended after 0 of \d+ steps: the loss or its gradient is not finite"):
        timing.ready(1, 2, FakeProgram(ends=0), 1, ThreadPoolExecutor(1), 0.005)


@pytest.fixture
def walk(monkeypatch):
    """A walk over two batch sizes of a problem whose programs are fake: 1,000 bytes a lane, 1 ms a step."""
    monkeypatch.setattr(gdjax, "compile", lambda problem, batch_size, width: FakeProgram(width))
    made = worker.Walk(FakeConnection(), worker.Request("line-fit", "cpu", 60.0, 64, 2, 0.002))
    made.problem, made.device = SimpleNamespace(name="line-fit"), SimpleNamespace(memory_stats=lambda: made.stats)
    made.stats = {"bytes_limit": 10**9, "bytes_in_use": 0}
    made.alive, made.planned, made.cores, made.threads = [1, 8], 8, 1, ThreadPoolExecutor(1)
    made.deadline, made.ceilings = time.monotonic() + 60, REACHED
    return made


def states(walk):
    return [(row["batch_size"], row["lanes"], row["status"]) for row in walk.connection.rows()]


def test_corners_are_visited_from_small_to_large(walk):
    for lanes in (1, 4):
        walk._level(lanes)
    assert states(walk) == [(1, 1, "finished"), (8, 1, "finished"), (1, 4, "finished"), (8, 4, "finished")]


def test_what_does_not_fit_the_memory_is_told_before_it_runs(walk):
    """4,000 bytes against 3,500 free: no lane of it runs, and larger corners are not tried."""
    walk.stats = {"bytes_limit": 3500, "bytes_in_use": 0}
    for lanes in (1, 4, 16):
        walk._level(lanes)
    assert states(walk) == [(1, 1, "finished"), (8, 1, "finished"), (1, 4, "oom"), (8, 4, "oom")]
    row = walk.connection.rows()[-1]
    assert row["note"] == "needs 4 kB of memory, 3.5 kB are free" and row["memory_bytes"] == 4000


def test_row_18_memory_that_runs_out_on_the_device_costs_one_batch_size(walk, monkeypatch):
    def compile(problem, batch_size, width):
        if batch_size == 1 and width > 1:
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 99 bytes.")
        return FakeProgram(width)

    monkeypatch.setattr(gdjax, "compile", compile)
    for lanes in (1, 4):
        walk._level(lanes)
    assert states(walk) == [(1, 1, "finished"), (8, 1, "finished"), (1, 4, "oom"), (8, 4, "finished")]


def test_corners_that_were_measured_to_make_room_are_not_measured_again(walk, monkeypatch):
    """Two corners of 1,000 bytes do not fit 2,000 together with their room to spare; the second one fails."""
    def compile(problem, batch_size, width):
        return FakeProgram(width, ends=None if batch_size == 1 else 0)

    monkeypatch.setattr(gdjax, "compile", compile)
    walk.stats = {"bytes_limit": 2000, "bytes_in_use": 0}
    walk._level(1)
    assert states(walk) == [(1, 1, "finished"), (8, 1, "failed")]


def test_another_failure_is_told_as_what_it_is(walk, monkeypatch):
    monkeypatch.setattr(gdjax, "compile", lambda problem, batch_size, width: FakeProgram(width, ends=0))
    walk._level(1)
    assert states(walk) == [(1, 1, "failed"), (8, 1, "failed")]
    assert "lanes ended after 0 of" in walk.connection.rows()[0]["note"]


def test_what_would_not_fit_the_time_limit_is_skipped(walk):
    """Steps of 1 s with a quarter of the lanes: 4 s here, two samples, two warm-ups and five runs before, 36 s."""
    walk.deadline = time.monotonic() + 30
    walk.seen[8] = (1.0, 0.0, 0.0)
    walk._level(4)
    assert states(walk) == [(8, 4, "skipped"), (1, 4, "finished")]
    assert "would take about 36 s, 30 s of the time limit were left" in walk.connection.rows()[0]["note"]
    assert walk.alive == [1]


def test_the_end_that_the_parent_asks_for_comes_between_two_samples(walk):
    walk.connection.stop_after = 4
    with pytest.raises(Stopped):
        for lanes in (1, 4, 16):
            walk._level(lanes)
    assert len(walk.connection.sent) <= 6


def test_free_memory_is_that_of_the_device_or_of_the_control_group(tmp_path, monkeypatch):
    assert room.free_bytes({"bytes_limit": 10, "bytes_in_use": 4}) == 6
    (tmp_path / "memory.max").write_text("5000\n")
    (tmp_path / "memory.current").write_text("2000\n")
    monkeypatch.setattr(room, "CGROUP", tmp_path)
    assert room.free_bytes(None) == 3000
    (tmp_path / "memory.max").write_text("max\n")
    assert room.free_bytes(None) > 10**6


def test_where_no_gradient_says_a_rate_there_are_no_losses(monkeypatch):
    flat = SimpleNamespace(start_loss=np.ones(16), grad_norm=np.zeros(16))
    monkeypatch.setattr(gdjax, "minibatch", lambda *_, **__: flat)
    assert losses.final_losses(SimpleNamespace(), 1, SimpleNamespace(), 1.0) is None


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A real run: two lane counts of a user's problem without data, two samples of 20 ms."""
    folder = tmp_path_factory.mktemp("scale") / "square"
    assert session.run(SQUARE, folder, "cpu", 5.0, 4, repeats=2, sample_s=0.02) == session.FINE
    return folder


def test_a_real_run_measures_every_corner(measured):
    """One parameter, read and written: 8 bytes a lane-step, as many operations whatever the lanes."""
    table = pd.read_parquet(measured / "scaling.parquet").set_index("lanes")
    assert table.index.tolist() == [1, 4] and (table["status"] == "finished").all()
    assert (table["voided"] == 0).all() and (table["samples"] == 2).all()
    assert (table["width"] * table["pieces"] >= table.index).all()
    assert (table["bytes_per_lane_step"] == 8).all() and table["flops_per_lane_step"].nunique() == 1
    assert table["lane_steps_per_s"].tolist() == pytest.approx((table.index / table["step_s"]).tolist())
    manifest = json.loads((measured / "run.json").read_text())
    assert (manifest["problem"], manifest["made_by"]) == ("square", SQUARE)
    assert manifest["data_sha256"] is None and manifest["environment"]["matmul_precision"] == "highest"
    ceilings = manifest["ceilings"]
    assert ceilings["matmul_flops"] > 1e9 and ceilings["copy_bytes_s"] > 1e8
    assert (ceilings["copy_bytes_s"] * table["copy_share"]).tolist() == pytest.approx(
        (8 * table["lane_steps_per_s"]).tolist())
    assert (table["share"] == table[["matmul_share", "copy_share"]].max(axis=1)).all()


def test_losses_are_those_of_a_few_steps_and_tell_a_gradient_that_is_wrong_by_a_hundredth(measured):
    """x²: a step is x ← (1 − 2·rate)·x, rate = 0.1·gap/(16·‖2x‖²); 1.01 times the gradient: ten times the rounding."""
    manifest = json.loads((measured / "run.json").read_text())
    table = pd.read_parquet(measured / "scaling.parquet").set_index("lanes")
    assert table["final_losses"].isna().tolist() == [True, False], "once, at the most lanes up to 16"
    gap = manifest["initial_loss"] - manifest["optimum"]
    key = jax.random.fold_in(jax.random.key(0), gdjax.lanes.KEY_STARTS)
    x = np.array(gdjax.lanes.draw_starts(worker.problem_from(SQUARE, print), key, losses.STARTS))
    right, wrong = ((x * (1 - 2 * times * 0.1 * gap / (16 * np.median(np.abs(2 * times * x)) ** 2)) ** 16) ** 2
                    for times in (1.0, 1.01))
    found = np.array(table["final_losses"][4])
    assert found == pytest.approx(right, rel=1e-5)
    assert 3e-4 < abs(median_change(loss_change(found, wrong, gap))) < 3e-3


def test_row_25_the_same_folder_twice_is_no_difference(measured, tmp_path):
    lines = compare.write(measured, measured, tmp_path / "out")
    assert lines[0] == "ceilings, B/A: 1× in products, 1× in copies"
    assert lines[1] == "square (B) against square (A): no difference seen at any of 2 corners."
    assert lines[2] == "Losses after the same steps of the same starts, at 1 batch size: 1 equal."
    assert (pd.read_csv(tmp_path / "out" / "crossover.csv")["ratio"] == 1).all()


def test_row_6_an_unknown_problem_is_named_with_the_closest(monkeypatch):
    """Before a plan, so that nothing is made: what the parent does with an error is in test_row_17."""
    monkeypatch.setattr(device, "open_device", lambda *_: device.Opened("cpu", "", ""))
    made = worker.Walk(FakeConnection(), worker.Request("bowll", "cpu", 60.0, 64, 2, 0.002))
    made.run()
    only, = made.connection.sent
    assert (only["kind"], only["code"]) == ("error", session.BAD_INPUT)
    assert "bowll" in only["text"] and "'bowl'" in only["text"]


def test_row_17_a_gpu_that_is_not_there_is_exit_5(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert session.run("bowl", tmp_path / "run", "gpu") == 5
    assert "error: --device: no gpu device (got " in (said := capsys.readouterr().err) and "pip install" in said
    assert not (tmp_path / "run").exists()
