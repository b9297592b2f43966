"""Workers around the real opening of a device: one whose device can't compute, one that tells what it was started with.

Which one is asked for by the suite's name: "busy" or "tells".
"""

from __future__ import annotations

import os
import sys
from multiprocessing.connection import Connection

EARLY = "jax" in sys.modules  # whether it was there before this module asked for it


def main(connection: Connection, payload: dict[str, object]) -> None:
    """Open the device as the real worker does, or say how the process was set up."""
    suite = payload["suite"]
    assert isinstance(suite, dict)
    if suite["name"] == "tells":
        text = f"XLA_FLAGS={os.environ.get('XLA_FLAGS')} jax={EARLY}"
        connection.send({"kind": "error", "code": 2, "text": text})
        return
    from bench import device, worker

    def full() -> None:
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 262144 bytes.\nand ten lines more")

    device.compute = full
    worker.main(connection, payload)
