"""Which benchmarks got slower than before, beyond the noise between processes.

The rule. A benchmark's time in a process is the median of its samples; a run holds several fresh processes, and its
time in a run is the median of theirs. The limit of a benchmark is max(10 %, 2 × spread): spread is largest over
smallest time of its processes, less 1, of the run before or of this one, whichever is more. A benchmark is slower when
its time grew by more than the limit, and grew so again in one more fresh process.

Why twice the spread: medians of processes differ by more than the samples within one (measured: 3.4 % between six,
0.5–1.9 % within), so only processes tell the noise. Of three normal values the range is 1.7 σ on average and the median
has a deviation of 0.67 σ, the difference of two medians 0.95 σ: twice the larger range is about 4 of these. Where three
values fall together by luck, the floor of 10 %, three times the measured spread, holds; the further process holds
where a neighbour took the machine for a minute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from bench.analysis.verdicts import FASTER, NOISY, SAME, SLOWER

FLOOR = 0.10
SPREADS = 2.0
BLIND = 0.5  # where only more than this would have been seen, "no difference" would say too much

Seconds = Mapping[str, float]  # benchmark -> its time in one process


@dataclass(frozen=True)
class Change:
    """A benchmark in two runs: seconds before and now, and the share by which it may differ.

    Args:
        again: seconds in the further process, where one was needed.
    """

    name: str
    before: float
    now: float
    limit: float
    again: float | None = None

    @property
    def share(self) -> float:
        """By how much the time grew, as a share of the time before."""
        return self.now / self.before - 1

    @property
    def suspect(self) -> bool:
        """Whether the time grew by more than the limit, by pytest-benchmark's own check."""
        return _grew(self.before, self.now, self.limit)

    @property
    def slower(self) -> bool:
        """Whether it grew so in the further process too."""
        return self.suspect and self.again is not None and _grew(self.before, self.again, self.limit)

    @property
    def verdict(self) -> str:
        """One of "slower", "faster", "too noisy", "no difference seen"; before the further process a suspect is none.

        Example:
            >>> Change("step", before=1.0, now=1.4, limit=0.1, again=1.4).verdict
            'slower'
            >>> Change("step", before=1.0, now=1.4, limit=0.1, again=1.0).verdict
            'no difference seen'
        """
        if self.slower:
            return SLOWER
        if _grew(self.now, self.before, self.limit):
            return FASTER
        return NOISY if self.limit > BLIND else SAME


def changes(before: Sequence[Seconds], now: Sequence[Seconds]) -> list[Change]:
    """The benchmarks that every process of two runs has, by name.

    Args:
        before, now: the processes of a run, at least two.

    Raises:
        ValueError: a run of one process, which can't tell its noise.

    Example:
        >>> [each] = changes([{"step": 1.0}, {"step": 1.02}, {"step": 1.04}], [{"step": 1.2}, {"step": 1.2}])
        >>> f"{each.share:.3f} {each.limit:.3f} {each.suspect}"
        '0.176 0.100 True'
    """
    for name, run in (("before", before), ("now", now)):
        if len(run) < 2:
            raise ValueError(f"{name}: needs at least two processes (got {len(run)}). Run the benchmarks again.")
    found = []
    for name in sorted(set.intersection(*(set(process) for process in (*before, *now)))):
        old, new = [process[name] for process in before], [process[name] for process in now]
        limit = max(FLOOR, SPREADS * max(spread(old), spread(new)))
        found.append(Change(name, median(old), median(new), limit))
    return found


def confirm(every: Sequence[Change], again: Seconds) -> list[Change]:
    """The changes with the times of the further process."""
    return [replace(each, again=again.get(each.name)) if each.suspect else each for each in every]


def spread(values: Sequence[float]) -> float:
    """Largest over smallest, less 1.

    >>> spread([2.0, 2.5, 2.2])
    0.25
    """
    return max(values) / min(values) - 1


def _grew(before: float, now: float, limit: float) -> bool:
    from pytest_benchmark.utils import PercentageRegressionCheck  # of the test extra, which reports can do without

    return PercentageRegressionCheck("median", 100 * limit).fails({"median": now}, {"median": before}) is not None
