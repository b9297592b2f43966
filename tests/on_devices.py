"""A process of its own with several devices made of one CPU, alone or as one of several hosts: runs calls, saves them.

python -m tests.on_devices FILE.npz DEVICES [COORDINATOR PROCESS PROCESSES]
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np

FIELDS = ("steps", "status", "final_loss", "best_loss", "grad_norm", "curve")
SHARED = {  # name -> call; starts that neither 2 nor 3 nor 4 divide
    "valley": ("rosenbrock", {"batch_size": 1, "rates": [1e-3, 3e-3, 1e-2], "starts": 37, "tolerance": 1e-2,
                              "max_steps": 3000, "width": 16}),
    "logistic": ("cancer-logistic", {"batch_size": 32, "rates": [0.03, 0.1, 0.3], "starts": 7, "max_epochs": 3,
                                     "schedules": ["constant", "cosine"], "marks": 8, "width": 16}),
    "one step": ("digits-softmax", {"batch_size": 1, "rates": 0.1, "starts": 19, "max_steps": 1,
                                    "batches": "independent", "width": 16}),
    "lone": ("bowl", {"batch_size": 1, "rates": 0.1, "starts": 1, "max_steps": 50, "width": 16}),
    "any width": ("line-fit", {"batch_size": 10, "rates": [0.05, 0.1], "starts": 11, "max_epochs": 5, "marks": 4}),
}


def main(path: Path, devices: int, hosts: list[str]) -> None:
    """Every call with every number of devices (of hosts: with all of them), its arrays saved."""
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
    import jax

    import gdjax

    if hosts:
        jax.distributed.initialize(hosts[0], num_processes=int(hosts[2]), process_id=int(hosts[1]))
    asked = [jax.device_count()] if hosts else [None, 1, 3, [3, 1], jax.device_count()]
    found = {}
    for name, (problem, call) in SHARED.items():
        targets = [0.2, 0.1] if name == "logistic" else []
        for each in asked:
            runs = gdjax.minibatch(gdjax.problems.get(problem), key=5, targets=targets, devices=each, **call)
            arrays = {field: getattr(runs, field) for field in FIELDS}
            arrays |= {f"params{place}": leaf for place, leaf in enumerate(jax.tree.leaves(runs.params))}
            if targets:
                arrays["hit"] = np.searchsorted(runs.marks, runs.hits()["steps_after"].fillna(1e9))  # which mark
            found |= {f"{name}|{json.dumps(each)}|{field}": array for field, array in arrays.items()}
    if not hosts:
        shape = {"batch_size": 32, "marks": 8, "starts": 7, "settings": 6}
        program = gdjax.compile(gdjax.problems.get("cancer-logistic"), devices=jax.device_count(), **shape)
        found["hlo"] = np.array(program.executable.as_text())
        ran = program.stepper([gdjax.Setting(gdjax.schedules.constant(), 0.1)])(5)
        found["stepper"] = np.asarray(ran.steps)
        found["groups"] = np.array(program.shape.queue * program.devices)
    np.savez(path, **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
