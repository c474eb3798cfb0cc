"""One model timed in several contenders, and their outputs compared."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ..driver import load, random_by_name, specialize
from ..inputs import input_specs
from ..verify import softmax_logits
from .contenders import PEERS, absence, artifact, compiled, peer
from .judge import Judge
from .machine import busy_seconds, cpu_seconds
from .process import ContenderProcess, setting_of
from .protocol import (
    ContenderError,
    Plan,
    Ratio,
    Report,
    Started,
    Summary,
    Timing,
    geometric_mean,
    paired_ratio,
    quiet,
    summarize,
    time_fairly,
)


@dataclass(frozen=True)
class Entry:
    """A contender's name and what it is (see `contenders`)."""

    name: str
    described: Mapping[str, Any]


@dataclass(frozen=True)
class Measured:
    """What was timed of a contender, and what it computed."""

    timing: Timing
    outputs: Sequence[Any] | None
    """The last call's, in the model's order; None if it failed."""
    peak_bytes: int | None


@dataclass(frozen=True)
class Row:
    """One contender on one model."""

    contender: str
    failure: str | None = None
    summary: Summary | None = None
    ratio: Ratio | None = None
    """Its time over the first peer's; above 1 is slower."""
    ratio_p10: float | None = None
    """The same of the 10th percentiles: what is left where other programs disturb."""
    started: Started | None = None
    rounds: int = 0
    calls: int = 0
    """The calls of a block, of which the first `dropped` do not count."""
    dropped: int = 0
    cut: bool = False
    """Whether the budget left it fewer rounds or calls than the protocol wants."""
    error: float | None = None
    """max|a-b| / max|b| beside the judge, the worst output; None if nobody judged."""
    tolerance: float | None = None
    agrees: bool | None = None
    peak_bytes: int | None = None

    @property
    def first_result_seconds(self) -> float | None:
        """From a started interpreter to the first result."""
        if self.started is None:
            return None
        return self.started.load_seconds + self.started.first_seconds

    def as_json(self) -> dict[str, Any]:
        """The row for JSON: times in ms, what is not finite as text."""
        s, r, t = self.summary, self.ratio, self.started
        return {
            "contender": self.contender,
            "failure": self.failure,
            "median_ms": _ms(s and s.median_seconds),
            "p10_ms": _ms(s and s.p10_seconds),
            "p90_ms": _ms(s and s.p90_seconds),
            "ratio": r and r.median,
            "ratio_low": r and r.low,
            "ratio_high": r and r.high,
            "ratio_p10": self.ratio_p10,
            "first_result_seconds": self.first_result_seconds,
            "load_seconds": t and t.load_seconds,
            "rounds": self.rounds,
            "calls": self.calls,
            "dropped": self.dropped,
            "cut_by_budget": self.cut,
            "max_error": _finite(self.error),
            "tolerance": self.tolerance,
            "agrees": self.agrees,
            "peak_mib": self.peak_bytes and round(self.peak_bytes / 2**20, 1),
            "affinity": t and t.affinity,
            "os_threads": t and t.os_threads,
            "pool": t and t.pool,
        }


@dataclass(frozen=True)
class ModelResult:
    """All contenders on one model."""

    model: str
    rows: tuple[Row, ...] = ()
    inputs: tuple[tuple[str, str, tuple[int, ...]], ...] = ()
    """Name, dtype and shape of what they ran on."""
    peer: str | None = None
    """Whom the ratios are to: the first peer that ran, or whoever came first."""
    judge: str | None = None
    """Whose outputs the others' were compared with."""
    others: float | None = None
    """
    How many processors other programs kept busy meanwhile; None if that is not known.
    """
    note: str | None = None
    """What the judgement lacked."""
    failure: str | None = None
    """Why nobody ran."""

    @property
    def ok(self) -> bool:
        """Whether nothing of ours failed, or differs from the judge."""
        ours = [r for r in self.rows if r.contender not in PEERS]
        wrong = any(r.failure is not None or r.agrees is False for r in ours)
        return self.failure is None and not wrong

    def as_json(self) -> dict[str, Any]:
        """The result for JSON."""
        return {
            "model": self.model,
            "failure": self.failure,
            "inputs": [
                {"name": name, "dtype": dtype, "shape": list(shape)}
                for name, dtype, shape in self.inputs
            ],
            "ratio_to": self.peer,
            "judged_by": self.judge,
            "processors_busy_with_others": self.others,
            "note": self.note,
            "rows": [row.as_json() for row in self.rows],
        }


@dataclass(frozen=True)
class Contest:
    """Who is timed on every model, and how."""

    backends: tuple[str, ...] = ("numpy", "jax")
    peers: tuple[str, ...] = ("onnxruntime", "openvino")
    artifacts: tuple[Path, ...] = ()
    pipeline: str = "O2"
    dims: Mapping[str, int] | None = None
    threads: int = 1
    seed: int = 0
    plan: Plan = field(default_factory=Plan)
    pipelines: Mapping[str, str] = field(default_factory=dict[str, str])
    """The pipelines of backends that have one of their own, not `pipeline`."""

    @property
    def absent(self) -> list[str]:
        """The peers that are not installed, a line each."""
        return [line for line in map(absence, self.peers) if line is not None]

    def entries(self, model: Path) -> list[Entry]:
        """The contenders that are there; peers first."""
        sizes = self.dims or {}
        there = [name for name in self.peers if absence(name) is None]
        return [
            *(Entry(name, peer(name, model, sizes)) for name in there),
            *(
                Entry(b, compiled(model, b, self.pipeline_of(b), sizes))
                for b in self.backends
            ),
            *(Entry(f"{folder}/", artifact(folder)) for folder in self.artifacts),
        ]

    def pipeline_of(self, backend: str) -> str:
        """The level or spec that `backend` compiles with."""
        return self.pipelines.get(backend, self.pipeline)


