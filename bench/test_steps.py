"""Seconds per lane-step, of sampling, scoring and compilation: `python -m pytest bench` shows them as a table.

Programs are compiled ahead of time, every run is blocked on, and nothing may compile while the clock runs. A sample
holds as many units of work as fill SAMPLE_S, which differs from process to process: the clock tells seconds per unit,
so that pytest-benchmark's tables, files and comparisons are all of the same quantity.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import gdjax
from bench.clock import calibrate, compilations
from bench.samples import WARMUPS

LANES = 128
SAMPLE_S = 0.1  # shorter samples measure the clock
ROUNDS = 5  # in each process: the gate runs three
_units = 1


def unit_clock() -> float:
    """The time in seconds per unit of work of the sample that runs."""
    return time.perf_counter() / _units


jax.config.update("jax_enable_compilation_cache", False)  # a cached program would hide its compile time
pytestmark = pytest.mark.benchmark(timer=unit_clock, warmup=False)


@pytest.fixture(autouse=True)
def _one_unit() -> None:
    global _units
    _units = 1


def _measure(benchmark: BenchmarkFixture, run: Callable[[int], object], per: int = 1) -> None:
    """Seconds per unit of `run(count)`, `per` units a count, over rounds of at least SAMPLE_S."""
    global _units
    job = calibrate((), run, SAMPLE_S, ROUNDS)
    _units = job.count * per
    before = compilations()
    benchmark.pedantic(lambda: jax.block_until_ready(run(job.count)), rounds=ROUNDS, warmup_rounds=WARMUPS)
    assert compilations() == before, "something compiled while the clock ran"


@pytest.mark.parametrize("problem", ["diabetes-linear", "cancer-logistic", "digits-softmax"])
@pytest.mark.parametrize("size", [1, 32, "all"])
@pytest.mark.parametrize("solo", [True, False], ids=["solo", "batched"])
def test_step(benchmark: BenchmarkFixture, problem: str, size: int | str, solo: bool) -> None:
    """A step of one lane, and of 128 lanes in groups of 16 that share their batches."""
    found = gdjax.problems.get(problem)
    batch_size = found.examples if size == "all" else int(size)
    program = gdjax.compile(found, batch_size=batch_size, width=1 if solo else LANES, settings=1 if solo else 16)
    run = program.stepper([gdjax.Setting(gdjax.schedules.constant(), 0.01)], max_steps=10_000)
    _measure(benchmark, run, program.width)


@pytest.mark.parametrize("batch_size", [1, 8, 32, 128])
def test_step_of_independent_batches(benchmark: BenchmarkFixture, batch_size: int) -> None:
    """A step of 128 lanes of digits-softmax, every lane with a batch of its own."""
    problem = gdjax.problems.get("digits-softmax")
    program = gdjax.compile(problem, batch_size=batch_size, width=LANES, batches="independent")
    run = program.stepper([gdjax.Setting(gdjax.schedules.constant(), 0.01)], max_steps=10_000)
    _measure(benchmark, run, LANES)


@pytest.mark.parametrize("batch_size", [1, 32])
def test_step_of_convolutions(benchmark: BenchmarkFixture, batch_size: int) -> None:
    """A step of the full width of digits-cnn, every lane with a batch of its own."""
    program = gdjax.compile(gdjax.problems.get("digits-cnn"), batch_size=batch_size, batches="independent")
    run = program.stepper([gdjax.Setting(gdjax.schedules.constant(), 0.01)], max_steps=10_000)
    _measure(benchmark, run, program.width)


@pytest.mark.parametrize("batch_size", [1, 32, 128])
def test_sampling(benchmark: BenchmarkFixture, batch_size: int) -> None:
    """Drawing the batches of 16 streams from 1,797 examples."""
    examples, streams = 1797, 16
    seeds = jax.random.bits(jax.random.key(0), (streams, 2), jnp.uint32)

    def draw(count: jax.Array, seeds: jax.Array) -> jax.Array:
        def body(step: jax.Array, total: jax.Array) -> jax.Array:
            def one(seed: jax.Array) -> jax.Array:
                position = step * batch_size % examples
                return gdjax.sampling.batch("shuffle", examples, batch_size, seed, step, position)

            return total + jnp.sum(jax.vmap(one)(seeds))

        return jax.lax.fori_loop(0, count, body, jnp.int32(0))

    compiled = jax.jit(draw).lower(jnp.int32(1), seeds).compile()
    _measure(benchmark, lambda count: compiled(jnp.int32(count), seeds))


def test_scoring(benchmark: BenchmarkFixture) -> None:
    """Scoring a lane of digits-softmax on all data, a step of one example included."""
    program = gdjax.compile(gdjax.problems.get("digits-softmax"), batch_size=1, width=LANES, settings=16)
    run = program.stepper([gdjax.Setting(gdjax.schedules.constant(), 0.01)], max_steps=10_000)
    _measure(benchmark, lambda count: [run(8, 8) for _ in range(count)], 8 * LANES)


def test_compile(benchmark: BenchmarkFixture) -> None:
    """Compiling the program of a batch size not seen before."""
    problem, sizes = gdjax.problems.get("line-fit"), iter(range(2, 100))

    def compile_next() -> gdjax.Program:
        return gdjax.compile(problem, batch_size=next(sizes), width=16)

    benchmark.pedantic(compile_next, rounds=ROUNDS, warmup_rounds=1)
