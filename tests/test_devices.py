"""Lanes or examples shared by devices and hosts: the results of one device, and what is said between devices."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import gdjax
from tests.on_devices import EXACT, OVER_HOSTS, SHARDED, SHARED, asked_of
from tests.once import made_once
from tests.refusals import LINE, batches, bowl, refused

ROOT = Path(__file__).parents[1]
DEVICES = 4
COLLECTIVE = re.compile(r"all-reduce|all-gather|all-to-all|reduce-scatter|collective|\bsend\b|\brecv\b")
Found = dict[str, np.ndarray]


def _started(*arguments: object) -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.on_devices", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)


def _ended(process: subprocess.Popen) -> None:
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said[-3000:]


def _read(path: Path) -> Found:
    with np.load(path) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What one process sees."""
    return _read(made_once(tmp_path_factory, "alone.npz", lambda path: _ended(_started(path, DEVICES))))


def _same(name: str, one: Found, asked: object, other: Found, others: object) -> None:
    """Lanes of a call on one set of devices are those on another: bits on test functions, 1e-5 on convex problems."""
    fields = {key.split("|")[2] for key in one if key.startswith(f"{name}|{json.dumps(asked)}|")} - {"hlo"}
    assert {"steps", "status", "params0"} <= fields
    for field in fields:
        a, b = one[f"{name}|{json.dumps(asked)}|{field}"], other[f"{name}|{json.dumps(others)}|{field}"]
        assert a.shape == b.shape and a.dtype == b.dtype
        if field == "hit":
            assert np.abs(a.astype(int) - b.astype(int)).max() <= 1
        elif name in EXACT or field in ("steps", "status"):
            np.testing.assert_array_equal(a, b, err_msg=f"{name} {field}")
        else:
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6, err_msg=f"{name} {field}")


@pytest.mark.parametrize(("name", "asked"), [(name, asked) for name in SHARED for asked in asked_of(name)], ids=str)
def test_lanes_do_not_depend_on_the_devices_that_share_them(found: Found, name: str, asked: object) -> None:
    _same(name, found, None, found, asked)


def test_the_valley_is_more_than_one_way_to_end(found: Found) -> None:
    status = found['valley|null|status']
    assert len(np.unique(status)) > 1 and len(status) % DEVICES  # else the comparison would say little


def test_the_compiled_loop_holds_no_word_between_devices(found: Found) -> None:
    text = str(found["hlo"])
    assert "while" in text and f"num_partitions={DEVICES}" in text
    assert not COLLECTIVE.findall(text)


@pytest.mark.parametrize("name", SHARDED)
def test_lanes_do_not_depend_on_whether_examples_are_shared(found: Found, name: str) -> None:
    _same(name, found, None, found, SHARDED[name][2])


def test_shared_examples_are_scored_and_end_lanes_in_every_way(found: Found) -> None:
    fields = {key.split("|")[2] for key in found if key.startswith("held out|")}
    assert {"held_out_loss", "accuracy", "hit"} <= fields
    ends = {gdjax.stopping.STATUSES[code] for name in SHARDED for code in found[f"{name}|null|status"]}
    assert ends == {"diverged", "converged", "target", "budget"}  # else the comparison would say little


@pytest.mark.parametrize(("name", "examples", "features"), [("held out", 1438, 64), ("searching", 569, 30),
                                                            ("averaged", 569, 30)])
