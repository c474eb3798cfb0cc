"""
What a program makes of its weights once, when it is loaded.

A product of integers goes by floats. Of a weight they are the same at every call, so
the program makes them before the first; on disk the weight stays in 8 bits.

    matmul_integer(np, a, w['b'], a0, w['b0'])
->
    def prepared(w):
        return {**w, 'b, prepared': prepared_columns(np, w['b'], w['b0'])}

    matmul_integer(np, a, w['b, prepared'], a0)
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, SSAValue

from ...dialects.onnx import OnnxOp, WeightAttr
from ...dialects.onnx.types import DTYPE_NAMES, element_of, is_none, static_shape
from ..kernels import Kernel
from ..kernels.apply import kernel_attributes
from ..kernels.integer_products import LIMITS, prepared_columns
from .convolution import prepared_filters
from .emitter import NumpyEmitter

MOST_BYTES = 1 << 30
"""Beyond so much memory for all, products go on making floats at each call."""


@dataclass(frozen=True)
class Preparation:
    """How an operator's weight comes into the form that its kernel reads."""

    weight: int
    zero_point: int
    """The operand that is subtracted from it, which the kernel then gets no more."""
    kernel: Kernel
    """
    What makes the form of the two, and of the op's attributes among its parameters.
    """


PREPARATIONS: Mapping[str, Preparation] = {
    "onnx.ConvInteger": Preparation(1, 3, prepared_filters),
    "onnx.MatMulInteger": Preparation(1, 3, prepared_columns),
    "onnx.QLinearConv": Preparation(3, 5, prepared_filters),
    "onnx.QLinearMatMul": Preparation(3, 5, prepared_columns),
    "microsoft.DynamicQuantizeMatMul": Preparation(1, 3, prepared_columns),
    "microsoft.MatMulIntegerToFloat": Preparation(1, 5, prepared_columns),
    "microsoft.QAttention": Preparation(1, 7, prepared_columns),
    "microsoft.QGemm": Preparation(3, 5, prepared_columns),
    "microsoft.QLinearConv": Preparation(3, 5, prepared_filters),
}


@dataclass
class PreparingEmitter(NumpyEmitter):
    """Writes programs with a function ``prepared``, where there is what it makes."""

    made: dict[str, str] = field(default_factory=dict[str, str])
    """The calls that make it, by the key that their result has among the weights."""
    _bytes: int = 0

    def prepare(self, main: FuncOp) -> None:
        self.reserve("prepared")
        super().prepare(main)
        for op in main.walk():
            recipe = PREPARATIONS.get(op.name)
            if not isinstance(op, OnnxOp) or recipe is None:
                continue
            if blocked(op, recipe) is None:
                self.pasted.add(recipe.kernel)

    def emit(self, main: FuncOp, inputs: Sequence[str]) -> str:
        forward = super().emit(main, inputs)
        if not self.made:
            return forward
        rows = "".join(f"        {key!a}: {call},\n" for key, call in self.made.items())
        head = (
            'def prepared(w):\n    """The weights, and what is made of them, once."""\n'
        )
        return f"{head}    return {{\n        **w,\n{rows}    }}\n\n\n{forward}"

    def operands(self, op: OnnxOp) -> list[str]:
        names = super().operands(op)
        recipe = PREPARATIONS.get(op.name)
        if recipe is None or blocked(op, recipe) is not None:
            return names
        key = self._prepared(op, recipe)
        if key is None:
            return names
        names[recipe.weight] = f"w[{key!a}]"
        if recipe.zero_point < len(names):
            names[recipe.zero_point] = "None"
        return names

    def _prepared(self, op: OnnxOp, recipe: Preparation) -> str | None:
        """The key of the weight of `op` as its kernel reads it; None if too large."""
        weight = op.operands[recipe.weight]
        call = self._making(op, recipe)
        for key, known in self.made.items():
            if known == call:
                return key
        size = 4 * math.prod(static_shape(weight.type) or ())
        if self._bytes + size > MOST_BYTES:
            return None
        self._bytes += size
        key = f"{weight_key(weight)}, prepared"
        while key in self.made or key in self.store:
            key += "'"
        self.made[key] = call
        return key

    def _making(self, op: OnnxOp, recipe: Preparation) -> str:
        places = [recipe.weight, recipe.zero_point]
        given = [self.name(op.operands[n]) for n in places if n < len(op.operands)]
        while given[-1] == "None":
            given.pop()
        taken = inspect.signature(recipe.kernel).parameters
        for name, value in kernel_attributes(op).items():
            if name in taken:
                given.append(f"{name}={self.literal(value)}")
        return f"{self.pasted.add(recipe.kernel)}(np, {', '.join(given)})"


def blocked(op: OnnxOp, recipe: Preparation) -> str | None:
    """Why the weight of `op` is not prepared when the program is loaded."""
    weight = op.operands[recipe.weight]
    if weight_key(weight) is None:
        return "the weight is computed, or so small that it stands in the text"
    if element_name(weight.type) not in LIMITS:
        return "the weight is not one of 8-bit integers"
    if len(static_shape(weight.type) or ()) < 2:
        return "the weight is no matrix"
    if recipe.zero_point < len(op.operands):
        zero_point = op.operands[recipe.zero_point]
        constant = getattr(zero_point.owner, "name", "") == "onnx.Constant"
        if not constant and not is_none(zero_point.type):
            return "the zero point is computed"
    return None


def weight_key(value: SSAValue) -> str | None:
    """The key of the weight that `value` is."""
    owner = value.owner
    if not isinstance(owner, OnnxOp) or owner.name != "onnx.Constant":
        return None
    held = owner.properties.get("value")
    return held.data if isinstance(held, WeightAttr) else None


def element_name(kind: Attribute) -> str | None:
    """``int8`` …: the element type of a tensor; None for anything else."""
    element = element_of(kind)
    return None if element is None else DTYPE_NAMES.get(element)
