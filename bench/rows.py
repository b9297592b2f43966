"""Rows on a terminal: a table where it is wide enough, else the cells of a row below each other; none is cut."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

FOLDED = 12  # characters: no column is folded to fewer
GAP = 2


class Rows:
    """A table that fits any width without loss.

    Args:
        headings: of the columns.
        rows: their cells.
        right: headings of columns of numbers.
        title, caption: above and below it.

    Example:
        >>> rows = Rows(["commit", "headline"], [["abcdef0", "600 ms"]])
        >>> Console(width=40).print(rows)  # doctest: +NORMALIZE_WHITESPACE
        commit   headline
        abcdef0  600 ms
        >>> Console(width=16).print(rows)  # doctest: +NORMALIZE_WHITESPACE
        commit    abcdef
                  0
        headline  600 ms
    """

    def __init__(self, headings: Sequence[str], rows: Sequence[Sequence[str | Text]], *, right: Collection[str] = (),
                 title: str | None = None, caption: str | None = None) -> None:
        self.headings, self.rows, self.right = headings, rows, right
        self.title, self.caption = title, caption

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._table() if self._narrowest() <= options.max_width else self._list()

    def _narrowest(self) -> int:
        columns = zip(self.headings, *self.rows, strict=True)
        widths = [max(cell_len(str(cell)) for cell in cells) for cells in columns]
        return sum(min(width, FOLDED) for width in widths) + GAP * (len(widths) - 1)

    def _table(self) -> Table:
        table = self._bare(show_header=True)
        for heading in self.headings:
            table.add_column(heading, justify="right" if heading in self.right else "left", overflow="fold")
        for row in self.rows:
            table.add_row(*row)
        return table

    def _list(self) -> Table:
        table = self._bare(show_header=False)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for place, row in enumerate(self.rows):
            if place:
                table.add_row()
            for heading, cell in zip(self.headings, row, strict=True):
                table.add_row(heading, cell)
        return table

    def _bare(self, show_header: bool) -> Table:
        return Table(box=None, show_header=show_header, pad_edge=False, padding=(0, GAP, 0, 0), title=self.title,
                     title_justify="left", caption=self.caption, caption_justify="left")
