"""
Ops that ONNX does not have, and how they say what they mean in ONNX's operators.

An op of another dialect that derives from `ExtensionOp` leaves for ONNX as a call of a
function with that body, so that the model still runs anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import IRDLOperation

from .builder import OnnxBuilder


class ExtensionOp(IRDLOperation):
    """An op with a meaning in ONNX's operators."""

    def onnx_body(
        self, builder: OnnxBuilder, operands: Sequence[SSAValue]
    ) -> Sequence[SSAValue]:
        """
        Write the op's meaning on `operands` with `builder`; one value per result.

        The operands have the types of the op's own.
        """
        raise NotImplementedError(f"{self.name} does not say what it means in ONNX")

    def inferred(self) -> Sequence[Attribute]:
        """The types of its results by now; none where they stay as they were stated."""
        return ()
