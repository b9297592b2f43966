"""A page that needs nothing else to be read: its assets, its figures' data, its pictures for want of JavaScript."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from bench.report.plots.parts import Plot, json_ready

TEMPLATES = Path(__file__).parent / "templates"
_BETWEEN, _BREAK = re.compile(r">\s*\n\s*<"), re.compile(r"\s*\n\s*")
_OPENS = re.compile(r"<(?=[/!sS])")  # begins </script>, <!-- or <script, the sequences that HTML looks for in a script


def render(template: str, content: Mapping[str, object], plots: Iterable[Plot], *, folder: Path = TEMPLATES) -> str:
    """A page of the look that all reports share; plotly.js and the data of its figures are in it once.

    Args:
        template: file name of one that extends page.html.j2.
        content: what it shows; text is escaped.
        plots: its interactive figures.
        folder: where the template is, beside the shared ones.
    """
    environment = Environment(loader=FileSystemLoader([folder, TEMPLATES]), undefined=StrictUndefined, trim_blocks=True,
                              lstrip_blocks=True, autoescape=True)
    figures = {plot.identity: {"identity": plot.identity, "height": plot.height, "views": plot.views} for plot in plots}
    return environment.get_template(template).render(
        **content, figures_json=_json(figures), css=_asset("report.css"), theme_js=_asset("theme.js"),
        js=_asset("report.js"), plotly_js=Markup(get_plotlyjs().replace("</script", "<\\/script")))


def csv_link(frame: pd.DataFrame) -> str:
    """A table as the address of a download."""
    return "data:text/csv;base64," + base64.b64encode(frame.to_csv(index=False, float_format="%.6g").encode()).decode()


def embedded(path: Path) -> Markup:
    """An SVG as a data URI, without its line breaks; base64 would be a third longer.

    Quotes change places: those of attributes are the many.
    """
    text = _BETWEEN.sub("><", path.read_text(encoding="utf-8"))
    text = _BREAK.sub(" ", text).translate(str.maketrans("\"'", "'\""))
    return Markup("data:image/svg+xml," + quote(text, safe=" !'()*,;:@=+$/?[]{}|^-._~"))


def _json(value: object) -> Markup:
    """JSON that can stand inside a script element: no "<" in it can close the element, or open another or a comment."""
    text = json.dumps(json_ready(value), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    text = _OPENS.sub("\\\\u003c", text)
    return Markup(text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))


def _asset(name: str) -> Markup:
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))
