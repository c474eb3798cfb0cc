"""
From the IR to a JAX program, and which of its values must be known while JAX traces.

Under tracing shapes are numbers, so what a model computes from shapes is computed by
NumPy while JAX traces: the emitter finds the values that must be known (the operands
that fix a result's shape, and all they depend on) and writes their ops on NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, Operation, SSAValue

from ...dialects.onnx import OnnxOp, WeightAttr
from ...dialects.onnx.attributes import python_value
from ...dialects.onnx.provenance import describe
from ...dialects.onnx.types import is_none
from ..kernels import KERNELS as SHARED
from ..kernels import Kernel
from ..program import Emitter, LoweringError, array_literal, origin, yielded
from .elementwise import relu_in_product
from .products import ends_products
from .segments import MAX_HOST_ELEMENTS, is_constant, is_endless


@dataclass
class JaxEmitter(Emitter):
    """Writes JAX programs."""

    xp: ClassVar[str] = "jnp"
    host: set[SSAValue] = field(default_factory=set[SSAValue])
    """The values that NumPy computes while JAX traces."""

    hosted: set[Operation] = field(default_factory=set[Operation])
    """The ops that run on NumPy between segments."""

    fuses_products: bool = False
    """Whether an op is written so that YNNPACK computes it together with a product."""

    def prepare(self, main: FuncOp) -> None:
        """Nothing: whoever emits sets `host` and `hosted`."""

    def namespace(self, op: OnnxOp) -> str:
        return "np" if op.results[0] in self.host else self.xp

    def kernel(self, op: OnnxOp) -> Kernel:
        # JAX's own kernels trace whatever they are given.
        by_numpy = op.results[0] in self.host or op in self.hosted
        if by_numpy:
            return SHARED[op.name]
        if op.name == "onnx.Relu" and ends_products(op.operands[0]):
            self.fuses_products = True
            return relu_in_product
        return super().kernel(op)

    def weight(self, op: OnnxOp, key: str) -> str:
        if op.results[0] not in self.host:
            return super().weight(op, key)
        held = self.store[key]
        if held.size > MAX_HOST_ELEMENTS:
            raise LoweringError(
                f"{describe(op)}: {held.size} elements fix a shape, at most "
                f"{MAX_HOST_ELEMENTS} can"
            )
        return array_literal(held.array())

    def literal(self, value: Any) -> str:
        # What an attribute says is known while JAX traces: it is no argument.
        if isinstance(value, WeightAttr):
            return array_literal(self.store[value.data].array())
        return super().literal(value)

    def emit_region_op(self, op: OnnxOp) -> None:
        match op.name:
            case "onnx.If":
                self._if(op)
            case "onnx.Loop":
                self._loop(op)
            case "onnx.Scan":
                self._scan(op)
            case _:
                raise LoweringError(f"{describe(op)}: not supported on JAX")

    # --- regions ---

    def _body(
        self, block: Block, name: str, parameters: str, result: Sequence[SSAValue]
    ) -> None:
        """Write a nested function with the ops of `block` that returns `result`."""
        self.line(f"def {name}({parameters}):")
        self.level += 1
        self.emit_block(block)
        self.line(f"return {tuple_text(self._traced(v) for v in result)}")
        self.level -= 1

    def _traced(self, value: SSAValue) -> str:
        return f"jnp.asarray({self.name(value)})"

    def _if(self, op: OnnxOp) -> None:
        names = [name for name, _ in op.get_irdl_definition().regions]
        blocks = {n: r.block for n, r in zip(names, op.regions, strict=True)}
        condition = op.operands[0]
        then_name, else_name = self.fresh("then_branch"), self.fresh("else_branch")
        self.line(f"# {origin(op)}")
        for branch, name in (("then_branch", then_name), ("else_branch", else_name)):
            self._body(blocks[branch], name, "", yielded(blocks[branch]))
        targets = tuple_text(self.define(r, r.name_hint) for r in op.results)
        if self._known(condition):
            chosen = f"{then_name}() if bool({self.name(condition)}) else {else_name}()"
        else:
            flag = f"jnp.reshape({self.name(condition)}, ())"
            chosen = f"lax.cond({flag}, {then_name}, {else_name})"
        self.line(f"{targets} = {chosen}")

    def _loop(self, op: OnnxOp) -> None:
        limit, _, *initial = op.operands
        block = op.regions[0].block
        turn, keep, *states = (self.define(a, a.name_hint) for a in block.args)
        _, *values = yielded(block)
        scanned = values[len(states) :]
        start = tuple_text(self._traced(v) for v in initial)
        carry = tuple_text(states)
        self.line(f"# {origin(op)}")
        if is_endless(op) and not is_none(limit.type) and self._known(limit):
            name = self.fresh("turn_body")
            self.line(f"def {name}({(carried := self.fresh('carry'))}, {turn}):")
            self.level += 1
            self.line(f"{carry} = {carried}")
            self.line(f"{keep} = np.asarray(True)")
            self.emit_block(block)
            new = tuple_text(self._traced(v) for v in values[: len(states)])
            self.line(f"return {new}, {tuple_text(self._traced(v) for v in scanned)}")
            self.level -= 1
            ends = self.fresh("carry"), self.fresh("stacked")
            span = f"jnp.arange({self.name(limit)}.item(), dtype='int64')"
            self.line(f"{ends[0]}, {ends[1]} = lax.scan({name}, {start}, {span})")
            self._results(op, states, ends)
            return
        assert not scanned, "such a loop runs on the host"
        self._while(op, block, (turn, keep), states, start)

    def _while(
        self,
        op: OnnxOp,
        block: Block,
        counters: tuple[str, str],
        states: Sequence[str],
        start: str,
    ) -> None:
        limit, condition = op.operands[:2]
        turn, keep = counters
        body, test = self.fresh("turn_body"), self.fresh("turn_test")
        carried = self.fresh("carry")
        unpack = f"{turn}, {keep}, {tuple_text(states)} = {carried}"
        after, *values = yielded(block)
        self.line(f"def {body}({carried}):")
        self.level += 1
        self.line(unpack)
        self.emit_block(block)
        flag = f"jnp.reshape({self._traced(after)}, ())"
        new = tuple_text(self._traced(v) for v in values)
        self.line(f"return {turn} + 1, {flag}, {new}")
        self.level -= 1
        self.line(f"def {test}({carried}):")
        self.level += 1
        self.line(unpack)
        bounded = not is_none(limit.type)
        within = f" & ({turn} < jnp.reshape({self.name(limit)}, ()))" if bounded else ""
        self.line(f"return {keep}{within}")
        self.level -= 1
        go = "True" if is_none(condition.type) else self.name(condition)
        first = (
            f"(jnp.asarray(0, 'int64'), jnp.reshape(jnp.asarray({go}), ()), {start})"
        )
        end = self.fresh("carry")
        self.line(f"_, _, {end} = lax.while_loop({test}, {body}, {first})")
        self._results(op, states, (end, ""))

    def _results(
        self, op: OnnxOp, states: Sequence[str], ends: tuple[str, str]
    ) -> None:
        targets = [self.define(r, r.name_hint) for r in op.results]
        count = len(states)
        if targets[:count]:
            self.line(f"{tuple_text(targets[:count])} = {ends[0]}")
        if targets[count:]:
            self.line(f"{tuple_text(targets[count:])} = {ends[1]}")

    def _scan(self, op: OnnxOp) -> None:
        attributes = {n: python_value(a) for n, a in op.properties.items()}
        count = attributes["num_scan_inputs"]
        block = op.regions[0].block
        parameters = [self.define(a, a.name_hint) for a in block.args]
        states, slices = parameters[:-count], parameters[-count:]
        operands = [self._traced(v) for v in op.operands]
        axes = attributes.get("scan_input_axes") or (0,) * count
        backwards = attributes.get("scan_input_directions") or (0,) * count
        sources = [
            _along(source, axis, back)
            for source, axis, back in zip(
                operands[-count:], axes, backwards, strict=True
            )
        ]
        name, carried, seen = (self.fresh(n) for n in ("turn_body", "carry", "slices"))
        self.line(f"# {origin(op)}")
        self.line(f"def {name}({carried}, {seen}):")
        self.level += 1
        self.line(f"{tuple_text(states)} = {carried}")
        self.line(f"{tuple_text(slices)} = {seen}")
        self.emit_block(block)
        values = [self._traced(v) for v in yielded(block)]
        carried_on, given = values[: len(states)], values[len(states) :]
        self.line(f"return {tuple_text(carried_on)}, {tuple_text(given)}")
        self.level -= 1
        end, stacked = self.fresh("carry"), self.fresh("stacked")
        start = tuple_text(operands[:-count])
        self.line(
            f"{end}, {stacked} = lax.scan({name}, {start}, {tuple_text(sources)})"
        )
        self._results(op, states, (end, stacked))
        output_axes = attributes.get("scan_output_axes") or ()
        directions = attributes.get("scan_output_directions") or ()
        for place, result in enumerate(op.results[len(states) :]):
            target = self.name(result)
            if directions and directions[place]:
                self.line(f"{target} = jnp.flip({target}, 0)")
            if output_axes and output_axes[place]:
                self.line(f"{target} = jnp.moveaxis({target}, 0, {output_axes[place]})")

    # --- what is known while tracing ---

    def _known(self, value: SSAValue) -> bool:
        return value in self.host or is_constant(value.owner)


def _along(source: str, axis: int, backwards: int) -> str:
    moved = f"jnp.moveaxis({source}, {axis}, 0)" if axis else source
    return f"jnp.flip({moved}, 0)" if backwards else moved


def tuple_text(items: Any) -> str:
    """The expression for a tuple of expressions."""
    texts = list(items)
    return f"({', '.join(texts)}{',' if len(texts) == 1 else ''})"
