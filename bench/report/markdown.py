"""The Markdown report: every number it shows was made in `bench.analysis`; here it becomes text."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bench.report.content import Row
from bench.report.figures import Picture
from bench.report.page import TEMPLATES


def markdown(content: Mapping[str, object], pictures: Sequence[Picture], template: str = "report.md.j2",
             folder: Path = TEMPLATES) -> str:
    """The report as Markdown; names are escaped, so that they can neither be markup nor break a table.

    Args:
        content: what `bench.report.content` made of the run.
        pictures: what `write_figures` wrote.
        template: the file's name in `folder`.
    """
    environment = Environment(loader=FileSystemLoader(folder), undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, finalize=_finalize,
                              autoescape=False)
    environment.filters["html"] = lambda text: Markup(html.escape(str(text)))
    environment.globals["table"] = table
    text = environment.get_template(template).render(**content, pictures=pictures)
    return re.sub(r"\n{3,}", "\n\n", text)


def table(header: Row, rows: Iterable[Row]) -> Markup:
    """A Markdown table, its cells escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return Markup("".join(f"| {' | '.join(escape(cell) for cell in line)} |\n" for line in lines))


def escape(text: str) -> str:
    """Text that Markdown shows as it stands: no HTML, no emphasis, no link, no new column; intervals keep brackets.

    Example:
        >>> escape("<b>a|b</b> [1, 2]")
        '&lt;b&gt;a\\\\|b&lt;/b&gt; [1, 2]'
    """
    safe = html.escape(" ".join(text.split()), quote=False)
    marks = r"\[[\d.,∞–e+\- ]*\](?!\()|[\\`*\[\]|~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])"
    return re.sub(marks, lambda found: found[0] if len(found[0]) > 1 else "\\" + found[0], safe)


def _finalize(value: object) -> object:
    return value if isinstance(value, Markup) else Markup(escape(str(value)))
