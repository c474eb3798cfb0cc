"""What the values of a region are called in the function that it becomes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xdsl.ir import Operation, SSAValue

from ...dialects.fusion import LEAVES, PRODUCTS, RegionOp
from ...dialects.onnx import DenseAttr, OnnxOp
from ..kernels import Kernel
from ..program import array_literal
from ..source import Pasted


@dataclass
class RegionNames:
    """The names and expressions of a function's parameters and constants."""

    region: RegionOp
    table: Mapping[str, Kernel]
    pasted: Pasted
    literal: Callable[[Any], str]
    names: dict[SSAValue, str] = field(default_factory=dict[SSAValue, str])
    taken: set[str] = field(default_factory=lambda: {"np", "out", "y"})

    def parameters(self, ops: Sequence[OnnxOp]) -> list[str]:
        """Name the arguments after what they are to the op that reads them first."""
        for op in ops:
            formal = [entry.name.lower() for entry in op.schema().inputs]
            # The operands of Add, Mul … say little of the one that joins.
            named = op is ops[0] or op.name in PRODUCTS or len(op.operands) != 2
            for place, operand in enumerate(op.operands):
                if operand.owner is not self.region.block or operand in self.names:
                    continue
                known = named and place < len(formal) and "_" not in formal[place]
                self.names[operand] = self.fresh(formal[place] if known else "other")
        return [
            self.names.setdefault(argument, self.fresh("unused"))
            for argument in self.region.block.args
        ]

    def fresh(self, wanted: str) -> str:
        """A name like `wanted` that nothing else in the function has."""
        name, count = wanted, 1
        while name in self.taken:
            count += 1
            name = f"{wanted}{count}"
        self.taken.add(name)
        return name

    def text(self, value: SSAValue) -> str:
        """The expression for an argument or a constant; None for what is absent."""
        if value in self.names:
            return self.names[value]
        op = value.owner
        held = op.properties.get("value") if isinstance(op, Operation) else None
        if not isinstance(held, DenseAttr):
            assert isinstance(op, Operation), "what is no argument is an op's"
            assert op.name in LEAVES, "what computes has a name"
            return "None"
        number, kind = constant_number(value), held.array().dtype.name
        plain = isinstance(number, float) and kind in ("float32", "float64")
        return f"np.{kind}({number!r})" if plain else array_literal(held.array())


def constant_number(value: SSAValue) -> float | int | None:
    """The finite number that a scalar constant of a body is."""
    op = value.owner
    held = op.properties.get("value") if isinstance(op, Operation) else None
    array = held.array() if isinstance(held, DenseAttr) else None
    if array is None or array.ndim or array.dtype.kind not in "fiu":
        return None
    number: float | int = array.item()
    return number if math.isfinite(number) else None
