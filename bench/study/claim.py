"""A claim of the textbooks as an experiment: what it says, how it is measured, what came of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

VERDICTS = ("holds", "holds with limits", "does not hold")


@dataclass(frozen=True)
class Finding:
    """One measured figure: what it is of, its value with a 95 % interval, and what theory says where it says something.

    Args:
        quantity: in words, "divergence edge of the quadratic with largest curvature 4".
        value, low, high: the figure and its interval (equal where it is exact, NaN where it has none).
        unit: "steps", "seconds", "share", "×" or "" for a plain number.
        expected: what a formula predicts; NaN without one.
    """

    quantity: str
    value: float
    low: float = math.nan
    high: float = math.nan
    unit: str = ""
    expected: float = math.nan


@dataclass(frozen=True)
class Series:
    """Points of one line of a picture; `low` and `high` are ends of an interval, () where there is none."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    line: bool = True  # False: points alone
    theory: bool = False  # drawn dashed and without markers


@dataclass(frozen=True)
class Picture:
    """One panel: its title says what is shown, its axes name their units."""

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    x_log: bool = True
    y_log: bool = True


@dataclass(frozen=True)
class Outcome:
    """What came of a claim: a verdict, the sentence that gives its figure and interval, the figures, the pictures.

    The first finding is the one that the overview shows: what the verdict rests on.
    """

    verdict: str
    sentence: str
    findings: Sequence[Finding]
    pictures: Sequence[Picture] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ValueError(f"verdict: must be one of {', '.join(VERDICTS)} (got {self.verdict!r}).")


@dataclass(frozen=True)
class Claim:
    """A claim: its number in the report, a short name, what the tutorials say, how it is measured, the experiment.

    `run(seed)` does the whole experiment and is a pure function of the seed, but for seconds.
    """

    number: int
    name: str
    statement: str
    method: str
    run: Callable[[int], Outcome]


CLAIMS: dict[str, Claim] = {}


def claim(number: int, name: str, *, statement: str, method: str) -> Callable[[Callable[[int], Outcome]], Claim]:
    """Decorator that registers `run(seed) -> Outcome` as a claim.

    Raises:
        ValueError: the name or the number is taken.
    """

    def keep(run: Callable[[int], Outcome]) -> Claim:
        if name in CLAIMS or number in {each.number for each in CLAIMS.values()}:
            raise ValueError(f"claims: name or number is taken (got {name!r}, {number}). Choose another.")
        CLAIMS[name] = Claim(number, name, statement, method, run)
        return CLAIMS[name]

    return keep
