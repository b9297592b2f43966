"""A comparison with peers in words: its table for a terminal, and what it says."""

from __future__ import annotations

import pandas as pd
from rich import box
from rich.table import Table

from bench.analysis.words import number, seconds_number


def table(rows: pd.DataFrame) -> Table:
    """Who took how long, and how many times as long as gdjax."""
    shown = Table(box=box.SIMPLE_HEAD, title="the same work: seconds, and how many times gdjax's", title_justify="left")
    shown.add_column("workload and peer")
    for heading in ("its time", "gdjax", "ratio", "goal"):
        shown.add_column(heading, justify="right", no_wrap=True)
    before = ""
    for _, row in rows.iterrows():
        if row["workload"] != before:
            before = str(row["workload"])
            shown.add_row(before)
        shown.add_row(f"  {row['peer']}", seconds_number(row["peer_s"]), seconds_number(row["gdjax_s"]),
                      ratio_words(row), "" if pd.isna(row["goal"]) else f"{row['goal']:g}")
    return shown


def ratio_words(row: pd.Series) -> str:
    """A ratio with its interval, to two digits or whole.

    >>> ratio_words(pd.Series({"ratio": 8.71, "ratio_low": 8.0, "ratio_high": 9.42}))
    '8.7 [8, 9.4]'
    """
    value, low, high = (f"{each:,.0f}" if each >= 100 else number(each, 2)
                        for each in (float(row[name]) for name in ("ratio", "ratio_low", "ratio_high")))
    return f"{value} [{low}, {high}]"


def sentences(rows: pd.DataFrame) -> list[str]:
    """How many goals are met, which are not, and who disagrees."""
    asked = rows[rows["goal"].notna()]
    short = asked[asked["ratio"] < asked["goal"]]
    said = [f"{len(asked) - len(short)} of {len(asked)} goals met."] if len(asked) else []
    said += [f"below its goal: {row['workload']}, {row['peer']}: {ratio_words(row)}, goal {row['goal']:g}"
             for _, row in short.iterrows()]
    return said + [f"warning: {row['workload']}, {row['peer']}: {row['trouble']}"
                   for _, row in rows[rows["trouble"] != ""].iterrows()]
