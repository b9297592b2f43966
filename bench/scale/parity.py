"""Loss parity of two scaling runs: whether their steps do the same to the loss, before either is told to be faster."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from bench.analysis.parity import AGREE, DIFFER, EQUAL, LOSS_CHANGE, initial_gap, loss_change, median_change
from bench.analysis.words import batch_words, number
from bench.compare.words import count_words

LOSSES = "final_losses"  # column of a scaling run's table, which older ones lack
UNKNOWN = "not measured"
COLUMNS = ["batch_size", "final_loss_a", "final_loss_b", "loss_change", "parity"]


def with_parity(found: pd.DataFrame, a: pd.DataFrame, b: pd.DataFrame, facts: Mapping[str, object]) -> pd.DataFrame:
    """The crossover map with the loss parity of its batch sizes beside it, and no verdict where losses differ.

    loss_change is the median over the same starts of (B − A), as a share of the initial gap f₀ − f* (of the loss of A
    where f* is not known); losses differ where it is more than 1e-4, as in `bench.analysis.parity`.

    Args:
        found: `crossover.ratios`.
        a, b: tables of the two scaling runs.
        facts: of the problem: initial_loss and optimum.
    """
    (before, after), gap = (_losses(a), _losses(b)), initial_gap(facts)
    rows = [_row(size, before.get(size), after.get(size), gap) for size in map(int, found["batch_size"].unique())]
    both = found.merge(pd.DataFrame(rows, columns=COLUMNS), on="batch_size")
    return both.assign(verdict=both["verdict"].where(both["parity"] != DIFFER, ""))


def sentences(found: pd.DataFrame, facts: Mapping[str, object]) -> list[str]:
    """What to know of the losses beside the speed-up.

    Args:
        found: `with_parity`.
        facts: of the problem: examples, initial_loss and optimum.
    """
    of = "the loss of A" if math.isnan(initial_gap(facts)) else "the initial gap"
    sizes = found.drop_duplicates("batch_size")
    counts = sizes["parity"].value_counts()
    said = ", ".join(f"{counts[word]} {word}" for word in (EQUAL, AGREE, DIFFER, UNKNOWN) if word in counts)
    lines = [f"Losses after the same steps of the same starts, at {count_words(len(sizes), 'batch size')}: {said}."]
    for _, row in sizes[sizes["parity"] == DIFFER].iterrows():
        where = batch_words(int(row["batch_size"]), int(str(facts["examples"])))
        lines.append(f"No verdict at {where}: final losses differ by {number(float(row['loss_change']))} of {of} (up "
                     f"to {number(LOSS_CHANGE)} is rounding), so a step does not do the same work.")
    return lines


def _losses(table: pd.DataFrame) -> dict[int, np.ndarray]:
    """Batch size -> final losses of its starts, where they were measured."""
    if LOSSES not in table:
        return {}
    known = table.dropna(subset=[LOSSES])
    return {int(size): np.asarray(losses, float)
            for size, losses in zip(known["batch_size"], known[LOSSES], strict=True)}


def _row(size: int, a: np.ndarray | None, b: np.ndarray | None, gap: float) -> tuple[int, float, float, float, str]:
    if a is None or b is None or len(a) != len(b):
        return size, math.nan, math.nan, math.nan, UNKNOWN
    change = median_change(loss_change(a, b, gap))
    differ = not abs(change) <= LOSS_CHANGE
    parity = EQUAL if np.array_equal(a, b) else DIFFER if differ else AGREE
    return size, float(np.median(a)), float(np.median(b)), change, parity
