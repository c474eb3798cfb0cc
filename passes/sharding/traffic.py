"""What the devices of a per-device program send each other: a value, no pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
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
        """
        The bytes that each device sends, on a ring.

        ``2 (p - 1) / p`` of an all-reduce's, ``(p - 1) / p`` of the others' bytes.
        """
        share = (self.devices - 1) / self.devices
        return share * self.bytes * (2 if self.kind == "all_reduce" else 1)


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


def traffic_table(module: ModuleOp) -> dict[str, tuple[int, int]]:
    """For each kind of collective how many there are, and their bytes."""
    counts, sizes = Counter[str](), Counter[str]()
    for one in collectives(module):
        counts[one.kind] += 1
        sizes[one.kind] += one.bytes
    return {kind: (counts[kind], sizes[kind]) for kind in sorted(counts)}
