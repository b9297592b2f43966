"""The winners of a run as a table for a paper, in LaTeX or in Markdown."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import pandas as pd

from bench.analysis.answer import Answer, answers
from bench.analysis.intervals import Estimate
from bench.analysis.ranking import Standing
from bench.analysis.reported import Reported
from bench.analysis.summary import summarise
from bench.analysis.timing import Times
from bench.analysis.words import batch_label, estimate_words, schedule_label, seconds_words
from bench.report import markdown
from bench.tables import Tables

COLUMNS = ["problem", "optimizer", "device", "target", "batch size", "schedule", "steps", "time, one training",
           "starts that hit"]
_SEVERAL = ["optimizer", "device"]  # shown only where there are several of them
_NONE = "–"
# what LaTeX's first fonts have not, or not at the place of the character
_SYMBOLS = {"∞": r"$\infty$", "−": "$-$", "–": "--", "µ": r"$\mu$", "<": "$<$", ">": "$>$", "|": "$|$"}


def winners_table(tables: Tables, style: str) -> str:
    """The table that `bench.table` gives.

    Args:
        tables: of one run folder.
        style: a key of STYLES.

    Raises:
        ValueError: an unknown style, or a study of claims.
    """
    if len(tables.claims):
        raise ValueError(f"table: a study of claims has no winners (got suite {tables.run.get('suite')!r}). "
                         "Give the folder of a run of cells.")
    if style not in STYLES:
        raise ValueError(f"style: unknown (got {style!r}). Choose one of: {', '.join(sorted(STYLES))}.")
    return STYLES[style](winners(tables))


def winners(tables: Tables) -> pd.DataFrame:
    """The winner of every (problem, device, target) as texts, a dash where no cell hit in half of its starts.

    Args:
        tables: of one run folder.

    Returns:
        columns `COLUMNS`, intervals of 95 % in square brackets; without optimizer and device where all are of one.
    """
    reported, times = Reported(tables), Times(tables.timing)
    summary = summarise(tables, reported=reported, times=times)
    found = [answer for answer in answers(tables, summary, reported=reported, times=times)
             if answer.winner or answer.closest]
    table = pd.DataFrame([_row(answer, summary) for answer in found], columns=COLUMNS, dtype="str")
    return table.drop(columns=[name for name in _SEVERAL if summary[name].nunique() < 2])


def latex(table: pd.DataFrame) -> str:
    """A table of texts as a LaTeX tabular with booktabs rules, its characters escaped.

    Example:
        >>> print(latex(pd.DataFrame({"loss": ["within 1 % of f_0"]})))
        \\begin{tabular}{l}
        \\toprule
        loss \\\\
        \\midrule
        within 1 \\% of f\\_0 \\\\
        \\bottomrule
        \\end{tabular}
        <BLANKLINE>
    """
    text = table.to_latex(index=False, escape=True, column_format="l" * table.shape[1])
    text = "".join(_SYMBOLS.get(character, character) for character in text)
    return re.sub(r"^\[", "{[}", text, flags=re.MULTILINE)  # after \\ or \midrule a bracket opens an argument


def _markdown(table: pd.DataFrame) -> str:
    return str(markdown.table(list(table.columns), table.to_numpy(str).tolist()))


STYLES: dict[str, Callable[[pd.DataFrame], str]] = {"latex": latex, "markdown": _markdown}


def _row(answer: Answer, summary: pd.DataFrame) -> Sequence[str]:
    name, goal = " ".join(answer.problem.split()), answer.goal.words
    cell = answer.winner
    if cell is None:
        return [name, _NONE, answer.device, goal, *[_NONE] * 5]
    row = _summary_row(answer, cell, summary)
    return [name, cell.optimizer, answer.device, goal,
            batch_label(cell.batch_size, answer.problem_examples), schedule_label(cell.schedule),
            estimate_words(_estimate(row, "steps")), seconds_words(_estimate(row, "seconds_solo")),
            f"{cell.hits} of {cell.lanes} ({100 * cell.hits / cell.lanes:.0f} %)"]


def _summary_row(answer: Answer, cell: Standing, summary: pd.DataFrame) -> pd.Series:
    wanted = {"problem": answer.problem, "device": answer.device, "target": answer.target,
              "optimizer": cell.optimizer, "batch_size": cell.batch_size, "schedule": cell.schedule}
    return summary[(summary[list(wanted)] == pd.Series(wanted)).all(axis=1)].iloc[0]


def _estimate(row: pd.Series, name: str) -> Estimate:
    return Estimate(*(float(row[f"{name}_{part}"]) for part in ("median", "low", "high")))