def test_nothing_on_a_device_has_all_examples(found: Found, name: str, examples: int, features: int) -> None:
    """No array in any program of the call, its scoring too; what devices say to each other is small beside the data."""
    devices = SHARDED[name][2]
    text = str(found[f"{name}|{devices}|hlo"])
    assert f"[{-(-examples // devices)},{features}]" in text
    axes = {int(axis) for shape in re.findall(r"\b[a-z]+\d*\[([\d,]+)\]", text) for axis in shape.split(",")}
    assert not axes & {examples, -(-examples // devices) * devices}
    said = [line for line in text.splitlines() if re.search(rf" = .* ({COLLECTIVE.pattern})[\w-]*\(", line)]
    assert said
    for line in said:
        for shape in re.findall(r"\b[a-z]+\d*\[([\d,]+)\]", line.split(COLLECTIVE.findall(line)[0] + "(")[0]):
            assert np.prod([int(axis) for axis in shape.split(",")]) < examples * features / 2, line


def test_a_device_has_memory_for_its_part_of_the_examples_alone(found: Found) -> None:
    """1,438 digits of 64 pixels and a label: three quarters of them are not among a device's arguments."""
    (copied, beside_copy), (part, beside_part) = found["bytes"]
    row = 4 * (64 + 1)
    assert copied - part == pytest.approx(row * (1438 - 360), abs=64)
    assert beside_part < beside_copy / 2  # outputs of every example and lane: a quarter, and what does not divide


def test_a_program_is_not_run_where_devices_share_something_else(found: Found) -> None:
    for sharded, other in ((True, "lanes"), (False, "examples")):
        assert (f"program: was compiled for other devices (got {DEVICES} that share the {other}, needs {DEVICES} with "
                f"shard_examples={sharded}). Compile it") in str(found[f"refused|{sharded}"])


def test_a_stepper_steps_the_lanes_of_all_devices(found: Found) -> None:
    assert len(found["stepper"]) == int(found["groups"])
    assert (found["stepper"] == 5).all()


def test_the_default_device_of_jax_is_where_lanes_run(found: Found) -> None:
    assert found["default device"].tolist() == [2]
    np.testing.assert_array_equal(*found["default"])


def test_hosts_get_the_lanes_of_all_hosts(found: Found, tmp_path: Path) -> None:
    """Two processes of two devices each are one program over four; both see what one process with four sees."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{probe.getsockname()[1]}"
    paths = [tmp_path / f"{host}.npz" for host in range(2)]
    hosts = [_started(path, DEVICES // 2, place, host, 2) for host, path in enumerate(paths)]
    for process, path in zip(hosts, paths, strict=True):
        _ended(process)
        seen = _read(path)
        for name in OVER_HOSTS:
            _same(name, found, DEVICES, seen, DEVICES)


@pytest.mark.parametrize(("devices", "says"), [
    (0, "devices: must be at least 1 (got 0)"), (10_000, "devices: must be different ones of the"),
    ([0, 0], "must be different ones"), ([-1], "must be different ones"), ([], "must be a number of devices"),
    ("gpu", "must be a number of devices"), (True, "must be a number of devices"), (1.0, "must be a number of devices"),
])
def test_devices_that_are_not_there_are_refused(devices: object, says: str) -> None:
    error = ValueError if "different" in says or "at least" in says else TypeError
    with refused(error, says):
        batches(devices=devices)


def test_on_one_device_there_is_nothing_to_share() -> None:
    alone = gdjax.compile(LINE, batch_size=10, width=16)
    assert gdjax.compile(LINE, batch_size=10, width=16, devices=1, shard_examples=True) is alone
    assert batches(devices=1, shard_examples=True).frame().equals(batches().frame())


@pytest.mark.parametrize(("call", "error", "says"), [
    (lambda: batches(shard_examples=True), ValueError,
     "shard_examples: needs the devices that share the examples (got devices=None). Use devices=jax.device_count()"),
    (lambda: bowl(devices=1, shard_examples=True), ValueError,
     "shard_examples: problem 'bowl' has no data, so no examples to share (got True). Leave it out"),
    (lambda: batches(devices=1, shard_examples=1), TypeError, "shard_examples: must be True or False (got 1)"),
    (lambda: batches(devices=1, shard_examples="examples"), TypeError, "must be True or False (got 'examples')"),
    (lambda: gdjax.compile(LINE, batch_size=10, shard_examples=True), ValueError, "shard_examples: needs the devices"),
    (lambda: gdjax.sgd(LINE, rates=0.1, starts=1, key=0, max_steps=1, shard_examples=True), ValueError,
     "shard_examples: needs the devices"),
])
def test_examples_that_cannot_be_shared_are_refused(
    call: Callable[[], object], error: type[Exception], says: str
) -> None:
    with refused(error, says):
        call()
