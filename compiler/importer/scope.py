"""What a node sees: the names around it, and the function call that it is in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import onnx
from xdsl.ir import SSAValue


@dataclass
class Scope:
    """The names that a graph sees: its own, and those of the graph around it."""

    outer: Scope | None = None
    values: dict[str, SSAValue] = field(default_factory=dict[str, SSAValue])

    def find(self, name: str) -> SSAValue | None:
        """The value called `name`, innermost first."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.values:
                return scope.values[name]
            scope = scope.outer
        return None


@dataclass(frozen=True)
class Frame:
    """Where a node stands: what it sees, and what its attributes may refer to."""

    scope: Scope
    opsets: Mapping[str, int]
    prefix: str = ""
    """The names of the calls around it, for its own name."""
    attributes: Mapping[str, onnx.AttributeProto] | None = None
    """The attributes of the function call; None outside functions."""
    depth: int = 0

    def inside(self) -> Frame:
        """The frame of a subgraph's nodes, which see what is around them."""
        return replace(self, scope=Scope(self.scope), depth=self.depth + 1)

    def resolved(self, attribute: onnx.AttributeProto) -> onnx.AttributeProto | None:
        """
        The attribute, or what the function call gives for it; None if nothing does.
        """
        if not attribute.ref_attr_name:
            return attribute
        if self.attributes is None:
            raise ValueError(
                f"attribute {attribute.name!r} refers to {attribute.ref_attr_name!r} "
                "outside a function"
            )
        found = self.attributes.get(attribute.ref_attr_name)
        if found is None:
            return None
        copy = onnx.AttributeProto()
        copy.CopyFrom(found)
        copy.name = attribute.name
        return copy
