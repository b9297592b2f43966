"""The settings tried in tuning: a grid of rates, widened where a winner is at its end, and the choice among them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import pairwise

import numpy as np
import pandas as pd

import gdjax
from bench.bad_input import field_error
from bench.suite import Suite

Grid = Mapping[str, list[gdjax.Setting]]


def grid(suite: Suite, centre: float) -> dict[str, list[gdjax.Setting]]:
    """Settings of every schedule, as many for each.

    Rates × horizons. The constant schedule, which has no horizon, tries as many rates more densely: over the same span
    around the centre, or, where the suite gives the rates, those and others log-spaced between each two neighbours, as
    many in every gap or one more in the widest.
    """
    found = {}
    for name in suite.schedules:
        number = suite.setting_count // len(schedules_of(suite, name))
        found[name] = _settings(suite, name, _around(centre, suite.rate_span, number)
                                if isinstance(suite.rates, int) else _denser(suite.rates, number))
    return found


def wider(suite: Suite, tried: Grid, chosen: pd.DataFrame) -> dict[str, list[gdjax.Setting]]:
    """The grid's next settings at the ends where a winner of any schedule is: half as many rates, as far apart.

    Of every schedule alike, so that none is tuned more than another. Empty where all winners are inside, or where there
    is no grid: the user gave the rates, or asked for one.

    Args:
        suite: says how many rates there are, and over which span.
        tried: settings per schedule so far.
        chosen: what `choose` found among them.
    """
    if not isinstance(suite.rates, int) or suite.settings_added == 0:
        return {}
    reach = suite.rate_span ** (suite.rates // 2 / (suite.rates - 1))
    found: dict[str, list[gdjax.Setting]] = {name: [] for name in tried}
    for end, factor in ((min, 1 / reach), (max, reach)):
        ends = {name: end(setting.rate for setting in settings) for name, settings in tried.items()}
        if not (chosen.rate == chosen.schedule.map(ends)).any():
            continue
        for name, last in ends.items():
            number = suite.settings_added // len(schedules_of(suite, name))
            found[name] += _settings(suite, name, np.geomspace(last, last * factor, number + 1)[1:])
    return found if any(found.values()) else {}


def schedules_of(suite: Suite, name: str) -> list[gdjax.schedules.Schedule]:
    """A schedule at each horizon of the suite; the constant one has none."""
    schedule = gdjax.schedules.get(name)
    return [schedule] if name == "constant" else [schedule.over(horizon) for horizon in suite.horizons]


def tuning_errors(suite: Suite) -> list[str]:
    """Why schedules can't have as many settings each, or why their lanes can't be told apart."""
    errors = []
    if isinstance(suite.rates, list) and len({len(settings) for settings in grid(suite, 1.0).values()}) > 1:
        errors.append(field_error("rates", "leave constant too few between them to have as many as each schedule with "
                                  f"{len(suite.horizons)} horizons", suite.rates,
                                  "Give two or more that are further apart, or one horizon."))
    owners: dict[gdjax.schedules.Schedule, str] = {}
    for place, name in enumerate(suite.schedules):
        named = gdjax.schedules.get(name)
        if (named.horizon, named.unit) != (1.0, "budget"):
            errors.append(field_error(f"schedules[{place}]", "must not have a horizon of its own, which is tuned", name,
                                      "Leave horizon and unit out, and use horizons = [0.5, 1.0]."))
            continue
        others = {owners.setdefault(schedule, name) for schedule in schedules_of(suite, name)} - {name}
        errors += [field_error(f"schedules[{place}]", f"is the same schedule as {other!r}", name, "Leave one out.")
                   for other in sorted(others)]
    return errors


def horizon_of(name: str, setting: gdjax.Setting) -> float:
    """The horizon as tables have it: 1 for the constant schedule, which has none."""
    return 1.0 if name == "constant" else setting.schedule.horizon


def choose(lanes: pd.DataFrame, hits: pd.DataFrame, target_on: str = gdjax.goals.LOSS) -> pd.DataFrame:
    """The setting of lowest tuning ERT for every (schedule, target); of equal ones, of lowest median final loss.

    Or of lowest median of what targets are on, if that is not the loss; diverged lanes count as ∞.

    ERT = Σ steps spent / hits (all of the budget at a miss), ∞ without any hit. Of those equal in both the lowest rate:
    where all diverged, better ones lie below. One row per (schedule, target), flagged where the rate is at an end of
    its grid.
    """
    setting = ["schedule", "horizon", "rate"]
    scores = {name: lanes[name].to_numpy(float) for name in ("held_out_loss", "accuracy") if name in lanes}
    last = lanes.final_loss if target_on == gdjax.goals.LOSS else gdjax.goals.of(target_on, scores)
    final = lanes.assign(final=np.where(np.isnan(last), np.inf, last)).groupby(setting, sort=False).final.median()
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


def _around(centre: float, span: float, number: int) -> Iterable[float]:
    return np.geomspace(centre / math.sqrt(span), centre * math.sqrt(span), number) if number > 1 else [centre]


def _denser(rates: list[float], number: int) -> Iterable[float]:
    if number == len(rates) or len(rates) == 1:
        return rates
    each, left = divmod(number - len(rates), len(rates) - 1)
    gaps = sorted(pairwise(sorted(rates)), key=lambda gap: gap[0] / gap[1])  # the widest first
    return np.sort(np.concatenate([[max(rates)], *(
        np.geomspace(*gap, each + 1 + (place < left), endpoint=False) for place, gap in enumerate(gaps))]))


def _settings(suite: Suite, name: str, rates: Iterable[float]) -> list[gdjax.Setting]:
    return [gdjax.Setting(schedule, float(rate)) for schedule in schedules_of(suite, name)
            for rate in dict.fromkeys(rates)]
