"""The summary: one row per (cell, target), from the setting that tuning chose for it and the reported starts."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.intervals import censored_median, ert, hit_interval, median_interval, wilson
from bench.analysis.reported import Reported, Rows, key_of
from bench.analysis.timing import Program, Times, seed_of
from bench.tables import Tables
from bench.target_on import LOSS

Array = np.ndarray
FIXED = ["problem", "optimizer", "batch_size", "schedule", "rate", "device", "lanes", "target", "hits",
         "success_rate", "success_low", "success_high", "steps_median", "steps_low", "steps_high", "ert_steps",
         "examples_median", "epochs_median", "seconds_solo_median", "seconds_solo_low", "seconds_solo_high",
         "seconds_batched_median", "seconds_batched_low", "seconds_batched_high",
         "final_loss_median", "final_loss_low", "final_loss_high", "diverged", "compile_s", "step_s_solo",
         "step_s_batched", "edge_of_grid"]
EXTRA = ["target_on", "gap", "horizon", "ert_low", "ert_high", "best_loss_median",
         "final_gap_median", "final_gap_low", "final_gap_high", "held_out_loss_median", "accuracy_median",
         "diverged_hits", "budget_steps", "budget_epochs", "problem_examples", "sampling", "tuning_ert", "tuning_hits"]
COLUMNS = FIXED + EXTRA

__all__ = ["COLUMNS", "ProblemFacts", "Tables", "problem_facts", "several_optimizers", "summarise"]


@dataclass(frozen=True)
class ProblemFacts:
    """What the manifest says of a problem.

    Args:
        examples: how many it has.
        optimum: NaN if not known.
        target_on: what its targets are on.
        sampling: "shuffle", "replacement" or "stream".
    """

    examples: int
    optimum: float
    target_on: str
    sampling: str

    @property
    def floor(self) -> float:
        """The least of what targets are on, NaN if not known."""
        return self.optimum if self.target_on == LOSS else math.nan


def summarise(tables: Tables, *, reported: Reported | None = None, times: Times | None = None) -> pd.DataFrame:
    """The summary table, one row per (cell, target), hardest target last.

    Steps, examples and seconds are medians over all reported lanes of the chosen setting, a miss counting as ∞.
    seconds_solo = steps × seconds per step of the one-lane program, seconds_batched = steps × seconds per lane-step of
    the full-width program. final_loss is the loss at the budget of the same lanes, diverged ones counting as ∞.

    Args:
        tables: of one run folder; any of them may be empty.
        reported, times: of the same tables, where the caller has them.

    Returns:
        columns `COLUMNS`: those of design section 6, then target_on (what the target is on), gap, horizon (share of
        the budget), ert_low, ert_high, best_loss_median, final_gap_* (final loss above the optimum),
        held_out_loss_median and accuracy_median (of the final parameters, NaN where the problem has none),
        diverged_hits (lanes that diverged after their hit), budget_steps, budget_epochs, problem_examples, sampling
        (how examples were drawn), tuning_ert, tuning_hits. What was not measured is NaN.

    Example:
        >>> from bench.tables import empty
        >>> tables = Tables(**{name: empty(name) for name in ("lanes", "hits", "curves", "chosen", "timing")}, run={})
        >>> summarise(tables).shape == (0, len(COLUMNS))
        True
    """
    reported = Reported(tables) if reported is None else reported
    times = Times(tables.timing) if times is None else times
    order = ["problem", "optimizer", "batch_size", "schedule", "device"]
    chosen = tables.chosen.sort_values([*order, "target"], ascending=[True] * len(order) + [False])
    rows = [_row(choice, reported, times, problem_facts(tables.run, str(choice["problem"])))
            for choice in chosen.to_dict("records")]
    return pd.DataFrame(rows, columns=COLUMNS)


def problem_facts(run: Mapping[str, object], name: str) -> ProblemFacts:
    """Facts of a problem from the manifest; one example, NaN, the loss and "shuffle" where it does not say."""
    problems = run.get("problems")
    entry = problems.get(name) if isinstance(problems, Mapping) else None
    entry = entry if isinstance(entry, Mapping) else {}
    examples, optimum, sampling = (entry.get(name) for name in ("examples", "optimum", "sampling"))
    return ProblemFacts(examples=max(1, int(examples)) if isinstance(examples, int | float) else 1,
                        optimum=float(optimum) if isinstance(optimum, int | float) else math.nan,
                        target_on=str(entry.get("target_on") or LOSS),
                        sampling="stream" if isinstance(sampling, Mapping) else str(sampling or "shuffle"))


def several_optimizers(tables: Tables) -> bool:
    """Whether a run has results of several optimizers, so that a title or a row must say of which it is."""
    return int(tables.lanes["optimizer"].nunique()) > 1


def _row(choice: Mapping[Hashable, Any], reported: Reported, times: Times, facts: ProblemFacts) -> dict[str, object]:
    key = key_of(choice)
    setting = float(choice["rate"]), float(choice["horizon"])
    lanes = reported.lanes(key, *setting)
    hits = reported.hits(key, *setting, float(choice["target"]))
    same = ["problem", "optimizer", "batch_size", "schedule", "rate", "device", "target", "gap", "horizon",
            "edge_of_grid", "tuning_ert", "tuning_hits"]
    bracket = hits["steps_before"], hits["steps"], hits["steps_after"]
    row = {column: choice[column] for column in same} | _hit_columns(hits, bracket, facts)
    row |= {"target_on": facts.target_on, "sampling": facts.sampling}
    row |= _seconds_columns(bracket, times, (key[0], key[1], key[2], key[4]))
    return row | _lane_columns(lanes, hits, key[2], facts)


def _hit_columns(hits: Rows, bracket: tuple[Array, Array, Array], facts: ProblemFacts) -> dict[str, object]:
    hit = hits["hit"]
    success = wilson(int(hit.sum()), len(hits))
    steps = hit_interval(*bracket)
    spent = ert(hits["steps_spent"], hit)
    examples = censored_median(hits["examples"])
    return {"hits": int(hit.sum()), "success_rate": success.value, "success_low": success.low,
            "success_high": success.high, "steps_median": steps.value, "steps_low": steps.low, "steps_high": steps.high,
            "ert_steps": spent.value, "ert_low": spent.low, "ert_high": spent.high,
            "examples_median": examples, "epochs_median": examples / facts.examples, "problem_examples": facts.examples}


def _seconds_columns(bracket: tuple[Array, Array, Array], times: Times, program: Program) -> dict[str, object]:
    row: dict[str, object] = {"compile_s": times.compile_seconds(program)}
    for kind in ("solo", "batched"):
        samples = times.samples(program, kind)
        row[f"step_s_{kind}"] = float(np.median(samples)) if len(samples) else math.nan
        seconds = hit_interval(*bracket, samples, seed=seed_of(program, kind))
        row |= {f"seconds_{kind}_median": seconds.value, f"seconds_{kind}_low": seconds.low,
                f"seconds_{kind}_high": seconds.high}
    return row


def _lane_columns(lanes: Rows, hits: Rows, batch_size: int, facts: ProblemFacts) -> dict[str, object]:
    diverged, final, best = lanes["diverged"], lanes["final_loss"], lanes["best_loss"]
    loss = median_interval(np.where(diverged | np.isnan(final), np.inf, final))
    budget = float(lanes["max_steps"].max()) if len(lanes) else math.nan
    return {"lanes": len(lanes), "diverged": int(diverged.sum()),
            "diverged_hits": int(np.isin(lanes["start"][diverged], hits["start"][hits["hit"]]).sum()),
            "final_loss_median": loss.value, "final_loss_low": loss.low, "final_loss_high": loss.high,
            "final_gap_median": loss.value - facts.optimum, "final_gap_low": loss.low - facts.optimum,
            "final_gap_high": loss.high - facts.optimum,
            "best_loss_median": float(np.median(np.where(np.isnan(best), np.inf, best))) if len(lanes) else math.nan,
            "held_out_loss_median": _median(lanes["held_out_loss"], math.inf),
            "accuracy_median": _median(lanes["accuracy"], 0.0),
            "budget_steps": budget, "budget_epochs": budget * batch_size / facts.examples}


def _median(values: Array, worst: float) -> float:
    """Median over the lanes, NaN counting as the worst; NaN where the problem has no such score at all."""
    return math.nan if np.isnan(values).all() else float(np.median(np.where(np.isnan(values), worst, values)))
