"""The comparison on a terminal: one line for each quantity."""

from __future__ import annotations

from rich.text import Text

from bench.analysis.verdicts import FASTER, NOISY, SAME, SLOWER, VERDICTS
from bench.analysis.versus import Versus
from bench.compare.words import LABELS, faster_words
from bench.rows import Rows

_STYLES = {FASTER: "bold blue", SLOWER: "bold red", SAME: "", NOISY: "yellow"}


def overall_table(found: Versus) -> Rows:
    """Quantity, how B stands to A over all cells, the verdict, and how many single cells have the same one."""
    rows: list[list[str | Text]] = []
    for _, row in found.overall.iterrows():
        word, counts = str(row["verdict"]), [int(row[name]) for name in VERDICTS]
        rows.append([LABELS[str(row["quantity"])], faster_words(row), Text(word or "–", style=_STYLES.get(word, "")),
                     f"{row[word]} of {sum(counts)}" if word else "–"])
    return Rows(["", "B is", "verdict", "cells"], rows, title="B against A (geometric mean over cells)")
