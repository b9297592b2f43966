"""Loss parity on tables whose truth is known: what few starts can't tell, and a start that diverged on one side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bench.analysis.parity import AGREE, DIFFER, EQUAL, UNKNOWN, parity_table
from bench.analysis.sides import Pair, Side
from bench.analysis.verdicts import FASTER, NOISY
from bench.analysis.versus import TO_TARGET, versus
from bench.compare.content import sentences
from bench.tables import Tables
from tests.bench import tiny


def run(name: str, starts: int, *, cells: int = 1, loss: float = 1.05, steps: float = 20.0, solo: float = 0.01,
        spread: float = 0.0, diverged: Sequence[int] = (), optimum: bool = True) -> Tables:
    """Cells whose starts all have this loss and these steps, but for a log-normal spread of their own on each side."""
    random = np.random.default_rng([len(name), ord(name[0])])

    def varied(value: float) -> list[float]:
        return list(value * np.exp(spread * random.normal(size=starts)))

    made = tiny.tables([tiny.cell(10, f"s{place}", varied(steps), final=varied(loss), diverged=diverged)
                        for place in range(cells)],
                       [tiny.timing(10, list(solo * np.exp(0.01 * random.normal(size=10))), [0.001] * 10)])
    problem = {"examples": 100} | ({"optimum": 1.0, "initial_loss": 2.0} if optimum else {})
    return replace(made, run=tiny.RUN | {"started": name, "problems": {"p": problem}})


def parities(a: Tables, b: Tables) -> pd.DataFrame:
    return parity_table(Pair(Side("a", a), Side("b", b)))


@pytest.mark.parametrize(("starts", "cells", "parity"), [
    (5, 1, UNKNOWN),  # no p at all
    (6, 1, DIFFER),  # 2⁻⁵
    (6, 2, UNKNOWN),  # 2 · 2⁻⁵ is above 5 %
    (7, 2, DIFFER),
])
def test_what_no_test_of_so_few_starts_can_tell_is_not_known(starts: int, cells: int, parity: str) -> None:
    """Every loss is five times as far from the optimum, every hit twice as soon: "agree" was told, and a speed-up."""
    found = parities(run("a", starts, cells=cells), run("b", starts, cells=cells, loss=1.25, steps=10.0))
    assert found["parity"].tolist() == [parity] * cells


def test_where_parity_is_not_known_there_is_no_verdict_on_seconds_to_target() -> None:
    pair = Pair(Side("a", run("a", 5)), Side("b", run("b", 5, loss=1.25, steps=10.0)))
    parity = parity_table(pair)
    found = versus(pair, parity)
    to_target = found.cells[found.cells["quantity"].isin(TO_TARGET)]
    assert to_target["verdict"].tolist() == ["", ""]
    assert set(to_target["note"]) == {"too few starts to know whether losses and steps agree"}
    said = sentences(pair, found, parity)
    assert said.headline.startswith("No cell reaches its target on both sides with losses known to be the same")
    assert "Losses and steps to target of 1 (cell, target) pair: 1 not known." in said.remarks
    assert ("No verdict on seconds to target: 1 (cell, target) pair of too few starts to know whether losses and steps "
            "agree, see parity.csv.") in said.remarks


def test_what_is_small_agrees_and_what_goes_both_ways_only_where_a_test_could_have_told() -> None:
    assert parities(run("a", 3), run("b", 3, loss=1.05 * (1 + 1e-6)))["parity"].tolist() == [AGREE]
    assert parities(run("a", 16, spread=0.1), run("b", 16, spread=0.1))["parity"].tolist() == [AGREE]
    few = parities(run("a", 6, cells=2, spread=0.1), run("b", 6, cells=2, spread=0.1))
    assert few["parity"].tolist() == [UNKNOWN, UNKNOWN]


def test_runs_without_a_common_start_are_not_equal() -> None:
    a, b = run("a", 8), run("b", 8)
    moved = replace(b, lanes=b.lanes.assign(start=b.lanes["start"] + 100),
                    hits=b.hits.assign(start=b.hits["start"] + 100))
    assert parities(a, b)["parity"].tolist() == [EQUAL]
    assert parities(a, moved)["parity"].tolist() == [UNKNOWN]


@pytest.mark.parametrize(("starts", "word"), [(5, NOISY), (6, FASTER)])
def test_starts_are_samples_too(starts: int, word: str) -> None:
    """Losses and steps are equal, a step takes half as long in ten repeats: "faster" was told of a single start."""
    pair = Pair(Side("a", run("a", starts)), Side("b", run("b", starts, solo=0.005)))
    row = versus(pair, parity_table(pair)).cells.set_index("quantity").loc["seconds_solo"]
    assert row[["verdict", "samples_a", "samples_b"]].tolist() == [word, starts, starts]
    assert ("too few samples" in row["note"]) == (word == NOISY)


def test_losses_of_one_setting_are_one_hypothesis_however_many_targets_it_has() -> None:
    def twice(made: Tables) -> Tables:
        both = {name: pd.concat([table, table.assign(target=1.08, gap=0.08)], ignore_index=True)
                for name, table in (("hits", made.hits), ("chosen", made.chosen))}
        return replace(made, **both)

    found = parities(twice(run("a", 6)), twice(run("b", 6, loss=1.25)))
    assert found["p_loss"].tolist() == [2**-5, 2**-5]
    assert found["parity"].tolist() == [DIFFER, DIFFER]


@pytest.mark.parametrize("optimum", [True, False])
def test_a_start_that_diverged_on_one_side_hides_no_difference(optimum: bool) -> None:
    """A's losses are a tenth of B's but for one that is infinite: no p was told where the optimum is not known."""
    lost = run("a", 16, loss=2.0, diverged=[0], optimum=optimum)
    worse = run("b", 16, loss=20.0, optimum=optimum)
    for sides, change in (((lost, worse), 18.0), ((worse, lost), -18.0)):
        row = parities(*sides).iloc[0]
        assert row["parity"] == DIFFER and row["p_loss"] < 0.01
        # of the initial gap, 1, or of A's own loss
        assert row["loss_change"] == pytest.approx(change / (1 if optimum else 2 if change > 0 else 20))
    assert parities(lost, lost)["parity"].tolist() == [EQUAL]
