"""Watching a worker from outside: how long it may say nothing, whether it still computes, whether memory ran out."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

FACTOR = 20.0  # times its estimate that a group may take: estimates are lower bounds
IDLE = 1 / 6  # of the time-out that a worker may wait without computing: for a slow disk, for example
BEAT_S = 10.0  # seconds between two looks at the worker's processor time
IDLE_SHARE = 0.01  # of one core: a worker that uses less is waiting, not computing
STEPS = ("plan", "progress", "group", "failed", "done")  # words that tell of work done; the others may be idle talk
CGROUPS = Path("/sys/fs/cgroup")
OUT_OF_MEMORY = ("RESOURCE_EXHAUSTED", "MemoryError", "bad_alloc", "Out of memory", "out-of-memory killer")


class Watch:
    """Tells a hung worker from a busy one.

    A thread of the worker's own would prove only that the process lives, so its processor time is read from outside.
    Hung is a worker that computes nothing for a sixth of `timeout_s` seconds, and one that computes but takes no step
    for 20 times the estimate it announced (at least `timeout_s`).

    >>> clock = iter([0.0, 50.0, 101.0])
    >>> watch = Watch(100.0, now=lambda: next(clock))
    >>> watch.beat(0.1)
    >>> watch.trouble()
    'worker hung: no step for 101 s (limit 100 s)'
    """

    def __init__(self, timeout_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._timeout_s, self._now = timeout_s, now
        self._step = self._busy = self._seen = now()
        self._limit, self._cpu_s = timeout_s, 0.0

    def heard(self, kind: str, expected_s: float = 0.0) -> None:
        """The worker said something; a step of its work begins the limit anew, with the estimate of what comes next."""
        if kind in STEPS:
            self._step = self._busy = self._now()
            self._limit = max(self._timeout_s, FACTOR * expected_s)

    def beat(self, cpu_s: float | None) -> None:
        """The worker's processor seconds so far; None where they don't tell whether it computes."""
        now = self._now()
        if cpu_s is None or cpu_s - self._cpu_s > IDLE_SHARE * (now - self._seen):
            self._busy = now
        self._cpu_s, self._seen = cpu_s or 0.0, now

    def pause(self) -> float:
        """Seconds until the next look."""
        now = self._now()
        return max(min(BEAT_S, IDLE * self._timeout_s / 4, self._step + self._limit - now), 0.0)

    def trouble(self) -> str | None:
        """Why the worker is taken for hung, or None."""
        now = self._now()
        if now - self._step >= self._limit:
            return f"worker hung: no step for {now - self._step:.0f} s (limit {self._limit:.0f} s)"
        idle_s = IDLE * self._timeout_s
        if now - self._busy >= idle_s:
            return f"worker hung: it computed nothing for {now - self._busy:.0f} s (limit {idle_s:.0f} s)"
        return None


def ran_out_of_memory(how: str) -> bool:
    """Whether the text of an error, or of a worker's end with its last words, tells of lacking memory.

    >>> ran_out_of_memory("XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory allocating 4000000000 bytes.")
    True
    """
    return any(word in how for word in OUT_OF_MEMORY)


def oom_kills() -> int:
    """Processes of this control group that the system killed for memory so far; 0 where it does not tell."""
    found = 0
    for line in _lines(Path("/proc/self/cgroup")):
        _, controllers, place = line.split(":", 2)
        if controllers in ("", "memory"):  # version 2, version 1
            below = CGROUPS / controllers / place.lstrip("/")
            for file in (below / "memory.events", below / "memory.oom_control"):
                found += sum(int(each.split()[1]) for each in _lines(file) if each.startswith("oom_kill "))
    return found


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
