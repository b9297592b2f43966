"""A report of two lines, without the tables' columns."""

from pathlib import Path


def write_report(folder: Path) -> list[str]:
    """Write report.md with a title, an answer and a section; return the answer."""
    text = "# fake\n\nBatch size 8 is soonest.\n\n## Tables\nnot the answer\n"
    (folder / "report.md").write_text(text, encoding="utf-8")
    return ["Batch size 8 is soonest."]
