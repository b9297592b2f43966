"""What both reports say: sentences, rows of tables and facts of the run, as plain text that each of them escapes."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from bench.analysis.answer import Answer, cell_counts, cells_of, headlines, problem_names
from bench.analysis.goals import Goal
from bench.analysis.intervals import Estimate
from bench.analysis.noise_along import Key, NoiseAlong
from bench.analysis.ranking import measure_of, rank
from bench.analysis.repeats import process_spread
from bench.analysis.sentence import cell_words, ratio_words, sentences
from bench.analysis.summary import several_optimizers
from bench.analysis.words import (
    batch_label,
    estimate_words,
    loss_words,
    number,
    problem_label,
    schedule_label,
    seconds_number,
    seconds_words,
)
from bench.cells import group_name
from bench.machines import busy, machine_counts, machines_remark
from bench.report import limits
from bench.report.comparison_words import comparison_rows, starts_sentence
from bench.report.noise_words import noise_sentences
from bench.report.scaling_words import scaling_rows
from bench.tables import Tables
from bench.target_on import LOSS

_TOP = 10
_LISTED = 40  # failed cells, edges: enough to act on, not a page of them
Row = Sequence[str]


def content(tables: Tables, summary: pd.DataFrame, timing: pd.DataFrame, scaling: pd.DataFrame,
            noise: Mapping[Key, NoiseAlong], compared: pd.DataFrame, answers: Sequence[Answer]) -> dict[str, object]:
    """Everything that the templates say in words.

    Args:
        tables: of the run.
        summary, timing, scaling, noise, compared, answers: `summarise`, `timing_table`, `scaling_table` with the noise
            scale, `noise_along`, `comparison_table` and `answers` of the tables.
    """
    run, several = tables.run, several_optimizers(tables)
    answered = [_answer(answer, compared, run) for answer in headlines(answers)]
    rows = {"winners": [_winner_row(answer) for answer in answers if answer.winner or answer.closest],
            "comparisons": comparison_rows(compared), "scaling": scaling_rows(scaling),
            "timing": [_timing_row(row, several) for _, row in timing.iterrows()]}
    cut = {name: limits.cut_words(limits.ROWS, len(each), limits.FILES[name]) for name, each in rows.items()}
    shown = {name: each[:limits.ROWS] for name, each in rows.items()}
    return {"aim": "target loss" if all(answer.target_on == LOSS for answer in answers) else "target",
            "suite": str(run.get("suite") or ""), "device": str(run.get("device") or ""), "progress": progress(tables),
            "answers": answered, "opening": _opening(tables, answered),
            "several_optimizers": several,
            "problems": [_problem(name, run, summary, answers, several) for name in problem_names(run)],
            "noise": noise_sentences(noise.values())[:limits.ROWS],
            **shown, "cut": {**cut, "cells": limits.cut_words(limits.CELLS, len(summary), "summary.csv"),
                             "figures": limits.pictured_words(summary)}, "mark_ratio": _mark_ratio(run),
            "spread": _spread(tables.timing),
            "facts": facts(run), "command": command(run), "failed": _failed(run),
            "warnings": _warnings(run), "edges": _edges(summary, run)}


def _opening(tables: Tables, answered: Sequence[Mapping[str, object]]) -> list[str]:
    """What Markdown and terminal begin with: what was run, then a point for each problem."""
    run = tables.run
    where = f" on {run['device']}" if run.get("device") else ""
    points = [" ".join(["-", str(each["sentence"]), *map(str, _list(each["remarks"]))]) for each in answered]
    return [f"Suite {run.get('suite') or ''}{where}: {progress(tables)}.",
            *(points or ["- No problem has a finished cell yet, so there is no answer."])]


def _warnings(run: Mapping[str, object]) -> list[str]:
    began = run.get("environment")
    load = busy(began) if isinstance(began, Mapping) else None
    noisy = [] if load is None else [f"the load was {load} when the run began, above half the cores: its step times "
                                     "may be those of a busy machine."]
    return [*noisy, *(str(text) for text in _list(run.get("warnings")))]


def progress(tables: Tables) -> str:
    """How much of a run there is: "complete: 64 of 64 cells", "partial: 37 of 64 cells", "… of shard 2/4"."""
    run, (finished, cells), untimed = tables.run, cell_counts(tables.run), _untimed(tables)
    shard = f" of shard {'/'.join(map(str, _list(run.get('shard'))))}" if "shard" in run else ""
    times = f", {untimed} of them without step times" if untimed else ""
    whole = finished == cells and cells and not untimed
    return f"{'complete' if whole else 'partial'}: {finished} of {cells} cells{shard}{times}"


def _untimed(tables: Tables) -> int:
    """How many finished cells have no step times, as after an interruption before them."""
    names = ["problem", "optimizer", "batch_size"]
    timed = set(tables.timing[names].drop_duplicates().itertuples(index=False, name=None))
    return sum(cell.get("status") == "finished" and tuple(cell.get(name) for name in names) not in timed
               for cell in cells_of(tables.run))


def cell_row(row: pd.Series) -> Row:
    """A summary row in words: batch size to diverged, as the tables of cells show it."""
    steps, solo, batched = (_estimate(row, part) for part in ("steps", "seconds_solo", "seconds_batched"))
    known = not math.isnan(float(row["final_gap_median"]))
    final = f"f* + {estimate_words(_estimate(row, 'final_gap'))}" if known else loss_words(_estimate(row, "final_loss"))
    return [batch_label(int(row["batch_size"]), int(row["problem_examples"])), schedule_label(str(row["schedule"])),
            _rate(float(row["rate"]), bool(row["edge_of_grid"])), number(float(row["horizon"])),
            f"{row['hits']} of {row['lanes']}", estimate_words(steps), number(float(row["ert_steps"])),
            seconds_words(solo), seconds_words(batched), final, str(row["diverged"])]


def facts(run: Mapping[str, object]) -> list[Row]:
    """When and on what a run was made: names and values of its manifest, as texts."""
    rows = [[key, _value(run.get(key))] for key in ("started", "finished", "device", "config_hash")]
    environment = run.get("environment")
    machines = machine_counts(run)
    rows += [["machines", "; ".join(machines)]] if len(machines) > 1 else []
    if isinstance(environment, Mapping):
        rows += [[str(key), _value(value)] for key, value in environment.items()]
    return [row for row in rows if row[1]]


def command(run: Mapping[str, object]) -> str:
    """The command that made a run, as it can be typed again."""
    return " ".join(shlex.join(str(word) for word in _list(run.get("command"))).split())


def _answer(answer: Answer, compared: pd.DataFrame, run: Mapping[str, object]) -> dict[str, object]:
    first, *remarks = sentences(answer)
    remarks += [words for words in [starts_sentence(compared, answer.problem, answer.device),
                                    machines_remark(run, answer.problem)] if words]
    cell, tied = answer.winner, len(answer.not_told_apart)
    others = "another" if tied == 1 else f"one of {tied} others"
    return {"problem": answer.problem, "winner": cell_words(cell, answer) if cell else "", "sentence": first,
            "tied": f"or {others}, not told apart from it" if tied else "", "remarks": remarks}


def _winner_row(answer: Answer) -> Row:
    goal = answer.goal.words + (" ★" if answer.headline else "")
    cell = answer.winner
    if cell is None:
        return [answer.problem, answer.device, goal, "none in half of the starts", "", "", "", "", ""]
    next_best = "–"
    if answer.runner_up is not None:
        tie = " (not told apart)" if answer.ratio.low <= 1 <= answer.ratio.high else ""
        next_best = f"{ratio_words(answer.ratio, '×')}{tie}: {cell_words(answer.runner_up, answer)}"
    time = seconds_words(cell.time) if answer.measure == "seconds_solo" else f"{number(cell.time.value)} examples"
    return [answer.problem, answer.device, goal, cell_words(cell, answer),
            _rate(cell.rate, cell.edge_of_grid), time, f"{cell.hits} of {cell.lanes}",
            next_best, str(len(answer.not_told_apart)) if answer.headline else ""]


def _problem(name: str, run: Mapping[str, object], summary: pd.DataFrame,
             answers: Iterable[Answer], several: bool) -> dict[str, object]:
    mine = summary[summary["problem"] == name]
    lead = next((answer for answer in headlines(answers) if answer.problem == name), None)
    rows = mine.iloc[:0] if lead is None else mine[mine["target"] == lead.target]
    order = rank(rows, measure_of(rows)) if len(rows) else rows
    finished, cells = cell_counts(run, name)
    return {"name": name, "facts": f"{finished} of {cells} cells finished. {_problem_facts(run, name)}",
            "rows": [[*([str(row["optimizer"])] if several else []), *cell_row(row)]
                     for _, row in order.head(_TOP).iterrows()], "total": len(rows),
            "goal": lead.goal.got if lead else ""}


def _problem_facts(run: Mapping[str, object], name: str) -> str:
    problems = run.get("problems")
    entry = problems.get(name) if isinstance(problems, Mapping) else None
    if not isinstance(entry, Mapping):
        return ""
    parts = [f"{label}: {_value(entry.get(key))}" for key, label in (
        ("examples", "examples"), ("optimum", "optimum"), ("initial_loss", "median loss of the starts"),
        ("source", "source")) if entry.get(key) not in (None, "")]
    if (drawn := _drawn(entry)) is not None:
        parts.append(drawn)
    on, held_out = entry.get("target_on"), entry.get("held_out_examples")
    if on not in (None, LOSS):
        parts.append(f"targets on: the {Goal(math.nan, on=str(on)).axis}"
                     + (f" of {held_out} held-out examples" if held_out else ""))
    return "; ".join(parts)


def _drawn(problem: Mapping[str, object]) -> str | None:
    """How examples were drawn, where not each once an epoch."""
    if problem.get("sampling") == "replacement":
        return "examples drawn with replacement"
    stream = problem.get("stream")
    if not isinstance(stream, Mapping):
        return None
    return (f"examples read in shuffled blocks of {stream['block']:,} into buffers of {stream['buffer']:,}, which all "
            "starts share; reading the first one is in no time to a target (it is the transfer, below)")


def _rate(rate: float, edge: bool) -> str:
    return f"{number(rate)} (edge)" if edge else number(rate)


def _estimate(row: pd.Series, name: str) -> Estimate:
    return Estimate(*(float(row[f"{name}_{part}"]) for part in ("median", "low", "high")))


def _timing_row(row: pd.Series, several: bool) -> Row:
    solo, batched = (Estimate(*(float(row[f"step_s_{kind}{part}"]) for part in ("", "_low", "_high")))
                     for kind in ("solo", "batched"))
    share = float(row["scoring_share"])
    name = problem_label(row["problem"], row["optimizer"], several=several)
    return [name, str(row["batch_size"]), str(row["device"]),
            *(seconds_number(float(row[name])) for name in ("trace_s", "compile_s", "first_run_s", "transfer_s")),
            seconds_words(solo), seconds_words(batched), str(row["width"]), str(row["repeats"]), str(row["voided"]),
            "–" if math.isnan(share) else f"{share:.1%}", _lane_steps(row), _memory(row)]


def _lane_steps(row: pd.Series) -> str:
    """Lane-steps that slots computed over those that lanes needed; older runs did not keep them."""
    run, needed = row["lane_steps_run"], row["lane_steps_needed"]
    if pd.isna(run) or pd.isna(needed) or needed == 0:
        return "–"
    return f"{run / needed:.2f} ({number(float(run))} / {number(float(needed))})"


def _memory(row: pd.Series) -> str:
    """Peak of the device where it keeps count, else of the process; an upper bound unless the process was fresh."""
    peak = row["peak_bytes"] if pd.isna(row["device_peak_bytes"]) else row["device_peak_bytes"]
    return "–" if pd.isna(peak) else f"{'' if row['fresh'] else '≤ '}{float(peak) / 1e6:,.0f} MB"


def _mark_ratio(run: Mapping[str, object]) -> str:
    ratios = run.get("mark_ratio")
    values = [float(value) for value in ratios.values() if value] if isinstance(ratios, Mapping) else []
    if not values:
        return "The ratio of neighbouring marks is not known for this run."
    ends = dict.fromkeys(number(value) for value in (min(values), max(values)))
    return (f"Of all neighbouring marks of a batch size the median ratio is {' to '.join(ends)}: two times closer than "
            "the marks around them differ by interpolation only.")


def _spread(timing: pd.DataFrame) -> str:
    found = process_spread(timing)
    if found is None:
        return "No program was timed again in a fresh process: how much processes differ is not known."
    groups = "1 group" if found.groups == 1 else f"{found.groups} groups"
    return (f"The same programs timed in fresh processes (A/A): medians of {found.processes} processes differed by at "
            f"most {100 * found.value:.1f} % over {groups}; a smaller difference between two runs means nothing.")


def _value(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _failed(run: Mapping[str, object]) -> list[Row]:
    cells = [cell for cell in cells_of(run) if cell.get("status") not in ("finished", "pending")]
    return [[str(cell.get(key, "")) for key in ("problem", "optimizer", "batch_size", "schedule", "status", "note")]
            for cell in cells[:_LISTED]]


def _edges(summary: pd.DataFrame, run: Mapping[str, object]) -> list[str]:
    held = run.get("widened")
    widened = held if isinstance(held, Mapping) else {}
    edge = summary[summary["edge_of_grid"].astype(bool)]
    lines = []
    for _, rows in edge.groupby(["problem", "optimizer", "batch_size"], sort=True):
        names = ", ".join(sorted({schedule_label(str(name)) for name in rows["schedule"]}))
        problem, optimizer, size = (rows[key].iloc[0] for key in ("problem", "optimizer", "batch_size"))
        rounds = widened.get(group_name(problem, optimizer, size), 0)
        lines.append(f"{problem}, {optimizer}, batch size {size}: {names}"
                     + (f" (grid widened {rounds}×)" if rounds else ""))
    more = len(lines) - _LISTED
    return lines[:_LISTED] + ([f"and {more} more: column edge_of_grid of summary.csv"] if more > 0 else [])


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else []
