"""Tables that figures draw and that lie beside the report: shares of starts, of lanes and of cases."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from bench.analysis.ecdf import ecdf_table
from bench.analysis.noise_along import Key
from bench.analysis.profile import profile_tables
from bench.analysis.rates import rate_table
from bench.analysis.reported import Reported
from bench.analysis.waiting import waiting_table
from bench.tables import Tables


@dataclass(frozen=True)
class Shares:
    """`ecdf_table`, `waiting_table`, `rate_table` and `profile_tables` of a run."""

    ecdf: pd.DataFrame
    waiting: pd.DataFrame
    rates: pd.DataFrame
    profile: pd.DataFrame

    @classmethod
    def of(cls, tables: Tables, reported: Reported, summary: pd.DataFrame, shown: pd.DataFrame) -> Shares:
        """Those of a run: rates and profiles of all cells, the curves, which are long, of those that figures show.

        Args:
            tables, reported: of the run.
            summary: `summarise(tables)`.
            shown: the rows of it that are to be drawn.
        """
        return cls(ecdf_table(reported, shown), waiting_table(reported, shown), rate_table(tables),
                   profile_tables(reported, summary[summary["lanes"] > 0]))

    @property
    def frames(self) -> dict[str, pd.DataFrame]:
        """File name -> table."""
        return {f"{name}.csv": table for name, table in vars(self).items()}


def of_group(rows: pd.DataFrame, group: Key) -> pd.DataFrame:
    """The rows of one (problem, optimizer, device)."""
    problem, optimizer, device = group
    return rows[(rows["problem"] == problem) & (rows["optimizer"] == optimizer) & (rows["device"] == device)]


def tuned_at(rates: pd.DataFrame, rows: pd.DataFrame, target: float) -> pd.DataFrame:
    """The rows of a rate table at a target, of the batch sizes and schedules that are drawn."""
    return rates[(rates["target"] == target) & rates["schedule"].isin(rows["schedule"])
                 & rates["batch_size"].isin(rows["batch_size"])]
