"""What the timings share: a table that is printed at the end of the run."""

from collections.abc import Callable
from typing import Any

import pytest

ROWS: list[str] = []


@pytest.fixture(name="report")
def report_fixture() -> Callable[[str], None]:
    """Adds a line to the table of measurements."""
    return ROWS.append


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if ROWS:
        terminalreporter.section("measurements")
        for row in ROWS:
            terminalreporter.write_line(row)
