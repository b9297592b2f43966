"""Interactive figures of losses: curves over the budget, final loss by schedule and batch size, outcomes, rates."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.curves import curve_quantiles, outcome_shares
from bench.analysis.goals import Goal
from bench.analysis.intervals import Estimate
from bench.analysis.ranking import measure_of, rank
from bench.analysis.reported import Reported
from bench.analysis.words import batch_label, estimate_words, number, schedule_label, seconds_number
from bench.report.curves import Drawn, curve_axis, drawn_curve
from bench.report.grids import final_words
from bench.report.plots.parts import (
    FAINT,
    INK,
    Json,
    Looks,
    Plot,
    Selector,
    axis,
    banded,
    dashed_looks,
    label_of,
    layout,
    line,
    unit_axis,
)
from bench.report.style import suits_log

_OUTCOMES = (("hit", "hit the target", "#009E73"), ("hit_then_diverged", "hit it, then diverged", "#E69F00"),
             ("missed", "missed it in the budget", "#CCCCCC"), ("diverged", "diverged before it", "#D55E00"))

_LABELS = ("start", "middle", "end")  # of a line across


def curve_plot(rows: pd.DataFrame, reported: Reported, looks: Looks, optimum: float, targets: list[tuple[float, str]],
               identity: str) -> Plot:
    """Loss against epochs with 10–90 % bands: the best schedule of each batch size, then every schedule of each.

    Or what targets are on, where that is not the loss.
    """
    base, goal = 0.0 if math.isnan(optimum) else optimum, Goal.of(rows.iloc[0])
    order = rank(rows, measure_of(rows))
    sizes, examples = sorted(rows["batch_size"].unique()), int(rows["problem_examples"].iloc[0])
    curves = {place: drawn_curve(curve_quantiles(reported, row), base) for place, row in rows.iterrows()}
    logarithmic, places = curve_axis(curves.values(), [loss - base for loss, _ in targets], optimum)
    styles = dashed_looks(sizes)

    def by_batch(row: pd.Series) -> tuple[str, str, str, str]:
        batch = batch_label(int(row["batch_size"]), examples)
        return f"{batch}: {label_of(str(row['schedule']))}", *styles[int(row["batch_size"])]

    def by_schedule(row: pd.Series) -> tuple[str, str, str, str]:
        return label_of(str(row["schedule"])), *looks[str(row["schedule"])], "solid"

    chosen = [(order.drop_duplicates("batch_size").sort_values("batch_size"), by_batch)]
    chosen += [(rows[rows["batch_size"] == size], by_schedule) for size in sizes]
    views: dict[str, Json] = {}
    for place, (lines, look) in enumerate(chosen):
        data = [_curve(curves[at], *look(row)) for at, row in lines.iterrows() if len(curves[at].epochs)]
        title = goal.axis if math.isnan(optimum) else f"{goal.axis} above the optimum"
        view = layout(unit_axis("epochs (passes over the data)"),
                      axis(f"{title} (median of the starts)", kind="log" if logarithmic else "linear"))
        view["shapes"] = [{"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": loss - base, "y1": loss - base,
                           "line": {"color": INK, "width": 1, "dash": "dot"},
                           "label": {"text": words, "textposition": _LABELS[at], "font": {"size": 10, "color": INK}}}
                          for (loss, words), at in zip(targets, places, strict=True)]
        views[str(place)] = {"data": data, "layout": view}
    options = ["best schedule of each batch size", *[f"every schedule at batch size {batch_label(size, examples)}"
                                                     for size in sizes]]
    return Plot(f"{identity}-curves", f"{goal.noun.capitalize()} curves",
                "Line: median of the starts, band: 10–90 % of them. Dotted: targets.",
                views, (Selector("show", options),), ("x", "y"), "curves", "curves.parquet")


def heat_plot(rows: pd.DataFrame, identity: str) -> Plot:
    """Schedule × batch size: seconds, steps, success and final loss, in one heat map each."""
    known = bool(rows["final_gap_median"].notna().any())
    final = ("final_gap", "final loss above the optimum") if known else ("final_loss", "final loss")
    kinds = [final, ("steps", "steps to target"), ("success", "starts that hit (%)")]
    if rows["seconds_solo_median"].notna().any():
        kinds = [("seconds_solo", "seconds to target, one training"), *kinds]
    views = {str(place): _heat_view(rows, *kind) for place, kind in enumerate(kinds)}
    height = 190 + 44 * rows["schedule"].nunique()
    return Plot(f"{identity}-heat", "Schedule × batch size",
                "Light is better. Grey: more than half of the starts missed or diverged; – was not measured.", views,
                (Selector("show", [label for _, label in kinds]),), (), "loss", "summary.csv", height)


def outcome_plot(rows: pd.DataFrame, identity: str) -> Plot:
    """How the reported lanes ended, in per cent, one view per schedule."""
    shares = outcome_shares(rows)
    examples = int(rows["problem_examples"].iloc[0])
    schedules = list(dict.fromkeys(rank(rows, measure_of(rows))["schedule"]))  # the winner's first
    views: dict[str, Json] = {}
    for place, schedule in enumerate(schedules):
        cell = shares[shares["schedule"] == schedule].sort_values("batch_size")
        labels = [batch_label(int(size), examples) for size in cell["batch_size"]]
        data = [{"type": "bar", "name": label, "x": labels, "y": 100 * cell[column].to_numpy(float),
                 "marker": {"color": colour}, "hovertemplate": f"batch %{{x}}<br>%{{y:.0f}} % {label}<extra></extra>"}
                for column, label, colour in _OUTCOMES]
        share: Json = {"title": {"text": "starts (%)"}, "range": [0, 100], "type": "linear"}
        view = layout(axis("batch size (examples per step)", kind="category"), share, barmode="stack")
        views[str(place)] = {"data": data, "layout": view}
    return Plot(f"{identity}-outcomes", "How the starts ended",
                "Reported starts of the setting that tuning chose for this target.", views,
                (Selector("schedule", [schedule_label(name) for name in schedules]),), (), "outcomes", "summary.csv",
                400)


def rate_plot(rates: pd.DataFrame, looks: Looks, examples: int, first: int, identity: str) -> Plot:
    """Rate sensitivity on the tuning starts: ERT, final loss and divergence against rate, one view per batch size.

    Args:
        rates: `rate_table` of one problem, optimizer, device and target.
        first: the batch size shown first.
    """
    sizes = sorted(rates["batch_size"].unique(), key=lambda size: (size != first, size))
    schedules = [name for name in looks if name in set(rates["schedule"])]
    kinds = (("ert_steps", "expected steps to target (ERT)"), ("final_loss_median", "median final loss"),
             ("diverged_share", "lanes that diverged, at all horizons (%)"))
    views: dict[str, Json] = {}
    for place, size in enumerate(sizes):
        mine = rates[rates["batch_size"] == size]
        for at, (measure, label) in enumerate(kinds):
            data = [_rate_line(cell, measure, name, looks) for name in schedules
                    if (cell := mine[mine["schedule"] == name]).size]
            y = unit_axis(label)
            if measure == "diverged_share":
                y = axis(label, kind="linear") | {"range": [-3, 103]}
            elif not suits_log(rates[measure].to_numpy(float), above_optimum=measure == "ert_steps"):
                y = axis(label, kind="linear")
            view = layout(unit_axis("rate (learning rate at the start, per step)"), y)
            views[f"{place}-{at}"] = {"data": data, "layout": view}
    options = [batch_label(int(size), examples) for size in sizes]
    return Plot(f"{identity}-rates", "Rate sensitivity",
                "Tuning starts. ERT and final loss are those of the horizon that did best at the rate; a rate that "
                "never hit has no point in ERT. Diverged: of all lanes at the rate, whatever their horizon.", views,
                (Selector("batch size", options), Selector("show", [label for _, label in kinds])), ("x", "y"),
                "divergence", "rates.csv")


def _curve(curve: Drawn, name: str, colour: str, marker: str, dash: str) -> Json:
    hover = f"{name}<br>%{{y:.4~g}} after %{{x:.3~g}} epochs<extra></extra>"
    return banded(line(name, colour, marker, curve.epochs, curve.median, hover, dash=dash), curve.low, curve.high)


def _heat_view(rows: pd.DataFrame, measure: str, label: str) -> Json:
    column = "success_rate" if measure == "success" else f"{measure}_median"
    sizes, schedules = sorted(rows["batch_size"].unique()), sorted(rows["schedule"].unique())
    examples = int(rows["problem_examples"].iloc[0])
    values = rows.pivot(index="schedule", columns="batch_size", values=column).loc[schedules, sizes].to_numpy(float)
    shade = values if measure == "success" else _shade(values, above_optimum=measure != "final_loss")
    words = np.reshape(_cell_words(values.ravel().tolist(), measure), values.shape).tolist()
    cells = {(row["schedule"], row["batch_size"]): row for row in rows.to_dict("records")}
    hover = [[_heat_hover(cells.get((schedule, size)), label, word) for size, word in zip(sizes, line_, strict=True)]
             for schedule, line_ in zip(schedules, words, strict=True)]
    light_is_high = measure == "success"
    low, high = _ends(shade, light_is_high=light_is_high)
    xs = [batch_label(size, examples).replace(" ", "<br>") for size in sizes]
    ys = [label_of(name) for name in schedules]
    inks = [[_ink(value, (low + high) / 2, light_is_high=light_is_high) for value in line_] for line_ in shade]
    notes = [{"x": at, "y": up, "text": words[up][at], "showarrow": False, "font": {"size": 10, "color": inks[up][at]}}
             for up in range(len(ys)) for at in range(len(xs))]
    heat: Json = {"type": "heatmap", "z": shade, "x": xs, "y": ys, "colorscale": "Cividis",
                  "zmin": low, "zmax": high, "reversescale": not light_is_high, "showscale": False, "text": hover,
                  "xgap": 2, "ygap": 2, "hovertemplate": "%{text}<extra></extra>", "hoverongaps": True}
    # what has no number is not left out: it is grey
    grey = heat | {"z": np.zeros_like(shade), "colorscale": [[0, FAINT], [1, FAINT]], "reversescale": False}
    view = layout(axis("batch size (examples per step)", kind="category"), axis("", kind="category"), annotations=notes)
    return {"data": [grey, heat], "layout": view}


def _ends(shade: np.ndarray, *, light_is_high: bool) -> tuple[float, float]:
    """The least and the greatest shade; where all are the same, all are light."""
    finite = shade[np.isfinite(shade)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    if low < high:
        return low, high
    return (low - 1, low) if light_is_high else (low, low + 1)


def _ink(shade: float, middle: float, *, light_is_high: bool) -> str:
    if math.isnan(shade):
        return INK
    return "black" if (shade >= middle) == light_is_high else "white"


def _shade(values: np.ndarray, *, above_optimum: bool) -> np.ndarray:
    """Logarithms where values have them, 0 like the least above it: the start met the target, the loss its optimum."""
    finite = np.where(np.isfinite(values), values, np.nan)
    if not suits_log(values, above_optimum=above_optimum):
        return finite
    return np.log10(np.maximum(finite, finite[finite > 0].min(initial=math.inf)))


def _cell_words(values: list[float], measure: str) -> list[str]:
    if measure.startswith("final"):
        return final_words(values, known=measure == "final_gap")
    if measure == "success":
        return [number(float(f"{100 * value:.0f}")) for value in values]
    words = seconds_number if measure.startswith("seconds") else number
    return ["missed" if math.isinf(value) else words(value) for value in values]


def _heat_hover(row: Mapping[Hashable, Any] | None, label: str, word: str) -> str:
    if row is None:
        return ""
    return (f"{label_of(str(row['schedule']))}, batch {row['batch_size']}<br>{label}: {word}<br>"
            f"{row['hits']} of {row['lanes']} starts hit, {row['diverged']} diverged; "
            f"rate {number(float(row['rate']))}")


def _rate_line(cell: pd.DataFrame, measure: str, schedule: str, looks: Looks) -> Json:
    name, rows = label_of(schedule), cell.to_dict("records")
    values = cell[measure].to_numpy(float) * (100 if measure == "diverged_share" else 1)
    hover = [f"{name}, rate {number(row['rate'])}<br>{_rate_words(row, measure)}" for row in rows]
    return line(name, *looks[schedule], cell["rate"].to_numpy(float), np.where(np.isfinite(values), values, np.nan),
                hover)


def _rate_words(row: Mapping[Hashable, Any], measure: str) -> str:
    if measure == "diverged_share":
        share = Estimate(*(100 * row[f"diverged_{part}"] for part in ("share", "low", "high")))
        return f"{row['diverged']} of {row['lanes']} lanes diverged: {estimate_words(share)} %"
    if measure == "ert_steps":
        return (f"{number(row[measure])} steps: {row['hits']} of {row['starts']} starts hit; "
                f"horizon {number(row['ert_horizon'])}")
    return f"{number(row[measure])}; horizon {number(row['final_loss_horizon'])}"
