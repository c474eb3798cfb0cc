"""
Draws random modules that are the left side of a rule, to prove it on them.

Shapes, dtypes, attributes and elements are drawn operand by operand, by the operators'
`recipes` and the rule's own examples; what its conditions do not admit, the engine
declines. Sizes of inputs are known, named, or unknown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from xdsl.dialects.builtin import FunctionType, ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Region, SSAValue

from ...dialects.onnx import OnnxBuilder, OnnxOp, WeightStore
from ...dialects.onnx.attributes import attribute, default_attribute, python_value
from ...dialects.onnx.base import type_string
from ...dialects.onnx.facts import InferenceError
from ...dialects.onnx.ops import OPS
from ...dialects.onnx.proto import TENSOR_TYPES
from ...dialects.onnx.schemas import OpSchema
from ...dialects.onnx.types import (
    DTYPE_NAMES,
    ELEMENT_TYPES,
    Array,
    element_of,
    integer_range,
    is_none,
    numpy_dtype,
    static_shape,
    tensor,
)
from .evaluation import evaluate
from .library import Scope
from .recipes import ATTRIBUTES, Impossible, Request, Sizes, operand
from .syntax import (
    Absent,
    Binary,
    Capture,
    Function,
    Given,
    Literal,
    Name,
    Node,
    Operand,
    Part,
    Rest,
    Rule,
    nodes_of,
)
from .typing import constants_of
from .values import Declining, array_text, float_info

DTYPE_WEIGHTS = {
    "float32": 6,
    "float64": 2,
    "float16": 2,
    "bfloat16": 2,
    "int64": 3,
    "int32": 2,
    "bool": 2,
    "int8": 1,
    "uint8": 1,
    "int16": 1,
    "uint16": 1,
    "uint32": 1,
    "uint64": 1,
    "string": 1,
}
"""How often each dtype is drawn."""

NICE = (0.0, 1.0, -1.0, 2.0, 0.5, -2.0, 4.0, 3.0, 0.25, -0.5)
"""What constants of equal elements are drawn from."""

_REFUSED = (Impossible, InferenceError, ValueError, IndexError, Declining)
"""What was drawn does not fit together."""


@dataclass(frozen=True)
class Sample:
    """A module with a left side in ``@main``, and inputs for it."""

    module: ModuleOp
    store: WeightStore
    inputs: tuple[Array, ...]
    given: tuple[tuple[str, str], ...]
    """What each name of the rule stands for, as text."""

    @property
    def size(self) -> int:
        """How many elements the inputs and constants have."""
        return sum(len(text) for _, text in self.given)


def draw(rule: Rule, rng: np.random.Generator) -> Sample | None:
    """A left side of `rule`; None if what was drawn does not fit together."""
    try:
        return _Drawing(rule, rng).sample()
    except _REFUSED:
        return None


@dataclass
class _Drawing:
    rule: Rule
    rng: np.random.Generator
    store: WeightStore = field(default_factory=WeightStore)
    names: dict[str, SSAValue | None] = field(
        default_factory=dict[str, "SSAValue | None"]
    )
    rests: dict[str, list[SSAValue]] = field(default_factory=dict[str, list[SSAValue]])
    attributes: dict[str, Any] = field(default_factory=dict[str, Any])
    inputs: list[Array] = field(default_factory=list[Array])
    given: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def __post_init__(self) -> None:
        self.block = Block()
        self.builder = OnnxBuilder(self.block.add_op, self.store)
        self.constants = constants_of(self.rule)
        self.allowed = dict(_dtype_conditions(self.rule))
        self.favourite = self.one(tuple(DTYPE_WEIGHTS), tuple(DTYPE_WEIGHTS.values()))
        self.sizes: dict[str, int] = {}
        chosen = self.one(self.rule.examples) if self.rule.examples else ()
        self.example: dict[str, Given] = {g.name: g for g in chosen}

    def one(self, choices: Any, weights: tuple[int, ...] | None = None) -> Any:
        odds = None if weights is None else np.array(weights) / sum(weights)
        return choices[int(self.rng.choice(len(choices), p=odds))]

    def chance(self, odds: float) -> bool:
        return bool(self.rng.random() < odds)

    # --- the module ---

    def sample(self) -> Sample:
        made: dict[Node, OnnxOp] = {}
        for node in nodes_of(self.rule.root):
            made[node] = self.node(node, made)
        root = made[self.rule.root]
        results = list(root.results)
        for node in made:
            # What else uses an op of the pattern must still find it.
            if node is not self.rule.root and self.chance(0.1):
                results.append(made[node].results[0])
        results = [value for value in results if not is_none(value.type)]
        self.block.add_op(ReturnOp(*results))
        module = self.retyped()
        return Sample(module, self.store, tuple(self.inputs), tuple(self.given))

    def retyped(self) -> ModuleOp:
        """The module with sizes of its inputs known, named, or unknown."""
        mode = self.one(("known", "named", "unknown"), (5, 3, 3))
        types: list[Attribute] = []
        for argument in self.block.args:
            element, shape = element_of(argument.type), static_shape(argument.type)
            assert element is not None, "inputs are tensors"
            assert shape is not None, "inputs are drawn with their sizes"
            types.append(tensor(element, [self.size_as(mode, n) for n in shape]))
        return rebuilt(self.block, types, self.store)

    def size_as(self, mode: str, size: int) -> int | str | None:
        if mode == "known" or self.chance(0.4):
            return size
        return f"n{size}" if mode == "named" else None

    # --- nodes ---

    def node(self, node: Node, made: dict[Node, OnnxOp]) -> OnnxOp:
        schema = OPS[node.op].schema()
        request = Request(node.op, self.rng)
        wanted = list(self.spelled(node, schema))
        values, drawn = self.known(wanted, made)
        request.shapes = [None if v is None else _shape(v) for v in values]
        order = sorted(range(len(wanted)), key=lambda p: _urgency(p, wanted[p]))
        properties: dict[str, Attribute] | None = None
        for place in order:
            if properties is None and (place > 0 or drawn[place]):
                properties = self.properties(node, schema, request)
            if drawn[place]:
                continue
            request.index = place
            entry = wanted[place]
            if isinstance(entry, Capture) and entry.name in self.names:
                # Once more in the same op: Sub(x, x).
                values[place] = self.names[entry.name]
            else:
                element = self.element(schema, place, values)
                values[place] = self.operand(entry, request, element)
            found = values[place]
            request.shapes[place] = None if found is None else _shape(found)
        if properties is None:
            properties = self.properties(node, schema, request)
        outputs = max([len(node.results), *_used(self.rule, node), 1])
        op = self.builder.create(node.op, values, properties, outputs)
        op.verify()
        for name, result in zip(node.results, op.results, strict=False):
            self.names[name] = result
        return op

    def known(
        self, wanted: list[Any], made: dict[Node, OnnxOp]
    ) -> tuple[list[SSAValue | None], list[bool]]:
        """The operands that are drawn already, and which those are."""
        values: list[SSAValue | None] = [None] * len(wanted)
        drawn = [True] * len(wanted)
        for place, entry in enumerate(wanted):
            if isinstance(entry, Part):
                values[place] = made[entry.node].results[entry.result]
            elif isinstance(entry, Capture) and entry.name in self.names:
                values[place] = self.names[entry.name]
            elif isinstance(entry, SSAValue):
                values[place] = cast(SSAValue, entry)
            else:
                drawn[place] = False
        return values, drawn

    def spelled(
        self, node: Node, schema: OpSchema
    ) -> Iterator[Operand | SSAValue | Capture]:
        """The operands, with several captures for ``...xs``."""
        for entry in node.operands:
            if not isinstance(entry, Rest):
                yield entry
                continue
            if entry.name in self.rests:
                yield from self.rests[entry.name]
                continue
            few = max(0, schema.min_input - len(node.operands) + 1)
            self.rests[entry.name] = []
            for number in range(few + int(self.rng.integers(0, 3))):
                yield Capture(f"{entry.name}.{number}")

    def element(
        self, schema: OpSchema, place: int, values: list[SSAValue | None]
    ) -> list[Attribute]:
        """The dtypes that an operand may have, beside the others."""
        parameter = schema.inputs[min(place, len(schema.inputs) - 1)]
        allowed = {parameter.type_str}
        for constraint in schema.type_constraints:
            if constraint.type_param_str == parameter.type_str:
                allowed = set(constraint.allowed_type_strs)
        for other, value in enumerate(values):
            spec = schema.inputs[min(other, len(schema.inputs) - 1)]
            if value is not None and spec.type_str == parameter.type_str:
                element = element_of(value.type)
                assert element is not None, "captures are tensors"
                return [element]
        kinds = [ELEMENT_TYPES[name] for name in DTYPE_WEIGHTS]
        return [k for k in kinds if type_string(tensor(k, ())) in allowed]

    def choose(self, name: str | None, kinds: list[Attribute]) -> Attribute:
        given = self.example.get(name or "")
        if given is not None and given.dtype is not None:
            kinds = [k for k in kinds if DTYPE_NAMES[k] == given.dtype]
        if name in self.allowed:
            kinds = [k for k in kinds if k in self.allowed[name or ""]]
        if not kinds:
            raise Impossible
        favourite = ELEMENT_TYPES[self.favourite]
        if favourite in kinds and self.chance(0.9):
            return favourite
        weights = tuple(DTYPE_WEIGHTS.get(DTYPE_NAMES[k], 1) for k in kinds)
        return self.one(kinds, weights)

    # --- operands ---

    def operand(
        self, wanted: Any, request: Request, kinds: list[Attribute]
    ) -> SSAValue | None:
        match wanted:
            case Absent():
                return None
            case Literal():
                return self.literal(wanted, request, self.choose(None, kinds))
            case Capture(name, optional):
                if optional and name not in self.example and self.chance(0.4):
                    self.names[name] = None
                    self.given.append((name, "absent"))
                    return None
                value = self.capture(name, request, kinds)
                self.names[name] = value
                base, dot, _ = name.partition(".")
                if dot:
                    self.rests[base].append(value)
                return value
            case _:
                raise AssertionError("the others are there already")

    def literal(
        self, wanted: Literal, request: Request, element: Attribute
    ) -> SSAValue:
        kind = numpy_dtype(element)
        exact = np.asarray(wanted.value, object if kind.kind == "O" else None)
        array: Array = exact.astype(kind)
        whole = "int" in kind.name or kind.kind == "b"
        if whole and (array.astype(np.float64) != exact).any():
            raise Impossible
        if array.ndim == 0:
            shape = operand(request)
            goal = shape if isinstance(shape, tuple) else np.shape(shape)
            array = np.full(goal, array)
        return self.builder.constant(array, "literal")

    def capture(self, name: str, request: Request, kinds: list[Attribute]) -> SSAValue:
        element = self.choose(name, kinds)
        given = self.example.get(name)
        telling = False
        if given is not None and given.value is not None:
            array = np.asarray(given.value).astype(numpy_dtype(element))
            telling = True
        elif given is not None and given.shape is not None:
            array = self.elements(self.concrete(given.shape), element, name)
        else:
            drawn = operand(request)
            telling = not isinstance(drawn, tuple)
            if isinstance(drawn, tuple):
                array = self.elements(drawn, element, name)
            else:
                array = drawn.astype(numpy_dtype(element))
        self.given.append((name, array_text(array)))
        constant = name in self.constants or self.chance(0.7 if telling else 0.15)
        if constant:
            return self.builder.constant(array, name)
        value = self.block.insert_arg(tensor(element, array.shape), len(self.inputs))
        value.name_hint = name.replace(".", "_")
        self.inputs.append(array)
        return value

    def concrete(self, shape: tuple[int | str, ...]) -> Sizes:
        """The sizes of an example: each name one size."""
        for dim in shape:
            if isinstance(dim, str) and dim not in self.sizes:
                self.sizes[dim] = int(self.rng.integers(1, 5))
        return tuple(self.sizes[d] if isinstance(d, str) else d for d in shape)

    def elements(self, shape: Sizes, element: Attribute, name: str) -> Array:
        kind = numpy_dtype(element)
        if kind.kind == "O":
            return self.rng.choice(np.array(["", "a", "b"], object), shape)
        if kind.kind == "b":
            return np.asarray(self.rng.random(shape) < self.one((0.5, 0.5, 0, 1)))
        if "int" in kind.name:
            return self.integers(shape, kind)
        if self.chance(0.5 if name in self.constants else 0.1):
            return np.full(shape, self.one(NICE)).astype(kind)
        array = self.rng.normal(0, self.one((1, 3)), shape)
        array = np.round(array, 3 if self.chance(0.5) else 0)
        if self.rule.exact and self.chance(0.5):
            most = float(float_info(kind).max)
            special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, most, 1e-7])
            where = self.rng.random(shape) < 0.4
            array = np.where(where, self.rng.choice(special, shape), array)
        with np.errstate(all="ignore"):
            return np.asarray(array).astype(kind)

    def integers(self, shape: Sizes, kind: Any) -> Array:
        least, most = integer_range(kind)
        if self.chance(0.3):
            low = 0 if least == 0 else -2
            return np.full(shape, self.rng.integers(low, 4)).astype(kind)
        if self.rule.exact and self.chance(0.4):
            ends = [least, most, 0, 1]
            chosen = self.rng.choice(len(ends), shape)
            items = [ends[i] for i in np.asarray(chosen).reshape(-1)]
            return np.array(items, object).astype(kind).reshape(shape)
        low = 0 if least == 0 else -9
        return np.asarray(self.rng.integers(low, 10, shape)).astype(kind)

    # --- attributes ---

    def properties(
        self, node: Node, schema: OpSchema, request: Request
    ) -> dict[str, Attribute]:
        found: dict[str, Attribute] = {}
        mentioned = {test.name for test in node.tests}
        for test in node.tests:
            wanted = test.wanted
            value: Any = wanted.value if isinstance(wanted, Literal) else None
            if isinstance(wanted, str):
                value = self.attribute(wanted, schema, test.name, request)
            if value is not None:
                found[test.name] = attribute(schema, test.name, value)
                request.attributes[test.name] = value
        for name, declared in schema.attributes.items():
            if name in mentioned:
                continue
            drawn = node.open and name in ATTRIBUTES and self.chance(0.4)
            if declared.required or drawn:
                value = self.drawn(schema, name, request)
                found[name] = attribute(schema, name, value)
                request.attributes[name] = value
        return found

    def attribute(
        self, name: str, schema: OpSchema, called: str, request: Request
    ) -> Any:
        if name not in self.attributes:
            given = self.example.get(name)
            value = None if given is None else given.value
            if value is None:
                free = not schema.attributes[called].required and self.chance(0.2)
                value = None if free else self.drawn(schema, called, request)
            self.attributes[name] = value
            self.given.append((name, str(value)))
        return self.attributes[name]

    def drawn(self, schema: OpSchema, name: str, request: Request) -> Any:
        """A value for an attribute."""
        if name in ("to", "dtype"):
            captured = [v for v in self.names.values() if v is not None]
            if captured and self.chance(0.3):
                element = element_of(self.one(captured).type)
                assert element is not None, "captures are tensors"
                return TENSOR_TYPES[DTYPE_NAMES[element]]
            return TENSOR_TYPES[self.one(tuple(DTYPE_WEIGHTS)[:-1])]
        if name in ATTRIBUTES:
            return ATTRIBUTES[name](request)
        default = default_attribute(schema, name)
        if default is None:
            if schema.attributes[name].required:
                raise Impossible
            return None
        value = python_value(default)
        if isinstance(value, int) and value in (0, 1):
            return int(self.rng.integers(0, 2))
        return value


def _urgency(place: int, wanted: Any) -> int:
    # A literal's shape follows the others'.
    return place + (100 if isinstance(wanted, Literal) else 0)


def _used(rule: Rule, node: Node) -> list[int]:
    """How many results of `node` the others use."""
    parts = [
        operand
        for other in nodes_of(rule.root)
        for operand in other.operands
        if isinstance(operand, Part)
    ]
    return [part.result + 1 for part in parts if part.node is node]


def _shape(value: SSAValue) -> Sizes:
    shape = static_shape(value.type)
    if shape is None:
        raise Impossible
    return shape


def _dtype_conditions(rule: Rule) -> Iterator[tuple[str, list[Attribute]]]:
    """The dtypes that conditions such as ``dtype(x) in floats`` admit."""
    for condition in rule.conditions:
        match condition.holds:
            case Binary("in" | "==" as sign, Function("dtype", (Name(name),)), right):
                try:
                    found = evaluate(right, {}, Scope(WeightStore()))
                except (Declining, KeyError):
                    continue
                yield name, [found] if sign == "==" else list(found)
            case _:
                continue


def rebuilt(block: Block, types: list[Attribute], store: WeightStore) -> ModuleOp:
    """The ops of `block` on arguments of `types`, in a module's ``@main``."""
    goal = Block(arg_types=types)
    builder = OnnxBuilder(goal.add_op, store)
    known: dict[SSAValue, SSAValue] = dict(zip(block.args, goal.args, strict=True))
    for old, new in known.items():
        new.name_hint = old.name_hint
    results: list[SSAValue] = []
    for op in block.ops:
        operands = [known[value] for value in op.operands]
        if isinstance(op, ReturnOp):
            results = operands
        elif isinstance(op, OnnxOp) and op.operands:
            wanted = [not is_none(kind) for kind in op.result_types]
            made = builder.create(op.name, operands, dict(op.properties), wanted)
            known.update(zip(op.results, made.results, strict=True))
        else:
            copy = op.clone()
            goal.add_op(copy)
            known.update(zip(op.results, copy.results, strict=True))
    goal.add_op(ReturnOp(*results))
    kind = FunctionType.from_lists(types, [value.type for value in results])
    return ModuleOp([FuncOp("main", kind, Region(goal))])
