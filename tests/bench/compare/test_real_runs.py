"""Two runs of the real worker compared: two CPU "devices", which differ in the cores they may use."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.analysis.parity import AGREE, EQUAL
from bench.analysis.versus import PER_STEP, QUANTITIES, TO_TARGET
from bench.compare import compare
from tests.bench.compare import planted

SHORT = planted.SUITE.replace('["sgd", "momentum", "adam"]', '["sgd"]').replace(
    "noise_groups = 3\nnoise_processes = 4", "noise_groups = 0\nrepeats = 2\nmin_sample_s = 0.002")
assert "repeats = 2" in SHORT


@pytest.mark.skipif(shutil.which("taskset") is None, reason="this machine has no taskset")
def test_two_devices_of_one_machine(tmp_path: Path) -> None:
    """One core against all of them is the whole path from runs to verdicts, without a GPU."""
    one, cores = min(os.sched_getaffinity(0)), sorted(os.sched_getaffinity(0))
    planted.run(tmp_path / "one", cores=[one], suite=SHORT)
    planted.run(tmp_path / "all", suite=SHORT)
    comparison = compare(tmp_path / "one", tmp_path / "all", tmp_path / "out")
    said = " ".join(comparison.lines)
    if len(cores) > 1:
        assert f"different machine (cores it may use: [{one}] in A, {cores} in B)" in said
    parity = pd.read_csv(tmp_path / "out" / "parity.csv")
    assert len(parity) == 2 * 2  # schedules x goals
    assert set(parity["parity"]) <= {EQUAL, AGREE}
    table = comparison.versus.cells
    assert set(table["quantity"]) >= {*TO_TARGET, *PER_STEP}
    assert set(table["quantity"]) <= set(QUANTITIES)
    measured = table[table["quantity"].isin(PER_STEP)]
    assert np.isfinite(measured[["value_a", "value_b", "ratio"]].to_numpy()).all()
    assert (measured["low"] <= measured["ratio"]).all() and (measured["ratio"] <= measured["high"]).all()
    assert (tmp_path / "out" / "compare.html").stat().st_size > 10_000
