"""
Checks a rule before anything is matched: names, operators, attributes, kinds.

`faults` gives all that is wrong, in the order of the file.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Any, TypeAlias

from ...backends.kernels.apply import ELEMENT_TYPE_ATTRIBUTES
from ...dialects.onnx.attributes import attribute
from ...dialects.onnx.ops import OPS
from ...dialects.onnx.schemas import OpSchema
from .library import LIBRARY, Kind
from .syntax import (
    Absent,
    Argument,
    Binary,
    Call,
    Capture,
    Expression,
    Field,
    Function,
    Index,
    Listing,
    Literal,
    Name,
    Node,
    Place,
    Rest,
    Rule,
    RuleError,
    Slice,
    Unary,
    inside,
    nodes_of,
)
from .values import DTYPES

_ATTRIBUTES = OpSchema.AttrType
_OPTIONS = OpSchema.FormalParameterOption

_KINDS: dict[OpSchema.AttrType, Kind] = {
    _ATTRIBUTES.INT: Kind.NUMBER,
    _ATTRIBUTES.FLOAT: Kind.NUMBER,
    _ATTRIBUTES.STRING: Kind.TEXT,
    _ATTRIBUTES.INTS: Kind.LIST,
    _ATTRIBUTES.FLOATS: Kind.LIST,
    _ATTRIBUTES.STRINGS: Kind.LIST,
}

Faults: TypeAlias = Iterator[RuleError]
Judged: TypeAlias = Generator[RuleError, None, Kind]
"""Yields what is wrong, and returns the kind."""


def faults(rule: Rule) -> list[RuleError]:
    """Everything that is wrong with `rule`."""
    return list(_Checker(rule).all())


def attribute_kind(schema: OpSchema, name: str) -> Kind:
    """What an attribute is in an expression."""
    if name in ELEMENT_TYPE_ATTRIBUTES:
        return Kind.DTYPE
    return _KINDS.get(schema.attributes[name].type, Kind.ANY)


def constants_of(rule: Rule) -> frozenset[str]:
    """The captures that the conditions of `rule` say are constants."""
    names: set[str] = set()
    for condition in rule.conditions:
        match condition.holds:
            case Function("constant", arguments):
                names |= {a.name for a in arguments if isinstance(a, Name)}
            case _:
                pass
    return frozenset(names)


def attributes_of(rule: Rule) -> dict[str, tuple[Node, str]]:
    """The names that capture attributes, and which they capture first."""
    found: dict[str, tuple[Node, str]] = {}
    for node in nodes_of(rule.root):
        for test in node.tests:
            if isinstance(test.wanted, str):
                found.setdefault(test.wanted, (node, test.name))
    return found


class _Checker:
    def __init__(self, rule: Rule):
        self.rule = rule
        self.kinds: dict[str, Kind] = dict.fromkeys(DTYPES, Kind.DTYPE)
        for group in ("floats", "integers", "signed", "unsigned"):
            self.kinds[group] = Kind.LIST
        self.nodes: dict[str, Node] = {}
        self.constants = constants_of(rule)
        self.right = False

    def fault(self, place: Place, found: str, wanted: str) -> RuleError:
        return self.rule.error(place, f"found {found}, wanted {wanted}")

    def all(self) -> Faults:
        found = list(self.left_side())
        yield from found
        if found:
            return
        for condition in self.rule.conditions:
            yield from self.wants(condition.holds, Kind.TRUTH)
            for part in inside(condition.holds):
                if isinstance(part, Call):
                    yield self.fault(part.place, "an operator", "a function or value")
        yield from self.examples()
        self.right = True
        yield from self.right_side()

    # --- the left side ---

    def left_side(self) -> Faults:
        for node in nodes_of(self.rule.root):
            schema = yield from self.schema(node.op, node.place)
            if schema is None:
                continue
            yield from self.operands(schema, node.operands, node.place)
            yield from self.tests(schema, node)
            yield from self.named_results(schema, node)
            for operand in node.operands:
                if isinstance(operand, Capture):
                    yield from self.bind(operand.name, Kind.VALUE, operand.place)
                elif isinstance(operand, Rest):
                    yield from self.bind(operand.name, Kind.VALUES, operand.place)

    def named_results(self, schema: OpSchema, node: Node) -> Faults:
        if len(node.results) > schema.max_output:
            yield self.fault(
                node.place,
                f"{len(node.results)} names for the results of {schema.name}",
                f"at most {schema.max_output}",
            )
        for name in node.results:
            yield from self.bind(name, Kind.VALUE, node.place)
            self.nodes[name] = node

    def bind(self, name: str, kind: Kind, place: Place) -> Faults:
        if name in DTYPES:
            yield self.fault(place, f"{name!r} as a name", "one that is not taken")
        if self.kinds.setdefault(name, kind) != kind:
            yield self.fault(
                place, f"{name!r} as {kind.value}", f"{self.kinds[name].value} again"
            )

    def schema(
        self, op: str, place: Place
    ) -> Generator[RuleError, None, OpSchema | None]:
        found: OpSchema | None = None
        if op not in OPS:
            name = op.removeprefix("onnx.")
            yield self.fault(place, f"operator {name!r}", "one of ONNX's")
        elif OPS[op].get_irdl_definition().regions:
            yield self.fault(place, f"{op} with a graph", "an operator without one")
        else:
            found = OPS[op].schema()
        return found

    def operands(
        self, schema: OpSchema, operands: Sequence[Any], place: Place
    ) -> Faults:
        inputs = schema.inputs
        many = any(isinstance(operand, Rest) for operand in operands)
        low, high = schema.min_input, schema.max_input
        if not many and not low <= len(operands) <= high:
            wanted = str(low) if low == high else f"{low} to {high}"
            if high > 1000:
                wanted = f"at least {low}"
            yield self.fault(
                place, f"{len(operands)} operands of {schema.name}", wanted
            )
            return
        variadic = bool(inputs) and inputs[-1].option == _OPTIONS.Variadic
        for index, operand in enumerate(operands):
            parameter = inputs[min(index, len(inputs) - 1)]
            if isinstance(operand, Rest) and not variadic:
                found = f"...{operand.name}"
                yield self.fault(operand.place, found, f"one operand {parameter.name}")
            absent = isinstance(operand, Absent) or (
                isinstance(operand, Capture) and operand.optional
            )
            if absent and parameter.option != _OPTIONS.Optional:
                yield self.fault(
                    operand.place,
                    f"an optional {parameter.name} of {schema.name}",
                    "one that is always there",
                )

    def tests(self, schema: OpSchema, node: Node) -> Faults:
        for test in node.tests:
            if test.name not in schema.attributes:
                yield self.no_attribute(schema, test.name, test.place)
            elif isinstance(test.wanted, str):
                kind = attribute_kind(schema, test.name)
                yield from self.bind(test.wanted, kind, test.place)
            else:
                yield from self.fits(schema, test.name, test.wanted.value, test.place)

    def no_attribute(self, schema: OpSchema, name: str, place: Place) -> RuleError:
        known = ", ".join(sorted(schema.attributes)) or "none"
        return self.fault(
            place, f"attribute {name!r} of {schema.name}", f"one of: {known}"
        )

    def fits(self, schema: OpSchema, name: str, value: Any, place: Place) -> Faults:
        try:
            attribute(schema, name, value)
        except ValueError:
            wanted = str(schema.attributes[name].type).rpartition(".")[2].lower()
            yield self.fault(place, f"{value!r} for {name} of {schema.name}", wanted)

    # --- expressions ---

    def wants(self, expression: Expression, wanted: Kind) -> Faults:
        found = yield from self.kind(expression)
        if not fits_kind(found, wanted):
            yield self.fault(expression.place, found.value, wanted.value)

    def kind(self, expression: Expression) -> Judged:
        match expression:
            case Literal(value):
                if isinstance(value, bool):
                    return Kind.TRUTH
                return Kind.TEXT if isinstance(value, str) else Kind.NUMBER
            case Name():
                return (yield from self.name_kind(expression))
            case Listing(items):
                for item in items:
                    yield from self.kind(item)
                return Kind.LIST
            case Function():
                return (yield from self.function_kind(expression))
            case Field():
                return (yield from self.field_kind(expression))
            case Index() | Slice():
                return (yield from self.picked_kind(expression))
            case Unary() | Binary():
                return (yield from self.operator_kind(expression))
            case _:
                yield from self.call(expression)
                return Kind.VALUE

    def name_kind(self, name: Name) -> Judged:
        if name.name not in self.kinds:
            yield self.fault(
                name.place, f"{name.name!r}", "a name that the left side binds"
            )
            return Kind.ANY
        return self.kinds[name.name]

    def function_kind(self, expression: Function) -> Judged:
        function = LIBRARY.get(expression.name)
        if function is None:
            known = ", ".join(sorted(LIBRARY))
            yield self.fault(
                expression.place, f"function {expression.name!r}", f"one of: {known}"
            )
            return Kind.ANY
        count, most = len(expression.arguments), len(function.takes)
        least = most - function.optional - (1 if function.variadic else 0)
        least = max(least, 1)
        if count < least or (count > most and not function.variadic):
            wanted = f"at least {least}" if function.variadic else str(most)
            yield self.fault(
                expression.place, f"{count} arguments of {expression.name}", wanted
            )
            return function.gives
        for place, argument in enumerate(expression.arguments):
            wanted = function.takes[min(place, most - 1)]
            yield from self.wants(argument, wanted)
            if wanted == Kind.CONSTANT:
                yield from self.computed(argument)
        return function.gives

    def field_kind(self, expression: Field) -> Judged:
        of = expression.of
        node = self.nodes.get(of.name) if isinstance(of, Name) else None
        if node is None:
            yield self.fault(
                expression.place,
                f"an attribute {expression.name!r} of something else",
                "that of a named op (Conv(…) as conv)",
            )
            return Kind.ANY
        schema = OPS[node.op].schema()
        if expression.name not in schema.attributes:
            yield self.no_attribute(schema, expression.name, expression.place)
            return Kind.ANY
        return attribute_kind(schema, expression.name)

    def picked_kind(self, expression: Index | Slice) -> Judged:
        yield from self.wants(expression.of, Kind.LIST)
        if isinstance(expression, Slice):
            for bound in (expression.start, expression.stop):
                if bound is not None:
                    yield from self.wants(bound, Kind.NUMBER)
            return Kind.LIST
        found = yield from self.kind(expression.index)
        return Kind.LIST if found == Kind.LIST else Kind.ANY

    def operator_kind(self, expression: Unary | Binary) -> Judged:
        if isinstance(expression, Unary):
            found = yield from self.kind(expression.of)
            yield from self.computed(expression.of)
            return Kind.TRUTH if expression.operator == "not" else _computed(found)
        left = yield from self.kind(expression.left)
        right = yield from self.kind(expression.right)
        match expression.operator:
            case "and":
                return Kind.TRUTH
            case "or":
                return Kind.TRUTH if left == Kind.TRUTH else _computed(right)
            case "in" | "not in":
                if not fits_kind(right, Kind.LIST):
                    yield self.fault(
                        expression.right.place, right.value, Kind.LIST.value
                    )
                return Kind.TRUTH
            case sign:
                yield from self.computed(expression.left)
                yield from self.computed(expression.right)
                constant = Kind.CONSTANT in (_computed(left), _computed(right))
                if sign in ("==", "!=", "<", "<=", ">", ">="):
                    return Kind.CONSTANT if constant else Kind.TRUTH
                return Kind.CONSTANT if constant else _computed(left)

    def computed(self, expression: Expression) -> Faults:
        """What is computed on the right side is constant by the conditions."""
        match expression:
            case Binary("or", left, right):
                yield from self.computed(left)
                yield from self.computed(right)
            case Name(name):
                value = self.kinds.get(name) == Kind.VALUE
                if self.right and value and name not in self.constants:
                    yield self.fault(
                        expression.place,
                        f"{name!r} to compute with",
                        f"the condition constant({name})",
                    )
            case _:
                pass

    # --- examples and the right side ---

    def examples(self) -> Faults:
        for given in (g for example in self.rule.examples for g in example):
            kind = self.kinds.get(given.name)
            if kind is None or given.name in DTYPES:
                yield self.fault(
                    given.place, f"{given.name!r}", "a name that the left side binds"
                )
            elif given.dtype is not None and given.dtype not in DTYPES:
                yield self.fault(given.place, f"dtype {given.dtype!r}", "one of ONNX's")
            elif given.shape is not None and kind != Kind.VALUE:
                yield self.fault(
                    given.place, f"a shape of {kind.value}", f"{given.name} = …"
                )

    def right_side(self) -> Faults:
        for let in self.rule.lets:
            found = yield from self.kind(let.value)
            if len(let.names) > 1 and not isinstance(let.value, Call):
                yield self.fault(let.place, f"{len(let.names)} names", "one")
            if isinstance(let.value, Call) and let.value.op in OPS:
                most = OPS[let.value.op].schema().max_output
                if len(let.names) > most:
                    yield self.fault(
                        let.place, f"{len(let.names)} names", f"at most {most}"
                    )
            for name in let.names:
                if name in self.kinds:
                    yield self.fault(let.place, f"{name!r} a second time", "a new name")
                self.kinds[name] = found
        wanted, found = max(len(self.rule.root.results), 1), len(self.rule.results)
        if found != wanted:
            yield self.fault(
                self.rule.results[0].place,
                f"{found} results on the right",
                f"{wanted} as on the left",
            )
        for result in self.rule.results:
            found = yield from self.kind(result)
            if found not in (Kind.VALUE, Kind.CONSTANT, Kind.ANY):
                yield self.fault(
                    result.place, found.value, "a value (full(…) or cast(…) make one)"
                )

    def call(self, call: Call) -> Faults:
        schema = yield from self.schema(call.op, call.place)
        if schema is None:
            return
        yield from self.operands(schema, call.operands, call.place)
        for operand in call.operands:
            yield from self.argument(operand)
        given: set[str] = set()
        for name, value in call.attributes:
            given.add(name)
            if name not in schema.attributes:
                yield self.no_attribute(schema, name, value.place)
            else:
                yield from self.attribute_value(schema, name, value)
        for name in call.spread:
            if name.name not in self.nodes:
                yield self.fault(name.place, f"...{name.name}", "a named op's name")
        for name, declared in schema.attributes.items():
            if declared.required and name not in given and not call.spread:
                yield self.fault(
                    call.place, f"{schema.name} without {name!r}", "it: it is required"
                )

    def argument(self, operand: Argument) -> Faults:
        match operand:
            case Absent():
                return
            case Rest(name):
                if self.kinds.get(name) != Kind.VALUES:
                    yield self.fault(
                        operand.place, f"...{name}", "a ...name of the left"
                    )
            case _:
                kind = yield from self.kind(operand)
                if kind == Kind.VALUES and isinstance(operand, Name):
                    yield self.fault(operand.place, operand.name, f"...{operand.name}")

    def attribute_value(self, schema: OpSchema, name: str, value: Expression) -> Faults:
        wanted = attribute_kind(schema, name)
        found = yield from self.kind(value)
        if found == Kind.TRUTH and wanted == Kind.NUMBER:
            return
        if not fits_kind(found, wanted):
            yield self.fault(value.place, f"{found.value} for {name}", wanted.value)


def fits_kind(found: Kind, wanted: Kind) -> bool:
    """Whether something of kind `found` may stand where `wanted` is wanted."""
    if Kind.ANY in (found, wanted) or found == wanted:
        return True
    # A captured value may turn out to be a constant, and one that holds a truth.
    return (found, wanted) in {
        (Kind.VALUE, Kind.CONSTANT),
        (Kind.CONSTANT, Kind.VALUE),
        (Kind.CONSTANT, Kind.TRUTH),
        (Kind.VALUE, Kind.TRUTH),
    }


def _computed(kind: Kind) -> Kind:
    return Kind.CONSTANT if kind == Kind.VALUE else kind
