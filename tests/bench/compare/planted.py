"""Real runs with something planted, and what `compare` says of them: `python -m tests.bench.compare.planted`.

A run and its repeat, a step with a fifth more matmuls, a gradient with a wrong sign, all through the command line.
Prints a line for each pair; exit code 1 where a verdict is not as it should be. For a machine with nothing else to do.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

import gdjax
from bench.analysis.parity import DIFFER
from bench.analysis.verdicts import FASTER, SLOWER
from bench.analysis.versus import PER_STEP
from bench.compare import Comparison, compare

DIMENSION, MATMULS = 64, 5
PLANT = "GDJAX_PLANTED"  # environment variable of the worker: "", "time" or "loss"
PROBLEM = "tests.bench.compare.planted:make_problem"
ROOT = Path(__file__).resolve().parents[3]
SUITE = f"""name = "planted"
problems = ["{PROBLEM}"]
optimizers = ["sgd", "momentum", "adam"]
batch_sizes = ["all"]
schedules = ["constant", "cosine"]
rates = 3
horizons = [1.0]
tuning_starts = 2
starts = 16
gaps = [1e-1, 1e-2]
epochs = 200
min_steps = 200
marks = 16
width = 128
noise_groups = 3
noise_processes = 4
"""


def make_problem() -> gdjax.Problem:
    """Mean over k of ½‖M_k x‖², each M_k two matmuls a step; planted: one more M_k, or a gradient with a wrong sign."""
    plant = os.environ.get(PLANT, "")
    draws = np.random.default_rng(0).normal(size=(MATMULS + 1, DIMENSION, DIMENSION)) / np.sqrt(DIMENSION)
    scales = np.logspace(0, -1.5, DIMENSION)  # condition number about 1,000: a target is no matter of one step
    matrices = jnp.asarray((np.eye(DIMENSION) + 0.2 * draws) * scales, jnp.float32)
    weights = jnp.full(MATMULS, 1 / MATMULS)
    if plant == "time":
        weights = jnp.append(weights, 1e-12)  # too light to change a sum in float32

    def loss(x: jax.Array) -> jax.Array:
        terms = [0.5 * jnp.sum((matrix @ x) ** 2) for matrix in matrices[:len(weights)]]
        if plant == "loss":
            terms[0] = 2 * jax.lax.stop_gradient(terms[0]) - terms[0]  # the same loss, the gradient of a term reversed
        return weights @ jnp.stack(terms)

    return gdjax.Problem(name="planted", loss=loss, init=lambda key: jax.random.normal(key, (DIMENSION,)), optimum=0.0)


def run(folder: Path, plant: str = "", cores: Collection[int] | None = None, suite: str = SUITE) -> None:
    """The suite through the command line in processes of its own, held to some cores if given.

    Raises:
        subprocess.CalledProcessError: it did not end with exit code 0; its output is shown.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    file = folder.parent / "planted.toml"
    file.write_text(suite, encoding="utf-8")
    command = [sys.executable, "-m", "bench", "run", str(file), "--device", "cpu", "--out", str(folder),
               "--no-report"]
    if cores is not None:
        command = ["taskset", "-c", ",".join(map(str, cores)), *command]
    settings = {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", PLANT: plant}
    done = subprocess.run(command, cwd=ROOT, env=os.environ | settings, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        print(done.stdout)
    done.check_returncode()


def told(comparison: Comparison) -> Counter[str]:
    """Verdicts on seconds per step."""
    cells = comparison.versus.cells
    return Counter(cells.loc[cells["quantity"].isin(PER_STEP), "verdict"])


def main() -> int:
    """Run and compare, and print what was told."""
    wrong = 0
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        for name, plant in (("first", ""), ("repeat", ""), ("slow", "time"), ("changed", "loss")):
            run(home / name, plant)
        for name in ("repeat", "slow", "changed"):
            comparison = compare(home / "first", home / name, home / f"first-{name}")
            verdicts, parity = told(comparison), Counter(pd.read_csv(home / f"first-{name}" / "parity.csv")["parity"])
            print(f"{name}: seconds per step {dict(verdicts)}, losses {dict(parity)}; {comparison.lines[-1]}")
            moved = verdicts[FASTER] + verdicts[SLOWER]
            wrong += {"repeat": moved > verdicts.total() / 20, "slow": verdicts[SLOWER] < verdicts.total() - 1,
                      "changed": moved > verdicts.total() / 20 or parity[DIFFER] < parity.total() / 2}[name]
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
