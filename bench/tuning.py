"""The settings tried in tuning: a grid of rates, widened where a winner is at its end, and the choice among them."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

import gdjax
from bench.suite import Suite

Grid = Mapping[str, list[gdjax.Setting]]


def rate_count(suite: Suite) -> int:
    """Rates per (schedule, horizon)."""
    return suite.rates if isinstance(suite.rates, int) else len(suite.rates)


def grid(suite: Suite, centre: float) -> dict[str, list[gdjax.Setting]]:
    """Settings of every schedule, as many for each.

    Rates × horizons, and for the constant one as many rates more densely.
    """
    span = math.sqrt(suite.rate_span)

    def rates(number: int) -> list[float]:
        if not isinstance(suite.rates, int):
            return list(suite.rates)
        return [float(rate) for rate in np.geomspace(centre / span, centre * span, number)] if number > 1 else [centre]

    return {name: _settings(suite, name, rates(rate_count(suite) * (len(suite.horizons) if name == "constant" else 1)))
            for name in suite.schedules}


def wider(suite: Suite, tried: Grid, chosen: pd.DataFrame) -> dict[str, list[gdjax.Setting]]:
    """The grid's next settings at the ends where a winner of any schedule is: half as many rates, as far apart.

    Of every schedule alike, so that none is tuned more than another. Empty where all winners are inside, or where there
    is no grid: the user gave the rates, or asked for one.

    Args:
        suite: says how many rates there are, and over which span.
        tried: settings per schedule so far.
        chosen: what `choose` found among them.
    """
    count = rate_count(suite) // 2
    if not isinstance(suite.rates, int) or count == 0:
        return {}
    reach = suite.rate_span ** (count / (suite.rates - 1))
    found: dict[str, list[gdjax.Setting]] = {name: [] for name in tried}
    for end, factor in ((min, 1 / reach), (max, reach)):
        ends = {name: end(setting.rate for setting in settings) for name, settings in tried.items()}
        if not (chosen.rate == chosen.schedule.map(ends)).any():
            continue
        for name, last in ends.items():
            number = count * (len(suite.horizons) if name == "constant" else 1)
            rates = [float(rate) for rate in np.geomspace(last, last * factor, number + 1)[1:]]
            found[name] += _settings(suite, name, rates)
    return found if any(found.values()) else {}


def schedules_of(suite: Suite, name: str) -> list[gdjax.schedules.Schedule]:
    """A schedule at each horizon of the suite; the constant one has none."""
    schedule = gdjax.schedules.get(name)
    return [schedule] if name == "constant" else [schedule.over(horizon) for horizon in suite.horizons]


def horizon_of(setting: gdjax.Setting) -> float:
    """The horizon as tables have it: 1 for the constant schedule, which has none."""
    return 1.0 if setting.schedule.name == "constant" else setting.schedule.horizon


def choose(lanes: pd.DataFrame, hits: pd.DataFrame) -> pd.DataFrame:
    """The setting of lowest tuning ERT for every (schedule, target); without any hit, of lowest median final loss.

    ERT = Σ steps spent / hits (all of the budget at a miss). Of equal ones the lowest rate: where all diverged, better
    ones lie below. One row per (schedule, target), flagged where the rate is at an end of its grid.
    """
    setting = ["schedule", "horizon", "rate"]
    final = lanes.groupby(setting, sort=False).final_loss.median().rename("final")
    cost = hits.groupby([*setting, "target"], sort=False).agg(
        spent=("steps_spent", "sum"), tuning_hits=("hit", "sum"), gap=("gap", "first")).reset_index()
    cost["tuning_ert"] = np.where(cost.tuning_hits > 0, cost.spent / np.maximum(cost.tuning_hits, 1), np.inf)
    cost = cost.join(final, on=setting)
    order = cost.sort_values(["tuning_ert", "final", "rate"], kind="stable")
    best = order.groupby(["schedule", "target"], sort=False).head(1)
    ends = lanes.groupby("schedule").rate.agg(["min", "max"])
    edges = best.join(ends, on="schedule")
    best = best.assign(edge_of_grid=(edges.rate == edges["min"]) | (edges.rate == edges["max"]))
    return best.sort_values(["schedule", "target"], ascending=[True, False]).reset_index(drop=True)


def _settings(suite: Suite, name: str, rates: list[float]) -> list[gdjax.Setting]:
    return [gdjax.Setting(schedule, rate) for schedule in schedules_of(suite, name) for rate in rates]
