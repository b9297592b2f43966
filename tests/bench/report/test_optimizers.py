"""A run of several optimizers says everywhere of which one a figure or a row is; a run of one has no needless words."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from bench.report import limits
from bench.report.limits import pictured_words
from bench.report.report import write_report
from bench.report.style import title_of
from tests.bench.report.folders import SMALL, add_optimizer
from tests.bench.synthetic import write_run

NAMES = ["adam", "sgd"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of one problem with two optimizers."""
    folder = write_run(tmp_path_factory.mktemp("two"), SMALL)
    add_optimizer(folder, "adam")
    write_report(folder)
    return folder


def _figures(folder: Path) -> list[str]:
    """The figures of the problem in the page."""
    page = (folder / "report.html").read_text(encoding="utf-8")
    section = page.split('<section id="problem-1">')[1].split("</section>")[0]
    return section.split("<figure ")[1:]


def _rows(folder: Path, after: str) -> list[list[str]]:
    """The first table of report.md after some words, its header first."""
    lines = (folder / "report.md").read_text(encoding="utf-8").split(after)[1].splitlines()
    first = next(place for place, text in enumerate(lines) if text.startswith("|"))
    last = next(place for place in range(first, len(lines)) if not lines[place].startswith("|"))
    return [[cell.strip() for cell in text.split("|")[1:-1]] for text in lines[first:last] if "---" not in text]


def test_every_interactive_figure_names_its_optimizer(folder: Path) -> None:
    titles = [re.findall("<h3>(.*?)</h3>", figure)[0] for figure in _figures(folder)]
    assert len(set(titles)) == len(titles) == 2 * 9
    assert {title.rsplit(" ", 1)[1] for title in titles} == {f"({name})" for name in NAMES}


def test_without_javascript_a_figure_shows_the_picture_of_its_optimizer_alone(folder: Path) -> None:
    shown = 0
    for figure in _figures(folder):
        name = re.findall(r"<h3>.* \((\w+)\)</h3>", figure)[0]
        said = re.findall(r'<noscript><img src="([^"]*)" alt="(\w+): ', figure)
        assert len(said) <= 1
        for source, optimizer in said:
            assert optimizer == name
            assert f"digits-softmax%20({name}):" in source or f"digits-softmax ({name}):" in source
        shown += len(said)
    assert shown == 2 * 7  # time to target, loss curves, critical batch size, heat map, outcomes, ECDF, divergence


def test_every_static_figure_and_its_caption_name_their_optimizer(folder: Path) -> None:
    pictures = re.findall(r"!\[(\w+): .*?\]\(figures/(.*?)\.png\)", (folder / "report.md").read_text(encoding="utf-8"))
    assert len(pictures) == 2 * 8
    for optimizer, stem in pictures:
        assert f"digits-softmax ({optimizer}): " in (folder / "figures" / f"{stem}.svg").read_text(encoding="utf-8")


def test_rows_of_two_optimizers_can_be_told_apart(folder: Path) -> None:
    header, *cells = _rows(folder, "soonest of 12 cells")
    assert header[:3] == ["optimizer", "batch size", "schedule"]
    assert len({tuple(row[:3]) for row in cells}) == len(cells) == 10
    assert {row[0] for row in cells} == set(NAMES)
    _, *timing = _rows(folder, "## Timing")
    assert sorted({row[0] for row in timing}) == [f"digits-softmax ({name})" for name in NAMES]
    assert len({tuple(row[:2]) for row in timing}) == len(timing) == 2 * 3


def test_a_run_of_one_optimizer_does_not_name_it(tmp_path: Path) -> None:
    write_report(write_run(tmp_path, SMALL))
    assert not [figure for figure in _figures(tmp_path) if "sgd" in figure.split('<div class="plot')[0]]
    assert _rows(tmp_path, "soonest of 6 cells")[0][:2] == ["batch size", "schedule"]
    assert {row[0] for row in _rows(tmp_path, "## Timing")[1:]} == {"digits-softmax"}


def test_a_long_name_leaves_room_for_the_optimizer() -> None:
    title = title_of("a" * 80, "adam", several=True)
    assert title.endswith("… (adam)") and len(title) == 40


def test_figures_that_are_left_out_are_counted_by_problem_and_optimizer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PICTURED", 1)
    rows = pd.DataFrame({"problem": "p", "optimizer": NAMES, "device": "cpu", "lanes": 4, "batch_size": 1,
                         "schedule": "constant"})
    assert pictured_words(rows).startswith("Figures are drawn of the first 1 of 2 pairs of a problem and an optimizer.")
