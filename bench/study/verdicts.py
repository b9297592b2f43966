"""Verdicts told apart without colour: a symbol and a word each, and the table of them for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

_NUMBER, _VERDICT, _GAP = 2, 19, 2  # columns of a terminal
_FIXED = _NUMBER + _GAP + _VERDICT + _GAP  # all but the name
_ROOMY = 30  # columns that are left, from which the figure is worth its room


class Look(NamedTuple):
    """How a verdict is shown: its symbol, its class in the page, its colour on a terminal."""

    symbol: str
    css: str
    colour: str


LOOKS = {
    "holds": Look("✓", "holds", "bold blue"),
    "holds with limits": Look("◐", "limits", "bold yellow"),
    "does not hold": Look("✗", "fails", "bold red"),
    "failed": Look("!", "missing", "magenta"),
    "not run yet": Look("…", "missing", "bright_black"),
}


@dataclass(frozen=True)
class Judged:
    """One line of the terminal's table."""

    number: int
    name: str
    verdict: str
    figure: str


class VerdictTable:
    """A line for each claim that fits any width: the name is cut first, the figure is shown where there is room.

    Example:
        >>> from rich.console import Console
        >>> table = VerdictTable([Judged(3, "noise floor", "holds", "1.02×")])
        >>> Console(width=40, no_color=True).print(table)  # doctest: +NORMALIZE_WHITESPACE
        3  noise floor  ✓ holds
    """

    def __init__(self, rows: Sequence[Judged]) -> None:
        self.rows = rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        name = min(max((len(row.name) for row in self.rows), default=1), max(options.max_width - _FIXED, 6))
        room = options.max_width - _FIXED - name - _GAP
        table = Table(box=None, show_header=False, padding=(0, _GAP, 0, 0), pad_edge=False)
        table.add_column(justify="right", width=_NUMBER)
        for width in (name, _VERDICT):
            table.add_column(no_wrap=True, overflow="ellipsis", width=width)
        if room >= _ROOMY:
            table.add_column(no_wrap=True, overflow="ellipsis", max_width=room)
        for row in self.rows:
            look = LOOKS[row.verdict]
            cells = [Text(str(row.number)), Text(row.name), Text(f"{look.symbol} {row.verdict}", style=look.colour)]
            table.add_row(*cells, *([Text(row.figure)] if room >= _ROOMY else []))
        yield table
