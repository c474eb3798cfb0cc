"""
What a rule says: its left side, conditions and right side, as plain values.

Nothing here matches or writes anything. `matching` finds a left side in a module,
`writing` writes a right side into one, `samples` writes a left side to prove a rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from ...dialects.errors import SardonyxError


@dataclass(frozen=True)
class Place:
    """Where in a file something stands: its line and column, from 1 on."""

    line: int
    column: int


@dataclass(frozen=True)
class Source:
    """A file of rules: its name and text."""

    name: str
    text: str

    def line(self, place: Place) -> str:
        """The line of `place`, without its end."""
        lines = self.text.splitlines()
        return lines[place.line - 1] if place.line <= len(lines) else ""

    def excerpt(self, place: Place) -> str:
        """The line of `place`, and below it a mark at its column."""
        return f"{self.line(place)}\n{' ' * (place.column - 1)}^"


class RuleError(SardonyxError):
    """A file of rules that cannot be read: ``FILE:LINE:COL: found …, wanted …``."""

    def __init__(self, source: Source, place: Place, message: str):
        line = source.line(place).strip()
        where = f"{source.name}:{place.line}:{place.column}"
        super().__init__(f"{where}: {message}" + (f", in: {line}" if line else ""))
        self.message = message
        self.place = place
        self.excerpt = source.excerpt(place)


NOWHERE = Place(1, 1)

Scalar: TypeAlias = bool | int | float | str
Plain: TypeAlias = Scalar | tuple["Plain", ...]
"""A literal's value."""


# --- the left side ---


@dataclass(frozen=True)
class Capture:
    """An operand of any kind: ``x``; with ``?`` it may be absent."""

    name: str
    optional: bool = False
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class Rest:
    """Any number of operands: ``...xs``."""

    name: str
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class Literal:
    """
    A constant: a number, a text, or nested lists of them.

    As an operand a number is a constant all of whose elements equal it, after rounding
    to their type; with `near` (``~0.7071``) about equal it. A list is a constant of
    that shape.
    """

    value: Plain
    near: bool = False
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class Absent:
    """An optional operand that is not there: ``none``."""

    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class AttributeTest:
    """``axis: -1`` is a test, ``axis: a`` a capture."""

    name: str
    wanted: Literal | str
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, eq=False)
class Node:
    """
    An op on the left side. One node object is one op, wherever it is mentioned.

    `results` are the names that its results are given. Attributes that `tests` does not
    mention have their default, unless it is `open` (``{...}``).
    """

    op: str
    """The op's name in the IR: ``onnx.Conv``."""
    operands: tuple[Operand, ...]
    tests: tuple[AttributeTest, ...] = ()
    open: bool = False
    once: bool = False
    ordered: bool = False
    results: tuple[str, ...] = ()
    place: Place = field(default=NOWHERE, compare=False)

    @property
    def op_type(self) -> str:
        """Its name in ONNX: ``Conv``."""
        return self.op.partition(".")[2]


@dataclass(frozen=True)
class Part:
    """A result of a node that gives an operand."""

    node: Node
    result: int = 0
    place: Place = field(default=NOWHERE, compare=False)


Operand: TypeAlias = Capture | Rest | Literal | Absent | Part


def nodes_of(root: Node) -> list[Node]:
    """The nodes of a left side, each once, those that give operands first."""
    found: dict[Node, None] = {}

    def visit(node: Node) -> None:
        if node in found:
            return
        for operand in node.operands:
            if isinstance(operand, Part):
                visit(operand.node)
        found[node] = None

    visit(root)
    return list(found)


# --- expressions ---


@dataclass(frozen=True)
class Name:
    """Something that the left side, or a ``let``, bound."""

    name: str
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class Listing:
    """``[a, b]``."""

    items: tuple[Expression, ...]
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class Function:
    """``rank(x)``: one of the functions of `library`."""

    name: str
    arguments: tuple[Expression, ...]
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class Field:
    """``conv.pads``: an attribute of the op that gives a named value."""

    of: Expression
    name: str
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class Index:
    """``shape(x)[-1]``; a list picks several: ``p[q]``."""

    of: Expression
    index: Expression
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class Slice:
    """``shape(x)[1:]``."""

    of: Expression
    start: Expression | None
    stop: Expression | None
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class Unary:
    """``-x`` or ``not x``."""

    operator: str
    of: Expression
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class Binary:
    """Arithmetic, a comparison, ``in``, ``not in``, ``and``, ``or``."""

    operator: str
    left: Expression
    right: Expression
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class Call:
    """An op on the right side: ``Conv(x, w) {...conv, group: 1}``."""

    op: str
    operands: tuple[Argument, ...]
    attributes: tuple[tuple[str, Expression], ...] = ()
    spread: tuple[Name, ...] = ()
    """The values whose ops' attributes it takes over, before its own."""
    place: Place = field(default=NOWHERE, compare=False)

    @property
    def op_type(self) -> str:
        """Its name in ONNX: ``Conv``."""
        return self.op.partition(".")[2]


Expression: TypeAlias = (
    Name | Literal | Listing | Function | Field | Index | Slice | Unary | Binary | Call
)
Argument: TypeAlias = Expression | Rest | Absent


def inside(expression: Argument) -> Iterator[Argument]:
    """`expression` and all that it is made of."""
    yield expression
    below: tuple[Argument | None, ...] = ()
    match expression:
        case Listing():
            below = expression.items
        case Function():
            below = expression.arguments
        case Field() | Unary():
            below = (expression.of,)
        case Index():
            below = (expression.of, expression.index)
        case Slice():
            below = (expression.of, expression.start, expression.stop)
        case Binary():
            below = (expression.left, expression.right)
        case Call():
            values = (value for _, value in expression.attributes)
            below = (*expression.operands, *values, *expression.spread)
        case _:
            pass
    for part in below:
        if part is not None:
            yield from inside(part)


# --- rules ---


@dataclass(frozen=True)
class Condition:
    """What must hold, and its text in the file: the reason if it does not."""

    holds: Expression
    text: str


@dataclass(frozen=True)
class Given:
    """
    What an example gives to a capture: a dtype and shape, or a value.

    The entries of `shape` are sizes, or names that stand for one size each.
    """

    name: str
    dtype: str | None = None
    shape: tuple[int | str, ...] | None = None
    value: Plain | None = None
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class Let:
    """Names for a value of the right side, or for the results of one of its ops."""

    names: tuple[str, ...]
    value: Expression
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, eq=False)
class Rule:
    """
    Wherever `root` is found and `conditions` hold, its results become `results`.

    An `exact` rule gives equal results for all values, nan and infinities too; any
    other is right up to rounding, on finite values.
    """

    name: str
    doc: str
    exact: bool
    root: Node
    conditions: tuple[Condition, ...]
    examples: tuple[tuple[Given, ...], ...]
    lets: tuple[Let, ...]
    results: tuple[Expression, ...]
    source: Source
    place: Place = NOWHERE

    def error(self, place: Place, message: str) -> RuleError:
        """The error that something at `place` is not as it must be."""
        return RuleError(self.source, place, message)


@dataclass(frozen=True)
class RuleSet:
    """The rules of a file, in its order, under the name of their pass."""

    name: str
    doc: str
    """The comment at the head of the file."""
    rules: tuple[Rule, ...]

    def __str__(self) -> str:
        return f"{self.name} ({len(self.rules)} rules)"
