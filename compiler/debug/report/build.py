"""Puts a report together: runs the passes, asks the analyses, lays the graph out."""

from __future__ import annotations

import os
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ....backends.program import LoweringError
from ....passes.sharding.traffic import collectives, traffic
from ...driver import choice_of, load, specialize
from ...model import Model
from ...pipelines import Instrument, run_pipeline, spec_of
from ..profile import OpTime, Profile
from ..statistics import statistics
from .facts import SourceLines, assumed_sizes, source_lines
from .gantt import Wanted, schedule_entry
from .layout import Layouts, ReportError
from .page import page
from .scopes import scope_of, tree
from .stages import Recorder, Stage, State


@dataclass(frozen=True)
class Peaks:
    """What the machine can do at most: the two lines of the roofline."""

    flops_per_second: float
    bytes_per_second: float
    source: str
    """Where the numbers come from, in a sentence."""


def measured_peaks() -> Peaks:
    """
    What NumPy reaches on this machine, in about half a second.

    The FLOPs of a product of two 1024 x 1024 float32 matrices, and the bytes read and
    written in copying 128 MiB: the best of 5.
    """
    rng = np.random.default_rng(0)
    a = rng.standard_normal((1024, 1024), np.float32)
    block = np.ones(1 << 25, np.float32)
    copy = np.empty_like(block)
    product = _best(lambda: a @ a)
    moved = _best(lambda: np.copyto(copy, block))
    said = (
        "measured here with NumPy: a 1024 x 1024 x 1024 float32 product, and a copy of "
        "128 MiB (read and write both count)"
    )
    return Peaks(2 * 1024**3 / product, 2 * block.nbytes / moved, said)


def _best(run: Any) -> float:
    seconds: list[float] = []
    for _ in range(5):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def build_report(
    source: str | Path | Model,
    pipeline: str = "O2",
    dims: Mapping[str, int] | None = None,
    backend: str = "numpy",
    profile: Profile | None = None,
    peaks: Peaks | None = None,
    refused: Mapping[str, Any] | None = None,
    schedule: Wanted | None = None,
    considered: Mapping[str, Any] | None = None,
    instruments: Sequence[Instrument] = (),
) -> dict[str, Any]:
    """
    All that the page shows of a model on which `pipeline` runs, as JSON's values.

    `dims` fixes free dimensions; the others count as what random inputs have, or as
    what `profile` was measured at. The lines are those of `backend`'s program.
    `refused` is what `--refuse-slower` measured, as a manifest has it, `considered`
    what -O3 was chosen among, which is else asked here; `schedule` the target on which
    the ops are shown one behind the other. ``traffic`` is what the devices send each
    other, if `pipeline` divides the model. `instruments` look on as the passes run.
    Raises SardonyxError for a model that cannot be read, or for a profile of another.
    """
    model = load(source)
    if dims:
        specialize(model, dims)
    measured_at: Mapping[str, int] = {} if profile is None else profile.dims
    sizes = assumed_sizes(model, {**measured_at, **(dims or {})})
    recorder = Recorder(sizes)
    spec, among = _choice(model, backend, pipeline)
    run_pipeline(model, spec, [recorder, *instruments])
    lines = source_lines(model, recorder.last_ops.values(), backend)
    layouts = Layouts()
    stages = [_stage_json(stage, recorder, layouts) for stage in recorder.stages]
    last = recorder.stages[-1]
    return {
        "model": {
            "name": model.name,
            "file": "" if isinstance(source, Model) else Path(source).name,
            "asked": pipeline,
            "pipeline": spec,
            "sizes": sizes,
            "given": dict(dims or {}),
        },
        "records": recorder.records,
        "stages": stages,
        "layouts": layouts.entries,
        "program": _program_json(lines, recorder),
        "peaks": _peaks_json(peaks or measured_peaks()),
        "profile": None if profile is None else _profile_json(profile, last, recorder),
        "refused": None if refused is None else dict(refused),
        "considered": dict(considered or among) or None,
        "schedule": schedule and schedule_entry(model, schedule, sizes),
        "traffic": [asdict(row) for row in traffic(collectives(model.module))],
    }


def _choice(model: Model, backend: str, pipeline: str) -> tuple[str, dict[str, Any]]:
    """The passes, and what -O3 was chosen among."""
    try:
        return choice_of(model, backend, pipeline)
    except LoweringError:
        # What has no program is shown, too, with all the passes of its level.
        return spec_of(pipeline, backend), {}


