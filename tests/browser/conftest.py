"""Headless Chromium, driven by selenium: ``make test-browser`` installs both."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SIZE = (1400, 900)


@pytest.fixture(scope="session", name="browser")
def browser_fixture() -> Iterator[Any]:
    """A browser, told to prefer light pages."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--force-device-scale-factor=1",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = Service(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    # The page gets this size, whatever the window's frame takes.
    metrics = {"deviceScaleFactor": 1, "mobile": False}
    metrics |= {"width": SIZE[0], "height": SIZE[1]}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    yield driver
    driver.quit()


class Page:
    """A report in the browser: what a user does with it, and what is seen then."""

    def __init__(self, driver: Any):
        self.driver = driver

    def find(self, css: str) -> Any:
        """The first element."""
        return self.driver.find_element("css selector", css)

    def all(self, css: str) -> list[Any]:
        """All elements."""
        return self.driver.find_elements("css selector", css)

    def ask(self, script: str, *arguments: Any) -> Any:
        """What an expression in the page is."""
        return self.driver.execute_script(f"return {script}", *arguments)

    def settle(self) -> None:
        """Wait until what was asked for is drawn."""
        self.driver.execute_async_script(
            "const done = arguments[0];"
            "requestAnimationFrame(() => requestAnimationFrame(() => done()))"
        )

    def prefer(self, scheme: str) -> None:
        """Have the system ask for ``dark`` or ``light`` pages."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [feature]}
        )
        self.settle()

    def track(self, node: str) -> int:
        """The op of a node, at the stage that is shown."""
        return self.ask(
            "sardonyx.shown().ops.find(op => op.record.nodes.includes(arguments[0]))"
            ".track",
            node,
        )

    def click_op(self, track: int) -> None:
        """Click into the middle of an op's box."""
        self.click_at(self.ask("sardonyx.screen(arguments[0])", track))

    def click_at(self, point: dict[str, float]) -> None:
        """Click a point of the page."""
        for kind in ("mousePressed", "mouseReleased"):
            event = {"type": kind, "x": point["x"], "y": point["y"]}
            event |= {"button": "left", "clickCount": 1}
            self.driver.execute_cdp_cmd("Input.dispatchMouseEvent", event)
        self.settle()

    def pixels(self, css: str = "#canvas") -> str:
        """What a canvas shows: equal texts for equal pictures."""
        return self.ask("document.querySelector(arguments[0]).toDataURL()", css)

    def border(self, track: int) -> str:
        """The colour of the left border of an op's box, ``#rrggbb``."""
        # Large, so that the border is some pixels wide; not selected: that has its own.
        self.driver.execute_script(
            """
            sardonyx.state.k = 2;
            sardonyx.select(arguments[0], true);
            sardonyx.select(null);
            """,
            track,
        )
        self.settle()
        pixel = self.ask(
            """(track => {
              const item = sardonyx.scene().holder.get(track);
              const { x, y, k } = sardonyx.state;
              const pen = document.createElement("canvas").getContext("2d");
              const across = Math.round((item.x - x) * k);
              const down = Math.round((item.y + item.h / 2 - y) * k);
              pen.drawImage(document.getElementById("canvas"), -across, -down);
              return [...pen.getImageData(0, 0, 1, 1).data];
            })(arguments[0])""",
            track,
        )
        return "#" + bytes(pixel[:3]).hex()

    def slide(self, stage: int) -> None:
        """Move the slider by its keys, as a user does."""
        slider = self.find("#slider")
        slider.send_keys("\ue011")  # Home
        for _ in range(stage):
            slider.send_keys("\ue014")  # Right
        self.settle()

    def complaints(self) -> list[dict[str, Any]]:
        """What the browser's console has."""
        return self.driver.get_log("browser")


@pytest.fixture(name="opened")
def opened_fixture(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """
    ``opened(content)``: a report in the browser; afterwards the console must be empty.
    """
    from sardonyx.compiler.debug.report import write_report

    page = Page(browser)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})

    def opened(content: dict[str, Any]) -> Page:
        path = tmp_path / "report.html"
        write_report(path, content)
        browser.get(path.as_uri())
        deadline = time.monotonic() + 10
        while not page.ask("Boolean(window.sardonyx && sardonyx.opened)"):
            assert time.monotonic() < deadline, page.complaints()
        return page

    yield opened
    assert page.complaints() == []
