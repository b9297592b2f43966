"""A process of its own with several devices made of one CPU, alone or as one of several hosts: runs calls, saves them.

python -m tests.on_devices FILE.npz DEVICES [COORDINATOR PROCESS PROCESSES]
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from unittest import mock

import numpy as np

from tests.quick import programs_as_shipped

EXACT = ("valley", "lone")  # the calls whose lanes must be the same in every bit
FIELDS = ("steps", "status", "final_loss", "best_loss", "grad_norm", "curve", "score_curve")
SHARED = {  # name -> call; starts that neither 2 nor 3 nor 4 divide
    "valley": ("rosenbrock", {"batch_size": 1, "rates": [1e-3, 3e-3, 1e-2], "starts": 37, "tolerance": 1e-2,
                              "max_steps": 3000, "width": 16}),
    "logistic": ("cancer-logistic", {"batch_size": 32, "rates": [0.03, 0.1, 0.3], "starts": 7, "max_epochs": 3,
                                     "schedules": ["constant", "cosine"], "marks": 8, "width": 16,
                                     "targets": [0.2, 0.1]}),
    "one step": ("digits-softmax", {"batch_size": 1, "rates": 0.1, "starts": 19, "max_steps": 1,
                                    "batches": "independent", "width": 16}),
    "lone": ("bowl", {"batch_size": 1, "rates": 0.1, "starts": 1, "max_steps": 50, "width": 16}),
    "error": ("digits-held-out", {"batch_size": 256, "rates": [0.1, 1.0], "starts": 5, "max_steps": 12, "marks": 4,
                                  "target_on": "error", "targets": [0.5], "stop_at_target": True, "width": 16}),
    "any width": ("line-fit", {"batch_size": 10, "rates": [0.05, 0.1], "starts": 11, "max_epochs": 5, "marks": 4}),
}
SHARDED = {  # name -> call whose devices share the examples, and how many do: they never divide 1,438, 569 or 101
    "held out": ("digits-held-out", {"batch_size": 32, "rates": [0.03, 0.1, 0.3], "starts": 5, "max_epochs": 2,
                                     "schedules": ["constant", "cosine"], "marks": 4, "targets": [1.5, 1.0],
                                     "target_on": "held_out_loss", "stop_at_target": True, "width": 16}, 4),
    "searching": ("cancer-logistic", {"batch_size": 569, "rates": [0.1, 1.0], "starts": 19, "max_steps": 60,
                                      "optimizer": "backtracking", "tolerance": 0.02, "targets": [0.15, 0.1],
                                      "marks": 4, "width": 16}, 4),
    "averaged": ("cancer-logistic", {"batch_size": 1, "rates": [0.01, 0.1], "starts": 3, "max_steps": 400, "marks": 4,
                                     "optimizer": "averaged", "sampling": "replacement", "batches": "independent",
                                     "tolerance": 0.05, "width": 16}, 3),
    "own": ("own", {"batch_size": 10, "rates": None, "starts": 3, "max_epochs": 3}, 3),
    "large": ("large", {"batch_size": 509, "rates": 0.1, "starts": 3, "max_steps": 4, "marks": 2, "width": 1}, 3),
}
OVER_HOSTS = ("valley", "any width", "held out")  # no data, copied data and shared data; the rest is alike on hosts


def asked_of(name: str) -> list[int | list[int]]:
    """The devices that share the lanes of a call, beside one that is not asked for: 4 are there.

    Some of them and all of them with and without data; of the other calls, either.
    """
    asked: dict[str, list[int | list[int]]] = {"valley": [1, [3, 1, 0], 4], "any width": [3, 4], "logistic": [4],
                                               "lone": [4]}
    return asked.get(name, [3])


def main(path: Path, devices: int, hosts: list[str]) -> None:
    """Every call with some numbers of devices (of hosts: some calls with all of them), its arrays saved."""
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    import jax
    import optax

    import gdjax
    from tests.test_large_losses import problem as large_problem

    if hosts:
        jax.distributed.initialize(hosts[0], num_processes=int(hosts[2]), process_id=int(hosts[1]))
    all_there_are = jax.device_count()
    problems = {"own": _own_problem(), "large": large_problem(509)}
    wrapped = {"averaged": gdjax.optimizers.averaged(optax.sgd)}
    found = {}
    for name, (problem, call, *number) in (SHARED | SHARDED).items():
        asked = [None, *(number or asked_of(name))]
        for each in [one for one in asked if one == all_there_are and name in OVER_HOSTS] if hosts else asked:
            sharded = name in SHARDED and each is not None
            with _compiled_as(name), _watched() if sharded else nullcontext([]) as texts:
                runs = gdjax.minibatch(
                    problems.get(problem) or gdjax.problems.get(problem), key=5, devices=each, shard_examples=sharded,
                    **{**call, "optimizer": wrapped.get(call.get("optimizer"), call.get("optimizer", "sgd"))})
            arrays = {field: getattr(runs, field) for field in FIELDS if getattr(runs, field) is not None} | runs.scores
            arrays |= {f"params{place}": leaf for place, leaf in enumerate(jax.tree.leaves(runs.params))}
            if runs.targets:
                arrays["hit"] = np.searchsorted(runs.marks, runs.hits()["steps_after"].fillna(1e9))  # which mark
            arrays["hlo"] = np.array("\n".join(texts))
            found |= {f"{name}|{json.dumps(each)}|{field}": array for field, array in arrays.items()}
    if not hosts:
        found |= _compiled()
    np.savez(path, **found)


def _own_problem():
    """A line through 101 points, of which every seventh does not count; what is divergence follows from the data."""
    import jax.numpy as jnp

    import gdjax

    x, counts = np.linspace(-1, 1, 101), np.arange(101) % 7 > 0

    def loss(line, point):
        x, y, counts = point
        return jnp.where(counts, (line[0] * x + line[1] - y) ** 2, 0.0)

    return gdjax.Problem(name="own", data=(x, np.where(counts, 3 * x + 1, 50), counts), loss=loss, optimum=0.0,
                         init=lambda key: jnp.zeros(2))


def _compiled_as(name: str) -> AbstractContextManager[object]:
    """As users get it where bits are compared; else quickly, alike on all devices, for what is divided is the same."""
    return programs_as_shipped() if name in EXACT else nullcontext()


@contextmanager
def _watched() -> Iterator[list[str]]:
    """Texts of what is compiled; an error where all examples come to one device."""
    import jax

    texts, compiled = [], jax.stages.Lowered.compile

    def noted(*arguments, **named):
        made = compiled(*arguments, **named)
        texts.append(made.as_text())
        return made

    whole = AssertionError("all examples came to one device")
    with mock.patch("jax.stages.Lowered.compile", noted), mock.patch("gdjax.Problem._on_device", side_effect=whole):
        yield texts


def _compiled() -> dict[str, np.ndarray]:
    """Programs on all devices: what XLA made of one, and what memory copied and shared examples take."""
    import jax

    import gdjax

    devices = jax.device_count()
    program = gdjax.compile(gdjax.problems.get("cancer-logistic"), devices=devices, batch_size=32, marks=8, starts=7,
                            settings=6, schedules=["constant", "cosine"], width=16)  # that of "logistic"
    ran = program.stepper([gdjax.Setting(gdjax.schedules.constant(), 0.1)])(5)
    found = {"hlo": np.array(program.executable.as_text()), "stepper": np.asarray(ran.steps),
             "groups": np.array(program.shape.queue * program.devices)}
    line, call = gdjax.problems.get("line-fit"), {"batch_size": 10, "rates": 0.1, "starts": 3, "key": 0, "max_steps": 9}
    seen = [gdjax.minibatch(line, **call).final_loss]
    with jax.default_device(jax.devices()[2]):
        seen.append(gdjax.minibatch(line, **call).final_loss)
        there = gdjax.compile(line, batch_size=10, starts=3).mesh.devices
    found |= {"default": np.stack(seen), "default device": np.array([device.id for device in there])}
    digits = gdjax.problems.get("digits-held-out")
    call = {"batch_size": digits.examples, "devices": devices}
    programs = [gdjax.compile(digits, width=16, shard_examples=sharded, **call) for sharded in (False, True)]
    plans = [program.executable.memory_analysis() for program in programs]
    found["bytes"] = np.array([[plan.argument_size_in_bytes, plan.temp_size_in_bytes] for plan in plans])
    for program, sharded in zip(programs, (True, False), strict=True):
        try:
            gdjax.minibatch(digits, rates=0.1, starts=1, key=0, max_steps=1, shard_examples=sharded, program=program,
                            **call)
        except ValueError as error:
            found[f"refused|{sharded}"] = np.array(str(error))
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
