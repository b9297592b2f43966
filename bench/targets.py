"""Targets from a pilot: what is asked of it, what it saw, and by which rule targets and their lines follow."""

from __future__ import annotations

import itertools
import json
import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from bench.bad_input import field_error
from bench.suite_fields import Sampling
from bench.target_on import ERROR, HELD_OUT_LOSS, LOSS, NOUNS

DIGITS = 3  # significant ones of a target
MOST_STARTS = MOST_EPOCHS = 1_000_000
BEGINS = "# Pilot (python -m bench targets): "  # the comment, by which it is found again
WIDTH = 119  # of a line with it
_MEDIANS_OF = {LOSS: "training losses", HELD_OUT_LOSS: "held-out losses", ERROR: "errors (1 − accuracy)"}


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of a pilot, checked; `problem` as suites spell it, None is for the pilot to find."""

    problem: str
    device: str
    batch_size: int | None
    rate: float | None
    epochs: float
    starts: int
    shares: tuple[float, ...]  # of the epochs, in percent, rising
    seed: int
    target_on: str = LOSS
    sampling: Sampling = "shuffle"
    dtype: str = "float32"
    matmul_precision: str = "highest"


@dataclass(frozen=True, kw_only=True)
class Pilot:
    """What a pilot saw: medians over its starts, of what targets are on; diverged ones count as ∞."""

    batch_size: int
    rate: float
    diverged: int  # starts
    start_score: float
    steps: tuple[int, ...]  # at the shares
    scores: tuple[float, ...]


def check(problem: str, device: str, batch_size: int | None, rate: float | None, epochs: float, starts: int,
          shares: str, seed: int, target_on: str = LOSS) -> Request:
    """The request, or a ValueError that says what is wrong with it, before anything runs."""
    if batch_size is not None and batch_size < 1:
        raise ValueError(field_error("--batch-size", "must be at least 1", batch_size, "Try --batch-size 32."))
    if rate is not None and not 0 < rate < math.inf:
        raise ValueError(field_error("--rate", "must be above 0 and finite", rate,
                                     "Leave it out to have it found by a range test."))
    if not 0 < epochs <= MOST_EPOCHS:
        raise ValueError(field_error("--epochs", f"must be above 0 and at most {MOST_EPOCHS:,}", epochs,
                                     "Try --epochs 10."))
    for field, value, low, high in (("--starts", starts, 1, MOST_STARTS), ("--seed", seed, 0, 2**32 - 1)):
        if not low <= value <= high:
            raise ValueError(field_error(field, f"must be from {low:,} to {high:,}", value,
                                         "Change it to a value in range."))
    return Request(problem=problem, device=device, batch_size=batch_size, rate=rate, epochs=epochs, starts=starts,
                   shares=_shares(shares), seed=seed, target_on=target_on)


def targets_of(request: Request, pilot: Pilot) -> list[float]:
    """The pilot's medians, each rounded up, so that it was reached; highest first.

    Raises:
        ValueError: they are no targets: half of the starts diverged, the median did not fall from share to share, or
            not by enough to be told apart.
    """
    scores, what = pilot.scores, NOUNS[request.target_on]
    said = f"{pilot.start_score:.6g} at the start, then {_listed(f'{score:.6g}' for score in scores)}"
    if not all(map(math.isfinite, scores)):
        raise ValueError(f"pilot: half of the starts or more must not diverge (got {pilot.diverged} of "
                         f"{request.starts} at rate {pilot.rate:g}). Give a smaller --rate.")
    if not _falls([pilot.start_score, *scores]):
        raise ValueError(f"pilot: the median {what} must fall from share to share (got {said}; rate {pilot.rate:g}). "
                         "Give a smaller --rate where it rises; a larger one, more --epochs, or --shares further apart "
                         "where it is flat.")
    found = [rounded_up(score) for score in scores]
    if not _falls([pilot.start_score, *found]):
        raise ValueError(f"pilot: medians of the {what} must still fall when rounded up to {DIGITS} digits (got "
                         f"{said}). Give more --epochs, another --rate, or --shares further apart; from a loss with a "
                         "large constant part take that away.")
    return found


def rounded_up(score: float) -> float:
    """The next number of three significant digits.

    >>> rounded_up(0.40501), rounded_up(0.9996), rounded_up(-1.2345), rounded_up(0.0)
    (0.406, 1.0, -1.23, 0.0)
    """
    exact = Decimal(str(score))
    return float(exact.quantize(Decimal(1).scaleb(exact.adjusted() - DIGITS + 1), ROUND_CEILING)) if exact else 0.0


def header(problem: str) -> str:
    """The line that begins the table of a problem in a suite.

    >>> header("my_module:make_problem")
    '[problem."my_module:make_problem"]'
    """
    return f"[problem.{json.dumps(problem, ensure_ascii=False)}]"


def lines_of(request: Request, pilot: Pilot, targets: Sequence[float]) -> list[str]:
    """The targets as lines of a problem's table: a comment with their rule, and their key."""
    rate = f"{pilot.rate:.12g}{' (by a range test)' if request.rate is None else ''}"
    rule = (f"median {_MEDIANS_OF[request.target_on]} of {request.starts:,} starts that no suite tunes or reports on "
            f"(seed {request.seed}), sgd, batch size {pilot.batch_size}, constant rate {rate}, after "
            f"{_listed(f'{share:g}' for share in request.shares)} % of {request.epochs:g} epochs "
            f"(step {_listed(f'{step:,}' for step in pilot.steps)}), rounded up to {DIGITS} digits.")
    comment = textwrap.wrap(rule, WIDTH, initial_indent=BEGINS, subsequent_indent="# ", break_long_words=False,
                            break_on_hyphens=False)
    return [*comment, f"targets = [{', '.join(map(str, targets))}]"]


def _shares(text: str) -> tuple[float, ...]:
    try:
        found = tuple(sorted({float(each) for each in text.split(",")}))
    except ValueError:
        found = ()
    if not found or not all(0 < share <= 100 for share in found):
        raise ValueError(field_error("--shares", "must be percentages above 0 and at most 100, with commas between",
                                     text, "Try --shares 10,40,90."))
    return found


def _falls(values: Sequence[float]) -> bool:
    return all(after < before for before, after in itertools.pairwise(values))


def _listed(texts: Iterable[str]) -> str:
    *first, last = texts
    return f"{', '.join(first)} and {last}" if first else last
