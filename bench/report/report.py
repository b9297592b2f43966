"""A run folder -> its report. It computes nothing, the analysis does."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from bench.analysis.answer import answers
from bench.analysis.comparisons import comparison_table
from bench.analysis.noise_along import noise_along, with_noise_scale
from bench.analysis.reported import Reported
from bench.analysis.scaling import scaling_table
from bench.analysis.shares import Shares
from bench.analysis.summary import several_optimizers, summarise
from bench.analysis.timing import Times, timing_table
from bench.report.content import content
from bench.report.figures import write_figures
from bench.report.files import write_whole
from bench.report.html import html_page
from bench.report.limits import pictured
from bench.report.markdown import markdown
from bench.report.plots import across_plots, problem_plots, schedule_looks
from bench.report.plots.clock import clock_plots
from bench.tables import load

__all__ = ["write_report"]


@contextmanager
def _rare_sweeps() -> Iterator[None]:
    """Within, garbage is looked for a hundred times less often: figures are cycles; looking took a tenth of all."""
    usual = gc.get_threshold()
    gc.set_threshold(100 * usual[0], *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


@_rare_sweeps()
def write_report(folder: Path) -> list[str]:
    """Make tables, figures/ and both reports again from the parts of a run folder; the run may still be going.

    Each file is replaced whole, the reports last, so that they never show figures that are not there.

    Args:
        folder: the run folder.

    Returns:
        what report.md begins with, for the terminal.

    Raises:
        ValueError: the folder holds no readable run.json.
        OSError: the folder can't be written.
    """
    folder = Path(folder)
    tables = load(folder)
    reported, times = Reported(tables), Times(tables.timing)
    summary, timing = summarise(tables, reported=reported, times=times), timing_table(tables, times)
    found, scaling = answers(tables, summary, reported=reported, times=times), scaling_table(reported, summary)
    noise = noise_along(tables.noise_scale, scaling)
    scaling = with_noise_scale(scaling, noise)
    compared = comparison_table(reported, times, found)
    shown = pictured(summary)
    shares = Shares.of(tables, reported, summary, shown)
    frames = {"summary.csv": summary, "scaling.csv": scaling, "comparisons.csv": compared, "timing.csv": timing}
    for name, frame in [*frames.items(), *shares.frames.items()]:
        write_whole(folder / name, frame.to_csv(index=False).encode())
    pictures = write_figures(tables, reported, shown, scaling, noise, shares, folder / "figures")
    said = content(tables, summary, timing, scaling, noise, compared, found)
    write_whole(folder / "report.md", markdown(said, pictures).encode())
    plots = problem_plots(tables, reported, shown, scaling, noise, shares)
    across = across_plots(shares.profile, schedule_looks(summary), several=several_optimizers(tables))
    clock = clock_plots(timing[timing["problem"].isin(shown["problem"])])
    page = html_page(said, summary, plots, across, clock, pictures, folder, frames,
                     list(shares.frames))
    write_whole(folder / "report.html", page.encode())
    return cast(list[str], said["opening"])
