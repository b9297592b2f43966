"""The HTML report on paper, in a real browser: light and whole, nothing cut or closed, the screen as before."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from bench.report.report import write_report
from tests.bench.report.chromium import CHROMIUM, DRIVER, complaints, opened
from tests.bench.synthetic import Plan, write_run

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromium-driver (apt)")
PAPER = 700  # CSS pixels between the margins of A4 or Letter
NAMED = "a_problem_of_a_very_long_name_without_a_space_in_it_" * 2
SIZES = """return [...document.querySelectorAll('[data-plot]')].map(div => {
    const of = (each) => each.getBoundingClientRect();
    const [svg, figure] = [of(div.querySelector('.main-svg')), of(div.closest('figure'))];
    return [svg.left - figure.left, figure.right - svg.right, svg.width];
})"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of two problems, one of a long name."""
    plan = Plan(problems=(NAMED, "plain"), batch_sizes=(8, 64, 1797), schedules=("constant", "linear"),
                rates=(0.3, 1.0), starts=8, tuning_starts=4)
    folder = write_run(tmp_path_factory.mktemp("print"), plan)
    write_report(folder)
    return folder / "report.html"


@pytest.fixture(scope="module")
def dark(page: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Chromium with the page open, turned dark; the first test leaves it as it was, the last loads it again."""
    with opened(page, tmp_path_factory.mktemp("profile")) as driver:
        driver.execute_script("document.getElementById('theme').click()")
        assert driver.execute_script("return document.documentElement.dataset.theme") == "dark"
        yield driver


def test_paper_is_light_and_whole_and_the_screen_is_as_before(dark: webdriver.Chrome) -> None:
    before = dark.execute_script(SIZES)
    dark.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    dark.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                         {"width": PAPER, "height": 1000, "deviceScaleFactor": 1, "mobile": False})
    dark.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert all(left >= 0 and right >= 0 for left, right, _ in dark.execute_script(SIZES)), "a plot is cut"
    widest = dark.execute_script("return Math.max(...[...document.querySelectorAll('table, pre, .answer')]"
                                 ".map(each => each.getBoundingClientRect().right))")
    assert widest <= PAPER
    assert dark.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    font = "return document.querySelector('[data-plot]')._fullLayout.font.color"
    assert dark.execute_script(font) == "#1b1f24"
    closed = dark.execute_script("return [...document.querySelectorAll('details:not([open]) ul')]"
                                 ".map(each => each.getBoundingClientRect().height)")
    assert closed and all(height > 0 for height in closed), "what is folded on the screen is shown"
    kept = dark.execute_script("return [...document.querySelectorAll('figure, tr, .answer')]"
                               ".map(each => getComputedStyle(each).breakInside)")
    assert set(kept) == {"avoid"}

    dark.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    dark.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    dark.execute_script("dispatchEvent(new Event('afterprint'))")
    assert dark.execute_script(SIZES) == before
    assert dark.execute_script(font) == "#e8ecf0"


def test_a_pdf_of_several_pages_comes_out(dark: webdriver.Chrome) -> None:
    pdf = base64.b64decode(dark.print_page())
    assert pdf.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) > 2
    assert complaints(dark) == []


def test_a_page_printed_at_once_has_all_its_plots(dark: webdriver.Chrome) -> None:
    """`beforeprint` may come while the plots are still being drawn, one a turn."""
    dark.execute_script("history.replaceState(null, ''); location.reload()")
    drawn = dark.execute_script("dispatchEvent(new Event('beforeprint'));"
                                "return [...document.querySelectorAll('[data-plot]')]"
                                ".map(div => div.querySelectorAll('.main-svg[viewBox]').length)")
    assert drawn and min(drawn) > 0