def measure(
    entries: Sequence[Entry],
    arrays: Mapping[str, Any],
    threads: int = 1,
    plan: Plan | None = None,
    report: Report = quiet,
) -> list[Measured]:
    """
    Time the contenders beside each other on `arrays`, inputs by name.

    Every contender has a process with `threads` cores and threads.
    """
    plan = plan or Plan()
    with setting_of(arrays, threads) as setting, ExitStack() as stack:
        running = [ContenderProcess(e.name, e.described, setting) for e in entries]
        for contender in running:
            stack.callback(contender.close)
        timings = time_fairly(running, plan, report)
        return [
            _measured(contender, timing, plan.limit_seconds)
            for contender, timing in zip(running, timings, strict=True)
        ]


def _measured(contender: ContenderProcess, timing: Timing, limit: float) -> Measured:
    if timing.failure is not None:
        return Measured(timing, None, None)
    try:
        outputs, peak = contender.outputs(limit)
    except ContenderError as error:
        return Measured(replace(timing, failure=str(error)), None, None)
    return Measured(timing, outputs, peak)


def bench_model(path: Path, contest: Contest, report: Report = quiet) -> ModelResult:
    """
    Time `path` in all contenders of `contest` on the same random inputs.

    Raises SardonyxError if the file cannot be read, or there is no input for it.
    """
    model = load(path)
    if contest.dims:
        specialize(model, contest.dims)
    takes = SimpleNamespace(inputs=input_specs(model))
    arrays = random_by_name(takes, contest.dims or {}, contest.seed)
    entries = contest.entries(path)
    before = _seconds()
    found = measure(entries, arrays, contest.threads, contest.plan, report)
    others = _others(before, _seconds())
    names = [value.name for value in model.outputs]
    limit = contest.plan.limit_seconds
    judge = Judge(path, arrays, names, softmax_logits(model), limit)
    timed = [m.timing for m in found if m.timing.failure is None]
    peers = [t for t in timed if t.name in PEERS]
    peer = next(iter(peers or timed), None)
    base = next((m for m in found if m.outputs is not None), None)
    rows = tuple(_row(m, peer, base, judge, contest.plan) for m in found)
    return ModelResult(
        path.stem,
        rows,
        tuple((n, str(a.dtype), tuple(a.shape)) for n, a in arrays.items()),
        None if peer is None else peer.name,
        None if base is None else base.timing.name,
        others,
        judge.note,
    )


def _seconds() -> tuple[float, float | None, float]:
    """Now; what the processors have worked so far; what of it was ours."""
    return time.perf_counter(), busy_seconds(), cpu_seconds()


def _others(
    before: tuple[float, float | None, float], after: tuple[float, float | None, float]
) -> float | None:
    (begin, busy, ours), (end, busier, more) = before, after
    if busy is None or busier is None:
        return None
    return max(0.0, (busier - busy) - (more - ours)) / (end - begin)


def _row(
    measured: Measured,
    peer: Timing | None,
    base: Measured | None,
    judge: Judge,
    plan: Plan,
) -> Row:
    timing = measured.timing
    row = Row(timing.name, timing.failure, started=timing.started)
    if timing.failure is not None or timing.plan is None or not timing.blocks:
        return row
    summary = summarize(timing.blocks)
    row = replace(
        row,
        summary=summary,
        ratio=paired_ratio(timing.blocks, peer.blocks) if peer else None,
        ratio_p10=_over(summary, summarize(peer.blocks)) if peer else None,
        rounds=timing.plan.rounds,
        calls=timing.plan.calls,
        dropped=timing.plan.dropped,
        cut=plan.is_cut(timing.plan),
        peak_bytes=measured.peak_bytes,
    )
    if base is None or base is measured:
        return row
    assert measured.outputs is not None, "who did not fail gave outputs"
    assert base.outputs is not None, "so did the judge"
    worst = judge.worst(measured.outputs, base.outputs)
    return replace(
        row, error=worst.relative, tolerance=worst.tolerance, agrees=worst.ok
    )


def mean_ratios(results: Sequence[ModelResult]) -> dict[str, tuple[float, int]]:
    """
    Per contender the geometric mean of its ratios, and of how many models.

    Counted are the models where it agrees, and the ratios are to the same peer as the
    first one's.
    """
    peer = next((r.peer for r in results if r.peer is not None), None)
    ratios: dict[str, list[float]] = {}
    for result in results:
        for row in result.rows if result.peer == peer else ():
            if row.ratio is not None and row.agrees is not False:
                ratios.setdefault(row.contender, []).append(row.ratio.median)
    return {name: (geometric_mean(r), len(r)) for name, r in ratios.items()}


def _over(ours: Summary, theirs: Summary) -> float:
    return ours.p10_seconds / theirs.p10_seconds


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else 1e3 * seconds


def _finite(number: float | None) -> float | str | None:
    return str(number) if number is not None and not math.isfinite(number) else number
