"""
The JAX backend: a pure function of the weights and the inputs, jitted as a whole.

Under tracing shapes are numbers, so what a model computes from shapes is computed by
NumPy while JAX traces: the emitter finds the values that must be known (the operands
that fix a result's shape, and all they depend on) and writes their ops on NumPy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Block, Operation, OpResult, SSAValue

from ...dialects.onnx import OnnxOp, WeightAttr, WeightStore
from ...dialects.onnx.attributes import python_value
from ...dialects.onnx.provenance import argument_name, describe
from ...dialects.onnx.types import element_of, is_none, shape_of
from ..kernels import KERNELS as SHARED
from ..kernels import STATIC, Kernel
from ..program import (
    Emitter,
    InputSpec,
    LoweringError,
    Program,
    array_literal,
    assemble,
    origin,
    yielded,
)
from .kernels import KERNELS

TABLE: dict[str, Kernel] = {**SHARED, **KERNELS}
"""The kernel of every op that JAX can trace."""

_FROM_SHAPES = ("onnx.Shape", "onnx.Size")
_DATA_DEPENDENT = ("onnx.NonMaxSuppression", "onnx.NonZero", "onnx.Unique")
"""Operators whose results JAX cannot give, even of what it knows: NumPy does."""

MAX_HOST_ELEMENTS = 4096
"""The largest weight that may fix a shape; it becomes a literal in the program."""


@dataclass
class JaxEmitter(Emitter):
    """Writes JAX programs."""

    xp: ClassVar[str] = "jnp"
    host: set[SSAValue] = field(default_factory=set[SSAValue])
    """The values that NumPy computes while JAX traces."""

    def prepare(self, main: FuncOp) -> None:
        for op in main.walk():
            if not isinstance(op, OnnxOp):
                continue
            if op.name in _FROM_SHAPES:
                self.host.add(op.results[0])
            for value in _fixing(op):
                self._require(value, f"{describe(op)}: a shape depends on")
            if op.name in _DATA_DEPENDENT:
                self.host |= set(op.results)
            if op.name in ("onnx.If", "onnx.Loop"):
                known, reason = host_values(op.operands[0])
                if reason is None:
                    self.host |= known

    def _require(self, value: SSAValue, complaint: str) -> None:
        """Let NumPy compute `value` while JAX traces; LoweringError if it cannot."""
        known, reason = host_values(value)
        if reason is not None:
            raise LoweringError(
                f"{complaint} {reason}, which JAX cannot know before it runs"
            )
        self.host |= known

    def namespace(self, op: OnnxOp) -> str:
        return "np" if op.results[0] in self.host else self.xp

    def kernel(self, op: OnnxOp) -> Kernel:
        # JAX's own kernels trace whatever they are given.
        return SHARED[op.name] if op.results[0] in self.host else super().kernel(op)

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

    def emit_region_op(self, op: OnnxOp) -> None:
        for value in (*op.operands, *op.results):
            if not is_none(value.type) and element_of(value.type) is None:
                raise LoweringError(
                    f"{describe(op)}: {value.type} flows through it, on JAX only "
                    "tensors can"
                )
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
        self.line(f"return {_tuple(self._traced(v) for v in result)}")
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
        targets = _tuple(self.define(r, r.name_hint) for r in op.results)
        if self._known(condition):
            chosen = f"{then_name}() if bool({self.name(condition)}) else {else_name}()"
        else:
            pairs = zip(*(yielded(block) for block in blocks.values()), strict=True)
            for one, other in pairs:
                if _differ(one.type, other.type):
                    raise LoweringError(
                        f"{describe(op)}: its condition depends on data, and its "
                        f"branches give {one.type} and {other.type}: JAX cannot know "
                        "the shape before it runs"
                    )
            flag = f"jnp.reshape({self.name(condition)}, ())"
            chosen = f"lax.cond({flag}, {then_name}, {else_name})"
        self.line(f"{targets} = {chosen}")

    def _loop(self, op: OnnxOp) -> None:
        limit, condition, *initial = op.operands
        block = op.regions[0].block
        turn, keep, *states = (self.define(a, a.name_hint) for a in block.args)
        after, *values = yielded(block)
        scanned = values[len(states) :]
        endless = _always_true(after, block) and (
            is_none(condition.type) or _always_true(condition, block)
        )
        _check_states(op, initial, block.args[2:])
        start = _tuple(self._traced(v) for v in initial)
        carry = _tuple(states)
        self.line(f"# {origin(op)}")
        if endless and not is_none(limit.type) and self._known(limit):
            name = self.fresh("turn_body")
            self.line(f"def {name}({(carried := self.fresh('carry'))}, {turn}):")
            self.level += 1
            self.line(f"{carry} = {carried}")
            self.line(f"{keep} = np.asarray(True)")
            self.emit_block(block)
            new = _tuple(self._traced(v) for v in values[: len(states)])
            self.line(f"return {new}, {_tuple(self._traced(v) for v in scanned)}")
            self.level -= 1
            ends = self.fresh("carry"), self.fresh("stacked")
            span = f"jnp.arange({self.name(limit)}.item(), dtype='int64')"
            self.line(f"{ends[0]}, {ends[1]} = lax.scan({name}, {start}, {span})")
            self._results(op, states, ends)
            return
        if scanned:
            raise LoweringError(
                f"{describe(op)}: how many turns it makes, and so the size of its scan "
                "outputs, depends on data, which JAX cannot know before it runs"
            )
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
        unpack = f"{turn}, {keep}, {_tuple(states)} = {carried}"
        after, *values = yielded(block)
        self.line(f"def {body}({carried}):")
        self.level += 1
        self.line(unpack)
        self.emit_block(block)
        flag = f"jnp.reshape({self._traced(after)}, ())"
        new = _tuple(self._traced(v) for v in values)
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
            self.line(f"{_tuple(targets[:count])} = {ends[0]}")
        if targets[count:]:
            self.line(f"{_tuple(targets[count:])} = {ends[1]}")

    def _scan(self, op: OnnxOp) -> None:
        attributes = {n: python_value(a) for n, a in op.properties.items()}
        count = attributes["num_scan_inputs"]
        block = op.regions[0].block
        parameters = [self.define(a, a.name_hint) for a in block.args]
        states, slices = parameters[:-count], parameters[-count:]
        _check_states(op, op.operands[:-count], block.args[:-count])
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
        self.line(f"{_tuple(states)} = {carried}")
        self.line(f"{_tuple(slices)} = {seen}")
        self.emit_block(block)
        values = [self._traced(v) for v in yielded(block)]
        self.line(
            f"return {_tuple(values[: len(states)])}, {_tuple(values[len(states) :])}"
        )
        self.level -= 1
        end, stacked = self.fresh("carry"), self.fresh("stacked")
        start = _tuple(operands[:-count])
        self.line(f"{end}, {stacked} = lax.scan({name}, {start}, {_tuple(sources)})")
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
        return value in self.host or _is_constant(value.owner)


def host_values(value: SSAValue) -> tuple[set[SSAValue], str | None]:
    """
    All that must be known for `value` to be; and what cannot be, if something cannot.
    """
    needed: set[SSAValue] = set()
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if current in needed or is_none(current.type):
            continue
        if not isinstance(current, OpResult):
            return set(), f"the values of input {argument_name(current)!r}"
        op = current.op
        needed.add(current)
        if op.name in _FROM_SHAPES or _is_constant(op):
            continue
        if not isinstance(op, OnnxOp) or op.has_body or len(op.results) != 1:
            return set(), f"the results of {describe(op)}"
        waiting.extend(op.operands)
    return needed, None


def _fixing(op: OnnxOp) -> list[SSAValue]:
    """The operands of `op` whose values fix the shapes of its results."""
    places = STATIC.get(op.name, ())
    return [op.operands[i] for i in places if i < len(op.operands)]


def _is_constant(op: Operation | Block) -> bool:
    return isinstance(op, OnnxOp) and op.name == "onnx.Constant"


def _always_true(value: SSAValue, body: Block) -> bool:
    """Whether a loop's condition can only be true; `body` hands its own through."""
    while isinstance(value, OpResult) and value.op.name == "onnx.Identity":
        value = value.op.operands[0]
    if not isinstance(value, OpResult):
        return value.owner is body and value is body.args[1]
    held = value.op.properties.get("value")
    if not _is_constant(value.op) or held is None or isinstance(held, WeightAttr):
        return False
    return bool(held.array().all())  # pyright: ignore


