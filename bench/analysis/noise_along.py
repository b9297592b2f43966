"""The gradient noise scale along a run, over its starts, beside the critical batch size that is fitted there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from bench.analysis.intervals import NOTHING, Estimate, median_interval
from bench.target_on import LOSS

_GROUP = ["problem", "optimizer", "device"]
Key = tuple[str, str, str]  # problem, optimizer, device
COLUMNS = [f"b_simple_{where}{part}" for where in ("start", "target") for part in ("", "_low", "_high")]


@dataclass(frozen=True)
class NoiseAlong:
    """The noise scale along the reference trajectory of one (problem, optimizer, device).

    Args:
        batch_size, schedule, method, examples: of the table `noise_scale`.
        curve: `noise_curve` of its rows.
        target, gap: the hardest target on the loss that the trajectory met and that has a fit; NaN without one.
        b_crit: the critical batch size to that target with the trajectory's schedule, in examples.
        several_optimizers: whether the problem was run with other optimizers too.
    """

    problem: str
    optimizer: str
    device: str
    batch_size: int
    schedule: str
    method: str
    examples: int
    curve: pd.DataFrame = field(repr=False)
    target: float = math.nan
    gap: float = math.nan
    b_crit: Estimate = NOTHING
    several_optimizers: bool = False

    def at(self, place: int) -> Estimate:
        """The noise scale at a mark: 0 the start, −1 the end of the trajectory."""
        return Estimate(*(float(self.curve[name].iloc[place]) for name in ("b_simple", "low", "high")))


def noise_curve(rows: pd.DataFrame) -> pd.DataFrame:
    """Median noise scale over starts with its 95 % bootstrap interval at each mark of one trajectory.

    Starts that diverged count as a loss of ∞ and have no noise scale.

    Args:
        rows: of the table `noise_scale`.

    Returns:
        step, starts (that have a noise scale), loss (median), b_simple, low, high (examples), one row per mark.

    Example:
        >>> rows = pd.DataFrame({"step": [0, 0, 0], "loss": [3.0, 2.0, 4.0], "b_simple": [1.0, 5.0, 2.0]})
        >>> noise_curve(rows)[["step", "starts", "loss", "b_simple"]].to_numpy().tolist()
        [[0.0, 3.0, 3.0, 2.0]]
    """
    found = []
    for step, mark in rows.groupby("step", sort=True):
        known = mark["b_simple"].dropna().to_numpy(float)
        value = median_interval(known)
        found.append({"step": step, "starts": len(known), "loss": float(mark["loss"].median()),
                      "b_simple": value.value, "low": value.low, "high": value.high})
    return pd.DataFrame(found, columns=["step", "starts", "loss", "b_simple", "low", "high"])


def noise_along(noise_scale: pd.DataFrame, scaling: pd.DataFrame) -> dict[Key, NoiseAlong]:
    """The noise scale along every trajectory of a run that has a finite one.

    Args:
        noise_scale: table of the run.
        scaling: `scaling_table` of the run.
    """
    found = {}
    for names, rows in noise_scale.groupby(_GROUP, sort=True):
        first, curve, (problem, optimizer, device) = rows.iloc[0], noise_curve(rows), map(str, names)
        if not np.isfinite(curve["b_simple"]).any():
            continue
        fits = _same(scaling, (problem, optimizer, device))
        met = fits[(fits["schedule"] == first["schedule"]) & fits["b_crit"].notna()
                   & (fits["target_on"] == LOSS) & (fits["target"] >= curve["loss"].min())].sort_values("target")
        target, gap, b_crit = math.nan, math.nan, NOTHING
        if len(met):
            fit = met.iloc[0]
            target, gap = float(fit["target"]), float(fit["gap"])
            b_crit = Estimate(*(float(fit[f"b_crit{part}"]) for part in ("", "_low", "_high")))
        several = noise_scale.loc[noise_scale["problem"] == problem, "optimizer"].nunique() > 1
        found[problem, optimizer, device] = NoiseAlong(
            problem, optimizer, device, int(first["batch_size"]), str(first["schedule"]), str(first["method"]),
            int(first["examples"]), curve, target, gap, b_crit, several)
    return found


def with_noise_scale(scaling: pd.DataFrame, found: Mapping[Key, NoiseAlong]) -> pd.DataFrame:
    """`scaling_table` with the columns `COLUMNS`: the noise scale at step 0, and at the first mark that met the target.

    Medians with 95 % intervals, in examples; NaN where it was not measured, or the target was not met. They are of one
    trajectory per problem, so the same for all its schedules.
    """
    columns: dict[str, np.ndarray] = {name: np.full(len(scaling), math.nan) for name in COLUMNS}
    for key, along in found.items():
        rows = _same(scaling, key)
        for place, target, on in zip(scaling.index.get_indexer(rows.index), rows["target"], rows["target_on"],
                                     strict=True):
            met = np.flatnonzero((along.curve["loss"].to_numpy(float) <= target) & (on == LOSS))
            for where, mark in (("start", 0), *(("target", int(mark)) for mark in met[:1])):
                for part, value in zip(("", "_low", "_high"), along.at(mark), strict=True):
                    columns[f"b_simple_{where}{part}"][place] = value
    return scaling.assign(**columns)


def _same(scaling: pd.DataFrame, key: Key) -> pd.DataFrame:
    return scaling[(scaling[_GROUP] == list(key)).all(axis=1)]
