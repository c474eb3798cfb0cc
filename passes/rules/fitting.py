"""
Whether what a rule would write may stand for what it replaces: types, by inference.

Both sides are written anew in a block of their own, on stand-ins for the captured
values. A size of which nothing is known becomes a symbol there, so that it equals
itself and nothing else.
"""

from __future__ import annotations

from typing import cast

from xdsl.ir import Attribute, Block, SSAValue

from ...dialects.onnx import Dim, OnnxBuilder, OnnxOp, WeightStore
from ...dialects.onnx.facts import InferenceError
from ...dialects.onnx.integers import Dims, IntegerValues
from ...dialects.onnx.types import (
    WeightAttr,
    element_of,
    is_none,
    shape_of,
    tensor,
)
from .library import Scope
from .matching import Match
from .syntax import Rule, nodes_of
from .values import Declining, Value
from .writing import Writer


class _Assumed(IntegerValues):
    """Integer values, some of them told."""

    def assume(self, value: SSAValue, items: Dims) -> None:
        """`items` are the elements of `value`."""
        self._known[value] = items


class _Copies:
    """Stand-ins for the values around a match, and its ops written anew."""

    def __init__(self, scope: Scope):
        self.scope = scope
        self.store = WeightStore()
        self.integers = _Assumed(self.store)
        self.block = Block()
        self.builder = OnnxBuilder(self.block.add_op, self.store, self.integers)
        self.known: dict[SSAValue, SSAValue] = {}
        self.symbols = 0

    def of(self, value: SSAValue) -> SSAValue:
        """What stands for `value`."""
        value = self.scope.same(value)
        if value not in self.known:
            self.known[value] = self._stand_in(value)
        return self.known[value]

    def _stand_in(self, value: SSAValue) -> SSAValue:
        if is_none(value.type):
            return self.builder.none()
        owner = value.owner
        if isinstance(owner, OnnxOp) and owner.name == "onnx.Constant":
            held = owner.properties.get("value")
            if isinstance(held, WeightAttr) and held.data in self.scope.store:
                stored = self.scope.store[held.data]
                key = self.store.add(held.data, stored)
                return self.builder.held(WeightAttr(key), value.type)
            copy = owner.clone()
            self.block.add_op(copy)
            return copy.results[0]
        place = len(self.block.args)
        argument = self.block.insert_arg(self._named(value.type), place)
        items = self.scope.integers.of(value)
        if items is not None:
            self.integers.assume(argument, items)
        return argument

    def _named(self, kind: Attribute) -> Attribute:
        shape, element = shape_of(kind), element_of(kind)
        if shape is None or element is None or None not in shape:
            return kind
        return tensor(element, [self._symbol() if d is None else d for d in shape])

    def _symbol(self) -> Dim:
        self.symbols += 1
        return Dim.of(f"?{self.symbols}")

    def op(self, op: OnnxOp) -> None:
        """Write `op` on the stand-ins."""
        operands = [self.of(value) for value in op.operands]
        wanted = [not is_none(kind) for kind in op.result_types]
        made = self.builder.create(op.name, operands, dict(op.properties), wanted)
        results = map(self.scope.same, op.results)
        self.known.update(zip(results, made.results, strict=True))

    def misfit(self, old: SSAValue, new: SSAValue) -> str | None:
        """Why `new`, written here, cannot stand for the result `old` of the match."""
        captured = {copy: value for value, copy in self.known.items()}.get(new)
        before = self.of(old).type
        if captured is None:
            reason = _differs(before, new.type, False)
            return reason or _differs(old.type, new.type, False)
        reason = _differs(before, new.type, True)
        if reason is None and captured.type != old.type:
            # What is declared of an output's sizes stands on this op alone.
            reason = f"its type says more than {captured.type}"
        return reason

    def name(self, value: Value) -> Value:
        """What stands for what a name stands for."""
        if isinstance(value, SSAValue):
            return self.of(cast(SSAValue, value))
        if isinstance(value, tuple):
            return tuple(self.name(v) for v in cast(tuple[Value, ...], value))
        return value


def misfit(rule: Rule, match: Match, root: OnnxOp, scope: Scope) -> str | None:
    """Why the right side of `rule` cannot replace the results of `root`."""
    copies = _Copies(scope)
    try:
        for node in nodes_of(rule.root):
            copies.op(match.ops[node])
        names = {name: copies.name(v) for name, v in match.names.items()}
        writer = Writer(names, copies.builder, rule.name)
        values = writer.results(rule)
    except Declining as error:
        return f"the right side has no value: {error}"
    except (InferenceError, ValueError) as error:
        return f"the right side does not fit together: {error}"
    for old, new in zip(root.results, values, strict=False):
        if new is None:
            return "the right side is absent"
        reason = None if is_none(old.type) else copies.misfit(old, new)
        if reason is not None:
            return reason
    return None


def _differs(old: Attribute, new: Attribute, captured: bool) -> str | None:
    """
    Why a value of type `new` is not known to have the type `old`.

    An op that is written may be one of whose sizes inference knows less.
    """
    if element_of(old) != element_of(new):
        return f"it would become {new}, wanted {old}"
    a, b = shape_of(old), shape_of(new)
    if a is None or b is None:
        return "its rank is not known" if captured else None
    if len(a) != len(b):
        return f"it would become {new}, wanted {old}"
    for x, y in zip(a, b, strict=True):
        if x is None or y is None:
            if captured:
                return "whether it keeps its sizes is not known"
        elif x != y:
            return f"it would have size {y}, wanted {x}"
    return None
