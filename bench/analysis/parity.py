"""Loss parity: whether two runs do the same to the loss, start by start, before any speed is told of."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from bench.analysis.comparisons import LEVEL, holm, log_differences, wilcoxon_test
from bench.analysis.intervals import percentile_interval, tied
from bench.analysis.reported import common_starts
from bench.analysis.sides import CELL, Pair, setting_of

Array = np.ndarray
EQUAL, AGREE, DIFFER, UNKNOWN = "equal", "agree", "differ", "not known"
LOSS_CHANGE, STEPS_CHANGE = 1e-4, 0.02  # smaller ones are rounding: of the initial gap; of the steps to target
COLUMNS = [*CELL, "goal", "target", "headline", "same_setting", "starts", "final_loss_a", "final_loss_b", "loss_change",
           "p_loss", "steps_a", "steps_b", "steps_ratio", "steps_low", "steps_high", "p_steps", "parity"]
_LOSSES = [*CELL, "rate_a", "horizon_a", "rate_b", "horizon_b"]  # rows alike in these have one and the same losses


def parity_table(pair: Pair) -> pd.DataFrame:
    """One row per (cell, target) that both runs have: whether their losses and steps to target agree.

    The change of the final loss is the median over common starts of (B − A), as a share of the initial gap f₀ − f* (of
    the loss of A where f* is not known). Losses differ where a paired Wilcoxon test says so and the change is more than
    1e-4; steps differ where the test of their log ratios says so and it is more than 2 %. A lane that diverged, or
    missed the target, ranks last. p is corrected by Holm over all rows, of losses over those of other settings. Where a
    change is larger than that and no test of so few starts could have told it, even if all had changed in one
    direction, nothing is known.

    Args:
        pair: the two runs.

    Returns:
        columns `COLUMNS`. parity: "equal" (every loss and step to the last bit), "agree", "differ" or "not known";
        same_setting: whether tuning chose the same rate and horizon on both sides; steps_ratio: A/B with its 95 %
        interval.
    """
    rows = [_row(row, pair, place) for place, (_, row) in enumerate(pair.rows.iterrows())]
    found = pd.DataFrame(rows)
    change, ratio = (found[name].to_numpy(float) for name in ("loss_change", "steps_ratio"))
    other_loss = ~(np.abs(change) <= LOSS_CHANGE)
    other_steps = ~((ratio <= 1 + STEPS_CHANGE) & (ratio >= 1 / (1 + STEPS_CHANGE)))
    setting = pair.rows.groupby(_LOSSES, dropna=False).ngroup().to_numpy()
    found["p_loss"], could_loss = _corrected(found, "loss", setting)
    found["p_steps"], could_steps = _corrected(found, "steps", np.arange(len(found)))
    differ = (found["p_loss"] < LEVEL) & other_loss | (found["p_steps"] < LEVEL) & other_steps
    unknown = ~could_loss & other_loss | ~could_steps & other_steps
    parity = np.select([found["equal"], differ, unknown], [EQUAL, DIFFER, UNKNOWN], AGREE)
    return found.assign(parity=parity)[COLUMNS]


def loss_change(before: Array, after: Array, gap: float) -> Array:
    """Changes of losses start by start, as shares of the initial gap, of the loss before where that is NaN.

    >>> loss_change(np.array([2.0, np.inf]), np.array([3.0, np.inf]), 4.0).tolist()
    [0.25, 0.0]
    """
    share = gap if math.isfinite(gap) else np.where(np.isfinite(before), np.abs(before), 1.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        change = (after - before) / share
    return np.where(before == after, 0.0, change)


def initial_gap(facts: Mapping[str, object]) -> float:
    """f₀ − f* of a problem, from what a manifest holds of it; NaN where its optimum is not known.

    >>> initial_gap({"initial_loss": 2.5, "optimum": 0.5}), initial_gap({"optimum": None})
    (2.0, nan)
    """
    initial, optimum = facts.get("initial_loss"), facts.get("optimum")
    known = isinstance(initial, int | float) and isinstance(optimum, int | float) and initial > optimum
    return float(initial) - float(optimum) if known else math.nan  # type: ignore[arg-type]


def median_change(changes: Array) -> float:
    """Median of changes, ∞ allowed: the lower of the middle two where their mean has no meaning."""
    if not len(changes):
        return math.nan
    ordered = np.sort(changes)
    lower, upper = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return float(lower if math.isinf(upper) else (lower + upper) / 2)


def _corrected(found: pd.DataFrame, quantity: str, hypotheses: Array) -> tuple[Array, Array]:
    """p of all rows after Holm, rows with one number being one hypothesis; and which could have been below 5 %."""
    p, least = (found[f"{name}_{quantity}"].to_numpy(float) for name in ("p", "least"))
    _, first = np.unique(hypotheses, return_index=True)
    return holm(p[first])[hypotheses], least * np.isfinite(p[first]).sum() < LEVEL


def _row(row: pd.Series, pair: Pair, place: int) -> dict[str, object]:
    losses = _losses(row, pair)
    steps, ratio, resamples = pair.hits[place]
    if len(steps[0]):
        ratio, resamples = float(tied(np.array(ratio))), tied(resamples)
    change = loss_change(*losses, _scale(pair.a.run, str(row["problem"])))
    faster = log_differences(*steps)
    low, high = percentile_interval(resamples)
    return {**{name: row[name] for name in (*CELL, "goal")}, "target": row["target_a"],
            "headline": pair.headlines[str(row["problem"])] == row["goal"], "same_setting": _same_setting(row),
            "starts": len(losses[0]), "final_loss_a": row["final_loss_median_a"],
            "final_loss_b": row["final_loss_median_b"], "loss_change": median_change(change),
            "p_loss": wilcoxon_test(change),
            "steps_a": row["steps_median_a"], "steps_b": row["steps_median_b"], "steps_ratio": ratio,
            "steps_low": low, "steps_high": high, "p_steps": wilcoxon_test(faster),
            # the least that p could be: had all starts changed in one direction
            "least_loss": wilcoxon_test(np.abs(change)), "least_steps": wilcoxon_test(np.abs(faster)),
            "equal": bool(len(losses[0]) and np.array_equal(*losses) and np.array_equal(*steps))}


def _losses(row: pd.Series, pair: Pair) -> tuple[Array, Array]:
    found = [side.reported.lanes(*setting_of(row, end, side.device)) for side, end in ((pair.a, "a"), (pair.b, "b"))]
    losses, diverged = (common_starts(found, name) for name in ("final_loss", "diverged"))
    known = np.where(diverged | np.isnan(losses), np.inf, losses)
    return known[:, 0], known[:, 1]


def _same_setting(row: pd.Series) -> bool:
    return all(math.isclose(row[f"{name}_a"], row[f"{name}_b"], rel_tol=1e-6) for name in ("rate", "horizon"))


def _scale(run: Mapping[str, object], problem: str) -> float:
    """The initial gap of a problem of a run; NaN where its optimum is not known."""
    problems = run.get("problems")
    entry = problems.get(problem) if isinstance(problems, Mapping) else None
    return initial_gap(entry) if isinstance(entry, Mapping) else math.nan
