"""The Markdown report: every number it shows was made in `bench.analysis`; here they are put into words and tables."""

from __future__ import annotations

import html
import json
import math
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bench.analysis.answer import Answer, cell_counts, cells_of, headlines, problem_names
from bench.analysis.intervals import Estimate
from bench.analysis.ranking import measure_of, rank
from bench.analysis.sentence import cell_words, ratio_words, sentence
from bench.analysis.words import (
    batch_label,
    estimate_words,
    number,
    schedule_label,
    seconds_number,
    seconds_words,
    target_words,
)
from bench.report.figures import Picture
from bench.tables import Tables

_TOP = 10
_LISTED = 40  # failed cells, edges: enough to act on, not a page of them
Row = Sequence[str]


def markdown(tables: Tables, summary: pd.DataFrame, timing: pd.DataFrame, answers: Sequence[Answer],
             pictures: Sequence[Picture]) -> str:
    """The report as Markdown; names are escaped, so that they can neither be markup nor break a table.

    Args:
        tables: of the run.
        summary, timing, answers: `summarise`, `timing_table` and `answers` of the tables.
        pictures: what `write_figures` wrote.
    """
    run = tables.run
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, finalize=_finalize,
                              autoescape=False)
    environment.filters["html"] = lambda text: Markup(html.escape(str(text)))
    environment.globals["table"] = table
    text = environment.get_template("report.md.j2").render(
        suite=str(run.get("suite") or ""), device=str(run.get("device") or ""), progress=progress(run),
        sentences=[sentence(answer) for answer in headlines(answers)],
        winners=[_winner_row(answer) for answer in answers if answer.winner or answer.closest],
        problems=[_problem(name, run, summary, answers, pictures) for name in problem_names(run)],
        timing=[_timing_row(row) for _, row in timing.iterrows()], mark_ratio=_mark_ratio(run), facts=_facts(run),
        command=_command(run), failed=_failed(run), warnings=[str(text) for text in _list(run.get("warnings"))],
        edges=_edges(summary))
    return re.sub(r"\n{3,}", "\n\n", text)


def progress(run: Mapping[str, object]) -> str:
    """How much of a run there is: "complete: 64 of 64 cells", or "partial: 37 of 64 cells"."""
    finished, cells = cell_counts(run)
    return f"{'complete' if finished == cells and cells else 'partial'}: {finished} of {cells} cells"


