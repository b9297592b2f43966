"""The HTML report as text: it needs nothing from outside, hides nothing without JavaScript, and escapes names."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from plotly.offline import get_plotlyjs

from bench.report.plots.parts import json_ready
from bench.report.report import write_report
from tests.bench.synthetic import GAPS, Plan, write_run

HOSTILE = "</script><script>alert(1)</script>"
LIMIT, QUICK_PROBLEMS = 8_000_000, 4  # bytes of the page of a quick run, and its problems
LOADING = {"src", "href", "srcset", "data", "action", "poster"}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of a partial run of two problems, one of an evil name."""
    plan = Plan(problems=(HOSTILE, "plain"), batch_sizes=(8, 1797), schedules=("constant", "linear"), rates=(0.3, 1.0),
                starts=8, tuning_starts=4, unfinished=[("plain", 8)])
    folder = write_run(tmp_path_factory.mktemp("page"), plan)
    write_report(folder)
    return (folder / "report.html").read_text(encoding="utf-8")


class _Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_an_evil_name_opens_no_element(page: str) -> None:
    tags = [tag for tag, _ in _Elements(page).found]
    # theme, data of the figures, plotly, ours: a name that closed one of them would open a fifth
    assert tags.count("script") == 4
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in page
    assert HOSTILE not in page


def test_the_page_loads_nothing_from_outside(page: str) -> None:
    loads = [value for tag, attributes in _Elements(page).found for name, value in attributes.items()
             if name in LOADING and tag != "a"]
    assert loads and all(str(value).startswith("data:") for value in loads)
    assert "default-src 'none'" in page


def test_every_view_of_every_figure_is_there_and_finite(page: str) -> None:
    text = re.search(r'<script type="application/json" id="figures">(.*?)</script>', page, re.DOTALL)
    assert text is not None
    figures = json.loads(text[1], parse_constant=lambda name: pytest.fail(f"JSON must not hold {name}"))
    selects = [[int(attributes["value"] or 0) for tag, attributes in _Elements(part).found if tag == "option"]
               for part in page.split("<figure id=")[1:]]
    assert len(selects) == len(figures) == 2 * 7 + 3 + 1  # of each problem, of timing, across
    heat = figures["plot-1-heat"]["views"]
    assert len(heat) == 4  # seconds, final loss, steps, success
    assert np.shape(heat["0"]["data"][1]["z"]) == (2, 2)  # schedules × batch sizes


def test_axes_name_their_units(page: str) -> None:
    text = re.search(r'id="figures">(.*?)</script>', page, re.DOTALL)
    assert text is not None
    for identity, figure in json.loads(text[1]).items():
        for view in figure["views"].values():
            titles = [view["layout"][axis]["title"]["text"] for axis in ("xaxis", "yaxis")]
            assert titles[0], identity
            assert titles[1] or identity.endswith("-heat")  # there the rows are schedules, which have no unit


def test_static_figures_stand_in_without_javascript(page: str) -> None:
    images = re.findall(r'<noscript><img src="data:image/svg\+xml,([^"]*)"', page)
    # time to target, loss curves, heat map, outcomes, ECDF, divergence; the profile of all
    assert len(images) == 2 * 6 + 1
    for image in images:
        assert ElementTree.fromstring(unquote(image)).tag.endswith("svg")


def test_paper_is_light_breaks_no_figure_and_opens_what_is_folded(page: str) -> None:
    style = page.split("<style>")[1].split("</style>")[0]
    paper = style.split("@media print {")[1]
    assert ':root, :root[data-theme="dark"], :root:not([data-theme]) { color-scheme: light; --ground: #fff;' in paper
    assert "details::details-content { content-visibility: visible; }" in paper
    assert re.search(r"figure {[^}]* break-inside: avoid; }", style)
    assert "tr, .answer { break-inside: avoid; }" in paper


def test_a_partial_run_says_so_and_all_rows_are_in_the_table(page: str) -> None:
    assert "partial: 6 of 8 cells" in page
    body = page.split('<table id="summary">')[1].split("</table>")[0]
    assert body.count("<tr>") == 1 + 6 * len(GAPS)


def test_downloads_hold_the_summary(page: str) -> None:
    href = re.search(r'<a download="summary.csv" href="([^"]*)"', page)
    assert href is not None
    assert len(pd.read_csv(io.BytesIO(base64.b64decode(href[1].split(",")[1])))) == 6 * len(GAPS)


def test_an_empty_run_has_a_page(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"schema": 1, "suite": "none", "cells": []}')
    write_report(tmp_path)
    assert "No problem has a finished cell yet" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_page_of_a_quick_run_is_small_enough(tmp_path: Path) -> None:
    folder = write_run(tmp_path, Plan())  # one problem of the size of a quick one
    write_report(folder)
    page = (folder / "report.html").read_text(encoding="utf-8")
    across = page.split('<figure id="plot-across-profile">')[1].split("</figure>")[0]
    once = len(get_plotlyjs().encode()) + len(across.encode())  # whatever the number of problems
    assert once + QUICK_PROBLEMS * (len(page.encode()) - once) <= LIMIT


def test_json_has_no_infinity() -> None:
    assert json_ready({"a": np.array([1.0, np.inf, np.nan]), "b": np.int64(2)}) == {"a": [1.0, None, None], "b": 2}