def _differ(one: Attribute, other: Attribute) -> bool:
    """Whether two tensors' shapes are known and differ, for some sizes at least."""
    a, b = shape_of(one), shape_of(other)
    if a is None or b is None:
        return False
    pairs = zip(a, b, strict=False)
    return len(a) != len(b) or any(
        d is not None and e is not None and d != e for d, e in pairs
    )


def _check_states(
    op: OnnxOp, initial: Sequence[SSAValue], states: Sequence[SSAValue]
) -> None:
    """
    Raise unless the `states` that a body sees have the shapes that `initial` gives.

    The types of a body hold for every turn: what they know less of than of the first,
    changes from turn to turn.
    """
    for value, state in zip(initial, states, strict=True):
        before, after = shape_of(value.type), shape_of(state.type)
        lost = before is not None and (
            after is None
            or any(
                d is None and e is not None for d, e in zip(after, before, strict=True)
            )
        )
        if lost:
            raise LoweringError(
                f"{describe(op)}: a state is {value.type} before the first turn and "
                f"{state.type} in later ones: JAX cannot know the shape before it runs"
            )


def _along(source: str, axis: int, backwards: int) -> str:
    moved = f"jnp.moveaxis({source}, {axis}, 0)" if axis else source
    return f"jnp.flip({moved}, 0)" if backwards else moved


