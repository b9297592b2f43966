"""Devices: nothing falls back, what was asked of JAX is what it does, and what is recorded is what the process saw."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest

import gdjax
from bench import device, environment
from bench.analysis.timing import timing_table
from bench.bad_input import SuiteError
from bench.environment import DETERMINISTIC, worker_settings
from bench.executors import run_suite
from bench.experiment import Group
from bench.samples import WARMUPS
from bench.step_times import _transfers
from bench.suite import Suite, config_hash, suite_from
from tests.bench import tiny

ROOT = Path(__file__).resolve().parents[2]
STUB = {"worker": "tests.bench.device_worker", "report": "tests.bench.fake_report"}


def a_suite(name: str = "small", **changes: object) -> Suite:
    return suite_from({"name": name, "problems": ["line-fit"], "batch_sizes": [10], "schedules": ["constant"],
                       **changes})


@pytest.fixture
def as_it_was() -> Iterator[None]:
    """JAX's switches are this process's own again afterwards."""
    before = {name: jax.config.values[name] for name in (
        "jax_enable_compilation_cache", "jax_enable_x64", "jax_default_matmul_precision")}
    yield
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.mark.parametrize(("word", "jax_word"), [("default", None), ("high", "high"), ("highest", "highest"),
                                                ("tf32", "tensorfloat32"), ("bf16", "bfloat16")])
def test_a_named_precision_is_jaxs(word: str, jax_word: str | None, as_it_was: None) -> None:
    opened = device.open_device("auto", "float32", word)
    assert opened.trouble == ""
    assert jax.default_matmul_precision.value == jax_word
    # XLA is told of it in every product, whatever the device makes of it
    seen = jax.jit(lambda x: x @ x).lower(np.ones((4, 4), np.float32)).as_text()
    wanted = {None: "DEFAULT", "high": "HIGH", "highest": "HIGHEST", "tensorfloat32": "HIGH", "bfloat16": "DEFAULT"}
    assert f"precision = [{wanted[jax_word]}, {wanted[jax_word]}]" in seen


def test_another_precision_is_refused() -> None:
    with pytest.raises(SuiteError, match=r"matmul_precision: must be one of .*'tf32' or 'bf16' \(got 'fp16'\)"):
        a_suite(matmul_precision="fp16")


def test_row_17_a_busy_device_is_exit_5_with_what_was_found(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_suite(a_suite("busy"), tmp_path / "run", "auto", **STUB) == 5
    shown = " ".join("".join(capfd.readouterr()).split())
    assert "error: --device: cpu:0 (cpu) can't compute (got RESOURCE_EXHAUSTED: Out of memory allocating 262144 " \
           "bytes.; found cpu:0)." in shown
    assert "--device cpu" in shown
    assert not (tmp_path / "run").exists()


def test_a_wrong_product_is_no_device(monkeypatch: pytest.MonkeyPatch, as_it_was: None) -> None:
    monkeypatch.setattr(device.jnp, "ones", lambda shape, dtype: jax.numpy.full(shape, 2.0, dtype))
    opened = device.open_device("auto", "float32", "highest")
    assert opened.platform == ""
    assert "a sum of 256 ones came out as 1024.0" in opened.trouble


def test_an_automatic_cpu_beside_a_gpu_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, as_it_was: None
) -> None:
    smi = tmp_path / "nvidia-smi"
    smi.write_text('#!/bin/sh\ntest "$1" = --query-gpu=name && echo "NVIDIA H100 80GB HBM3" || echo 550.54.15\n')
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    opened = device.open_device("auto", "float32", "highest")
    assert opened.platform == "cpu"
    assert "there is a GPU (got NVIDIA H100 80GB HBM3; " in opened.warning
    assert "pip install" in opened.warning
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")  # the user's own choice
    assert device.open_device("auto", "float32", "highest").warning == ""
    assert device._nvidia_smi("driver_version") == "550.54.15"
    smi.write_text("#!/bin/sh\nexit 9\n")
    assert device._nvidia_smi("driver_version") is None


class _Gpu:
    """A device with a memory of its own, which this machine may lack."""

    platform, device_kind = "gpu", "NVIDIA H100 80GB HBM3"

    def memory_stats(self) -> dict[str, int]:
        return {"bytes_limit": 63_000_000_000, "peak_bytes_in_use": 1}


def test_facts_of_a_gpu_and_of_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    found = device.facts()
    assert (found["backend"], found["device_kind"], found["driver_version"]) == ("cpu", "cpu", None)
    assert found["device_memory_bytes"] is None
    assert found["device_count"] == jax.device_count()
    assert found["affinity"] == sorted(os.sched_getaffinity(0))
    monkeypatch.setattr(device.jax, "local_devices", lambda: [_Gpu()])
    monkeypatch.setattr(device, "_nvidia_smi", lambda field: "550.54.15" if field == "driver_version" else None)
    found = device.facts()
    assert found["device_kind"] == "NVIDIA H100 80GB HBM3"
    assert found["device_memory_bytes"] == 63_000_000_000
    assert found["driver_version"] == "550.54.15"


def test_deterministic_adds_a_flag_to_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=/tmp/x")
    assert worker_settings(True, "gpu") == {"XLA_FLAGS": f"--xla_dump_to=/tmp/x {DETERMINISTIC}"}
    monkeypatch.delenv("XLA_FLAGS")
    assert worker_settings(True, "auto") == {"XLA_FLAGS": DETERMINISTIC}
    assert worker_settings(False, "gpu") == {}
    assert config_hash(a_suite(deterministic=True)) != config_hash(a_suite())
    with pytest.raises(SuiteError, match="deterministic: "):
        a_suite(deterministic="yes")


def test_the_flag_is_there_before_jax_and_not_in_this_process(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    assert run_suite(a_suite("tells", deterministic=True), tmp_path / "run", "auto", **STUB) == 2
    assert f"XLA_FLAGS={DETERMINISTIC} jax=False" in " ".join(capfd.readouterr().err.split())
    assert "XLA_FLAGS" not in os.environ


ONE_CORE = """
import json, os
from pathlib import Path
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import jax
import gdjax
from bench import device
from bench.suite import suite_from
from gdjax.engine import placement
pools = []
class Pool(placement.ThreadPoolExecutor):
    def __init__(self, workers):
        pools.append(workers)
        super().__init__(workers)
