"""The report at the end of a run: written by the suite's module, its answer shown; its failure costs no result."""

from __future__ import annotations

import errno
import traceback
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from bench.child import LOG
from bench.display import Display
from bench.store import FolderError

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}


def write_report(folder: Path, module: str, display: Display) -> bool:
    """Write the report of a run folder and show what it returns, else its answer; False, and why, when that failed.

    Raises:
        FolderError: the folder is full or may not be written.
    """
    try:
        shown = import_module(module).write_report(folder)
    except Exception as error:  # whatever is wrong with a report must not cost the run that it tells of
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise FolderError(f"{error.filename or folder}: cannot be written (got {error.strerror}). "
                              f"The results are kept: make room, then python -m bench report {folder}.") from None
        with suppress(OSError), open(folder / LOG, "a", encoding="utf-8") as log:
            traceback.print_exc(file=log)
        display.error(f"error: report: could not be written (got {type(error).__name__}: {str(error)[:300]}). "
                      f"The results are kept; see {folder / LOG}, then python -m bench report {folder}.")
        return False
    if shown is None:
        for text in answer(folder / "report.md"):
            display.line(text)
    else:
        display.show(shown)
    display.line(f"report: {folder / 'report.md'}")
    return True


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


def answer(report: Path) -> list[str]:
    """The sentences at the top of a report: the text before its first section, table or picture."""
    if not report.exists():
        return []
    lines: list[str] = []
    for text in report.read_text(encoding="utf-8").splitlines():
        if text.startswith(("## ", "|", "![")) or len(lines) >= 20:
            break
        if text.strip() and not text.startswith("# "):
            lines.append(text.strip())
    return lines
