"""The report of a run folder: summary.csv, figures and report.md. It computes nothing; `bench.analysis` does."""

from __future__ import annotations

from pathlib import Path

from bench.analysis.answer import answers
from bench.analysis.summary import summarise
from bench.analysis.timing import timing_table
from bench.report.figures import write_figures
from bench.report.files import write_whole
from bench.report.markdown import markdown
from bench.tables import load

__all__ = ["write_report"]


def write_report(folder: Path) -> None:
    """Make summary.csv, figures/ and report.md again from the parts of a run folder; a run may still be going.

    Each file is replaced whole, the report last, so that it never shows figures that are not there.

    Args:
        folder: the run folder.

    Raises:
        ValueError: the folder holds no readable run.json.
        OSError: the folder can't be written.
    """
    folder = Path(folder)
    tables = load(folder)
    summary = summarise(tables)
    write_whole(folder / "summary.csv", summary.to_csv(index=False).encode())
    pictures = write_figures(tables, summary, folder / "figures")
    text = markdown(tables, summary, timing_table(tables), answers(tables, summary), pictures)
    write_whole(folder / "report.md", text.encode())