placement.ThreadPoolExecutor = Pool
suite = suite_from({"name": "x", "problems": ["line-fit"], "batch_sizes": [10], "schedules": ["constant"]})
opened = device.open_device("auto", suite.dtype, suite.matmul_precision)
gdjax.sgd(gdjax.problems.get("line-fit"), rates=0.1, starts=40, key=0, max_steps=5, width=16)
threads = [Path(task, "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
print(json.dumps({"pools": pools, "xla": threads.count("tf_XLAEigen"), "facts": device.facts()}))
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system pins no process to a core")
def test_threads_follow_the_affinity() -> None:
    """A CPU held to one core is another device: neither XLA nor the engine may count the cores of the machine."""
    settings = {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "XLA_FLAGS": DETERMINISTIC}
    done = subprocess.run([sys.executable, "-c", ONE_CORE], capture_output=True, text=True, check=False, cwd=ROOT,
                          env=os.environ | settings)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["facts"]["affinity"] == [min(os.sched_getaffinity(0))]
    assert set(found["pools"]) == {1}
    assert found["xla"] == 1
    assert found["facts"]["settings"]["XLA_FLAGS"] == DETERMINISTIC  # an unknown flag would have ended the process


def test_transfer_is_timed_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    suite = a_suite(repeats=10, min_sample_s=0.05)
    problem = gdjax.problems.get("line-fit")
    groups = [Group(suite, suite.settings_for("line-fit"), problem, "sgd", size, "cpu") for size in (10, 100)]
    put: list[object] = []
    place = jax.device_put

    def slow(data: object) -> object:
        put.append(data)
        return place(data)

    monkeypatch.setattr(jax, "device_put", slow)
    heard: list[None] = []
    rows = pd.DataFrame(list(_transfers(groups, lambda: heard.append(None))))
    assert put[0] is problem.data  # the host's arrays, not those that are on the device already
    assert set(rows.quantity) == {"transfer"} and set(rows.program) == {"solo"}
    assert len(heard) == WARMUPS + 3
    assert rows.groupby("batch_size").size().to_dict() == {10: WARMUPS + 3, 100: WARMUPS + 3}
    assert (rows.steps > 1).all() and (rows.seconds > 0).all()  # a sample holds many puts
    assert list(_transfers([groups[0]], lambda: None)) != []
    bowl = gdjax.problems.get("bowl")
    assert list(_transfers([Group(suite, suite.settings_for("bowl"), bowl, "sgd", 1, "cpu")], lambda: None)) == []


def test_transfer_has_a_column_of_its_own() -> None:
    timed = tiny.timing(10, [1.0], [2.0])
    row = timed[timed.quantity == "compile"].assign(quantity="transfer", seconds=0.25)
    made = tiny.tables([tiny.cell(10, "constant", [10.0])], [timed, row])
    assert timing_table(made)["transfer_s"].tolist() == [0.25]
    without = tiny.tables([tiny.cell(10, "constant", [10.0])], [timed])
    assert timing_table(without)["transfer_s"].isna().all()


def test_a_code_hash_covers_the_device() -> None:
    assert "bench/device.py" in environment.MEASURING
