"""The answer as one plain sentence with its interval, its budget and its horizon."""

from __future__ import annotations

import math

from bench.analysis.answer import Answer
from bench.analysis.comparisons import FEWEST
from bench.analysis.intervals import Estimate, fewest_pairs
from bench.analysis.ranking import Standing
from bench.analysis.words import batch_words, number, schedule_words, seconds_words

_LISTED = 4
ENOUGH = 30  # starts for a claim
NARROW = f", and intervals from fewer than {FEWEST} are too narrow"
WORTH_A_WORD = 0.01  # by how much the winner's time looks too short


def sentence(answer: Answer) -> str:
    """The answer in words: winner, seconds with interval, starts, runner-up, budget, horizon, and what it can't tell.

    Example:
        >>> sentence(Answer("digits", "cpu", finished=0, cells=5))
        'digits on cpu: no cell has finished yet (0 of 5).'
    """
    return " ".join(sentences(answer))


def sentences(answer: Answer) -> list[str]:
    """The same sentence by sentence: the answer first, then what else is to be known of it."""
    place = f"{answer.problem} on {answer.device}" if answer.device else answer.problem
    if answer.winner is None and answer.closest is None:
        if answer.cells and answer.failed == answer.cells:
            return [f"{place}: every cell failed ({answer.cells} of {answer.cells})."]
        return [f"{place}: no cell has finished yet ({answer.finished} of {answer.cells})."]
    if answer.cells > answer.finished:
        so_far = "so far, " if answer.cells > answer.finished + answer.failed else ""
        failed = f", {answer.failed} failed" if answer.failed else ""
        place += f" ({so_far}{answer.finished} of {answer.cells} cells{failed})"
    if answer.winner is None:
        return [f"{place}: {_unreached(answer)}."]
    return [f"{place}: {_winner(answer, answer.winner)}.", *_remarks(answer, answer.winner)]


def cell_words(cell: Standing, answer: Answer) -> str:
    """A cell in a sentence: "batch 64 with inverse-time decay", its optimizer first where there are several."""
    optimizer = f"{cell.optimizer}, " if answer.several_optimizers else ""
    return f"{optimizer}{batch_words(cell.batch_size, answer.problem_examples)} with {schedule_words(cell.schedule)}"


def _winner(answer: Answer, winner: Standing) -> str:
    text = (f"{cell_words(winner, answer)} (rate {number(winner.rate)}) gets {answer.goal.got} "
            f"{_after(winner.time, answer.measure)} ({winner.hits} of {winner.lanes} starts)")
    if answer.runner_up is not None:
        times = "times as long" if answer.measure == "seconds_solo" else "times as many"
        text += (f"; next best, {cell_words(answer.runner_up, answer)}, takes {ratio_words(answer.ratio, times)}")
    return f"{text}; {_budget(answer, winner)}"


def _unreached(answer: Answer) -> str:
    closest = answer.closest
    assert closest is not None
    goal = answer.goal.got
    if answer.untimed:
        return f"the cells that got {goal} have no step time to rank them by"
    if answer.diverged:
        return f"every start of every cell diverged, so none got {goal}; {_budget(answer, closest)}"
    return (f"no batch size and schedule got {goal} in half of the starts; closest was "
            f"{cell_words(closest, answer)} ({closest.hits} of {closest.lanes} starts); {_budget(answer, closest)}")


def _after(time: Estimate, measure: str) -> str:
    if time.value == 0:
        return "at its start, before any step"
    if measure == "examples":
        return f"after {number(time.value)} examples (no step times)"
    return f"in {seconds_words(time)}"


def _budget(answer: Answer, cell: Standing) -> str:
    text = f"budget {number(answer.budget_epochs)} epochs ({number(answer.budget_steps)} steps)"
    if cell.schedule == "constant":
        return text
    share = "all of it" if cell.horizon >= 1 else f"the first {100 * cell.horizon:g} %"
    return f"{text}, decay over {share}"


def _few(starts: int, ratios: int) -> str:
    """What too few starts cost: intervals that hold, or, of so many ratios at once, any.

    >>> _few(8, 24), _few(8, 1)
    (', and ratios of so many cells at once have intervals from 10 on', '')
    """
    if starts < FEWEST:
        return NARROW
    needed = fewest_pairs(max(ratios, 1))
    return f", and ratios of so many cells at once have intervals from {needed} on" if starts < needed else ""


def _remarks(answer: Answer, winner: Standing) -> list[str]:
    remarks = []
    if winner.lanes < ENOUGH:
        remarks.append(f"Only {winner.lanes} starts were reported: a claim takes {ENOUGH}"
                       f"{_few(winner.lanes, len(answer.ratios))}.")
    if answer.optimism >= WORTH_A_WORD:
        remarks.append(f"Being the soonest of {len(answer.ratios) + 1} cells on these starts makes its time look about "
                       f"{100 * answer.optimism:.0f} % shorter than it is.")
    if answer.not_told_apart:
        names = [cell_words(cell, answer) for cell in answer.not_told_apart[:_LISTED]]
        more = len(answer.not_told_apart) - len(names)
        remarks.append(f"Not told apart from the winner: {'; '.join(names)}{f'; and {more} more' if more else ''}.")
    elif 1 < answer.ratio.value < answer.mark_ratio:
        remarks.append(f"The two are closer than the marks around the winner's hits (in the median a factor "
                       f"{number(answer.mark_ratio, 2)} apart), so their order rests on interpolation between marks.")
    if answer.batched_winner is not None:
        batched = answer.batched_winner
        remarks.append(f"As one lane of a sweep (batched) the soonest is {cell_words(batched, answer)}: "
                       f"{seconds_words(batched.time)} per lane.")
    if answer.untimed:
        remarks.append(f"Not ranked, for want of step times: {len(answer.untimed)} cells.")
    if winner.edge_of_grid:
        remarks.append("The winner's rate is at the edge of its grid: a wider grid may find a better one.")
    return remarks


def ratio_words(ratio: Estimate, times: str = "times") -> str:
    """A ratio with its interval: "1.30 times as long [1.20, 1.45]"; a dash where there is none."""
    value, low, high = (number(part) if math.isinf(part) or part >= 100 else f"{part:.2f}" for part in ratio)
    return "–" if math.isnan(ratio.value) else f"{value} {times} [{low}, {high}]"
