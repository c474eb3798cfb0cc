"""The Gantt chart: what it shows, and that names in it are data."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from sardonyx.compiler.debug.report import Peaks, build_report
from sardonyx.compiler.debug.report.gantt import Wanted, gantt_svg
from sardonyx.compiler.debug.report.page import page
from sardonyx.passes.analysis.targets import read_target
from sardonyx.passes.schedule.pipelining import PipelineOrder
from sardonyx.passes.schedule.timeline import Job, simulate

NAMESPACE = "{http://www.w3.org/2000/svg}"
HOSTILE = "</title><script>alert(1)</script>\n@@DATA@@ \0 \" ' &lt;"


def bars(text: str) -> list[tuple[float, float, str]]:
    """The left edge, the width and the title of each bar."""
    root = ElementTree.fromstring(text)
    found = []
    for bar in root.iter(f"{NAMESPACE}rect"):
        title = bar.findtext(f"{NAMESPACE}title") or ""
        found.append((float(bar.attrib["x"]), float(bar.attrib["width"]), title))
    return found


def test_bars_stand_where_jobs_ran() -> None:
    jobs = [Job("first", "a", 1.0), Job("second", "b", 3.0, (0,), group=1)]
    (x0, w0, t0), (x1, w1, t1) = bars(gantt_svg(simulate(jobs)))
    assert x1 == pytest.approx(x0 + w0, abs=0.02)
    assert w1 == pytest.approx(3 * w0, abs=0.05)
    assert (t0, t1) == ("first: 0 us to 1 s", "second: 1 s to 4 s")


def test_names_are_data() -> None:
    text = gantt_svg(simulate([Job(HOSTILE, HOSTILE, 1.0)]))
    (bar,) = bars(text)
    assert bar[2].startswith("</title><script>alert(1)</script>@@DATA@@ ")
    assert "<script" not in text
    assert "\0" not in text


def test_nothing_to_show_is_a_chart_of_nothing() -> None:
    assert bars(gantt_svg(simulate([]))) == []


class Tags(HTMLParser):
    """How often each tag begins, and which tabs there are."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.count: dict[str, int] = {}
        self.tabs: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1
        self.tabs += [value for name, value in attrs if name == "data-tab"]


def test_the_page_has_the_chart_if_it_is_asked_for(
    mlp_proto: Any, tmp_path: Path
) -> None:
    from sardonyx.compiler import import_model

    peaks = Peaks(1e9, 1e9, "made up")
    wanted = Wanted(read_target("two-engines"), 3)
    model = import_model(mlp_proto)
    asked = build_report(model, "O0", {"batch": 2}, peaks=peaks, schedule=wanted)
    assert asked["schedule"]["said"].startswith("two-engines, by its roofline")
    assert "3 microbatches" in asked["schedule"]["said"]
    shown, plain = Tags(page(asked)), Tags(page({**asked, "schedule": None}))
    assert shown.count["svg"] == 1
    assert shown.count["rect"] == len(bars(asked["schedule"]["svg"])) > 6
    assert "schedule" in shown.tabs
    assert "svg" not in plain.count
    assert "schedule" not in plain.tabs


@pytest.mark.parametrize("order", list(PipelineOrder))
def test_the_way_back_in_both_orders(mlp: Path, order: PipelineOrder) -> None:
    peaks, batches = Peaks(1e9, 1e9, "made up"), 6
    said = {}
    for backward in (0.0, 2.0):
        wanted = Wanted(read_target("two-engines"), batches, order, backward)
        found = build_report(mlp, "O0", {"batch": 2}, peaks=peaks, schedule=wanted)
        said[backward] = found["schedule"]["said"]
        jobs = [title[0] for *_, title in bars(found["schedule"]["svg"])]
        ways = [jobs.count(way) for way in "FB><"]
        assert ways == ([12, 12, 6, 6] if backward else [12, 0, 6, 0])
    assert "holds" not in said[0.0]
    # GPipe holds them all until the last is through, 1F1B as many as stages.
    held = int(said[2.0].partition("holds at most ")[2].split()[0])
    assert held == batches if order is PipelineOrder.GPIPE else 2 <= held < batches


def test_the_command(sardonyx: Any, mlp: Path, tmp_path: Path) -> None:
    page_of = tmp_path / "page.html"
    rates = ["--peak-gflops", "1", "--bandwidth", "1"]
    done = sardonyx("view", mlp, "-o", page_of, *rates, "--target", "host-cpu")
    assert done.code == 0, done.err
    assert 'class="gantt"' in page_of.read_text()
    words = ["--target", "two-engines", "--microbatches", 4]
    words += ["--order", "1f1b", "--backward", 2]
    done = sardonyx("view", mlp, "-o", page_of, *rates, *words)
    assert done.code == 0, done.err
    assert "4 microbatches in the order 1F1B" in page_of.read_text()
    done = sardonyx("view", mlp, "-o", page_of, *rates, "--target", "abacus")
    assert done.code == 2
    assert "target 'abacus': wanted host-cpu, two-engines" in done.err
