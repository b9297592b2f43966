"""Examples that are streamed: the flow of rows, the same descent as in memory where it must be, memory, refusals."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from gdjax.engine import streamed
from gdjax.reading import Reader
from tests.refusals import BOWL, batches, refused

CANCER = gdjax.problems.get("cancer-logistic")
FIRST = 512  # of its examples: a multiple of the batch sizes here
SHORT = replace(CANCER, data=jax.tree.map(lambda leaf: leaf[:FIRST], CANCER.data), initial_loss=None)
WHOLE = gdjax.Stream(buffer=FIRST, block=FIRST)  # then a buffer is an epoch, shuffled as "shuffle" does it


def _rows(examples: int, buffer: int, block: int, buffers: int, words: tuple[int, int] = (1, 2)) -> np.ndarray:
    """Row numbers as a reader brings them, (buffers, buffer)."""
    numbers = np.arange(examples, dtype=np.int32)
    reader = Reader(numbers, numbers, buffer, block, np.array(words, np.uint32))
    return np.stack([np.asarray(buffer) for buffer in reader.buffers(buffers)])


@pytest.mark.parametrize(("examples", "buffer", "block"), [
    (100, 40, 10), (101, 40, 7), (64, 64, 64), (1000, 30, 1), (97, 96, 5), (50, 12, 12), (7, 2, 2)])
def test_an_epoch_of_rows_holds_every_example_once(examples: int, buffer: int, block: int) -> None:
    epochs = 3
    flow = _rows(examples, buffer, block, -(-epochs * examples // buffer)).ravel()[: epochs * examples]
    for epoch in flow.reshape(epochs, examples):
        np.testing.assert_array_equal(np.sort(epoch), np.arange(examples))
    if examples > 2 * block:
        assert (flow[:examples] != flow[examples : 2 * examples]).any(), "every epoch has an order of its own"


def test_rows_in_order_end_with_zeros_that_are_not_counted() -> None:
    numbers = np.arange(1, 11, dtype=np.float32)
    reader = Reader(numbers, numbers, buffer=4, block=2, words=np.array([1, 2], np.uint32))
    found = [(length, rows.tolist()) for length, rows in reader.in_order(4)]
    assert found == [(4, [1, 2, 3, 4]), (4, [5, 6, 7, 8]), (2, [9, 10, 0, 0])]


@pytest.mark.parametrize(("held", "dtype"), [
    ("float64", None), ("float64", "float32"), ("float64", "float64"), ("float32", "float64"), ("float16", None),
    ("float16", "float32"), ("int64", None), ("uint8", "float32"), ("bool", None)])
def test_rows_have_the_bits_that_data_in_memory_have_on_the_device(held: str, dtype: str | None) -> None:
    numbers = np.random.default_rng(0).normal(scale=9, size=(400, 3)) ** 2
    with jax.enable_x64(dtype == "float64"):
        problem = gdjax.Problem(name="rows", loss=lambda w, x: jnp.sum(w * x), init=lambda key: jnp.zeros(3),
                                data=numbers.astype(held), dtype=dtype)
        reader = Reader(problem.data, problem.like(), buffer=400, block=400, words=np.array([1, 2], np.uint32))
        rows = reader.load(0)
        assert rows.dtype == problem.device_data().dtype
        np.testing.assert_array_equal(np.asarray(rows), np.asarray(problem.device_data()))


def test_a_buffer_that_is_used_keeps_its_memory() -> None:
    """By a device array, a view of it on the host, or what computes on it; after that it is used again."""
    numbers = np.arange(4000, dtype=np.float32).reshape(1000, 4)
    reader = Reader(numbers, numbers, buffer=100, block=100, words=np.array([1, 2], np.uint32))
    arrays = [reader.load(number) for number in range(3)]
    views = [np.asarray(reader.load(number)) for number in range(3)]
    work = jax.jit(lambda x: jax.lax.fori_loop(0, 20_000, lambda _, y: jnp.cos(y), x) * 0 + x)
    results = [work(reader.load(number)) for number in range(10)]
    for number, result in enumerate(results):
        np.testing.assert_array_equal(result, np.concatenate([numbers[each] for each in reader.pieces(number)]))
    for number, (array, view) in enumerate(zip(arrays, views, strict=True)):
        np.testing.assert_array_equal(array, view)
        np.testing.assert_array_equal(view, results[number])


def test_memory_of_buffers_is_used_again() -> None:
    numbers = np.zeros((1000, 4), np.float32)
    reader = Reader(numbers, numbers, buffer=100, block=100, words=np.array([1, 2], np.uint32))
    places = {buffer.unsafe_buffer_pointer() for buffer in reader.buffers(50)}
    places |= {rows.unsafe_buffer_pointer() for _, rows in reader.in_order(90)}
    assert len(places) <= 4 and all(place % 64 == 0 for place in places)


def test_nothing_is_read_beyond_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    pieces = Reader.pieces
    monkeypatch.setattr(Reader, "pieces", lambda reader, number: read.append(number) or pieces(reader, number))
    gdjax.minibatch(CANCER, batch_size=16, rates=0.1, starts=2, key=0, max_steps=9, sampling=gdjax.Stream(buffer=64))
    assert read == [0, 1, 2], "9 steps of 16 are two buffers of 64 and a part of the third"


def test_blocks_are_neighbours_and_their_order_is_uniform() -> None:
    firsts = []
    for seed in range(300):
        rows = _rows(60, 60, 10, 1, words=(seed, seed + 7)).ravel().reshape(6, 10)
        np.testing.assert_array_equal(np.diff(rows, axis=1), 1)
        firsts.append(rows[:, 0] // 10)
    counts = np.stack([np.bincount(place, minlength=6) for place in np.transpose(firsts)])
    assert np.sum((counts - 50) ** 2 / 50) < 51  # χ² with 25 degrees of freedom: 1 in 1,000 is beyond 52.6


@pytest.mark.parametrize(("optimizer", "more"), [
    ("sgd", {}),
    ("sgd", {"batches": "independent"}),
    ("adam", {"schedules": ["constant", "cosine"]}),
    ("sgd", {"targets": [0.3, 0.15], "stop_at_target": True}),
    ("sgd", {"tolerance": 0.05, "marks": 8}),
    ("sgd", {"rates": [0.1, 1e30], "marks": 4}),
    (gdjax.optimizers.averaged(optax.sgd), {"marks": 4}),
], ids=["shared", "own", "adam", "targets", "tolerance", "diverging", "averaged"])
def test_a_buffer_of_everything_is_the_shuffle_in_memory(optimizer: object, more: dict) -> None:
    """Where one buffer holds the whole file as one block, every lane sees the batches that "shuffle" gives it."""
    call = {"batch_size": 16, "rates": [0.05, 0.1, 0.2], "starts": 5, "key": 3, "max_epochs": 4, "width": 16, **more,
            "optimizer": optimizer}
    streamed = gdjax.minibatch(SHORT, sampling=WHOLE, **call)
    held = gdjax.minibatch(SHORT, **call)
    np.testing.assert_array_equal(streamed.marks, held.marks)
    for field in ("steps", "status", "start", "setting"):
        np.testing.assert_array_equal(getattr(streamed, field), getattr(held, field), err_msg=field)
    for field in ("start_loss", "final_loss", "best_loss", "grad_norm", "curve"):
        np.testing.assert_allclose(getattr(streamed, field), getattr(held, field), rtol=2e-5, atol=1e-6, err_msg=field)
    for one, other in zip(jax.tree.leaves(streamed.params), jax.tree.leaves(held.params), strict=True):
        alive = held.status != gdjax.stopping.DIVERGED
        np.testing.assert_allclose(one[alive], other[alive], rtol=1e-5, atol=1e-6)
    if streamed.targets:
        np.testing.assert_array_equal(streamed.hits()["steps_after"], held.hits()["steps_after"])
        assert len(np.unique(held.steps)) > 1, "else nothing is shown of lanes that end early"


def test_steps_are_those_of_a_float64_loop_over_the_flow() -> None:
    """Least squares in NumPy with batches cut from the buffers, as (key, start, buffer) shuffle them."""
    rng = np.random.default_rng(0)
    features, outcomes = rng.normal(size=(130, 3)), rng.normal(size=130)
    problem = gdjax.Problem(name="plane", loss=lambda w, row: (row["x"] @ w - row["y"]) ** 2 / 2,
                            init=lambda key: jax.random.normal(key, (3,)), data={"x": features, "y": outcomes})
    stream, size, rate, steps = gdjax.Stream(buffer=48, block=10), 8, 0.05, 40
    runs = gdjax.minibatch(problem, batch_size=size, rates=rate, starts=2, key=9, max_steps=steps, sampling=stream)

    root = jax.random.key(np.uint32(9))
    begin = gdjax.lanes.draw_starts(problem, jax.random.fold_in(root, gdjax.lanes.KEY_STARTS), 2)
    seeds = gdjax.lanes.streams(jax.random.fold_in(root, gdjax.lanes.KEY_BATCHES), np.array([[0, 0], [1, 0]]))
    words = gdjax.lanes.streams(jax.random.fold_in(root, gdjax.lanes.KEY_BLOCKS), np.zeros((1, 2), np.uint32))[0]
    rows = Reader(np.arange(130), np.zeros(0, np.int32), 48, 10, words)
    for start in range(2):
        w, flow, buffer = np.asarray(begin[start], np.float64), rows.buffers(steps), np.zeros(0, int)
        for step in range(steps):
            number, place = divmod(step * size, 48)
            buffer = np.asarray(next(flow)) if place == 0 else buffer
            index = buffer[np.asarray(gdjax.sampling.batch("shuffle", 48, size, jnp.asarray(seeds[start]),
                                                           jnp.int32(number), jnp.int32(place)))]
            w -= rate * features[index].T @ (features[index] @ w - outcomes[index]) / size
        np.testing.assert_allclose(runs.params[start], w, rtol=2e-5, atol=1e-6)
        np.testing.assert_allclose(runs.final_loss[start], np.mean((features @ w - outcomes) ** 2) / 2, rtol=1e-5)
        gradient = features.T @ (features @ w - outcomes) / 130
        np.testing.assert_allclose(runs.grad_norm[start], np.linalg.norm(gradient), rtol=1e-3, atol=1e-6)


def test_scores_of_held_out_examples_and_accuracy() -> None:
    call = {"batch_size": 16, "rates": 0.1, "starts": 3, "key": 1, "max_epochs": 2}
    digits = gdjax.problems.get("digits-softmax")
    problem = replace(digits, data=jax.tree.map(lambda leaf: leaf[:1100], digits.data), initial_loss=None)
    runs = gdjax.minibatch(problem, sampling=gdjax.Stream(buffer=96, block=20), **call)
    score = jax.vmap(lambda params: problem.accuracy(params, problem.device_data()))
    np.testing.assert_allclose(runs.scores["accuracy"], score(runs.params), atol=1e-6)
    kept = replace(problem, held_out=jax.tree.map(lambda leaf: leaf[1100:1300], digits.data))
    runs = gdjax.minibatch(kept, sampling=gdjax.Stream(buffer=96, block=20), **call)
    loss = jax.vmap(lambda params: kept.objective(params, kept.device_held_out()))
    np.testing.assert_allclose(runs.scores["held_out_loss"], loss(runs.params), rtol=1e-5)
    assert set(runs.scores) == {"held_out_loss", "accuracy"}


def test_lanes_do_not_depend_on_the_width_nor_on_how_many_there_are() -> None:
    call = {"batch_size": 8, "rates": [0.05, 0.1], "key": 2, "max_epochs": 3, "marks": 5, "targets": [0.3],
            "sampling": gdjax.Stream(buffer=120, block=16)}
    many = gdjax.minibatch(CANCER, starts=24, width=16, **call)
    few = gdjax.minibatch(CANCER, starts=3, width=32, **call)
    assert many.width == 16 and len(many.steps) == 48, "three pieces of lanes"
    np.testing.assert_array_equal(many.steps[:6], few.steps)
    np.testing.assert_allclose(many.curve[:6], few.curve, rtol=1e-5)


def test_a_range_test_and_no_more_than_the_buffer_are_streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gdjax.Problem, "device_data", lambda _: pytest.fail("all data were copied to the device"))
    runs = gdjax.minibatch(CANCER, batch_size=16, rates=None, starts=2, key=0, max_steps=40,
                           sampling=gdjax.Stream(buffer=64))
    assert len(runs.rates) == 5 and np.isfinite(runs.final_loss).any()


def test_x64_reaches_the_thread_that_reads() -> None:
    with jax.enable_x64(True):
        problem = replace(SHORT, dtype="float64", initial_loss=None)
        runs = gdjax.minibatch(problem, batch_size=16, rates=0.1, starts=2, key=0, max_epochs=1, sampling="stream")
    assert runs.final_loss.dtype == np.float64


def test_a_program_compiled_before_serves_every_key_as_a_call_of_its_own_does() -> None:
    stream = gdjax.Stream(buffer=120, block=16)
    program = gdjax.compile(CANCER, batch_size=8, schedules=["constant", "cosine"], width=16, settings=2,
                            sampling=stream)
    assert (program.sampling, program.width, program.lanes, program.devices) == (stream, 16, 16, 1)
    assert program.compile_s > 0 and program.trace_s > 0 and program.memory_bytes > 120 * 31 * 4
    call = {"batch_size": 8, "rates": 0.1, "schedules": ["constant", "cosine"], "starts": 3, "max_epochs": 2,
            "targets": [0.2], "sampling": stream, "width": 16}
    found = {key: gdjax.minibatch(CANCER, key=key, program=program, **call) for key in (0, 1)}
    for key, runs in found.items():
        alone = gdjax.minibatch(CANCER, key=key, **call)
        np.testing.assert_array_equal(runs.curve, alone.curve)
    rows = [np.concatenate([np.asarray(program.of_key(jax.random.key(np.uint32(key))).buffer(number)[1])
                            for number in range(5)]) for key in (0, 1)]
    assert (rows[0] != rows[1]).any(), "blocks come in another order"
    with refused(ValueError, "program: was compiled for another sampling (got Stream(buffer=120, block=16)"):
        gdjax.minibatch(CANCER, key=0, program=program, **{**call, "sampling": "shuffle"})


def test_a_stepper_goes_through_whole_buffers_and_holds_none_between_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that follows is read while it steps."""
    program = gdjax.compile(SHORT, batch_size=16, width=16, sampling=gdjax.Stream(buffer=64, block=8))
    run = program.stepper([gdjax.Setting(gdjax.schedules.constant(), 0.1)], key=3)
    read, advanced = [], []
    load = Reader.load
    monkeypatch.setattr(Reader, "load", lambda reader, number: read.append(number) or load(reader, number))
    monkeypatch.setattr("gdjax.engine.streamed._advanced", lambda executable, data, count, rules, piece: (
        advanced.append((count, np.asarray(data[1]))), piece)[1])
    run.prepare()
    assert read == [0] and program.stride == 4
    jax.block_until_ready(run(8))
    jax.block_until_ready(run(4))
    assert read == [0, 1, 2, 2, 3], "read again by the second run, which nobody prepared"
    assert [count for count, _ in advanced] == [4, 4, 4]
    for number, (_, outcomes) in enumerate(advanced):
        np.testing.assert_array_equal(outcomes, np.asarray(load(program.reader, number)[1]))
    with pytest.raises(ValueError, match=r"steps, marks: must be whole buffers of 4 and 0 \(got 6, 0\)"):
        run(6)


