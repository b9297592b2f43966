"""The comparison on a terminal: one line for each quantity."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from bench.analysis.verdicts import FASTER, NOISY, SAME, SLOWER, VERDICTS
from bench.analysis.versus import Versus
from bench.compare.words import LABELS, faster_words

_STYLES = {FASTER: "bold blue", SLOWER: "bold red", SAME: "", NOISY: "yellow"}


def overall_table(found: Versus) -> Table:
    """Quantity, how B stands to A over all cells, the verdict, and how many single cells have the same one."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), title="B against A (geometric mean over cells)",
                  title_justify="left")
    for name in ("", "B is", "verdict", "cells"):
        table.add_column(name, no_wrap=True)
    for _, row in found.overall.iterrows():
        word, counts = str(row["verdict"]), [int(row[name]) for name in VERDICTS]
        table.add_row(LABELS[str(row["quantity"])], faster_words(row), Text(word or "–", style=_STYLES.get(word, "")),
                      f"{row[word]} of {sum(counts)}" if word else "–")
    return table
