"""
What `sardonyx tune` finds for resnet50 and MiniLM on this machine: docs/tuning.md.

    python tests/bench/tuning.py [--light DIR] [--budget 180]

DIR holds resnet50.onnx as make_light.py writes it; without it, it is made.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from sardonyx.compiler.arguments import write_whole
from sardonyx.compiler.bench.machine import measured_on
from sardonyx.compiler.cost.tune import Tuned, tune
from sardonyx.compiler.show import counting, show

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "models"
PAGE = ROOT / "docs" / "tuning.md"
BACKENDS = ("jax", "numpy")
BUDGET_SECONDS = 180.0
"""Of equal programs the medians of a minute on a shared machine differ by 3 %."""
GAIN, WITHIN = 0.03, 0.02
"""What `tune` is to gain, or -O2 to be within of the best that it measured."""
CASES: tuple[tuple[str, Mapping[str, int]], ...] = (
    ("resnet50", {}),
    ("minilm_l6", {"batch": 1, "seq": 16}),
    ("minilm_l6", {"batch": 1, "seq": 128}),
)
HEAD = f"""# What tuning finds

Written by `python tests/bench/tuning.py`, which runs
`sardonyx tune --budget {BUDGET_SECONDS:.0f}s`, or with more where a section took longer
(`--only`). A row of -O2's program comes first, then those that were measured beside it:
the fastest that the cost model predicted, and some that it cannot judge. The ratio is
to -O2's time, round by round: the median, the least and the greatest. The fastest of
several is so by luck, too, so it is measured once more, alone beside -O2, and that
counts. `tune` is to gain {GAIN:.0%}, or -O2 to be within {WITHIN:.0%} of the best that
was measured.
"""
COLUMNS = (
    "| differs from -O2 | predicted ms | measured ms | of -O2 | once more | |",
    "| --- | ---: | ---: | ---: | ---: | --- |",
)


def lines_of(title: str, found: Tuned) -> Iterator[str]:
    """A model's section."""
    yield from ("", f"## {title}", "")
    count, spent = found.predicted, found.seconds
    yield f"{verdict(found)} {count} programs were predicted; {spent:.0f} s in all."
    yield from ("", *COLUMNS)
    for place, one in enumerate(found.trials):
        measured = "" if one.seconds is None else f"{1e3 * one.seconds:.3g}"
        told = one.failure or ("chosen" if place == found.chosen else "")
        predicted = f"{1e3 * one.predicted_seconds:.3g}"
        ratios = f"{_shown(one.ratio)} | {_shown(one.again)}"
        yield f"| {one.told} | {predicted} | {measured} | {ratios} | {told} |"


def _shown(ratio: tuple[float, float, float] | None) -> str:
    if ratio is None:
        return ""
    median, low, high = ratio
    return f"{median:.3f} ({low:.2f} - {high:.2f})"


def verdict(found: Tuned) -> str:
    """Whether one of the two was met, and by how much."""
    again = [one.again[0] for one in found.trials if one.again is not None]
    best = min([1.0, *again])
    gain = 1 - best if found.chosen else 0.0
    if gain >= GAIN:
        return f"Met: `tune` gains {gain:.1%}."
    behind = 1 / best - 1
    if behind <= WITHIN:
        return f"Met: -O2 is within {behind:.1%} of the best measured."
    return f"Not met: `tune` gains {gain:.1%}, the best measured {1 - best:.1%}."


def sections_of(page: str) -> dict[str, list[str]]:
    """The lines of a page's sections, by title."""
    _, *found = re.split(r"\n(?=\n## )", page.rstrip("\n"))
    sections = map(str.splitlines, found)
    return {lines[1].removeprefix("## "): lines for lines in sections}


def kept(options: argparse.Namespace) -> dict[str, list[str]]:
    """What the page says of models that are not measured now."""
    if not options.only:
        return {}
    page = options.output.read_text(encoding="utf-8")
    if measured_on() not in page:
        sys.exit(f"{options.output}: found no page of this machine and its versions")
    return sections_of(page)


def run(options: argparse.Namespace, light: Path) -> None:
    lines, known = [HEAD, measured_on()], kept(options)
    for name, sizes in CASES:
        places = (folder / f"{name}.onnx" for folder in (light, SHARED))
        path = next(place for place in places if place.exists())
        for backend in BACKENDS:
            title = " ".join([name, *(f"{k}={v}" for k, v in sizes.items())])
            title = f"{title} on {backend}"
            if title in known and not re.search(options.only, title):
                lines += known[title]
                continue
            with counting(f"tuning {title}") as report:
                found = tune(path, backend, sizes, options.budget, report=report)
            lines += lines_of(title, found)
            show(f"{title}: {verdict(found)}")
    write_whole(options.output, "\n".join(lines) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--light", type=Path)
    parser.add_argument("--budget", type=float, default=BUDGET_SECONDS)
    parser.add_argument(
        "--only",
        default="",
        metavar="REGEX",
        help="measure these anew (with a larger --budget, say); the page keeps others",
    )
    parser.add_argument("-o", "--output", type=Path, default=PAGE)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        if options.light is None:
            script = [sys.executable, str(SHARED / "make_light.py"), made]
            subprocess.run(script, check=True, stdout=subprocess.DEVNULL)
        run(options, options.light or Path(made))


if __name__ == "__main__":
    main()
