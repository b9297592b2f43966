"""Two run folders compared: compare.csv, parity.csv, compare.html, a table for the terminal, one sentence, a gate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import RenderableType

from bench.analysis.comparisons import FEWEST
from bench.analysis.parity import parity_table
from bench.analysis.sides import Pair, Side
from bench.analysis.versus import PER_STEP, TO_TARGET, Versus, versus
from bench.compare.content import content, sentences
from bench.compare.differences import differences, refusals
from bench.compare.figures import speed_figure
from bench.compare.plots import speed_plots
from bench.compare.terminal import overall_table
from bench.compare.words import inverse, times
from bench.report.files import write_whole
from bench.report.page import csv_link, embedded, render
from bench.report.style import save
from bench.tables import load

TEMPLATES = Path(__file__).parent / "templates"
PICTURED = {"speed-up-target": TO_TARGET[0], "speed-up-step": PER_STEP[1]}  # what the static pictures are of
SLOWEST = 5  # cells named where a gate fails


class NotComparable(Exception):
    """The two runs did not measure the same thing; its lines say what differs."""


@dataclass(frozen=True)
class Comparison:
    """What came of it.

    Args:
        table: for the terminal.
        lines: what to say below the table, the one sentence last.
        versus: every ratio and verdict.
    """

    table: RenderableType
    lines: list[str]
    versus: Versus

    def slower_than(self, ratio: float) -> list[str]:
        """Cells in which B takes more than so many times as long as A beyond noise: by the end of the interval.

        Of seconds to target and seconds per step, whatever the losses do: a cell that gets to its target later is
        slower, for whatever reason. Fewer samples than a verdict needs show that only where B misses the target.
        """
        cells = self.versus.cells[self.versus.cells["quantity"].isin((*TO_TARGET, *PER_STEP))]
        value, high = (cells[name].astype(float) for name in ("ratio", "high"))
        told = (cells[["samples_a", "samples_b"]].min(axis=1) >= FEWEST) | (value == 0)
        noise = 1 / (1 + self.versus.noise.floor)
        found = cells[told & (value < noise) & (high * ratio < 1)].sort_values("ratio")
        names = [" ".join(filter(None, (str(row["problem"]), str(row["optimizer"]), f"batch {row['batch_size']}",
                                        str(row["schedule"]), str(row["goal"]), str(row["quantity"]))))
                 + f": {times(inverse(row['ratio']))} as long, at least {times(inverse(row['high']))}"
                 for _, row in found.head(SLOWEST).iterrows()]
        more = len(found) - len(names)
        return names + ([f"{more} more"] if more > 0 else [])


def compare(folder_a: Path, folder_b: Path, out: Path) -> Comparison:
    """Compare two run folders and write compare.csv, parity.csv, compare.html and figures/ into `out`.

    Args:
        folder_a: the run that is compared with.
        folder_b: the run that is told of: a ratio above 1 says that B is faster.
        out: where the files go; made if it is not there.

    Raises:
        ValueError: a folder holds no readable run.json.
        NotComparable: other targets, data, dtype, precision or config; or no common cell.
        OSError: `out` can't be written.
    """
    names = _names(folder_a, folder_b)
    sides = [Side(name, load(folder)) for name, folder in zip(names, (folder_a, folder_b), strict=True)]
    refused = refusals(sides[0].run, sides[1].run)
    if refused:
        raise NotComparable("\n".join(refused))
    pair = Pair(*sides)
    if pair.rows.empty:
        raise NotComparable("compare: the two runs have no finished cell in common "
                            f"(got {len(pair.only[0])} only in A, {len(pair.only[1])} only in B). "
                            "Finish them with --resume.")
    parity = parity_table(pair)
    found = versus(pair, parity)
    said = sentences(pair, found, parity)
    _write(out, pair, found, parity)
    return Comparison(overall_table(found), [*(f"differs: {text}" for text in differences(sides[0].run, sides[1].run)),
                                             *said.remarks, said.headline], found)


def _write(out: Path, pair: Pair, found: Versus, parity: object) -> None:
    frames = {"compare.csv": found.cells, "overall.csv": found.overall, "parity.csv": parity}
    for name, frame in frames.items():
        write_whole(out / name, frame.to_csv(index=False).encode())  # type: ignore[attr-defined]
    plots = speed_plots(found.cells)
    pictures = []
    for plot in plots:
        _, svg = save(speed_figure(found.cells, PICTURED[plot.picture]), out / "figures" / plot.picture)
        pictures.append({"kind": plot.picture, "caption": plot.title, "src": embedded(out / "figures" / svg)})
    page = render("compare.html.j2", {
        **content(pair, found, parity), "plots": plots, "pictures": pictures,  # type: ignore[arg-type]
        "downloads": [(name, csv_link(frame)) for name, frame in frames.items()]}, plots,  # type: ignore[arg-type]
        folder=TEMPLATES)
    write_whole(out / "compare.html", page.encode())


def _names(a: Path, b: Path) -> tuple[str, str]:
    """The folders' own names, with what is above them where those are alike."""
    a, b = a.absolute(), b.absolute()
    if a.name != b.name or a == b:
        return a.name, b.name
    return f"{a.parent.name}/{a.name}", f"{b.parent.name}/{b.name}"
