"""Figure across problems: performance profiles of schedules and of batch sizes."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bench.analysis.profile import ALL, FARTHEST, in_order
from bench.analysis.words import schedule_label
from bench.report.style import (
    grid,
    heading,
    legend_below,
    log_axis,
    looks,
    new_figure,
    panel_title,
    plain,
    room_below,
    shades,
    step_band,
)

UNITS = {"seconds_solo": "seconds, one training", "examples": "examples seen"}
KINDS = {"schedule": "schedules, each at its best batch size", "batch_size": "batch sizes, each with its best schedule"}
FACTOR = "factor of the best median time (times, 1 is best)"
MOST = 12  # lines of a panel


def profile_figure(profiles: pd.DataFrame, *, several: bool) -> Figure:
    """Share of cases done within a factor of the best: schedules on the left, batch sizes on the right.

    In seconds of one training where they were measured, else in examples; of more than `MOST` lines the highest.

    Args:
        profiles: `profile_tables` of the run, not empty.
        several: whether cases are of several optimizers.
    """
    unit = next(unit for unit in UNITS if unit in set(profiles["unit"]))
    tables = [_highest(profiles[(profiles["unit"] == unit) & (profiles["solvers"] == by)]) for by in KINDS]
    names = [in_order(table["solver"]) for table in tables]
    figure, panels = new_figure((4.9, 3.2), 1, 2, left=0.9, right=0.2, bottom=room_below(max(map(len, names))),
                                top=0.65)
    kinds = zip(panels[0], KINDS.items(), tables, names, strict=True)
    for axes, (by, title), table, solvers in kinds:
        styles = looks(solvers)
        colours: list[str | tuple[float, ...]] = (
            [styles[name][0] for name in solvers] if by == "schedule" else [*shades(len(solvers))])
        for place, (solver, colour) in enumerate(zip(solvers, colours, strict=True)):
            rows = table[table["solver"] == solver]
            share, low, high = (100 * rows[part].to_numpy(float) for part in ("share", "share_low", "share_high"))
            # markers of lines that lie on each other have places of their own
            axes.plot(rows["factor"], share, color=colour, marker=styles[solver][1], markersize=4, linewidth=1.5,
                      drawstyle="steps-post", markevery=(place % 5, 5), label=plain(solver_name(solver, by), 24))
            step_band(axes, rows["factor"].to_numpy(float), low, high, colour)
        log_axis(axes, "x")
        grid(axes)
        axes.set_xticks([1.0, 1.5, 2.0, 3.0, FARTHEST])
        axes.set_xlim(1.0, FARTHEST)
        axes.set_ylim(-2, 102)
        axes.set_xlabel(FACTOR)
        panel_title(axes, title)
        legend_below(axes, "schedule" if by == "schedule" else "batch size (examples per step)")
    panels[0][0].set_ylabel(f"done, of {counted(tables[0]['tasks'])} {case_words(several)}\ncases (%)")
    heading(figure, f"Performance profile: share of cases done within a factor of the best ({UNITS[unit]})")
    return figure


def solver_name(solver: str, by: str) -> str:
    """What a line of a profile is called: a schedule, or a batch size."""
    if by == "schedule":
        return schedule_label(solver)
    return "all examples" if solver == ALL else f"batch {solver}"


def case_words(several: bool) -> str:
    """What a case of a profile is."""
    return "(problem, optimizer, target)" if several else "(problem, target)"


def counted(tasks: pd.Series) -> str:
    """How many cases the lines of a profile are of: "6", or "3 to 6"."""
    return " to ".join(str(count) for count in sorted({tasks.min(), tasks.max()})) if len(tasks) else "no"


def _highest(table: pd.DataFrame) -> pd.DataFrame:
    """The profiles of the solvers that are highest on the whole."""
    kept = table.groupby("solver")["share"].mean().sort_values(ascending=False, kind="stable").index[:MOST]
    return table[table["solver"].isin(kept)]