def test_a_stepper_steps_as_a_descent_does(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, pieces = gdjax.Stream(buffer=64, block=8), []
    program = gdjax.compile(SHORT, batch_size=16, width=16, sampling=stream)
    run = program.stepper([gdjax.Setting(gdjax.schedules.constant(), 0.1)], key=0)
    advanced = streamed._advanced
    monkeypatch.setattr(streamed, "_advanced", lambda *asked: pieces.append(advanced(*asked)) or pieces[-1])
    seen = run(8)
    monkeypatch.undo()
    runs = gdjax.minibatch(SHORT, batch_size=16, rates=0.1, starts=16, key=0, max_steps=8, sampling=stream, width=16)
    for here, there in zip(jax.tree.leaves(pieces[-1].params), jax.tree.leaves(runs.params), strict=True):
        np.testing.assert_array_equal(here[:, 0], there)
    assert len(pieces) == 2 and (np.asarray(seen.status) == gdjax.stopping.RUNNING).all()


PEAK = """
import sys
import jax, numpy as np
import gdjax
features = np.load(sys.argv[1], mmap_mode="r")[:int(sys.argv[2])]
problem = gdjax.Problem(name="centre", loss=lambda w, x: ((x - w) ** 2).sum() / 2, data=features,
                        init=lambda key: jax.random.normal(key, (1024,)))
runs = gdjax.minibatch(problem, batch_size=100, rates=0.05, starts=2, key=0, max_epochs=1,
                       sampling=gdjax.Stream(buffer=2_000, block=50))
peak, = (line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak) / 1024, np.abs(runs.params).max(), runs.final_loss[0])
"""  # getrusage would tell of the process that started this one, if that is larger


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the system keeps no count of a process's peak memory")
@pytest.mark.usefixtures("as_shipped")  # so many numbers: compiled quickly they take longer
def test_a_file_larger_than_the_memory_that_is_taken(tmp_path: Path) -> None:
    """512 MB of examples pass through buffers of 8 MB: the process takes little more than for 82 MB."""
    features = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (125_000, 1024))
    for first in range(0, 125_000, 5_000):
        features[first : first + 5_000] = np.random.default_rng(first).normal(size=(5_000, 1024))
    del features
    peaks = []
    for rows in (20_000, 125_000):
        command = [sys.executable, "-c", PEAK, tmp_path / "x.npy", str(rows)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peak, largest, loss = map(float, done.stdout.split())
        assert largest < 0.2 and loss == pytest.approx(512, rel=0.01)  # half the variance of 1,024 normal numbers
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 80, "megabytes, of 430 more"


@pytest.mark.parametrize(("changed", "says"), [
    ({"sampling": "streamed"}, "sampling: unknown name (got 'streamed')"),
    ({"sampling": "stream", "batch_size": 51}, "batch_size: must be at most half of the 100 examples"),
    ({"sampling": gdjax.Stream(buffer=15)}, "Stream: buffer: must be at least twice the batch size of 10 (got 15)"),
    ({"sampling": "stream", "devices": 1}, "devices: not where examples are streamed"),
    ({"sampling": "stream", "program": gdjax.compile(gdjax.problems.get("line-fit"), batch_size=10)},
     "program: was compiled for another sampling (got 'shuffle', needs Stream(buffer=None, block=None))"),
    ({"sampling": "stream", "problem": BOWL, "batch_size": 1}, "has no data to stream"),
    ({"sampling": "stream", "problem": gdjax.Problem(
        name="whole", batch_loss=lambda w, x: jnp.var(x - w), init=lambda key: jax.random.normal(key, ()),
        data=np.arange(40.0))}, "does not split into examples"),
])
def test_what_can_not_be_streamed_is_refused(changed: dict, says: str) -> None:
    with refused(ValueError, says):
        batches(**changed)


@pytest.mark.parametrize(("numbers", "error", "says"), [
    ({"buffer": 0}, ValueError, "Stream: buffer: must be at least 1 (got 0)"),
    ({"block": -1}, ValueError, "Stream: block: must be at least 1 (got -1)"),
    ({"buffer": 10.0}, TypeError, "Stream: buffer: must be a whole number of examples (got 10.0)"),
    ({"block": True}, TypeError, "Stream: block: must be a whole number of examples (got True)"),
    ({"buffer": 10, "block": 11}, ValueError, "Stream: block: must be at most the buffer of 10 (got 11)"),
])
def test_bad_numbers_of_a_stream(numbers: dict, error: type[Exception], says: str) -> None:
    with pytest.raises(error) as raised:
        gdjax.Stream(**numbers)
    assert says in str(raised.value)


def test_a_value_that_is_not_finite_is_found_in_a_mapped_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gdjax.reading.CHECKED_BYTES", 400)
    table = np.zeros((500, 4), np.float32)
    table[431, 2] = np.nan
    np.save(tmp_path / "x.npy", table)
    with pytest.raises(ValueError, match=r"values must be finite \(got NaN or inf at row 431 column 2"):
        gdjax.Problem(name="gap", loss=lambda w, x: x @ w, init=lambda key: jax.random.normal(key, (4,)),
                      data=np.load(tmp_path / "x.npy", mmap_mode="r"))
