"""Gives the regions of If, Loop, Scan and SequenceMap their types."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import onnx
from xdsl.ir import Attribute, Region

from ...dialects.onnx.infer import merge_types, stacked
from ...dialects.onnx.types import SequenceType
from .regions import LOOP_COUNTERS, ScanTypes, yielded

REGION_OPS = {"onnx.If": 1, "onnx.Loop": 1, "onnx.Scan": 9, "onnx.SequenceMap": 17}
"""The operators with subgraphs, and the first opset of the form they have today."""

Typed = tuple[dict[str, Region], list[Attribute]]
"""The regions by attribute, and the types of the op's results."""


@dataclass(frozen=True)
class Subgraphs:
    """The subgraphs of one node, and how a body is imported."""

    graphs: Mapping[str, onnx.GraphProto]
    body: Callable[[onnx.GraphProto, Sequence[Attribute]], Region]
    """The region of a subgraph whose inputs have these types."""
    checkpoint: Callable[[], Callable[[], None]]
    """Called before a body is imported; the result undoes what that left behind."""

    def typed(
        self,
        op_name: str,
        given: Sequence[Attribute | None],
        properties: Mapping[str, Attribute],
    ) -> Typed:
        """The regions and result types of `op_name` on operands of types `given`."""
        present = [kind for kind in given if kind is not None]
        match op_name:
            case "onnx.If":
                return self._if()
            case "onnx.Loop":
                return self._loop([kind for kind in given[2:] if kind is not None])
            case "onnx.Scan":
                return self._scan(ScanTypes.of(present, properties))
            case _:
                return self._sequence_map(present)

    def _if(self) -> Typed:
        regions = {name: self.body(graph, ()) for name, graph in self.graphs.items()}
        types = [yielded(region) for region in regions.values()]
        if len(types[0]) != len(types[1]):
            raise ValueError("the branches give different numbers of outputs")
        return regions, [merge_types(a, b) for a, b in zip(*types, strict=True)]

    def _loop(self, carried: Sequence[Attribute]) -> Typed:
        region, state = self._fixpoint(LOOP_COUNTERS, carried, (), 1)
        scanned = yielded(region)[1 + len(state) :]
        return {"body": region}, [*state, *map(stacked, scanned)]

    def _scan(self, types: ScanTypes) -> Typed:
        region, state = self._fixpoint((), types.state, types.elements, 0)
        scanned = yielded(region)[len(state) :]
        return {"body": region}, [*state, *types.stacked(scanned)]

    def _sequence_map(self, given: Sequence[Attribute]) -> Typed:
        elements = [k.element if isinstance(k, SequenceType) else k for k in given]
        region = self.body(self.graphs["body"], elements)
        return {"body": region}, [SequenceType(kind) for kind in yielded(region)]

    def _fixpoint(
        self,
        before: Sequence[Attribute],
        state: Sequence[Attribute],
        behind: Sequence[Attribute],
        first: int,
    ) -> tuple[Region, list[Attribute]]:
        """
        The body on types that hold for every turn, and the types of its state.

        Its inputs are `before`, the state and `behind`; it yields the state from place
        `first` on. A dimension that changes from turn to turn becomes unknown, then the
        rank, so few attempts are needed.
        """
        types = list(state)
        while True:
            forget = self.checkpoint()
            region = self.body(self.graphs["body"], (*before, *types, *behind))
            after = yielded(region)[first : first + len(types)]
            if len(after) != len(types):
                raise ValueError(f"the body yields {len(after)} of {len(types)} states")
            merged = [merge_types(a, b) for a, b in zip(types, after, strict=True)]
            if merged == types:
                return region, types
            types = merged
            region.drop_all_references()
            forget()
