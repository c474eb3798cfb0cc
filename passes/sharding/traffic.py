"""What the devices of a per-device program send each other: a value, no pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp

from ...dialects.onnx.provenance import node_names
from ...dialects.onnx.types import numpy_dtype, static_shape
from ...dialects.sdy import CollectiveOp


@dataclass(frozen=True)
class Collective:
    """One collective, as every device takes part in it."""

    kind: str
    """Its name in the dialect: ``all_reduce``."""
    devices: int
    """How many act together."""
    bytes: int
    """The size of what each device has afterwards."""
    nodes: tuple[str, ...]
    """The ONNX nodes for which it is there."""

    @property
    def sent(self) -> float:
        """The bytes that each device sends, on a ring."""
        return sent_on_a_ring(self.kind, self.devices, self.bytes)


def sent_on_a_ring(kind: str, devices: int, size: float) -> float:
    """
    The bytes that each of so many devices sends, each having `size` bytes afterwards.

    ``2 (p - 1) / p`` of an all-reduce's, ``p - 1`` times a reduce-scatter's, whose
    terms are p times as large, and ``(p - 1) / p`` of the others' bytes.
    """
    times = {"all_reduce": 2, "reduce_scatter": devices}.get(kind, 1)
    return times * size * (devices - 1) / devices


def collectives(module: ModuleOp) -> Iterator[Collective]:
    """The collectives of a per-device program, in its order."""
    for op in module.walk():
        if not isinstance(op, CollectiveOp) or not op.MOVES:
            continue
        kind = op.result.type
        elements = 1
        for size in static_shape(kind) or ():
            elements *= size
        size = elements * numpy_dtype(kind.element_type).itemsize
        yield Collective(
            op.name.partition(".")[2], op.mesh.size(op.axes), size, node_names(op)
        )


@dataclass(frozen=True)
class Traffic:
    """Collectives of one kind, among as many devices, of one size."""

    kind: str
    devices: int
    bytes: int
    """Of each of them, as `Collective` has it."""
    count: int
    sent: float
    """What each device sends in all of them."""


def traffic(found: Iterable[Collective]) -> list[Traffic]:
    """`found` by kind, devices and size; what sends most comes first."""
    counts, sent = Counter[tuple[str, int, int]](), Counter[tuple[str, int, int]]()
    for one in found:
        key = (one.kind, one.devices, one.bytes)
        counts[key] += 1
        sent[key] += one.sent  # pyright: ignore[reportArgumentType]
    rows = [Traffic(*key, counts[key], float(sent[key])) for key in counts]
    return sorted(rows, key=lambda row: (-row.sent, row.kind, row.devices, row.bytes))


def traffic_table(module: ModuleOp) -> dict[str, tuple[int, int]]:
    """For each kind of collective how many there are, and their bytes."""
    counts, sizes = Counter[str](), Counter[str]()
    for one in collectives(module):
        counts[one.kind] += 1
        sizes[one.kind] += one.bytes
    return {kind: (counts[kind], sizes[kind]) for kind in sorted(counts)}