def table(header: Row, rows: Iterable[Row]) -> Markup:
    """A Markdown table, its cells escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return Markup("".join(f"| {' | '.join(escape(cell) for cell in line)} |\n" for line in lines))


def escape(text: str) -> str:
    """Text that Markdown shows as it stands: no HTML, no emphasis, no link, no new column; intervals keep brackets.

    Example:
        >>> escape("<b>a|b</b> [1, 2]")
        '&lt;b&gt;a\\\\|b&lt;/b&gt; [1, 2]'
    """
    safe = html.escape(" ".join(text.split()), quote=False)
    marks = r"\[[\d.,∞–e+\- ]*\](?!\()|[\\`*\[\]|~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])"
    return re.sub(marks, lambda found: found[0] if len(found[0]) > 1 else "\\" + found[0], safe)


def _finalize(value: object) -> object:
    return value if isinstance(value, Markup) else Markup(escape(str(value)))


def _winner_row(answer: Answer) -> Row:
    goal = target_words(answer.gap, answer.target) + (" ★" if answer.headline else "")
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


def _problem(name: str, run: Mapping[str, object], summary: pd.DataFrame, answers: Iterable[Answer],
             pictures: Iterable[Picture]) -> dict[str, object]:
    mine = summary[summary["problem"] == name]
    lead = next((answer for answer in headlines(answers) if answer.problem == name), None)
    rows = mine.iloc[:0] if lead is None else mine[mine["target"] == lead.target]
    order = rank(rows, measure_of(rows)) if len(rows) else rows
    finished, cells = cell_counts(run, name)
    return {"name": name, "facts": f"{finished} of {cells} cells finished. {_problem_facts(run, name)}",
            "pictures": [picture for picture in pictures if picture.problem == name],
            "rows": [_cell_row(row) for _, row in order.head(_TOP).iterrows()], "total": len(rows),
            "goal": target_words(lead.gap, lead.target) if lead else ""}


def _problem_facts(run: Mapping[str, object], name: str) -> str:
    problems = run.get("problems")
    entry = problems.get(name) if isinstance(problems, Mapping) else None
    if not isinstance(entry, Mapping):
        return ""
    parts = [f"{label}: {_value(entry.get(key))}" for key, label in (
        ("examples", "examples"), ("optimum", "optimum"), ("initial_loss", "median loss of the starts"),
        ("source", "source")) if entry.get(key) is not None]
    return "; ".join(parts)


def _cell_row(row: pd.Series) -> Row:
    steps, solo, batched = (_estimate(row, part) for part in ("steps", "seconds_solo", "seconds_batched"))
    known = not math.isnan(float(row["final_gap_median"]))
    final = ("f* + " if known else "") + estimate_words(_estimate(row, "final_gap" if known else "final_loss"))
    return [batch_label(int(row["batch_size"]), int(row["problem_examples"])), schedule_label(str(row["schedule"])),
            _rate(float(row["rate"]), bool(row["edge_of_grid"])), number(float(row["horizon"])),
            f"{row['hits']} of {row['lanes']}", estimate_words(steps), number(float(row["ert_steps"])),
            seconds_words(solo), seconds_words(batched), final, str(row["diverged"])]


def _rate(rate: float, edge: bool) -> str:
    return f"{number(rate)} (edge)" if edge else number(rate)


def _estimate(row: pd.Series, name: str) -> Estimate:
    return Estimate(*(float(row[f"{name}_{part}"]) for part in ("median", "low", "high")))


def _timing_row(row: pd.Series) -> Row:
    solo, batched = (Estimate(*(float(row[f"step_s_{kind}{part}"]) for part in ("", "_low", "_high")))
                     for kind in ("solo", "batched"))
    share = float(row["scoring_share"])
    return [str(row["problem"]), str(row["batch_size"]), str(row["device"]),
            *(seconds_number(float(row[name])) for name in ("trace_s", "compile_s", "first_run_s")),
            seconds_words(solo), seconds_words(batched), str(row["width"]), str(row["repeats"]), str(row["voided"]),
            "–" if math.isnan(share) else f"{share:.1%}"]


def _mark_ratio(run: Mapping[str, object]) -> str:
    ratios = run.get("mark_ratio")
    values = [float(value) for value in ratios.values() if value] if isinstance(ratios, Mapping) else []
    if not values:
        return "The ratio of neighbouring marks is not known for this run."
    low, high = min(values), max(values)
    text = number(low) if low == high else f"{number(low)} to {number(high)}"
    return f"Neighbouring marks are a factor {text} apart: two times closer than that differ by interpolation only."


def _facts(run: Mapping[str, object]) -> list[Row]:
    rows = [[key, _value(run.get(key))] for key in ("started", "finished", "device", "config_hash")]
    environment = run.get("environment")
    if isinstance(environment, Mapping):
        rows += [[str(key), _value(value)] for key, value in environment.items()]
    return [row for row in rows if row[1]]


def _value(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _command(run: Mapping[str, object]) -> str:
    return " ".join(shlex.join(str(word) for word in _list(run.get("command"))).split())


def _failed(run: Mapping[str, object]) -> list[Row]:
    cells = [cell for cell in cells_of(run) if cell.get("status") not in ("finished", "pending")]
    return [[str(cell.get(key, "")) for key in ("problem", "optimizer", "batch_size", "schedule", "status", "note")]
            for cell in cells[:_LISTED]]


def _edges(summary: pd.DataFrame) -> list[str]:
    edge = summary[summary["edge_of_grid"].astype(bool)]
    lines = []
    for (problem, optimizer, size), rows in edge.groupby(["problem", "optimizer", "batch_size"], sort=True):
        names = ", ".join(sorted({schedule_label(str(name)) for name in rows["schedule"]}))
        lines.append(f"{problem}, {optimizer}, batch size {size}: {names}")
    more = len(lines) - _LISTED
    return lines[:_LISTED] + ([f"and {more} more: column edge_of_grid of summary.csv"] if more > 0 else [])


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else []
