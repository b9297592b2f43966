"""Claims 8 and 14: where many starts end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

import gdjax
from bench.analysis.intervals import Estimate, wilson
from bench.analysis.words import estimate_words
from bench.study.claim import Outcome, Picture, Series, claim
from bench.study.claims import problems
from bench.study.claims.parts import Array, finding, percent, series, verdict

LANES = 1 << 16  # starts: half tell the share p, the other half are cut into groups of N
GROUPS_AT_LEAST = 64

STARTS = 256
SAME = 1e-3  # of the initial gap: losses closer than this are the same


@dataclass(frozen=True)
class Hunt:
    """Which starts ended in the global minimum: p from one half of them, best-of-N from groups of the other half.

    Args:
        p: share of single starts.
        sizes: (sizes,) N, starts of a group.
        best: share of the groups whose best start is global, one for each N.
    """

    p: Estimate
    sizes: Array
    best: list[Estimate]

    def formula(self) -> list[Estimate]:
        """1 − (1 − p)^N with the interval of p."""
        return [Estimate(*(1 - (1 - part) ** int(size) for part in self.p)) for size in self.sizes]

    def apart(self) -> float:
        """Largest distance between a measured share and the formula."""
        return max(abs(seen.value - said.value) for seen, said in zip(self.best, self.formula(), strict=True))

    def disjoint(self) -> int:
        """How many measured shares have an interval that does not meet the formula's."""
        return sum(seen.high < said.low or said.high < seen.low
                   for seen, said in zip(self.best, self.formula(), strict=True))


@claim(8, "best of many starts",
       statement="From a bad start descent ends in a local minimum; the best of N starts finds the global one with "
                 "probability 1 − (1 − p)^N.",
       method="65,536 descents each on Rastrigin's and Styblinski and Tang's functions: p from half of them, the share "
              "of groups of N among the other half whose best is global beside the formula.")
def best_of_many_starts(seed: int) -> Outcome:
    """Shares of groups of N that hold a global end, on two functions."""
    ends = {"Rastrigin": global_ends(gdjax.problems.get("rastrigin"), 2e-3, 0.5, seed),
            "Styblinski–Tang": global_ends(problems.styblinski_tang(), 1e-2, 1.0, seed)}
    found = {name: hunt(each) for name, each in ends.items()}
    half = LANES // 2
    needed = {name: Estimate(*gdjax.minima.starts_needed(int(each[:half].sum()), half)) for name, each in ends.items()}
    rastrigin = found["Rastrigin"]
    return Outcome(
        verdict=judge_hunts(list(found.values())),
        sentence=f"One start found the global minimum of Rastrigin's function in {percent(rastrigin.p)} of 32,768 "
                 f"descents, so that 99 % takes the best of {estimate_words(needed['Rastrigin'])}; the best of "
                 f"{rastrigin.sizes[-1]} starts found it in {percent(rastrigin.best[-1])} of other groups, where the "
                 f"formula says {percent(rastrigin.formula()[-1])}.",
        findings=[
            *(finding(f"groups of {size} whose best start is global: {name}", seen, "share", said.value)
              for name, each in found.items()
              for size, seen, said in reversed(list(zip(each.sizes, each.best, each.formula(), strict=True)))),
            *(finding(f"starts that end in the global minimum: {name}", each.p, "share")
              for name, each in found.items()),
            *(finding(f"starts whose best is global with 99 %: {name}", each, "starts")
              for name, each in needed.items())],
        pictures=[_hunt_picture(name, each) for name, each in found.items()])


def judge_hunts(hunts: Sequence[Hunt]) -> str:
    """Holds: some starts end elsewhere, and of all the shares at most one interval misses the formula's. With limits:
    every share is within 0.1 of the formula.
    """
    local = all(each.p.high < 1 for each in hunts)
    return verdict(local and sum(each.disjoint() for each in hunts) <= 1,
                   local and max(each.apart() for each in hunts) <= 0.1)


def global_ends(problem: gdjax.Problem, rate: float, room: float, seed: int, lanes: int = LANES) -> Array:
    """Which of the starts end within `room` of the smallest loss, (starts,) bool."""
    runs = gdjax.bgd(problem, rates=rate, starts=lanes, key=seed, max_steps=2000, tolerance=1e-2)
    assert problem.optimum is not None
    return np.asarray(runs.final_loss < problem.optimum + room)


