"""The report of a study: every claim is in the table, its numbers are those of the tables, names open nothing."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import pandas as pd
import pytest

from bench import store
from bench.cells import claim_group
from bench.study.report import write_report
from bench.study.tables import frames_of
from tests.bench.report.chromium import CHROMIUM, DRIVER, asked_for, complaints, narrow, opened, wait
from tests.bench.study.fake_claims import EVIL, claims

LIMIT = 8_000_000  # bytes
LOADING = {"src", "href", "srcset", "data", "action", "poster"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A partial run: two claims measured, one failed."""
    path = tmp_path_factory.mktemp("study")
    known = claims()
    cells = [{"claim": claim.name, "number": claim.number, "statement": claim.statement, "device": "cpu",
              "status": "failed" if claim.name == "broken" else "finished", "note": f"cannot {EVIL}"}
             for claim in known.values()]
    run = {"schema": 1, "suite": EVIL, "config": {"claims": "all"}, "cells": cells, "device": "cpu",
           "command": ["python", "-m", "bench", "run", "textbook"], "warnings": [EVIL]}
    (path / "run.json").write_text(json.dumps(run))
    for name in ("edge", "evil"):
        store.write_group(path, claim_group(name), frames_of(known[name], known[name].run(0), 2.0, 3.0))
    store.collect(path)
    write_report(path)
    return path


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


class _Elements(HTMLParser):
    """Tags with their attributes, and the cells of every table as lists of rows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.open = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self.open = True

    def handle_endtag(self, tag: str) -> None:
        self.open = self.open and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.open:
            self.tables[-1][-1][-1] += data


def test_every_claim_is_in_the_first_table_with_its_verdict(page: str) -> None:
    rows = _Elements(page).tables[0][1:]
    statements = [claim.statement for claim in claims().values()]
    assert [row[0] for row in rows] == [f"{number} {text}" for number, text in enumerate(statements, 1)]
    assert [row[-1] for row in rows] == ["✓ holds", "! failed", "◐ holds with limits"]
    assert rows[0][1:4] == ["edge of the quadratic with largest curvature 4", "0.4998 [0.4995, 0.5001]", "0.5"]
    assert "partial: 2 of 3 claims" in page


def test_numbers_shown_are_those_of_the_tables(page: str, folder: Path) -> None:
    shown = {row[0]: row for table in _Elements(page).tables for row in table if len(row) == 4}
    findings = pd.read_csv(folder / "findings.csv")
    scales = {"share": 100.0, "seconds": 1e3}  # shown in % and ms
    for _, row in findings.iterrows():
        numbers = [float(text) for text in re.findall(r"-?[\d.]+", shown[row["quantity"]][1].replace(",", ""))]
        ends = [row[name] for name in ("value", "low", "high") if len(numbers) == 3 or name == "value"]
        scale = scales.get(str(row["unit"]), 1.0)
        assert numbers == pytest.approx([scale * value for value in ends], rel=5e-3)
    assert len(findings) == 5


def test_an_evil_name_opens_no_element(page: str) -> None:
    tags = [tag for tag, _ in _Elements(page).found]
    assert tags.count("script") == 4  # theme, data of the figures, plotly, ours
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)&lt;/script&gt; $x$" in page


def test_the_page_loads_nothing_from_outside_and_is_small(page: str) -> None:
    loads = [value for tag, attributes in _Elements(page).found for name, value in attributes.items()
             if name in LOADING and tag != "a"]
    assert loads and all(str(value).startswith("data:") for value in loads)
    assert "default-src 'none'" in page
    assert len(page.encode()) < LIMIT


def test_every_picture_stands_there_without_javascript_and_again_with_the_same_points(page: str, folder: Path) -> None:
    images = re.findall(r'<noscript><img src="data:image/svg\+xml,([^"]*)"', page)
    assert len(images) == 2
    assert all(ElementTree.fromstring(unquote(image)).tag.endswith("svg") for image in images)
    found = re.search(r'id="figures">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    figures = json.loads(found[1])
    points = pd.read_parquet(folder / "points.parquet")
    measured, theory = figures["claim-1-1"]["views"][""]["data"]
    first = points[(points["picture"] == 0) & (points["line"] == 0)]
    assert measured["y"] == pytest.approx(list(first["y"]), rel=1e-3)
    assert measured["band"][0] == pytest.approx(list(first["low"]), rel=1e-3)
    assert theory["line"]["dash"] == "dash"
    assert (measured["name"], figures["claim-1-2"]["views"][""]["data"][0]["x"]) == ("measured", [1.0, 2.0])
    assert figures["claim-1-2"]["views"][""]["layout"]["yaxis"]["type"] == "linear"


def test_the_markdown_says_the_same_and_shows_its_pictures(folder: Path) -> None:
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "partial: 2 of 3 claims. ✓ 1 holds, ◐ 1 holds with limits, ! 1 failed." in text
    assert "| edge of the quadratic with largest curvature 4 | 0.4998 [0.4995, 0.5001] | 0.5 | ✓ holds |" in text
    names = re.findall(r"\]\(figures/([^)]+)\)", text)
    assert len(names) == 4
    for name in names:
        assert (folder / "figures" / name).read_bytes().startswith(b"\x89PNG" if name.endswith("png") else b"<?xml")


def test_the_report_can_be_made_again_and_is_the_same(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    write_report(folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_study_without_a_claim_measured_has_a_report(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"schema": 1, "config": {"claims": "all"}, "cells": []}')
    write_report(tmp_path)
    assert "partial: 0 of 0 claims" in (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "No claim has been measured yet." in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromium-driver (apt)")
def test_a_browser_draws_it_asks_for_nothing_and_a_telephone_need_not_scroll_sideways(
        folder: Path, tmp_path: Path) -> None:
    path = folder / "report.html"
    with opened(path, tmp_path) as browser:
        assert complaints(browser) == []
        assert {url for url in asked_for(browser, path) if not url.startswith(("data:", "blob:"))} == {path.as_uri()}
        drawn = "return document.querySelectorAll('[data-plot] svg.main-svg').length"
        assert browser.execute_script(drawn) >= 2
        narrow(browser)
        wait(browser, "return document.documentElement.scrollWidth === 400")
