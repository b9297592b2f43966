"""Memory that is free: of the device where it tells, else of the machine, within the limit of its control group."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from bench.analysis.words import number, rounded

CGROUP = Path("/sys/fs/cgroup")
LIMITS = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))
UNITS = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


def free_bytes(stats: Mapping[str, int] | None) -> int:
    """Bytes that can still be taken.

    Args:
        stats: `Device.memory_stats()`; None on a CPU, which keeps no such count.

    >>> free_bytes({"bytes_limit": 100, "bytes_in_use": 40})
    60
    """
    if stats is not None and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    return min([psutil.virtual_memory().available, *_group_room()])


def bytes_words(count: float) -> str:
    """Bytes in the unit that fits.

    >>> bytes_words(2.5e6), bytes_words(12), bytes_words(999.7e6)
    ('2.5 MB', '12 B', '1 GB')
    """
    size, unit = next(((size, unit) for size, unit in UNITS if rounded(count) >= size), (1, "B"))
    return f"{number(count / size)} {unit}"


def _group_room() -> list[int]:
    """Room below the limit of the control group, versions 2 and 1; none where there is no limit."""
    found = []
    for limit, used in LIMITS:
        with suppress(OSError, ValueError):  # "max" is no limit
            found.append(int((CGROUP / limit).read_text(encoding="ascii"))
                         - int((CGROUP / used).read_text(encoding="ascii")))
    return found
