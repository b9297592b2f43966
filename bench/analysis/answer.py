"""The answer: which batch size and schedule reaches the target soonest, and how sure that is.

The headline target of a problem is its smallest target that at least one cell reaches in at least half of its starts.
Cells that reach a target in at least half of their starts are ranked by their median seconds to train once (solo); the
first is the winner, the second the runner-up. A cell whose ratio to the winner has an interval that includes 1 is not
told apart from it; the intervals of all cells of a problem hold at once, since any of them may be the soonest in truth.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import pandas as pd

from bench.analysis.goals import Goal
from bench.analysis.intervals import NOTHING, Estimate
from bench.analysis.ranking import Compared, Ratios, Standing, measure_of, rank, reached, standing
from bench.analysis.reported import Reported
from bench.analysis.timing import Times
from bench.tables import Tables
from bench.target_on import LOSS


@dataclass(frozen=True)
class Answer:
    """The answer for one problem, device and target; `winner` is None where no cell reached it in half of its starts.

    Args:
        headline: this is the problem's headline target.
        measure: what was ranked by: "seconds_solo", or "examples" where no step was timed.
        closest: the cell that came nearest, where there is no winner.
        ratio: how many times as long the runner-up takes, with its interval.
        ratios: the same of every other cell, soonest first (headline only: each costs a bootstrap of its own).
        optimism: share by which the winner's time looks too short for being chosen on these starts (headline only).
        diverged: every start of every cell diverged, none of them after it had reached the target.
        batched_winner: the soonest cell by seconds per lane of a sweep, where it is not the winner.
        untimed: cells that reached the target but have no step time, so that they could not be ranked.
        mark_ratio: how far apart the marks around the winner's hits are, in the median.
        budget_steps, budget_epochs: of the winner, or of the closest.
        finished, failed, cells: finished, failed (or out of memory) and expected cells of the problem.
    """

    problem: str
    device: str
    target: float = math.nan
    gap: float = math.nan
    target_on: str = LOSS
    headline: bool = True
    measure: str = "seconds_solo"
    winner: Standing | None = None
    closest: Standing | None = None
    runner_up: Standing | None = None
    ratio: Estimate = NOTHING
    ratios: tuple[tuple[Standing, Compared], ...] = field(default=(), repr=False)
    optimism: float = math.nan
    diverged: bool = False
    batched_winner: Standing | None = None
    untimed: tuple[Standing, ...] = ()
    mark_ratio: float = math.nan
    budget_steps: float = math.nan
    budget_epochs: float = math.nan
    problem_examples: int = 1
    several_optimizers: bool = False
    finished: int = 0
    failed: int = 0
    cells: int = 0

    @property
    def goal(self) -> Goal:
        """The target in words."""
        return Goal(self.target, self.gap, self.target_on)

    @property
    def not_told_apart(self) -> tuple[Standing, ...]:
        """Cells whose ratio to the winner has an interval that includes 1, soonest first."""
        return tuple(cell for cell, (ratio, *_) in self.ratios if ratio.low <= 1 <= ratio.high)


def answers(tables: Tables, summary: pd.DataFrame, *, reported: Reported | None = None,
            times: Times | None = None) -> list[Answer]:
    """Answers for every (problem, device, target), hardest target last; one of each (problem, device) is the headline.

    A problem without a summary row has one answer with nothing in it, so that it can't go unmentioned.

    Args:
        tables: of one run folder.
        summary: `summarise(tables)`.
        reported, times: of the same tables, where the caller has them.
    """
    ratios = Ratios(Reported(tables) if reported is None else reported,
                    Times(tables.timing) if times is None else times)
    found = []
    for (problem, _), rows in summary.groupby(["problem", "device"], sort=True):
        headline, count = headline_target(rows), _statuses(tables.run, str(problem))
        for target in sorted(rows["target"].unique(), reverse=True):
            found.append(_answer(rows[rows["target"] == target], target == headline, count, ratios))
    named = {answer.problem for answer in found}
    device = str(tables.run.get("device") or "")
    missing = [name for name in problem_names(tables.run) if name not in named]
    return found + [_counted(Answer(name, device), _statuses(tables.run, name)) for name in missing]


def headlines(every: Iterable[Answer]) -> list[Answer]:
    """The headline answers, one per (problem, device)."""
    return [answer for answer in every if answer.headline]


def headline_target(rows: pd.DataFrame) -> float:
    """The smallest target that some cell reaches in at least half of its starts; the largest one if there is none."""
    targets = reached(rows)["target"]
    return float(targets.min()) if len(targets) else float(rows["target"].max())


def cells_of(run: Mapping[str, object]) -> list[Mapping[str, object]]:
    """The expected cells of a run, from its manifest."""
    cells = run.get("cells")
    return [cell for cell in cells if isinstance(cell, Mapping)] if isinstance(cells, list) else []


def cell_counts(run: Mapping[str, object], problem: str | None = None) -> tuple[int, int]:
    """(finished, expected) cells of a problem, or of the whole run."""
    statuses = _statuses(run, problem)
    return statuses["finished"], statuses.total()


def _statuses(run: Mapping[str, object], problem: str | None) -> Counter[str]:
    return Counter(str(cell.get("status")) for cell in cells_of(run) if problem in (None, cell.get("problem")))


def problem_names(run: Mapping[str, object]) -> list[str]:
    """Problems that the manifest names, in its order."""
    problems = run.get("problems")
    listed = [str(name) for name in problems] if isinstance(problems, Mapping) else []
    return list(dict.fromkeys(listed + [str(cell.get("problem")) for cell in cells_of(run)]))


def _counted(answer: Answer, statuses: Counter[str]) -> Answer:
    return replace(answer, finished=statuses["finished"], failed=statuses["failed"] + statuses["oom"],
                   cells=statuses.total())


def _answer(rows: pd.DataFrame, headline: bool, statuses: Counter[str], ratios: Ratios) -> Answer:
    measure = measure_of(rows)
    order = rank(reached(rows), measure)
    timed = order[order[f"{measure}_median"].notna()]
    untimed = order[order[f"{measure}_median"].isna()]
    lead = timed.iloc[0] if len(timed) else rank(rows, measure).iloc[0]
    common = _counted(Answer(
        problem=str(lead["problem"]), device=str(lead["device"]), target=float(lead["target"]), gap=float(lead["gap"]),
        target_on=str(lead.get("target_on", LOSS)),
        headline=headline, measure=measure, untimed=tuple(standing(row, measure) for _, row in untimed.iterrows()),
        budget_steps=float(lead["budget_steps"]), budget_epochs=float(lead["budget_epochs"]),
        problem_examples=int(lead["problem_examples"]), several_optimizers=rows["optimizer"].nunique() > 1,
        diverged=bool(((rows["diverged"] == rows["lanes"]) & (rows["hits"] == 0)).all())), statuses)
    if timed.empty:
        return replace(common, closest=standing(lead, measure))
    others = timed.iloc[1:] if headline else timed.iloc[1:2]
    compared = tuple((standing(row, measure), ratios.between(row, lead, measure, comparisons=len(timed) - 1))
                     for _, row in others.iterrows())
    return replace(common, winner=standing(lead, measure), runner_up=compared[0][0] if compared else None,
                 ratio=compared[0][1].ratio if compared else NOTHING, ratios=compared if headline else (),
                 optimism=ratios.optimism(timed, measure) if headline else math.nan,
                 batched_winner=_batched_winner(order, lead), mark_ratio=ratios.mark_ratio(lead))


def _batched_winner(order: pd.DataFrame, solo: pd.Series) -> Standing | None:
    timed = order[order["seconds_batched_median"].notna()]
    if timed.empty:
        return None
    first = rank(timed, "seconds_batched").iloc[0]
    return None if first.name == solo.name else standing(first, "seconds_batched")
