"""The report at the end of a run: written by the suite's module in a process of its own, its answer shown."""

from __future__ import annotations

from pathlib import Path

from bench.child import LOG, Child, Message
from bench.command import command
from bench.display import Display
from bench.store import FolderError

MOST = 20  # lines that are shown: the report has them all


def write_report(folder: Path, module: str, display: Display) -> bool:
    """Write the report of a run folder and show what it returns; False, and why, when that failed.

    Raises:
        FolderError: the folder is full or may not be written.
    """
    said = _written(folder, module)
    if said["kind"] == "no_room":
        raise FolderError(f"{said['text']}. The results are kept: make room, then {command('report', folder)}.")
    if said["kind"] == "error":
        display.error(f"error: report: could not be written (got {said['text']}). "
                      f"The results are kept; see {folder / LOG}, then {command('report', folder)}.")
        return False
    shown = said["shown"]
    if isinstance(shown, list):
        for text in shown[:MOST]:
            display.line(text)
    else:
        display.show(shown)
    display.line(f"report: {folder / 'report.md'}")
    return True


def _written(folder: Path, module: str) -> Message:
    """What the process that writes the report says at its end."""
    try:
        child = Child("bench.report_worker", {"folder": str(folder), "module": module}, folder, "report's process")
    except OSError as error:
        return {"kind": "no_room", "text": f"{error.filename or folder}: cannot be written (got {error.strerror})"}
    try:
        said = child.receive()
    except BaseException:  # interrupted
        child.terminate()
        child.end()
        raise
    how = child.end()
    return said if said is not None else {"kind": "error", "text": how}


def show_table(folder: Path, style: str, display: Display) -> None:
    """Show the table that `bench.table` gives, and on stderr what is to be known of the run.

    Raises:
        FolderError: the folder holds no run of cells.
    """
    from bench import load, table  # only here: they import pandas

    try:
        tables = load(folder)
        text = table(tables, style)
    except ValueError as error:
        raise FolderError(str(error)) from None
    for line in text.splitlines():
        display.line(line)
    warnings = tables.run["warnings"]
    for warning in warnings if isinstance(warnings, list) else []:
        display.error(f"warning: {warning}")
