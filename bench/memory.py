"""Peak memory of one group in the process that ran it, and what the process held before."""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

STATUS = Path("/proc/self/status")
FORGET_PEAK = "5"  # what clears the kernel's high-water mark of this process; Linux 4.0 and later


@dataclass(frozen=True)
class Meter:
    """Memory of this process since `Meter.begin()`.

    The kernel's high-water mark is cleared at the start of a group where the system allows it. What earlier groups left
    in the process (programs, arenas) still counts, so only the first group of a worker is a measurement in a fresh
    process; of the others the peak is an upper bound, and peak less `before_bytes` what the group added.
    """

    before_bytes: int

    @classmethod
    def begin(cls) -> Meter:
        """Clear the mark and note what is held now."""
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text(FORGET_PEAK, encoding="ascii")
        return cls(_status("VmRSS") or _peak_of_process())

    def peak_bytes(self) -> int:
        """The most that was resident since the start; of the whole process where the mark could not be cleared.

        >>> Meter.begin().peak_bytes() > 1_000_000
        True
        """
        return _status("VmHWM") or _peak_of_process()


def device_peak_bytes(stats: Mapping[str, int] | None) -> int | None:
    """Peak of the device's own memory from `Device.memory_stats()`; None on a CPU, which keeps no such count.

    >>> device_peak_bytes({"peak_bytes_in_use": 4096})
    4096
    """
    return None if stats is None else stats.get("peak_bytes_in_use")


def _status(field: str) -> int | None:
    with suppress(OSError):
        for line in STATUS.read_text(encoding="utf-8").splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
    return None


def _peak_of_process() -> int:
    """Where /proc does not tell; on Linux it would be that of the process that started this one, if that is larger."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # bytes there, KiB elsewhere
