"""A run folder -> its report. It computes nothing, the analysis does."""

from __future__ import annotations

from pathlib import Path

from bench.analysis.answer import answers
from bench.analysis.comparisons import comparison_table
from bench.analysis.noise_along import noise_along, with_noise_scale
from bench.analysis.reported import Reported
from bench.analysis.scaling import scaling_table
from bench.analysis.summary import summarise
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


def write_report(folder: Path) -> None:
    """Make tables, figures/ and both reports again from the parts of a run folder; the run may still be going.

    Each file is replaced whole, the reports last, so that they never show figures that are not there.

    Args:
        folder: the run folder.

    Raises:
        ValueError: the folder holds no readable run.json.
        OSError: the folder can't be written.
    """
    folder = Path(folder)
    tables = load(folder)
    reported, summary, timing = Reported(tables), summarise(tables), timing_table(tables)
    found, scaling = answers(tables, summary), scaling_table(reported, summary)
    noise = noise_along(tables.noise_scale, scaling)
    scaling = with_noise_scale(scaling, noise)
    compared = comparison_table(reported, Times(tables.timing), found)
    frames = {"summary.csv": summary, "scaling.csv": scaling, "comparisons.csv": compared, "timing.csv": timing}
    for name, frame in frames.items():
        write_whole(folder / name, frame.to_csv(index=False).encode())
    shown = pictured(summary)
    pictures = write_figures(tables, shown, scaling, noise, folder / "figures")
    said = content(tables, summary, timing, scaling, noise, compared, found)
    write_whole(folder / "report.md", markdown(said, pictures).encode())
    plots = problem_plots(tables, reported, shown, scaling, noise)
    across = across_plots(reported, summary, schedule_looks(summary))
    clock = clock_plots(timing[timing["problem"].isin(shown["problem"])])
    page = html_page(said, summary, plots, across, clock, pictures, folder, frames)
    write_whole(folder / "report.html", page.encode())
