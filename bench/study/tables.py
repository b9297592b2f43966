"""Outcomes as rows and back: the tables hold all that an outcome says, so that a report needs nothing else."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd

from bench.study.claim import Claim, Finding, Outcome, Picture, Series
from bench.tables import COLUMNS, Tables

_PICTURE = ["title", "x_label", "y_label", "x_log", "y_log"]


def frames_of(claim: Claim, outcome: Outcome, seconds: float, cpu_seconds: float) -> dict[str, pd.DataFrame]:
    """What came of a claim as rows of the tables claims, findings and points.

    Args:
        claim: what was measured.
        outcome: what came of it.
        seconds, cpu_seconds: that it took, of the wall clock and of the process on all cores.

    Raises:
        ValueError: a line of a picture has no points, or ends of unequal length.

    Example:
        >>> mine = Claim(1, "sum", "One and one is two.", "Added.", lambda seed: Outcome("holds", "2", []))
        >>> frames_of(mine, Outcome("holds", "It is 2.", [Finding("sum", 2.0)]), 0.1, 0.1)["findings"]["value"].item()
        2.0
    """
    about = {"claim": claim.name, "number": claim.number, "statement": claim.statement, "method": claim.method,
             "verdict": outcome.verdict, "sentence": outcome.sentence, "seconds": seconds, "cpu_seconds": cpu_seconds}
    findings = [{"claim": claim.name, **vars(finding)} for finding in outcome.findings]
    points = [row for place, picture in enumerate(outcome.pictures) for row in _points(claim.name, place, picture)]
    return {"claims": _frame("claims", [about]), "findings": _frame("findings", findings),
            "points": _frame("points", points)}


def outcomes_of(tables: Tables) -> dict[str, Outcome]:
    """Name -> outcome of every claim in the tables, by number; the inverse of `frames_of`."""
    found = {}
    for _, row in tables.claims.sort_values("number", kind="stable").iterrows():
        findings = tables.findings[tables.findings["claim"] == row["claim"]].drop(columns="claim")
        points = tables.points[tables.points["claim"] == row["claim"]]
        found[str(row["claim"])] = Outcome(
            str(row["verdict"]), str(row["sentence"]),
            [Finding(**{str(key): value for key, value in each.items()}) for each in findings.to_dict("records")],
            [_picture(rows) for _, rows in points.groupby("picture", sort=True)])
    return found


def _points(claim: str, place: int, picture: Picture) -> list[dict[str, object]]:
    shared = {"claim": claim, "picture": place, **{name: getattr(picture, name) for name in _PICTURE}}
    rows: list[dict[str, object]] = []
    for number, series in enumerate(picture.series):
        length = len(series.x)
        low, high = (ends if len(ends) else [np.nan] * length for ends in (series.low, series.high))
        if not length or {len(series.y), len(low), len(high)} != {length}:
            raise ValueError(f"series {series.name!r} of {picture.title!r}: x, y, low and high must be of one length "
                             f"(got {length}, {len(series.y)}, {len(series.low)}, {len(series.high)}). Mend the claim.")
        line = {"line": number, "series": series.name, "joined": series.line, "theory": series.theory}
        rows += [{**shared, **line, "x": float(x), "y": float(y), "low": float(bottom), "high": float(top)}
                 for x, y, bottom, top in zip(series.x, series.y, low, high, strict=True)]
    return rows


def _picture(rows: pd.DataFrame) -> Picture:
    first = rows.iloc[0]
    return Picture(str(first["title"]), str(first["x_label"]), str(first["y_label"]),
                   [_series(each) for _, each in rows.groupby("line", sort=True)],
                   x_log=bool(first["x_log"]), y_log=bool(first["y_log"]))


def _series(rows: pd.DataFrame) -> Series:
    first = rows.iloc[0]
    low, high = (() if rows[end].isna().all() else rows[end].tolist() for end in ("low", "high"))
    return Series(str(first["series"]), rows["x"].tolist(), rows["y"].tolist(), low, high, line=bool(first["joined"]),
                  theory=bool(first["theory"]))


def _frame(name: str, rows: Sequence[dict[Hashable, object]] | Sequence[dict[str, object]]) -> pd.DataFrame:
    kinds = COLUMNS[name]
    return pd.DataFrame(list(rows), columns=list(kinds)).astype(kinds)
