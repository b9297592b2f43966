"""The real worker on a device that has memory for eight lanes side by side."""

from __future__ import annotations

from multiprocessing.connection import Connection

from bench import worker
from bench.experiment import Group, Result, measure


def main(connection: Connection, payload: dict[str, object]) -> None:
    """As the real worker's."""
    worker.measure = _narrow
    worker.main(connection, payload)


def _narrow(group: Group) -> Result:
    if group.suite.width > 8:
        raise MemoryError("RESOURCE_EXHAUSTED: out of memory")
    return measure(group)