def hunt(ends: Array) -> Hunt:
    """p from the first half, groups from the second: sizes double while there are at least 64 groups."""
    single, rest = np.split(ends, 2)
    sizes = 2 ** np.arange(int(np.log2(len(rest) // GROUPS_AT_LEAST)) + 1)
    best = []
    for size in sizes:
        groups = np.asarray(rest.reshape(-1, int(size)).any(axis=1))
        best.append(wilson(int(groups.sum()), len(groups)))
    return Hunt(wilson(int(single.sum()), len(single)), sizes, best)


def _hunt_picture(name: str, found: Hunt) -> Picture:
    said = found.formula()
    return Picture(f"How often the best of N starts is the global minimum: {name}", "N, starts in a group",
                   "share of groups",
                   [series("measured", found.sizes, found.best, line=False),
                    replace(series("1 − (1 − p)^N, p from other starts", found.sizes, said), theory=True)],
                   y_log=False)


CONVEX = ("coupled-quadratic", "line-fit")
RATES = {"coupled-quadratic": 0.2, "line-fit": 0.3, "rastrigin": 2e-3, "himmelblau": 5e-3}


@claim(14, "convex or not",
       statement="On a convex loss every start ends at the same loss; on a non-convex one they spread.",
       method="256 starts each on two convex and three non-convex losses, descended until the gradient is small: share "
              "of the starts that end more than a thousandth of the initial gap above the best one.")
def convex_or_not(seed: int) -> Outcome:
    """Shares of starts that end above the best, convex and not."""
    gaps = {name: end_gaps(gdjax.problems.get(name), rate, seed) for name, rate in RATES.items()}
    gaps["styblinski-tang"] = end_gaps(problems.styblinski_tang(), 1e-2, seed)
    shares = {name: above(gap) for name, gap in gaps.items()}
    convex = {name: shares[name] for name in CONVEX}
    other = {name: share for name, share in shares.items() if name not in CONVEX}
    pooled = wilson(sum(int(np.sum(~(gaps[name] <= SAME))) for name in CONVEX), STARTS * len(CONVEX))
    return Outcome(
        verdict=judge_spread(list(convex.values()), list(other.values())),
        sentence=f"On two convex losses {percent(pooled)} of the starts ended above the best one; on non-convex ones "
                 f"{', '.join(f'{percent(share)} ({name})' for name, share in other.items())}.",
        findings=[finding(f"starts that end above the best: {name}, {'convex' if name in CONVEX else 'not convex'}",
                          share, "share", 0.0 if name in CONVEX else float("nan"))
                  for name, share in sorted(shares.items(), key=lambda each: (each[0] in CONVEX, each[1].value))],
        pictures=[_spread_picture(gaps)])


def judge_spread(convex: Sequence[Estimate], other: Sequence[Estimate]) -> str:
    """Holds: on every convex loss fewer than 5 % of the starts end above the best, on every other one more than 5 % do.
    With limits: the convex half holds, and some other loss spreads.
    """
    same = all(share.high < 0.05 for share in convex)
    return verdict(same and all(share.low > 0.05 for share in other), same and any(share.low > 0.05 for share in other))


def end_gaps(problem: gdjax.Problem, rate: float, seed: int, starts: int = STARTS) -> Array:
    """Final losses above the best one, in units of the initial gap, (starts,)."""
    runs = gdjax.bgd(problem, rates=rate, starts=starts, key=seed, max_steps=3000, tolerance=1e-4)
    assert problem.optimum is not None
    return (runs.final_loss - runs.final_loss.min()) / (gdjax.initial_loss(problem) - problem.optimum)


def above(gaps: Array) -> Estimate:
    """Share of starts that end more than a thousandth of the initial gap above the best."""
    return wilson(int(np.sum(~(gaps <= SAME))), len(gaps))


def _spread_picture(gaps: Mapping[str, Array]) -> Picture:
    return Picture("Where 256 starts end: flat at 0 on convex losses, in steps on the others",
                   "starts, sorted by their loss", "loss above the best, in initial gaps",
                   [Series(f"{name} ({'convex' if name in CONVEX else 'not convex'})",
                           tuple(float(i) for i in range(1, len(gap) + 1)), tuple(float(g) for g in np.sort(gap)))
                    for name, gap in gaps.items()], x_log=False, y_log=False)
