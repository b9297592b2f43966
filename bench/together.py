"""What the workers of a run over several hosts do together; in a run of one process each gets what it gave.

Hosts meet at these calls, so that all of them must make all of them, in the same order.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from typing import TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from bench.bad_input import show
from bench.files import plain
from bench.meeting import Host
from bench.speaker import Stopped

HEARTBEAT_S = 30  # of silence, after which JAX ends the processes that are left
END_S = 86_400  # for the others to come to the end: process 0 has more to do there
Told = TypeVar("Told")


@contextlib.contextmanager
def joined(host: Host | None) -> Iterator[None]:
    """One program with the workers of other hosts, to the end of the block, where they wait for each other.

    Who leaves it by an exception ends its process at once: at its exit JAX would wait for the others.

    Args:
        host: its part in the run; None: there are no others, and nothing is done.
    """
    if host is None:
        yield
        return
    code = 0
    try:
        jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM, which stops a worker
        jax.distributed.initialize(
            host.coordinator, num_processes=host.processes, process_id=host.process, local_device_ids=host.gpus,
            cluster_detection_method="deactivate", initialization_timeout=round(host.wait_s),
            heartbeat_timeout_seconds=HEARTBEAT_S, shutdown_timeout_seconds=END_S)
        yield
        jax.distributed.shutdown()
    except Stopped:
        pass
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def everyone(text: str) -> list[str]:
    """What each process says, in their order."""
    if jax.process_count() == 1:
        return [text]
    said = np.frombuffer(text.encode(), np.uint8)
    lengths = multihost_utils.process_allgather(np.int32(len(said)))
    found = multihost_utils.process_allgather(np.resize(said, int(lengths.max())))
    return [bytes(each[:length]).decode() for each, length in zip(found, lengths, strict=True)]


def told(value: Told) -> Told:
    """What process 0 has, plain data, on every host."""
    return value if jax.process_count() == 1 else json.loads(everyone(json.dumps(value))[0])


def slowest(seconds: float, voided: bool) -> tuple[float, bool]:
    """Seconds until all hosts were through, and whether any has voided them: what they decide by it is the same."""
    if jax.process_count() == 1:
        return seconds, voided
    found = multihost_utils.process_allgather(np.array([seconds, voided], np.float32))
    return float(found[:, 0].max()), bool(found[:, 1].any())


def unlike(facts: Mapping[str, Mapping[str, object]]) -> list[str]:
    """Error texts where hosts plan other work than process 0, the same texts on all of them.

    Args:
        facts: problem -> name -> what must be equal, plain data.
    """
    mine, *theirs = (json.loads(each) for each in everyone(json.dumps(plain(facts))))
    return [f"problems.{problem}.{name}: process {process} has another than process 0 (got "
            f"{show(other.get(problem, {}).get(name))}, process 0 has {show(value)}). Give all hosts the same code of "
            "yours, the same data and the same kind of processor."
            for process, other in enumerate(theirs, start=1) if other != mine
            for problem, known in mine.items() for name, value in known.items()
            if other.get(problem, {}).get(name) != value]