def write_report(path: Path, content: Mapping[str, Any]) -> None:
    """Write the page of a report to `path`, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(page(content), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ReportError(f"{path}: cannot be written: {reason}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _peaks_json(peaks: Peaks) -> dict[str, Any]:
    return {
        "flops": peaks.flops_per_second,
        "bytes": peaks.bytes_per_second,
        "source": peaks.source,
    }


def _stage_json(stage: Stage, recorder: Recorder, layouts: Layouts) -> dict[str, Any]:
    told = {"spec": "", "pass": "import", "seconds": None}
    if stage.run is not None:
        told = statistics([stage.run])[0]
    if stage.same is not None:
        nothing = ("added", "removed", "changed", "rewired")
        return {**told, **{n: [] for n in nothing}, "same": stage.same}
    return {
        **told,
        "ops": [
            [s.track, s.record, [list(p) for p in s.sources]] for s in stage.states
        ],
        "added": stage.added,
        "removed": stage.removed,
        "changed": [list(pair) for pair in stage.changed],
        "rewired": stage.rewired,
        "layout": _laid_out(stage.states, recorder.records, layouts),
        "memory": stage.memory,
    }


def _laid_out(
    states: Sequence[State], records: Sequence[Mapping[str, Any]], layouts: Layouts
) -> int:
    edges = dict.fromkeys(
        (track, state.track) for state in states for track, _ in state.sources
    )
    scopes = {state.track: scope_of(records[state.record]) for state in states}
    return layouts.add(tree(scopes), list(edges))


def _program_json(lines: SourceLines, recorder: Recorder) -> dict[str, Any]:
    by_track = {
        track: [[number, text[:2000]] for number, text in lines.lines.get(op, [])]
        for track, op in recorder.last_ops.items()
    }
    return {"backend": lines.backend, "failure": lines.failure, "lines": by_track}


def _profile_json(profile: Profile, last: Stage, recorder: Recorder) -> dict[str, Any]:
    seconds, missing = matched_times(profile, last, recorder.records)
    if not seconds:
        found = f"a profile of {profile.model!r} after {profile.pipeline!r}"
        raise ReportError(f"--profile: found {found}, which has none of these ops")
    return {
        "backend": profile.backend,
        "pipeline": profile.pipeline,
        "method": profile.method,
        "sizes": dict(profile.dims),
        "whole_seconds": profile.whole_seconds,
        "ops_seconds": profile.seconds,
        "unmatched_seconds": missing + profile.unattributed_seconds,
        "ops": {str(track): list(entry) for track, entry in seconds.items()},
    }


def matched_times(
    profile: Profile, last: Stage, records: Sequence[Mapping[str, Any]]
) -> tuple[dict[int, tuple[float, bool]], float]:
    """
    The seconds of each op of the last stage, and whether they are an estimate; then
    the seconds of those that are none of its ops.

    An op of the profile is the one of its operator, nodes and tensors. What a backend
    expanded into several counts for the op with their nodes.
    """
    waiting: dict[Any, list[int]] = defaultdict(list)
    by_nodes: dict[Any, list[int]] = defaultdict(list)
    for state in last.states:
        record = records[state.record]
        if record["kind"] == "op":
            waiting[_key(record)].append(state.track)
            by_nodes[tuple(record["nodes"])].append(state.track)
    seconds: Counter[int] = Counter()
    shared: set[int] = set()
    missing = 0.0
    for op in profile.ops:
        if op.seconds is None or op.inside:
            continue
        track = _taken(op, waiting, by_nodes)
        if track is None:
            missing += op.seconds
            continue
        seconds[track] += op.seconds  # pyright: ignore[reportArgumentType]
        if op.shared:
            shared.add(track)
    return {t: (float(s), t in shared) for t, s in seconds.items()}, missing


def _taken(
    op: OpTime, waiting: Mapping[Any, list[int]], by_nodes: Mapping[Any, list[int]]
) -> int | None:
    same = waiting.get((op.op, op.nodes, op.tensors))
    if same:
        return same.pop(0)
    near = by_nodes.get(op.nodes) if op.nodes else None
    return near[0] if near else None


def _key(record: Mapping[str, Any]) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    return record["op"], tuple(record["nodes"]), tuple(record["tensors"])
