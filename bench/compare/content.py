"""What a comparison says: the one sentence, what to know beside it, and the rows of the page's tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.analysis.intervals import Estimate
from bench.analysis.parity import AGREE, DIFFER, EQUAL, UNKNOWN
from bench.analysis.sides import Pair, Side
from bench.analysis.verdicts import FASTER, NOISY, SAME, SLOWER
from bench.analysis.versus import TO_TARGET, Versus
from bench.analysis.words import number, schedule_label, seconds_number
from bench.compare.differences import differences
from bench.compare.words import LABELS, count_words, faster_words, interval_words, times
from bench.report.content import command, facts, progress

Row = Sequence[str]
CELLS = ["problem", "optimizer", "batch size", "schedule", "target", "of", "A", "B", "B is", "p after Holm", "verdict",
         "note"]
PARITY = ["problem", "optimizer", "batch size", "schedule", "target", "final loss A", "final loss B",
          "change (initial gaps)", "steps A / B [95 % interval]", "same setting", "parity"]
PAIR = "(cell, target) pair"
_LISTED = 40  # cells named one by one
_WORST = (DIFFER, UNKNOWN, AGREE, EQUAL)
_NO_SPEED = {DIFFER: "of other losses or steps", UNKNOWN: "of too few starts to know whether losses and steps agree"}


@dataclass(frozen=True)
class Sentences:
    """What is said: the headline, and remarks that it needs."""

    headline: str
    remarks: list[str]


def sentences(pair: Pair, found: Versus, parity: pd.DataFrame) -> Sentences:
    """The one sentence on seconds to target of one training, and the remarks: noise, losses, cells on one side."""
    return Sentences(_headline(found), _remarks(pair, found, parity))


def content(pair: Pair, found: Versus, parity: pd.DataFrame) -> dict[str, object]:
    """Everything that the page says in words."""
    said = sentences(pair, found, parity)
    return {
        "a": _side(pair.a), "b": _side(pair.b), "headline": said.headline, "remarks": said.remarks,
        "differences": differences(pair.a.run, pair.b.run),
        "overall": [[LABELS[str(row["quantity"])], faster_words(row), str(row["verdict"]) or "–", str(row["cells"]),
                     *(str(row[name]) for name in (FASTER, SLOWER, SAME, NOISY))]
                    for _, row in found.overall.iterrows()],
        "cells_header": CELLS, "cells": [_cell_row(row) for _, row in found.cells.iterrows()],
        "parity_header": PARITY,
        "parity": [_parity_row(row) for _, row in parity.sort_values("parity", key=_worst_first).iterrows()],
        "only": [(side, names[:_LISTED], len(names)) for side, names in zip("AB", pair.only, strict=True)]}


def _headline(found: Versus) -> str:
    rows = found.overall[found.overall["quantity"] == TO_TARGET[0]]
    if rows.empty or not int(rows["cells"].iloc[0]):
        return ("No cell reaches its target on both sides with losses known to be the same: there is no speed to tell "
                "of.")
    row = rows.iloc[0]
    beside = [f"{row[word]} {word}" for word in (SLOWER if row["ratio"] >= 1 else FASTER,) if row[word]]
    over = f"geometric mean over {count_words(row['cells'], 'cell')}{''.join(f'; {each}' for each in beside)}"
    if row["verdict"] in (FASTER, SLOWER):
        words = faster_words(row).replace(" faster", "", 1).replace(" slower", "", 1)
        return f"B reaches the target {words} {'sooner' if row['verdict'] == FASTER else 'later'} than A ({over})."
    start = "No difference seen" if row["verdict"] == SAME else "Too noisy to tell"
    ratio = times(row["ratio"]) + interval_words(row["low"], row["high"])
    return f"{start}: B reaches the target {ratio} as soon as A ({over})."


def _remarks(pair: Pair, found: Versus, parity: pd.DataFrame) -> list[str]:
    noise = found.noise
    remarks = [
        f"Noise between processes: a change below {100 * noise.floor:.1f} % means nothing here (measured on "
        f"{noise.programs} programs run again in fresh processes)." if noise.measured else
        "Noise between processes was measured in neither run: changes below "
        f"{100 * noise.floor:.0f} % are not told."]
    counts = parity["parity"].value_counts()
    said = ", ".join(f"{counts[word]} {word}" for word in _WORST[::-1] if word in counts)
    remarks.append(f"Losses and steps to target of {count_words(len(parity), PAIR)}: {said}.")
    remarks += [f"No verdict on seconds to target: {count_words(counts[word], PAIR)} {why}, see parity.csv."
                for word, why in _NO_SPEED.items() if word in counts]
    remarks += [f"Only {side} reaches the target in half of its starts: {_counted(names, PAIR)}"
                for side, names in zip("AB", _reached_alone(parity), strict=True) if names]
    remarks += [f"Only in {side}: {_counted(names, 'cell')}"
                for side, names in zip("AB", pair.only, strict=True) if names]
    return remarks


def _reached_alone(parity: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Cells and targets with a median on one side only, A's and B's: no ratio of theirs is in a geometric mean."""
    a, b = (parity[f"steps_{end}"].to_numpy(float) for end in ("a", "b"))
    names = np.array([f"{row['problem']}, {row['optimizer']}, batch {row['batch_size']}, {row['schedule']}, "
                      f"{row['goal']}" for _, row in parity.iterrows()], object)
    return list(names[np.isfinite(a) & np.isinf(b)]), list(names[np.isinf(a) & np.isfinite(b)])


def _counted(names: Sequence[str], noun: str) -> str:
    return f"{count_words(len(names), noun)}, {'; '.join(names[:3])}{'; …' if names[3:] else '.'}"


def _side(side: Side) -> dict[str, object]:
    return {"name": side.name, "device": side.device, "progress": progress(side.tables), "command": command(side.run),
            "facts": facts(side.run)}


def _cell_row(row: pd.Series) -> list[tuple[str, str]]:
    shown = [str(row["problem"]), str(row["optimizer"]), str(row["batch_size"]), schedule_label(str(row["schedule"])),
             str(row["goal"]), LABELS[str(row["quantity"])], seconds_number(float(row["value_a"])),
             seconds_number(float(row["value_b"])), faster_words(row), number(float(row["p_holm"])),
             str(row["verdict"]) or "–", str(row["note"])]
    keys = {"batch_size": 2, "value_a": 6, "value_b": 7, "ratio": 8, "p_holm": 9}
    ordered = list(shown)
    for name, place in keys.items():
        ordered[place] = _sort_key(float(row[name]))
    return list(zip(shown, ordered, strict=True))


def _parity_row(row: pd.Series) -> Row:
    ratio = Estimate(float(row["steps_ratio"]), float(row["steps_low"]), float(row["steps_high"]))
    steps = "–" if math.isnan(ratio.value) else f"{number(ratio.value)} [{number(ratio.low)}, {number(ratio.high)}]"
    return [str(row["problem"]), str(row["optimizer"]), str(row["batch_size"]), schedule_label(str(row["schedule"])),
            str(row["goal"]), number(float(row["final_loss_a"]), 6), number(float(row["final_loss_b"]), 6),
            number(float(row["loss_change"])), steps, "yes" if row["same_setting"] else "no", str(row["parity"])]


def _worst_first(parity: pd.Series) -> pd.Series:
    return parity.map({word: place for place, word in enumerate(_WORST)})


def _sort_key(value: float) -> str:
    return "1e999" if not math.isfinite(value) else repr(value)  # JavaScript reads 1e999 as Infinity: sorted last
