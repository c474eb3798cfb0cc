"""
How long each op of a model took: per op, per ONNX node, as JSON and as a trace.

`measure` makes profiles; `Profile.method` says how, wherever the numbers go.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...dialects.errors import SardonyxError

FORMAT = "sardonyx-profile-1"


class ProfileError(SardonyxError):
    """A profile that cannot be made or read."""


@dataclass(frozen=True)
class OpTime:
    """One op and what it took."""

    op: str
    """The operator, ``Conv``."""
    nodes: tuple[str, ...]
    tensors: tuple[str, ...]
    seconds: float | None
    """Of one run, the median; None if it cannot be told."""
    calls: int
    """How often it ran in one run: more than once in a loop's body."""
    inside: bool
    """Whether it stands in a region: its time is part of the op's around it."""
    shared: bool
    """
    Whether it shares kernels with other ops, so that `seconds` is its part of theirs,
    by FLOPs and bytes: an estimate.
    """
    flops: int | None
    """Of one call."""
    bytes_read: int | None
    bytes_written: int | None

    @property
    def bytes(self) -> int | None:
        """Read and written."""
        if self.bytes_read is None or self.bytes_written is None:
            return None
        return self.bytes_read + self.bytes_written

    def rate(self, amount: int | None) -> float | None:
        """`amount` of each call per second; None if it or the time is not known."""
        if amount is None or not self.seconds:
            return None
        return amount * self.calls / self.seconds

    def as_json(self) -> dict[str, Any]:
        """The fields and the rates."""
        return {
            "op": self.op,
            "nodes": list(self.nodes),
            "tensors": list(self.tensors),
            "seconds": self.seconds,
            "calls": self.calls,
            "inside": self.inside,
            "shared": self.shared,
            "flops": self.flops,
            "bytes_read": self.bytes_read,
            "bytes_written": self.bytes_written,
            "flops_per_second": self.rate(self.flops),
            "bytes_per_second": self.rate(self.bytes),
        }


@dataclass(frozen=True)
class NodeTime:
    """What the ops of one ONNX node took, or of several that became one op."""

    nodes: tuple[str, ...]
    ops: tuple[str, ...]
    seconds: float | None
    flops: int | None
    bytes: int | None

    def as_json(self) -> dict[str, Any]:
        """The fields and the rates."""
        seconds = self.seconds or None
        rates = [
            None if amount is None or seconds is None else amount / seconds
            for amount in (self.flops, self.bytes)
        ]
        return {
            "nodes": list(self.nodes),
            "ops": list(self.ops),
            "seconds": self.seconds,
            "flops": self.flops,
            "bytes": self.bytes,
            "flops_per_second": rates[0],
            "bytes_per_second": rates[1],
        }


@dataclass(frozen=True)
class KernelTime:
    """A kernel of XLA's: what it took in one run, and the ops in it."""

    name: str
    seconds: float
    """The median of the runs."""
    ops: tuple[int, ...]
    """Places in `Profile.ops`; none if the kernel is XLA's own addition."""


@dataclass(frozen=True)
class Event:
    """A stretch of one run, for a trace."""

    name: str
    begun: float
    """Seconds since the run began."""
    seconds: float
    ops: tuple[int, ...]


