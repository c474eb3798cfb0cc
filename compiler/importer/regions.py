"""The types that flow into and out of subgraphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xdsl.dialects.builtin import i1, i64
from xdsl.ir import Attribute, Region, SSAValue
from xdsl.rewriter import Rewriter

from ...dialects.onnx import YieldOp
from ...dialects.onnx.attributes import python_value
from ...dialects.onnx.dims import Dim
from ...dialects.onnx.infer import stacked
from ...dialects.onnx.types import element_of, shape_of, tensor

LOOP_COUNTERS = (tensor(i64, ()), tensor(i1, ()))
"""The types of a Loop body's first inputs: the iteration and the condition."""


def yielded(region: Region) -> list[Attribute]:
    """The types that a region gives to its op."""
    last = region.block.last_op
    assert isinstance(last, YieldOp), "a region ends with onnx.yield"
    return [value.type for value in last.operands]


def retype(value: SSAValue, kind: Attribute) -> SSAValue:
    """Give `value` the type `kind`; returns the value that stands for it now."""
    if value.type == kind:
        return value
    return Rewriter.replace_value_with_new_type(value, kind)


@dataclass(frozen=True)
class ScanTypes:
    """The types around a Scan: its states, and the slices that its body sees."""

    state: list[Attribute]
    elements: list[Attribute]
    length: Dim | None
    attributes: Mapping[str, Any]

    @staticmethod
    def of(
        given: Sequence[Attribute], properties: Mapping[str, Attribute]
    ) -> ScanTypes:
        """The types of a Scan on operands of types `given`."""
        attributes = {name: python_value(value) for name, value in properties.items()}
        scanned = attributes["num_scan_inputs"]
        if not 0 < scanned <= len(given):
            raise ValueError(f"found {scanned} scan inputs of {len(given)} inputs")
        split = len(given) - scanned
        axes = attributes.get("scan_input_axes") or (0,) * scanned
        _check_count(attributes, "scan_input_axes", scanned)
        _check_count(attributes, "scan_input_directions", scanned)
        elements = [_slice(k, a) for k, a in zip(given[split:], axes, strict=True)]
        lengths = [_length(k, a) for k, a in zip(given[split:], axes, strict=True)]
        known = [length for length in lengths if length is not None]
        for length in known[1:]:
            if known[0].equals(length) is False:
                raise ValueError(f"scan inputs have {known[0]} and {length} slices")
        length = known[0] if known else None
        return ScanTypes(list(given[:split]), elements, length, attributes)

    def stacked(self, kinds: Sequence[Attribute]) -> list[Attribute]:
        """The types of the scan outputs whose slices have types `kinds`."""
        _check_count(self.attributes, "scan_output_axes", len(kinds))
        _check_count(self.attributes, "scan_output_directions", len(kinds))
        axes = self.attributes.get("scan_output_axes") or (0,) * len(kinds)
        for kind, axis in zip(kinds, axes, strict=True):
            rank = len(shape_of(kind) or ()) + 1
            if shape_of(kind) is not None and not -rank <= axis < rank:
                raise ValueError(f"scan axis {axis} is not in a stack of {kind}")
        return [stacked(k, a, self.length) for k, a in zip(kinds, axes, strict=True)]


def _check_count(attributes: Mapping[str, Any], name: str, wanted: int) -> None:
    found = len(attributes.get(name) or ())
    if found not in (0, wanted):
        raise ValueError(f"found {found} {name}, wanted {wanted}")


def _slice(kind: Attribute, axis: int) -> Attribute:
    element, shape = element_of(kind), shape_of(kind)
    if element is None:
        raise ValueError(f"a scan input is {kind}, wanted a tensor")
    if shape is None:
        return tensor(element, None)
    if not -len(shape) <= axis < len(shape):
        raise ValueError(f"scan axis {axis} is not in {kind}")
    axis %= len(shape)
    return tensor(element, [*shape[:axis], *shape[axis + 1 :]])


def _length(kind: Attribute, axis: int) -> Dim | None:
    shape = shape_of(kind)
    return None if shape is None else shape[axis]
