"""Repeats of a program in fresh processes (A/A): how far two of them are apart although nothing differs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from bench.analysis.intervals import median_resamples
from bench.analysis.resampling import RESAMPLES

Array = np.ndarray
Program = tuple[str, str, int, str]  # problem, optimizer, batch size, "solo" or "batched"
SMALLEST, UNMEASURED = 0.02, 0.10  # floor where processes agree better than that, and where nobody repeated any
_KEY = ["problem", "optimizer", "batch_size", "program"]


@dataclass(frozen=True)
class Noise:
    """What differs between processes that run the same program.

    Args:
        sigma: standard deviation of the log of a process's median; NaN where no program was repeated.
        freedom: degrees of freedom that it rests on.
        floor: the smallest change that can mean anything, 0.02 for 2 %.
        programs: programs that were repeated.
    """

    sigma: float
    freedom: int
    floor: float
    programs: int

    @property
    def measured(self) -> bool:
        """Whether any program was run in two processes."""
        return self.freedom > 0

    def draws(self, processes: int, seed: int) -> Array:
        """How much slower so many processes may have been by chance: logs, (processes, 10 000).

        σ·t with the degrees of freedom that σ rests on; zero where it was not measured.
        """
        if not self.measured:
            return np.zeros((processes, RESAMPLES))
        draws = np.random.default_rng([seed, self.freedom]).standard_t(self.freedom, (processes, RESAMPLES))
        return np.asarray(self.sigma * draws)


class Spread(NamedTuple):
    """How far apart the medians of processes that ran the same programs were: `value` 0.03 for at most 3 %."""

    value: float
    processes: int
    groups: int


def step_samples(timing: pd.DataFrame) -> dict[Program, list[Array]]:
    """Seconds per step of every program, one array of repeats for each process; warm-ups and voided ones left out.

    Args:
        timing: the timing table of one run.
    """
    kept = timing[(timing["quantity"] == "step") & ~timing["warmup"].astype(bool) & ~timing["voided"].astype(bool)]
    found: dict[Program, list[Array]] = {}
    for (problem, optimizer, size, program, _), rows in kept.groupby([*_KEY, "process"], sort=True, observed=True):
        seconds = rows["seconds"].to_numpy(float)
        seconds = seconds[np.isfinite(seconds) & (seconds > 0)]
        if len(seconds):
            found.setdefault((str(problem), str(optimizer), int(str(size)), str(program)), []).append(seconds)
    return found


def process_noise(runs: Sequence[dict[Program, list[Array]]]) -> Noise:
    """Process-to-process noise, pooled over all programs that were run in more than one process.

    σ² = Σ(log m − mean log m)²/Σ(processes − 1), m the median of a process. What makes a process slow makes it so in
    all its programs: the degrees of freedom are those of the processes, however many programs each ran. The floor is
    2 % or, where it is more, the 95 % quantile of max(m/m₀, m₀/m) − 1, m₀ the process that ran the suite; 10 % where no
    program was repeated.

    Args:
        runs: `step_samples` of each run.

    Example:
        >>> same = {("p", "sgd", 1, "solo"): [np.full(5, 1.0), np.full(5, 1.05)]}
        >>> round(process_noise([same]).floor, 3)
        0.05
    """
    repeated = [[processes for processes in run.values() if len(processes) > 1] for run in runs]
    freedom = sum(max(map(len, run), default=1) - 1 for run in repeated)
    if not freedom:
        return Noise(math.nan, 0, UNMEASURED, 0)
    logs = [np.log([np.median(seconds) for seconds in processes]) for run in repeated for processes in run]
    squares = sum(float(((each - each.mean()) ** 2).sum()) for each in logs)
    apart = np.concatenate([np.abs(each[1:] - each[0]) for each in logs])
    floor = math.expm1(float(np.quantile(apart, 0.95)))
    sigma = math.sqrt(squares / sum(len(each) - 1 for each in logs))
    return Noise(sigma, freedom, max(SMALLEST, floor), len(logs))


def process_spread(timing: pd.DataFrame) -> Spread | None:
    """The largest difference between processes: max/min − 1 of the median seconds per step, over repeated programs.

    Args:
        timing: the timing table of a run.

    Returns:
        with the most processes that ran one program and the groups repeated; None where no program was.

    Example:
        >>> from bench.tables import empty
        >>> process_spread(empty("timing")) is None
        True
    """
    repeated = {program: [float(np.median(seconds)) for seconds in processes]
                for program, processes in step_samples(timing).items() if len(processes) > 1}
    if not repeated:
        return None
    return Spread(max(max(medians) / min(medians) - 1 for medians in repeated.values()),
                  max(map(len, repeated.values())), len({program[:3] for program in repeated}))


def log_step_resamples(processes: Sequence[Array], noise: Array, seed: int) -> tuple[float, Array]:
    """Log seconds per step: its value, and (10 000,) resamples in which repeats and processes both vary.

    Args:
        processes: repeats of each process.
        noise: `Noise.draws` of at least so many processes.
        seed: of the resampled repeats.
    """
    value = float(np.mean([np.log(np.median(seconds)) for seconds in processes]))
    within = [np.log(median_resamples(seconds, seed=seed + 100 * place)) for place, seconds in enumerate(processes)]
    return value, np.mean(within, axis=0) + noise[:len(processes)].mean(axis=0)
