"""The harness: runs suites of cells over gdjax's public names, stores them, and reports."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.tables import Tables

__all__ = ["load"]


def load(folder: Path | str) -> Tables:
    """The tables of a run folder as pandas frames: lanes, hits, curves, chosen, timing, and the manifest `run`.

    Also noise_scale and memory; of a study: claims, findings, points.

    Raises:
        ValueError: the folder holds no readable run.json.

    Example:
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "run.json").write_text('{"cells": []}')
        >>> len(load(folder).hits)
        0
    """
    from bench import tables  # pandas takes 0.4 s to import, which `python -m bench list` need not wait for

    return tables.load(folder)
