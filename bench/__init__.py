"""The harness: runs suites of cells over gdjax's public names, stores them, and reports."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.tables import Tables

__all__ = ["load", "table"]


def load(folder: Path | str) -> Tables:
    """The tables of a run folder as pandas frames: lanes, hits, curves, chosen, timing, and the manifest `run`.

    Also noise_scale and memory; of a study: claims, findings, points.

    Raises:
        ValueError: the folder holds no readable run.json, or tables only: its parts were not kept.

    Example:
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "run.json").write_text('{"cells": []}')
        >>> len(load(folder).hits)
        0
    """
    from bench import tables  # pandas takes 0.4 s to import, which `python -m bench list` need not wait for

    return tables.load(folder)


def table(run: Path | str | Tables, style: str = "latex") -> str:
    """The winners of a run as a table for a paper: steps and seconds to each target with their 95 % intervals.

    One row per (problem, target): the batch size and schedule that get there soonest, a dash where none did in half of
    its starts; optimizer and device are columns where there are several.

    Args:
        run: the run folder, or what `load` made of it.
        style: "latex", a tabular that needs the package booktabs and has its characters escaped, or "markdown".

    Raises:
        ValueError: an unknown style, a study of claims, or a folder that holds no readable run.json.

    Example:
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "run.json").write_text('{"cells": []}')
        >>> print(table(folder, "markdown"))
        | problem | target | batch size | schedule | steps | time, one training | starts that hit |
        | --- | --- | --- | --- | --- | --- | --- |
        <BLANKLINE>
    """
    from bench.report.paper import winners_table

    return winners_table(load(run) if isinstance(run, Path | str) else run, style)
