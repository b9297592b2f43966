"""A page in a real browser, where there is one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
SWITCHES = ("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
            "disable-component-update", "disable-sync", "window-size=1400,900")
WAIT_S = 90


@contextmanager
def opened(page: Path, profile: Path) -> Iterator[webdriver.Chrome]:
    """Chromium with the page open and all its figures drawn."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for switch in (*SWITCHES, f"user-data-dir={profile}"):
        options.add_argument(f"--{switch}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(DRIVER)))
    try:
        driver.get(page.as_uri())
        wait(driver, "return document.documentElement.dataset.ready === 'yes'")
        yield driver
    finally:
        driver.quit()


def wait(driver: webdriver.Chrome, script: str) -> None:
    """Until a script answers yes."""
    WebDriverWait(driver, WAIT_S).until(lambda each: each.execute_script(script))


def narrow(driver: webdriver.Chrome, width: int = 400) -> None:
    """Make the page as wide as a telephone, in CSS pixels."""
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                           {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": True})


def complaints(driver: webdriver.Chrome) -> list[str]:
    """Errors and warnings of the page's console."""
    return [str(entry["message"]) for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def asked_for(driver: webdriver.Chrome, page: Path) -> set[str]:
    """Every address that the page asked for; the empty tab before it asks for pages of its own."""
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    return {message["params"]["request"]["url"] for message in messages
            if message["method"] == "Network.requestWillBeSent" and message["params"]["documentURL"] == page.as_uri()}
