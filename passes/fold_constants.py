"""
Compute at compile time what does not depend on the inputs.

    %a = onnx.Constant dense<[1, 2]>        ->   %b = onnx.Constant dense<[2, 4]>
    %b = onnx.Add(%a, %a)

    %s = onnx.Shape(%x)  // 2x3             ->   %s = onnx.Constant dense<[2, 3]>
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter
from xdsl.traits import Pure

from ..backends.kernels import KERNELS
from ..backends.kernels.apply import apply
from ..dialects.errors import SardonyxError
from ..dialects.onnx import OnnxBuilder, OnnxOp, WeightStore, store_of
from ..dialects.onnx.base import SCHEMAS, type_string
from ..dialects.onnx.integers import IntegerValues
from ..dialects.onnx.provenance import describe
from ..dialects.onnx.store import DerivedWeight, Weight
from ..dialects.onnx.types import (
    DTYPE_NAMES,
    Array,
    DenseAttr,
    WeightAttr,
    element_of,
    is_none,
    static_shape,
)

_HELD = frozenset(SCHEMAS["onnx.Constant"].type_constraints[0].allowed_type_strs)

LAZY_BYTES = 1 << 20
"""Results from this size on are computed each time they are asked for, not before."""


_REFUSALS = (ValueError, TypeError, IndexError, ArithmeticError)
"""What kernels raise on operands that their operator does not take."""


def constant_of(value: SSAValue, store: WeightStore) -> Callable[[], Array] | None:
    """How to get the array that `value` is; None if it is no constant in the store."""
    op = value.owner
    if not isinstance(op, OnnxOp) or op.name != "onnx.Constant":
        return None
    held = op.properties.get("value")
    if isinstance(held, DenseAttr):
        return held.array
    if isinstance(held, WeightAttr) and held.data in store:
        return store[held.data].array
    return None


def is_derived(value: SSAValue, store: WeightStore) -> bool:
    """Whether `value` is a constant that is computed from others when it is needed."""
    op = value.owner
    held = op.properties.get("value") if isinstance(op, OnnxOp) else None
    if not isinstance(held, WeightAttr) or held.data not in store:
        return False
    return isinstance(store[held.data], DerivedWeight)


def blocked(op: Operation, store: WeightStore, max_growth: int) -> str | None:
    """Why `op` cannot be computed now, or None if it can."""
    if not isinstance(op, OnnxOp) or op.name == "onnx.Constant":
        return "not an operator on values"
    if op.name not in KERNELS:
        return "no kernel"
    if not op.has_trait(Pure) or op.has_body:
        return "not a pure function of its operands"
    if any(static_shape(r.type) is None for r in op.results if not is_none(r.type)):
        return "a result's size is not known"
    for kind in op.result_types:
        if not is_none(kind) and type_string(kind) not in _HELD:
            return f"no constant holds {type_string(kind)}"
    given = [v for v in op.operands if not is_none(v.type)]
    if any(constant_of(value, store) is None for value in given):
        return "an operand is not constant"
    before, after = sum(map(_elements, given)), sum(map(_elements, op.results))
    if after > max(max_growth, 2 * before):
        return f"{before} elements would become {after}"
    return None


def _elements(value: SSAValue) -> int:
    shape = static_shape(value.type)
    return 0 if shape is None else math.prod(shape)


@dataclass(frozen=True)
class FoldConstantsPass(ModulePass):
    """
    Replace ops on constants by their results, and known shapes by numbers.

    A result may have `max_growth` elements, or twice as many as the operands.
    """

    name = "fold-constants"

    max_growth: int = 65536

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        store = store_of(ctx)
        if store is None:
            return
        integers = IntegerValues(store)
        for inner in list(op.walk()):
            if inner.parent is None:
                continue
            if blocked(inner, store, self.max_growth) is None:
                assert isinstance(inner, OnnxOp), "only operators are folded"
                _fold(inner, store)
            elif isinstance(inner, OnnxOp):
                _fold_integers(inner, store, integers)

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[FoldConstantsPass, ...]:
        return tuple(cls(max_growth=limit) for limit in (1024, 65536, 1 << 22))


def _fold(op: OnnxOp, store: WeightStore) -> None:
    sources = [constant_of(value, store) for value in op.operands]
    size = sum(_elements(result) for result in op.results)
    # One step is computed when it is needed; a chain of them would be computed again
    # and again.
    chained = any(is_derived(value, store) for value in op.operands)
    if size * 4 < LAZY_BYTES or len(op.results) != 1 or chained:
        try:
            results = apply(op, [None if s is None else s() for s in sources])
        except _REFUSALS:
            # Operands that the operator does not take: who runs the op hears of it.
            return
        _replace(op, store, results)
        return
    # What the weight is computed by: the op without its operands, so that it uses
    # nothing.
    recipe = type(op).create(
        result_types=op.result_types, properties=dict(op.properties)
    )
    result = op.results[0]
    element, shape = element_of(result.type), static_shape(result.type)
    assert element is not None, "checked by `blocked`"
    assert shape is not None, "checked by `blocked`"

    where = describe(op)

    def compute() -> Array:
        try:
            (array,) = apply(recipe, [None if s is None else s() for s in sources])
        except _REFUSALS as error:
            raise SardonyxError(f"{where}: {error}") from error
        assert array is not None, "an op of one result gives it"
        return array

    _replace(op, store, [DerivedWeight(DTYPE_NAMES[element], shape, compute)])


def _fold_integers(op: OnnxOp, store: WeightStore, integers: IntegerValues) -> None:
    """
    Replace an op whose result the integer analysis knows, whatever its operands are.
    """
    if len(op.results) != 1 or op.name == "onnx.Constant" or not op.has_trait(Pure):
        return
    element = element_of(op.results[0].type)
    if element is None or element not in DTYPE_NAMES:
        return
    if not DTYPE_NAMES[element].startswith(("int", "bool")):
        return
    found = integers.constants(op.results[0])
    if found is not None and found.shape == static_shape(op.results[0].type):
        _replace(op, store, [found])


def _replace(
    op: OnnxOp, store: WeightStore, results: Sequence[Array | Weight | None]
) -> None:
    made: list[Operation] = []
    builder = OnnxBuilder(made.append, store, location=op.location)
    values: list[SSAValue] = []
    for old, new in zip(op.results, results, strict=True):
        key = old.name_hint or "folded"
        if new is None:
            values.append(builder.none())
        elif isinstance(new, Weight):
            stored = store.add(key, new)
            values.append(builder.held(WeightAttr(stored), new.type))
        else:
            values.append(builder.constant(new, key))
    Rewriter.insert_op(made, InsertPoint.before(op))
    for old, new in zip(op.results, values, strict=True):
        new.name_hint = old.name_hint
        if old.type != new.type:
            new = Rewriter.replace_value_with_new_type(new, old.type)
        old.replace_all_uses_with(new)
    Rewriter.erase_op(op)
