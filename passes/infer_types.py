"""
Infer the types of all results again.

    tensor<?xf32, #onnx.dims<"min(1000, n)">>   ->   tensor<?xf32, #onnx.dims<"n">>

A rewrite leaves its result the type of what it replaced; what stands there now may tell
more.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.passes import ModulePass

from ..dialects.errors import SardonyxError
from ..dialects.onnx import store_of
from ..dialects.onnx.integers import IntegerValues
from .patterns import Declined, journal_of
from .specialize_dims import infer_again, update_function_type


@dataclass(frozen=True)
class InferTypesPass(ModulePass):
    """Infer the types of all results again, and keep what is known besides."""

    name = "infer-types"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        integers, journal = IntegerValues(store_of(ctx)), journal_of(ctx)
        for inner in op.walk():
            if not journal.permits(inner):
                continue
            before = inner.result_types
            try:
                infer_again(inner, integers)
            except SardonyxError as error:
                # A file may run that onnx's inference refuses once it sees a size, as
                # a Range up to a tensor of one element: what is known of it stays.
                journal.declined(self.name, inner, Declined(str(error)))
            if tuple(inner.result_types) != tuple(before):
                journal.rewrote(self.name, inner)
        for inner in op.ops:
            if isinstance(inner, FuncOp) and inner.body.blocks:
                update_function_type(inner)

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[InferTypesPass, ...]:
        return (cls(),)
