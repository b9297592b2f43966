"""A run whose lanes are shared by several devices: the same results, its width counted over all of them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from bench import device, store
from bench.compare.differences import differences, refusals
from bench.executors import run_suite
from bench.suite import config_hash, load_suite, narrowed, suite_from
from tests.bench.merging import REAL, rows


def test_two_devices_give_the_results_of_one(tmp_path: Path, undivided: Path) -> None:
    """Of the batches of ten and of the function without data, at a constant rate."""
    part = {**REAL, "batch_sizes": [10], "schedules": ["constant"], "noise_groups": 0, "devices": 2}
    assert run_suite(suite_from(part), tmp_path, "cpu", reported=False) == 0
    store.collect(tmp_path)
    one, two = rows(undivided, "lanes"), rows(tmp_path, "lanes")
    one = one.query("batch_size in [1, 10] and schedule == 'constant'").reset_index(drop=True)
    assert len(one) == len(two) > 0
    for name in ("start", "rate", "schedule", "status", "steps"):
        np.testing.assert_array_equal(one[name], two[name])
    np.testing.assert_allclose(one["final_loss"], two["final_loss"], rtol=1e-5)
    programs = [rows(folder, "timing").query("process == 0").groupby(["problem", "program"])["width"].unique()
                for folder in (undivided, tmp_path)]
    for problem in ("line-fit", "himmelblau"):
        assert [list(each[problem, "solo"]) for each in programs] == [[1], [1]]
        assert list(programs[1][problem, "batched"]) == [2 * width for width in programs[0][problem, "batched"]]
    a, b = store.read_run(undivided), store.read_run(tmp_path)
    assert (a["environment"]["device_count"], b["environment"]["device_count"]) == (1, 2)
    a["config"] |= {name: b["config"][name] for name in ("batch_sizes", "schedules")}  # all else is compared
    assert not refusals(a, b)
    assert "devices that share the lanes: 1 in A, 2 in B" in differences(a, b)


def test_devices_that_are_not_there_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "compute", lambda: pytest.fail("computed before the devices were counted"))
    found = device.open_device("auto", "float32", "highest", 9)
    assert found.platform == "" and found.trouble.startswith("devices: 9 are asked for (got 1: ")


def test_hosts_that_have_not_as_many_devices_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Device(NamedTuple):
        process_index: int
        platform: str = "gpu"

    monkeypatch.setattr(device.jax, "devices", lambda: [Device(0), Device(0), Device(1)])
    found = device.open_device("gpu", "float32", "highest", "all")
    assert found.platform == "" and "hosts must have as many each (got 2 in process 0, 1 in process 1)" in found.trouble
    monkeypatch.setattr(device.jax, "process_count", lambda: 2)  # one that has more must not leave them idle
    assert "devices: 2 are asked for (got 3: " in device.open_device("gpu", "float32", "highest", 2).trouble


def test_an_older_run_of_one_device_is_the_same_experiment() -> None:
    smoke = load_suite("smoke")
    assert config_hash(narrowed(smoke, devices=1)) == config_hash(smoke)
    assert config_hash(narrowed(smoke, devices=2)) != config_hash(smoke)
