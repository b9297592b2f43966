"""What must hold of a group's tables before they are stored: statuses total the lanes, nothing undefined is counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas

STATUSES = ("diverged", "converged", "target", "stalled", "budget")
LANE = ["split", "lane"]  # what tells the lanes of a group apart
LOSSES = ("final_loss", "best_loss")


def check_tables(group: str, tables: Mapping[str, pandas.DataFrame]) -> None:
    """Refuse tables that contradict themselves; tables without the columns of lanes and hits are not looked at.

    Statuses total the number of lanes, each lane is there once; a loss is a number, +∞ only where the lane diverged;
    every lane has a row for every target, with steps exactly where it hit.

    Raises:
        ValueError: naming the table, what is wrong and how many rows.

    Example:
        >>> import pandas
        >>> check_tables("g", {"lanes": pandas.DataFrame({"lane": [0], "split": ["tuning"], "status": ["lost"]})})
        Traceback (most recent call last):
        ...
        ValueError: lanes of g: statuses must total the 1 lanes (got 0 with a known status). Report this as a fault.
    """
    lanes, hits = tables.get("lanes"), tables.get("hits")
    if lanes is None or not {*LANE, "status"} <= set(lanes):
        return
    _lanes(f"lanes of {group}", lanes)
    if hits is not None and {*LANE, "target", "hit", "steps"} <= set(hits):
        _hits(f"hits of {group}", lanes, hits)


def _lanes(where: str, lanes: pandas.DataFrame) -> None:
    counts = lanes["status"].value_counts()
    total = int(sum(counts.get(status, 0) for status in STATUSES))
    _require(total == len(lanes), where, f"statuses must total the {len(lanes):,} lanes",
             f"{total:,} with a known status")
    twice = int(lanes.duplicated(LANE).sum())
    _require(twice == 0, where, "each lane must be there once", f"{twice:,} again")
    for name in LOSSES:
        if name in lanes:
            undefined = int(lanes[name].isna().sum())
            _require(undefined == 0, where, f"{name} must be a number or +∞", f"{undefined:,} undefined")
    if "final_loss" in lanes:
        infinite = lanes["final_loss"].abs() == float("inf")
        wrong = int((infinite & (lanes["status"] != "diverged")).sum())
        _require(wrong == 0, where, "final_loss may be infinite only of a diverged lane", f"{wrong:,} others")


def _hits(where: str, lanes: pandas.DataFrame, hits: pandas.DataFrame) -> None:
    wanted = len(lanes) * hits["target"].nunique()
    _require(len(hits) == wanted and not hits.duplicated([*LANE, "target"]).any(), where,
             f"every lane must have one row for every target, {wanted:,} in all", f"{len(hits):,}")
    wrong = int((hits["hit"] != hits["steps"].notna()).sum())
    _require(wrong == 0, where, "steps must be there exactly where the target was hit", f"{wrong:,} others")


def _require(holds: bool, where: str, what: str, got: str) -> None:
    if not holds:
        raise ValueError(f"{where}: {what} (got {got}). Report this as a fault.")