def _tuple(items: Any) -> str:
    texts = list(items)
    return f"({', '.join(texts)}{',' if len(texts) == 1 else ''})"


_DRIVER = '''
WEIGHTS = {}
jitted = jax.jit(forward)


def run(*args, **kwargs):
    """Run the model on arrays, by position or by input name; a tuple of its outputs."""
    if not WEIGHTS:
        folder = os.path.dirname(os.path.abspath(__file__))
        arrays = read_weights(os.path.join(folder, "weights.safetensors"))
        WEIGHTS.update(prepare_weights(arrays))
    return call(jitted, WEIGHTS, bind(INPUTS, args, kwargs))


if __name__ == "__main__":
    main(run, INPUTS, [name for name, *_ in OUTPUTS])
'''


def prepare_weights(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The weights as JAX arrays, 64-bit types kept."""
    with jax.enable_x64(True):
        return {key: jnp.asarray(array) for key, array in arrays.items()}  # pyright: ignore[reportUnknownMemberType]


def call(
    jitted: Any, weights: Mapping[str, Any], inputs: Sequence[Any]
) -> tuple[Any, ...]:
    """The outputs of the jitted function; 64-bit types are on for this call alone."""
    with jax.enable_x64(True):
        results = jitted(weights, *(jnp.asarray(value) for value in inputs))  # pyright: ignore[reportUnknownMemberType]
        return tuple(jax.block_until_ready(results))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]


def write_program(
    main: FuncOp,
    store: WeightStore,
    title: str,
    inputs: Sequence[InputSpec],
    outputs: Sequence[InputSpec],
) -> Program:
    """The JAX program of `main`; LoweringError names what JAX cannot trace."""
    for spec in (*inputs, *outputs):
        if spec.dtype in ("", "string"):
            raise LoweringError(f"{spec.name!r} is no tensor of numbers: not on JAX")
    emitter = JaxEmitter(TABLE, store)
    for needed in ("import jax", "import jax.numpy as jnp", "from jax import lax"):
        emitter.pasted.imports[needed] = None
    forward = emitter.emit(main, [spec.name for spec in inputs])
    runner = [call, prepare_weights]
    source = assemble(title, emitter, forward, inputs, outputs, runner, _DRIVER)
    return Program(source, tuple(emitter.weights), tuple(inputs), tuple(outputs))
