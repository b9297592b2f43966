"""A scaling run in words: the share of the ceilings that each corner reaches, and where more lanes stop paying."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from rich.table import Table

from bench.analysis.throughput import knee
from bench.analysis.words import batch_label, batch_words, number, rounded, seconds_number
from bench.scale.corners import FINISHED, SKIPPED

_UNITS = ((1e9, " G"), (1e6, " M"), (1e3, " k"))


def shares(table: pd.DataFrame) -> Table:
    """Share of the nearer ceiling by lanes and batch size; why there is none where there is none."""
    examples = int(table["examples"].iloc[0])
    shown = Table(title="share of the nearer ceiling: m = matmul rate, c = copy rate", title_justify="left")
    shown.add_column("lanes", justify="right")
    sizes = sorted(int(size) for size in table["batch_size"].unique())
    for size in sizes:
        shown.add_column(f"batch {batch_label(size, examples)}", justify="right")
    cells = {(int(row["batch_size"]), int(row["lanes"])): row for _, row in table.iterrows()}
    for lanes in sorted(int(each) for each in table["lanes"].unique()):
        found = [cells.get((size, lanes)) for size in sizes]
        if any(row is not None and row["status"] != "skipped" for row in found):
            shown.add_row(f"{lanes:,}", *("" if row is None else share_words(row) for row in found))
    return shown


def share_words(row: pd.Series) -> str:
    """The larger share with the letter of its ceiling, or the status.

    >>> share_words(pd.Series({"status": "finished", "share": 0.25, "matmul_share": 0.25, "copy_share": 0.1}))
    '25 % m'
    """
    if row["status"] != FINISHED:
        return str(row["status"])
    share, matmul = float(row["share"]), float(row["matmul_share"])
    return f"{percent(share)} {'m' if share == matmul else 'c'}"


def percent(share: float) -> str:
    """A share as per cent, to two digits below a hundred.

    >>> percent(0.00034), percent(0.345), percent(1.2)
    ('0.034 %', '34 %', '120 %')
    """
    return f"{number(100 * share, 2 if share < 0.99 else 3)} %"


def short(count: float) -> str:
    """A large number to three digits: 12 k, 3.4 M, 1.2 G.

    >>> short(950), short(3.4e6), short(999_600)
    ('950', '3.4 M', '1 M')
    """
    scale, unit = next(((scale, unit) for scale, unit in _UNITS if rounded(count) >= scale), (1.0, ""))
    return f"{number(count / scale)}{unit}"


def sentences(table: pd.DataFrame, ceilings: Mapping[str, float]) -> list[str]:
    """What one run tells, in a few plain sentences.

    Args:
        table: of the run; at least one corner is finished.
        ceilings: matmul_flops, copy_bytes_s.
    """
    done = table[table["status"] == FINISHED]
    device, examples = str(table["device"].iloc[0]), int(table["examples"].iloc[0])
    parts, knees = [], []
    for size, rows in done.groupby("batch_size", sort=True):
        ordered = rows.sort_values("lanes")
        rates = ordered["lane_steps_per_s"].to_numpy(float)
        best = ordered.iloc[int(rates.argmax())]
        what = batch_words(int(str(size)), examples)
        parts.append(f"{what} {short(float(best['lane_steps_per_s']))} at {lanes_words(int(best['lanes']))} "
                     f"({_share(best)})")
        at = knee(ordered["lanes"].to_numpy(int), rates)
        knees.append(f"{what} {_until(at, len(rates))}")
    one = done[done["lanes"] == 1].sort_values("batch_size")
    lines = [f"ceilings of {device}: {number(ceilings['matmul_flops'] / 1e9)} GFLOP/s in float32 products, "
             f"{number(ceilings['copy_bytes_s'] / 1e9)} GB/s read and written"]
    if len(one):
        times = [seconds_number(float(one["step_s"].iloc[place])) for place in (0, -1)]
        lines.append(f"a step of one lane takes {' to '.join(dict.fromkeys(times))}.")
    lines += [f"most lane-steps per second: {'; '.join(parts)}.", f"throughput grows no more: {'; '.join(knees)}."]
    return lines + _lost(table)


def _until(at: int | None, counts: int) -> str:
    if at is None:
        return "still grew" if counts > 1 else "not known from one lane count"
    return f"from {lanes_words(at)} on"


def _share(row: pd.Series) -> str:
    name = "matmul" if float(row["share"]) == float(row["matmul_share"]) else "copy"
    return f"{percent(float(row['share']))} of the {name} ceiling"


def _lost(table: pd.DataFrame) -> list[str]:
    """What was not measured, and why: a line for the time limit, one for each batch size that ended otherwise."""
    lines, late = [], []
    for size, rows in table[table["status"] != FINISHED].groupby("batch_size", sort=True):
        first = rows.sort_values("lanes").iloc[0]
        where = f"batch {int(str(size)):,} from {lanes_words(int(first['lanes']))} on"
        if first["status"] == SKIPPED:
            late.append((where, str(first["note"])))
        else:
            lines.append(f"{where}: {first['status']} ({first['note']}).")
    if late:
        lines.append(f"not measured: {'; '.join(where for where, _ in late)} (the first: {late[0][1]}).")
    return lines


def lanes_words(lanes: int) -> str:
    """A number of lanes: "1 lane", "4,096 lanes"."""
    return f"{lanes:,} lane{'' if lanes == 1 else 's'}"
