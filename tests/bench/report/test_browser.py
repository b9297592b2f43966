"""The HTML report in a real browser: no error, no request, figures that answer, a table that sorts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from bench.report.report import write_report
from tests.bench.report.chromium import CHROMIUM, DRIVER, WAIT_S, asked_for, complaints, narrow, opened, wait
from tests.bench.synthetic import GAPS, Plan, write_run

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromium-driver (apt)")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of two problems, one of an evil name."""
    plan = Plan(problems=("<script>alert(1)</script>", "plain"), batch_sizes=(8, 64, 1797),
                schedules=("constant", "linear"), rates=(0.3, 1.0), starts=8, tuning_starts=4)
    folder = write_run(tmp_path_factory.mktemp("browser"), plan)
    write_report(folder)
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser(page: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Chromium with the page open and all its figures drawn."""
    with opened(page, tmp_path_factory.mktemp("profile")) as driver:
        yield driver


def _keys(driver: webdriver.Chrome, column: int) -> list[str]:
    return driver.execute_script(
        f"return [...document.querySelectorAll('#summary tbody tr')].map(row => row.cells[{column}].dataset.key)")


def test_no_console_message_and_no_request_to_anywhere(browser: webdriver.Chrome, page: Path) -> None:
    assert complaints(browser) == []
    asked = asked_for(browser, page)
    assert page.as_uri() in asked  # the log is on
    assert {url.split(":")[0] for url in asked} <= {"file", "data", "blob"}
    assert {url for url in asked if url.startswith("file")} == {page.as_uri()}


def test_every_figure_is_drawn(browser: webdriver.Chrome) -> None:
    plots = browser.find_elements(By.CSS_SELECTOR, "[data-plot]")
    assert len(plots) >= 2 * 9 + 3 + 1
    assert all(plot.find_elements(By.CSS_SELECTOR, "svg.main-svg") for plot in plots)


@pytest.mark.parametrize("decades", [0.5, 0.9, 1.1, 1.3, 2.0, 2.6, 3.5, 6.0])
def test_numbers_of_a_logarithmic_axis_do_not_overlap(browser: webdriver.Chrome, decades: float) -> None:
    """Across the curves, whose numbers are powers, and up the steps, whose numbers are plain."""
    overlaps, counts = browser.execute_async_script("""
        const [decades, done] = arguments;
        const plots = ["plot-1-curves", "plot-1-fit"].map(name => document.querySelector(`[data-plot=${name}]`));
        const far = (one, two) => one.right <= two.left || two.right <= one.left
                               || one.bottom <= two.top || two.bottom <= one.top;
        const asked = plots.map(plot => Plotly.relayout(plot, {"yaxis.range": [-decades / 2, decades / 2]}));
        Promise.all(asked).then(() => setTimeout(() => {
            const boxes = plots.map(plot => [...plot.querySelectorAll(".ytick text")].map(
                each => each.getBoundingClientRect()));
            done([boxes.map(each => each.flatMap((one, at) => each.slice(0, at).filter(two => !far(one, two))).length),
                  boxes.map(each => each.length)]);
        }, 0));""", decades)
    assert overlaps == [0, 0] and min(counts) >= 2


def test_a_curve_can_be_hidden_and_a_view_chosen(browser: webdriver.Chrome) -> None:
    figure = browser.find_element(By.ID, "plot-1-target")
    visible = ("return document.querySelector('[data-plot=plot-1-target]')._fullData"
               ".filter(trace => trace.visible === true).length")
    before = browser.execute_script(visible)
    browser.execute_script("arguments[0].scrollIntoView()", figure)
    toggle = figure.find_element(By.CSS_SELECTOR, ".legendtoggle")
    for kind in ("mousedown", "mouseup"):
        browser.execute_script("arguments[0].dispatchEvent(new MouseEvent(arguments[1], {bubbles: true}))",
                               toggle, kind)
    WebDriverWait(browser, WAIT_S).until(lambda each: each.execute_script(visible) < before)
    title = "return document.querySelector('[data-plot=plot-1-target]')._fullLayout.yaxis.title.text"
    assert "seconds" in browser.execute_script(title)
    Select(figure.find_elements(By.TAG_NAME, "select")[1]).select_by_visible_text("steps (updates)")
    assert browser.execute_script(title) == "time to target (steps (updates))"


def test_an_axis_switches_between_log_and_linear(browser: webdriver.Chrome) -> None:
    kind = "return document.querySelector('[data-plot=plot-1-curves]')._fullLayout.yaxis.type"
    assert browser.execute_script(kind) == "log"
    button = browser.find_element(By.CSS_SELECTOR, "#plot-1-curves [data-scale=y]")
    browser.execute_script("arguments[0].click()", button)
    assert browser.execute_script(kind) == "linear"
    assert button.text == "y axis: linear"


def test_an_axis_that_is_linear_for_a_reason_has_no_switch(browser: webdriver.Chrome) -> None:
    """Shares of starts may be 0, which a logarithmic axis has no place for."""
    figure = browser.find_element(By.ID, "plot-1-rates")
    shown = "return !document.querySelector('#plot-1-rates [data-scale=y]').hidden"
    assert browser.execute_script(shown)
    choice = Select(figure.find_elements(By.TAG_NAME, "select")[1])
    choice.select_by_visible_text("lanes that diverged, at all horizons (%)")
    assert not browser.execute_script(shown)
    choice.select_by_index(0)
    assert browser.execute_script(shown)


def test_the_table_sorts_by_number_and_filters_by_words(browser: webdriver.Chrome) -> None:
    head = browser.find_elements(By.CSS_SELECTOR, "#summary th button")[3]
    assert head.text == "batch size"
    browser.execute_script("arguments[0].click()", head)
    ascending = [float(key) for key in _keys(browser, 3)]
    assert ascending == sorted(ascending) and len(ascending) == 2 * 3 * 2 * len(GAPS)
    browser.execute_script("arguments[0].click()", head)
    assert [float(key) for key in _keys(browser, 3)] == ascending[::-1]
    browser.find_element(By.ID, "filter").send_keys("plain linear")
    assert browser.find_element(By.ID, "count").text == f"{3 * len(GAPS)} of {len(ascending)} rows"


def test_dark_mode_turns_the_plots_dark_too(browser: webdriver.Chrome) -> None:
    font = "return document.querySelector('[data-plot=plot-1-curves]')._fullLayout.font.color"
    light = browser.execute_script(font)
    browser.execute_script("document.getElementById('theme').click()")
    assert (light, browser.execute_script(font)) == ("#1b1f24", "#e8ecf0")
    assert browser.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"


def test_a_narrow_page_does_not_scroll_sideways(browser: webdriver.Chrome) -> None:
    narrow(browser)
    wait(browser, "return document.documentElement.scrollWidth === 400")
    assert browser.execute_script("return innerWidth") == 400
