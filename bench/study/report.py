"""The report of a study: claims.csv, findings.csv, figures, report.md, report.html; it computes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.report.figures import Picture, slug
from bench.report.files import write_whole
from bench.report.markdown import markdown
from bench.report.page import csv_link, embedded, render
from bench.report.style import save
from bench.study.content import Entry, content, entries_of, judged
from bench.study.figures import picture_figure
from bench.study.plots import picture_plot
from bench.study.verdicts import VerdictTable
from bench.tables import load

TEMPLATES = Path(__file__).parent / "templates"


def write_report(folder: Path) -> VerdictTable:
    """Make tables, figures/ and both reports again from the parts of a study's folder; the run may still be going.

    Args:
        folder: the run folder.

    Returns:
        the verdicts, for the terminal.

    Raises:
        ValueError: the folder holds no readable run.json.
        OSError: the folder can't be written.
    """
    folder = Path(folder)
    tables = load(folder)
    frames = {"claims.csv": tables.claims.sort_values("number", kind="stable"), "findings.csv": tables.findings}
    for name, frame in frames.items():
        write_whole(folder / name, frame.to_csv(index=False).encode())
    entries = entries_of(tables)
    pictures = _write_figures(entries, folder / "figures")
    said = content(tables.run, entries)
    write_whole(folder / "report.md", markdown(said, pictures, "study.md.j2", TEMPLATES).encode())
    plots = {entry.name: [picture_plot(picture, f"{_identity(entry)}-{place + 1}")
                          for place, picture in enumerate(entry.pictures)] for entry in entries}
    shown = [{"kind": each.kind, "caption": each.caption, "src": embedded(folder / "figures" / each.svg)}
             for each in pictures]
    more = {"plots": plots, "pictures": shown, "tables": sorted(path.name for path in folder.glob("*.parquet")),
            "downloads": [(name, csv_link(frame)) for name, frame in frames.items()]}
    drawn = [plot for each in plots.values() for plot in each]
    write_whole(folder / "report.html", render("study.html.j2", {**said, **more}, drawn, folder=TEMPLATES).encode())
    return VerdictTable(judged(entries))


def _identity(entry: Entry) -> str:
    return f"claim-{entry.number}"


def _write_figures(entries: Sequence[Entry], folder: Path) -> list[Picture]:
    """Each picture as PNG and SVG; its kind is the identity of the interactive one."""
    pictures = []
    for entry in entries:
        for place, picture in enumerate(entry.pictures, start=1):
            stem = folder / f"claim-{entry.number:02d}-{slug(entry.name)}-{place}"
            png, svg = save(picture_figure(picture), stem)
            pictures.append(Picture(entry.name, "", "", f"{_identity(entry)}-{place}", picture.title, png, svg))
    return pictures
