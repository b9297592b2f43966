"""Verdicts told apart without colour: a symbol and a word each, and the table of them for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

_ROOMY = 100  # columns from which the figure has room beside the verdict


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
        >>> Console(width=40, no_color=True).print(VerdictTable([Judged(3, "noise-floor", "holds", "1.02×")]))
         3  noise-floor  ✓ holds
    """

    def __init__(self, rows: Sequence[Judged]) -> None:
        self.rows = rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        roomy = options.max_width >= _ROOMY
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
        table.add_column(justify="right", no_wrap=True, width=2)
        table.add_column(no_wrap=True, overflow="ellipsis", max_width=max(options.max_width - 25, 6))
        table.add_column(no_wrap=True)
        if roomy:
            table.add_column(no_wrap=True, overflow="ellipsis")
        for row in self.rows:
            look = LOOKS[row.verdict]
            cells = [Text(str(row.number)), Text(row.name), Text(f"{look.symbol} {row.verdict}", style=look.colour)]
            table.add_row(*cells, *([Text(row.figure)] if roomy else []))
        yield table
