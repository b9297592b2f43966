"""Microseconds per lane-step, sampling, scoring and compile: `python -m pytest bench`, printed as a table.

Programs are compiled ahead of time and every run is blocked on: pytest-benchmark never calibrates on a compile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import gdjax
from bench.clock import calibrate

LANES = 128
SAMPLE_S = 0.1  # shorter samples measure the clock
RESULTS: list[tuple[str, float]] = []


@pytest.fixture(scope="module", autouse=True)
def _table(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if RESULTS:
        capture = request.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            print("\n\nmedian microseconds")
            for name, seconds in RESULTS:
                print(f"  {name:<58}{1e6 * seconds:>12.3f}")


def _measure(benchmark: BenchmarkFixture, name: str, run: Callable[[int], object], per: int, rounds: int = 10) -> None:
    """Median seconds per unit of `run(count)`, `per` units a count, over rounds of at least SAMPLE_S."""
    job = calibrate((name,), run, SAMPLE_S, rounds)
    benchmark.pedantic(lambda: jax.block_until_ready(run(job.count)), rounds=rounds, warmup_rounds=2)
    seconds = _median(benchmark) / (job.count * per)
    benchmark.extra_info.update(name=name, seconds_per_unit=seconds, device=jax.devices()[0].device_kind)
    RESULTS.append((name, seconds))
    assert seconds > 0


def _median(benchmark: BenchmarkFixture) -> float:
    assert benchmark.stats is not None, "timing is switched off: run without --benchmark-disable"
    return float(benchmark.stats.stats.median)


@pytest.mark.parametrize("problem", ["diabetes-linear", "cancer-logistic", "digits-softmax"])
@pytest.mark.parametrize("size", [1, 32, "all"])
@pytest.mark.parametrize("solo", [True, False], ids=["solo", "batched"])
def test_step(benchmark: BenchmarkFixture, problem: str, size: int | str, solo: bool) -> None:
    """A step of one lane, and of 128 lanes in groups of 16 that share their batches."""
    found = gdjax.problems.get(problem)
    batch_size = found.examples if size == "all" else int(size)
    program = gdjax.compile(found, batch_size=batch_size, width=1 if solo else LANES, settings=1 if solo else 16)
    run = program.stepper([gdjax.Setting(gdjax.schedules.constant(), 0.01)], max_steps=10_000)
    _measure(benchmark, f"{problem} B={batch_size} {'solo' if solo else 'batched'}: lane-step", run, program.width)


@pytest.mark.parametrize("batch_size", [1, 8, 32, 128])
def test_step_of_independent_batches(benchmark: BenchmarkFixture, batch_size: int) -> None:
    """A step of 128 lanes of digits-softmax, every lane with a batch of its own."""
    problem = gdjax.problems.get("digits-softmax")
    program = gdjax.compile(problem, batch_size=batch_size, width=LANES, batches="independent")
    run = program.stepper([gdjax.Setting(gdjax.schedules.constant(), 0.01)], max_steps=10_000)
    _measure(benchmark, f"digits-softmax B={batch_size} independent, {LANES} lanes: lane-step", run, LANES)


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
    name = f"sampling B={batch_size}, {streams} streams: step"
    _measure(benchmark, name, lambda count: compiled(jnp.int32(count), seeds), 1)


def test_scoring(benchmark: BenchmarkFixture) -> None:
    """Scoring a lane of digits-softmax on all data, a step of one example included."""
    program = gdjax.compile(gdjax.problems.get("digits-softmax"), batch_size=1, width=LANES, settings=16)
    run = program.stepper([gdjax.Setting(gdjax.schedules.constant(), 0.01)], max_steps=10_000)
    _measure(benchmark, "digits-softmax: score of a lane", lambda count: [run(8, 8) for _ in range(count)], 8 * LANES)


def test_compile(benchmark: BenchmarkFixture) -> None:
    """Compiling the program of a batch size not seen before."""
    problem, sizes = gdjax.problems.get("line-fit"), iter(range(2, 100))

    def compile_next(count: int) -> list[gdjax.Program]:
        return [gdjax.compile(problem, batch_size=next(sizes), width=16) for _ in range(count)]

    benchmark.pedantic(compile_next, args=(1,), rounds=5)
    RESULTS.append(("line-fit: compile of a program", _median(benchmark)))
    assert RESULTS[-1][1] > 0
