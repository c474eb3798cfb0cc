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
from ..dialects.sdy import carry
from .patterns import Declined, journal_of

_HELD = frozenset(SCHEMAS["onnx.Constant"].type_constraints[0].allowed_type_strs)

LAZY_BYTES = 1 << 20
"""Results from this size on are computed each time they are asked for, not before."""

MIN_BUDGET = 1 << 22
MAX_MULTIPLE = 16
"""
How many elements all results together may have: so many, or so many times those of the
constants that the module begins with. Without an end, each op could double the last.
"""

_LABORIOUS = frozenset(
    f"onnx.{name}"
    for name in [
        "Attention",
        "AveragePool",
        "Col2Im",
        "Conv",
        "ConvInteger",
        "ConvTranspose",
        "DeformConv",
        "LRN",
        "LpPool",
        "MaxPool",
        "MaxRoiPool",
        "MaxUnpool",
        "NonMaxSuppression",
        "QLinearConv",
        "RegexFullMatch",
        "RoiAlign",
        "STFT",
    ]
)
"""
Operators whose work the sizes of operands and results do not bound: a few elements may
have gigabytes of padding between them, or a pattern that matches for ever.
"""


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


def source_of(value: SSAValue, store: WeightStore) -> Callable[[], Array]:
    """What reads a value that was checked to be constant."""
    source = constant_of(value, store)
    assert source is not None, "checked before"
    return source


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
    if op.name not in KERNELS or any(
        isinstance(held, WeightAttr) for held in op.properties.values()
    ):
        # A kernel has no store to look an attribute up in.
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
    return _too_much(op, given, max_growth)


def _too_much(op: OnnxOp, given: Sequence[SSAValue], max_growth: int) -> str | None:
    """Why computing `op` on constants would take too much, or None."""
    if op.name in _LABORIOUS:
        return "its work has no bound"
    before, after = sum(map(_elements, given)), sum(map(_elements, op.results))
    if after > max(max_growth, 2 * before):
        return f"{before} elements would become {after}"
    work = _einsum_work(op) if op.name == "onnx.Einsum" else 0
    if work > max(max_growth, MAX_MULTIPLE * (before + after)):
        return f"{before} elements would take {work} products"
    return None


def _einsum_work(op: OnnxOp) -> int:
    """How many products of elements the equation of an Einsum has at most."""
    terms = op.python_attributes()["equation"].partition("->")[0].split(",")
    sizes: dict[str, int] = {}
    for term, operand in zip(terms, op.operands, strict=False):
        shape = static_shape(operand.type) or ()
        labels = term.replace(" ", "")
        if "." in labels:
            # The axes that an ellipsis stands for have no labels.
            sizes[labels] = math.prod(shape)
            continue
        for label, size in zip(labels, shape, strict=False):
            sizes[label] = max(size, sizes.get(label, 0))
    return math.prod(sizes.values())


def _elements(value: SSAValue) -> int:
    """How many elements `value` has, had an empty axis one: others still take work."""
    shape = static_shape(value.type)
    return 0 if shape is None else math.prod(max(n, 1) for n in shape)


@dataclass(frozen=True)
class FoldConstantsPass(ModulePass):
    """
    Replace ops on constants by their results, and known shapes by numbers.

    A result may have `max_growth` elements, or twice as many as the operands; all
    together, a multiple of what the module's constants have.
    """

    name = "fold-constants"

    max_growth: int = 65536

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        store = store_of(ctx)
        if store is None:
            return
        integers, journal = IntegerValues(store), journal_of(ctx)
        ops = list(op.walk())
        given = sum(_elements(o.results[0]) for o in ops if o.name == "onnx.Constant")
        if store.fold_budget is None:
            # Set once: a later round must not begin anew from what the last one wrote.
            store.fold_budget = max(MIN_BUDGET, MAX_MULTIPLE * given)
        for inner in ops:
            if inner.parent is None:
                continue
            if not isinstance(inner, OnnxOp) or not journal.permits(inner):
                continue
            size = sum(map(_elements, inner.results))
            reason = blocked(inner, store, self.max_growth)
            if reason is None and size > store.fold_budget:
                reason = f"its {size} elements are more than are left to fold"
            known = _known_integers(inner, integers)
            folded = fold(inner, store) if reason is None else reason
            if not isinstance(folded, str):
                store.fold_budget -= size
                journal.rewrote("constant", inner)
                _replace(inner, store, folded)
            elif known is not None:
                journal.rewrote("known-integers", inner)
                _replace(inner, store, [known])
            else:
                near = _on_constants(inner, store)
                journal.declined("constant", inner, Declined(folded, near))

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[FoldConstantsPass, ...]:
        return tuple(cls(max_growth=limit) for limit in (1024, 65536, 1 << 22))


def fold(op: OnnxOp, store: WeightStore) -> Sequence[Array | Weight | None] | str:
    """What the results of `op` are, or why its kernel does not take the operands."""
    sources = [constant_of(value, store) for value in op.operands]
    size = sum(_elements(result) for result in op.results)
    # One step is computed when it is needed; a chain of them would be computed again
    # and again.
    chained = any(is_derived(value, store) for value in op.operands)
    if size * 4 < LAZY_BYTES or len(op.results) != 1 or chained:
        try:
            return apply(op, [None if s is None else s() for s in sources])
        except _REFUSALS as error:
            # Operands that the operator does not take: who runs the op hears of it.
            return " ".join(str(error).split()) or type(error).__name__
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

    return [DerivedWeight(DTYPE_NAMES[element], shape, compute)]


def _known_integers(op: OnnxOp, integers: IntegerValues) -> Array | None:
    """
    The result of an op that the integer analysis knows, whatever its operands are.
    """
    if len(op.results) != 1 or op.name == "onnx.Constant" or not op.has_trait(Pure):
        return None
    element = element_of(op.results[0].type)
    if element is None or element not in DTYPE_NAMES:
        return None
    if not DTYPE_NAMES[element].startswith(("int", "bool")):
        return None
    found = integers.constants(op.results[0])
    fits = found is not None and found.shape == static_shape(op.results[0].type)
    return found if fits else None


def _on_constants(op: OnnxOp, store: WeightStore) -> bool:
    given = [v for v in op.operands if not is_none(v.type)]
    return bool(given) and all(constant_of(v, store) is not None for v in given)


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
        carry(old, new)
        old.replace_all_uses_with(new)
    Rewriter.erase_op(op)
