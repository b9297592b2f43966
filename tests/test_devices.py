"""Lanes shared by devices and hosts: the same results as on one device, and no word between devices in the loop."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import filelock
import numpy as np
import pytest

from tests.on_devices import SHARED
from tests.refusals import batches, refused

ROOT = Path(__file__).parents[1]
DEVICES = 4
Found = dict[str, np.ndarray]


def _started(*arguments: object) -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.on_devices", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)


def _ended(process: subprocess.Popen, path: Path) -> Found:
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said[-3000:]
    return _read(path)


def _read(path: Path) -> Found:
    with np.load(path) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What one process sees; made once where tests run in many."""
    base = tmp_path_factory.getbasetemp()
    path = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "alone.npz"
    with filelock.FileLock(f"{path}.lock"):
        return _read(path) if path.exists() else _ended(_started(path, DEVICES), path)


def _same(name: str, one: Found, asked: object, other: Found, others: object) -> None:
    """Lanes of a call on one set of devices are those on another: bits on test functions, 1e-5 on convex problems."""
    fields = [key.split("|")[2] for key in one if key.startswith(f"{name}|{json.dumps(asked)}|")]
    assert {"steps", "status", "params0"} <= set(fields)
    for field in fields:
        a, b = one[f"{name}|{json.dumps(asked)}|{field}"], other[f"{name}|{json.dumps(others)}|{field}"]
        assert a.shape == b.shape and a.dtype == b.dtype
        if field == "hit":
            assert np.abs(a.astype(int) - b.astype(int)).max() <= 1
        elif name in ("valley", "lone") or field in ("steps", "status"):
            np.testing.assert_array_equal(a, b, err_msg=f"{name} {field}")
        else:
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6, err_msg=f"{name} {field}")


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize("asked", [1, 3, [3, 1], DEVICES], ids=str)
def test_lanes_do_not_depend_on_the_devices_that_share_them(found: Found, name: str, asked: object) -> None:
    _same(name, found, None, found, asked)


def test_the_valley_is_more_than_one_way_to_end(found: Found) -> None:
    status = found['valley|null|status']
    assert len(np.unique(status)) > 1 and len(status) % DEVICES  # else the comparison would say little


def test_the_compiled_loop_holds_no_word_between_devices(found: Found) -> None:
    text = str(found["hlo"])
    assert "while" in text and f"num_partitions={DEVICES}" in text
    assert not re.findall(r"all-reduce|all-gather|all-to-all|reduce-scatter|collective|\bsend\b|\brecv\b", text)


def test_a_stepper_steps_the_lanes_of_all_devices(found: Found) -> None:
    assert len(found["stepper"]) == int(found["groups"])
    assert (found["stepper"] == 5).all()


def test_hosts_get_the_lanes_of_all_hosts(found: Found, tmp_path: Path) -> None:
    """Two processes of two devices each are one program over four; both see what one process with four sees."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{probe.getsockname()[1]}"
    paths = [tmp_path / f"{host}.npz" for host in range(2)]
    hosts = [_started(path, DEVICES // 2, place, host, 2) for host, path in enumerate(paths)]
    for process, path in zip(hosts, paths, strict=True):
        seen = _ended(process, path)
        for name in SHARED:
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
