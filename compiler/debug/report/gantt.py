"""A Gantt chart: when each job ran on which engine, as SVG that stands in the page."""

from __future__ import annotations

import html
from dataclasses import dataclass

from ....dialects.onnx.integers import IntegerValues
from ....dialects.onnx.provenance import describe
from ....passes.analysis.targets import Target
from ....passes.schedule.pipelining import PipelineOrder, microbatches_held
from ....passes.schedule.staging import Schedule, scheduled
from ....passes.schedule.timeline import Span, Timeline
from ...model import Model
from .facts import Sizes

WIDTH, ROW, LEFT, TOP = 1000, 30, 150, 22
"""Of the chart, in its own units: a row is an engine's, on its left stands its name."""
HUES = 12
"""Microbatches take their colours in turn."""
MOST = 4000
"""How many jobs are drawn; more are no chart any more."""


@dataclass(frozen=True)
class Wanted:
    """What the page shall show a schedule of."""

    target: Target
    microbatches: int = 1
    order: PipelineOrder = PipelineOrder.GPIPE
    backward: float = 0.0
    """How many times as long as forward a stage takes on the way back; 0 for none."""


def schedule_entry(model: Model, wanted: Wanted, sizes: Sizes) -> dict[str, str]:
    """The chart, and a sentence about it."""
    found = scheduled(
        model.main.body.block,
        wanted.target,
        sizes,
        IntegerValues(model.context.store),
        wanted.microbatches,
        wanted.order,
        wanted.backward,
    )
    return {"svg": gantt_svg(found.timeline), "said": _said(found, wanted)}


def _said(found: Schedule, wanted: Wanted) -> str:
    line = found.timeline
    idle = f"{100 * line.bubble(found.engines):.1f} %"
    parts = [f"{wanted.target.name}, by its roofline: {_time(line.makespan)}"]
    if len(found.engines) > 1:
        stages = [describe(op) for op in found.firsts if op is not None]
        parts.append(
            f"{wanted.microbatches} microbatches in the order {_order(wanted)}"
        )
        if wanted.backward:
            held = max(microbatches_held(line, engine) for engine in found.engines)
            parts.append(f"an engine holds at most {held} of them")
        parts.append(f"engines stand still {idle} of the time")
        parts.append(f"stages begin at {', '.join(stages)}")
    if found.unknown:
        parts.append(f"{found.unknown} ops of unknown cost are left out")
    if len(line.spans) > MOST:
        parts.append(f"the first {MOST} of {len(line.spans)} jobs are drawn")
    return "; ".join(parts)


def _order(wanted: Wanted) -> str:
    return {"gpipe": "of GPipe", "1f1b": "1F1B"}[wanted.order.value]


def gantt_svg(timeline: Timeline) -> str:
    """
    The chart; every name in it is escaped.

    It has no style attributes and no scripts: the page's policy allows neither.
    """
    rows = {engine: place for place, engine in enumerate(timeline.engines)}
    height = TOP + ROW * len(rows)
    whole = timeline.makespan or 1.0
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'role="img" aria-label="Gantt chart of {_time(timeline.makespan)}" '
        'class="gantt">',
        *_axis(whole, height),
    ]
    for engine, row in rows.items():
        y = TOP + ROW * row + ROW * 0.62
        parts.append(f'<text x="4" y="{y:.1f}">{_escaped(engine[:24])}</text>')
    for span in timeline.spans[:MOST]:
        parts.append(_bar(span, rows[span.job.engine], whole))
    return "\n".join([*parts, "</svg>"])


def _axis(whole: float, height: int) -> list[str]:
    """Where a fifth of the time has passed, and so on."""
    lines: list[str] = []
    for fifth in range(6):
        x = LEFT + (WIDTH - LEFT - 40) * fifth / 5
        lines.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 4}" y2="{height}"/>')
        lines.append(f'<text x="{x:.1f}" y="12">{_time(whole * fifth / 5)}</text>')
    return lines


def _bar(span: Span, row: int, whole: float) -> str:
    scale = (WIDTH - LEFT - 40) / whole
    x, width = LEFT + span.start * scale, max((span.end - span.start) * scale, 0.2)
    hue = 360 * (span.job.group % HUES) // HUES
    title = f"{span.job.name}: {_time(span.start)} to {_time(span.end)}"
    return (
        f'<rect x="{x:.2f}" y="{TOP + ROW * row + 3}" width="{width:.2f}" '
        f'height="{ROW - 6}" fill="hsl({hue} 50% 55%)">'
        f"<title>{_escaped(title)}</title></rect>"
    )


def _escaped(text: str) -> str:
    """Text for SVG within HTML; what is no text there, such as NUL, is left out."""
    return html.escape("".join(c for c in text if c.isprintable()))


def _time(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.3g} s"
    return f"{1e3 * seconds:.3g} ms" if seconds >= 1e-3 else f"{1e6 * seconds:.3g} us"