@dataclass(frozen=True)
class Profile:
    """What `measure.profile_model` measured."""

    model: str
    backend: str
    pipeline: str
    dims: Mapping[str, int]
    """The sizes that symbolic dimensions had."""
    method: str
    """How it was measured, in a sentence."""
    runs: int
    whole_seconds: float
    """One run of the program that is not looked into: the median."""
    overhead_seconds: float
    """What looking at the clock takes, for one op; it is subtracted."""
    ops: tuple[OpTime, ...]
    kernels: tuple[KernelTime, ...]
    trace: tuple[Event, ...]
    """One run, event by event; it is not in the JSON."""

    @property
    def seconds(self) -> float:
        """The sum over the ops."""
        return sum(op.seconds or 0.0 for op in self.ops if not op.inside)

    @property
    def unattributed_seconds(self) -> float:
        """What kernels took that hold no op."""
        return sum(kernel.seconds for kernel in self.kernels if not kernel.ops)

    def nodes(self) -> list[NodeTime]:
        """The times by ONNX node, the slowest first."""
        grouped: dict[tuple[str, ...], list[OpTime]] = {}
        for op in self.ops:
            if not op.inside:
                grouped.setdefault(op.nodes or op.tensors, []).append(op)
        found = [_node_time(nodes, ops) for nodes, ops in grouped.items()]
        return sorted(found, key=lambda node: -(node.seconds or 0.0))

    def as_json(self) -> dict[str, Any]:
        """A dictionary that `read_profile` reads."""
        return {
            "format": FORMAT,
            "model": self.model,
            "backend": self.backend,
            "pipeline": self.pipeline,
            "dims": dict(self.dims),
            "method": self.method,
            "runs": self.runs,
            "whole_seconds": self.whole_seconds,
            "overhead_seconds": self.overhead_seconds,
            "ops_seconds": self.seconds,
            "unattributed_seconds": self.unattributed_seconds,
            "ops": [op.as_json() for op in self.ops],
            "nodes": [node.as_json() for node in self.nodes()],
            "kernels": [
                {"name": k.name, "seconds": k.seconds, "ops": list(k.ops)}
                for k in self.kernels
            ],
        }

    def chrome_trace(self) -> dict[str, Any]:
        """One run in Chrome's trace format (Perfetto reads it), in microseconds."""
        events: list[dict[str, Any]] = [
            {
                "name": "process_name",
                "ph": "M",
                "pid": 1,
                "args": {"name": f"{self.model or 'model'} ({self.backend})"},
            }
        ]
        for event in self.trace:
            nodes = [name for place in event.ops for name in self.ops[place].nodes]
            one = self.ops[event.ops[0]] if len(event.ops) == 1 else None
            costs = {} if one is None else {"flops": one.flops, "bytes": one.bytes}
            events.append(
                {
                    "name": event.name,
                    "cat": self.backend,
                    "ph": "X",
                    "ts": 1e6 * event.begun,
                    "dur": 1e6 * event.seconds,
                    "pid": 1,
                    "tid": 1,
                    "args": {"nodes": nodes, **costs},
                }
            )
        return {"traceEvents": events, "displayTimeUnit": "ms"}


def _node_time(nodes: tuple[str, ...], ops: Sequence[OpTime]) -> NodeTime:
    seconds = [op.seconds for op in ops if op.seconds is not None]
    amounts: list[int | None] = []
    for per_call in ([op.flops for op in ops], [op.bytes for op in ops]):
        known = [amount for amount in per_call if amount is not None]
        amounts.append(sum(known) if len(known) == len(ops) else None)
    labels = tuple(op.op for op in ops)
    return NodeTime(nodes, labels, sum(seconds) if seconds else None, *amounts)


# --- files ---


def read_profile(path: Path) -> Profile:
    """
    The profile that `sardonyx profile --json` wrote; it has no trace.

    Raises ProfileError for a file that holds none.
    """
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ProfileError(f"{path}: cannot be read: {reason}") from error
    except (ValueError, RecursionError) as error:
        raise ProfileError(f"{path}: found no JSON: {error}") from error
    found = content.get("format") if isinstance(content, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if found != FORMAT:
        raise ProfileError(f"{path}: found format {found!r}, wanted {FORMAT!r}")
    try:
        return _read(content)
    except (KeyError, TypeError, ValueError) as error:
        raise ProfileError(
            f"{path}: found a damaged profile ({type(error).__name__}: {error})"
        ) from error


def _read(content: Any) -> Profile:
    ops = tuple(
        OpTime(
            op=str(entry["op"]),
            nodes=tuple(map(str, entry["nodes"])),
            tensors=tuple(map(str, entry["tensors"])),
            seconds=_number(entry["seconds"]),
            calls=int(entry["calls"]),
            inside=bool(entry["inside"]),
            shared=bool(entry["shared"]),
            flops=_count(entry["flops"]),
            bytes_read=_count(entry["bytes_read"]),
            bytes_written=_count(entry["bytes_written"]),
        )
        for entry in content["ops"]
    )
    kernels = tuple(
        KernelTime(str(k["name"]), float(k["seconds"]), tuple(map(int, k["ops"])))
        for k in content["kernels"]
    )
    return Profile(
        model=str(content["model"]),
        backend=str(content["backend"]),
        pipeline=str(content["pipeline"]),
        dims={str(name): int(size) for name, size in content["dims"].items()},
        method=str(content["method"]),
        runs=int(content["runs"]),
        whole_seconds=float(content["whole_seconds"]),
        overhead_seconds=float(content["overhead_seconds"]),
        ops=ops,
        kernels=kernels,
        trace=(),
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _count(value: Any) -> int | None:
    return None if value is None else int(value)
