"""
Reads .rules files: text -> `syntax`.

Raises RuleError (``FILE:LINE:COL: found …, wanted …``) for a text that is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeAlias, cast

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken
from lark.lexer import PatternStr

from ...dialects.errors import SardonyxError
from .syntax import (
    NOWHERE,
    Absent,
    AttributeTest,
    Binary,
    Call,
    Capture,
    Condition,
    Expression,
    Field,
    Function,
    Given,
    Index,
    Let,
    Listing,
    Literal,
    Name,
    Node,
    Operand,
    Part,
    Place,
    Plain,
    Rest,
    Rule,
    RuleError,
    RuleSet,
    Slice,
    Source,
    Unary,
)
from .typing import faults

Branch: TypeAlias = Tree[Token]
Twig: TypeAlias = Branch | Token

MAX_DEPTH = 100
"""How deep expressions may nest."""

_WORDS = {
    "OP": "an operator (Conv)",
    "NAME": "a name",
    "RULE_NAME": "a rule's name (fold-scale)",
    "NUMBER": "a number",
    "STRING": 'a text in "quotes"',
    "COMPARE": "an operator (==)",
    "TIMES": "'*'",
    "DIVIDE": "'/'",
    "$END": "the end",
}


@lru_cache(maxsize=1)
def _parser() -> Lark:
    grammar = files(__package__ or "").joinpath("rules.lark")
    return Lark(
        grammar.read_text(encoding="utf-8"),
        parser="lalr",
        propagate_positions=True,
        maybe_placeholders=True,
    )


def load_rules(path: Path) -> RuleSet:
    """The rules in the file at `path`; the pass is called as the file."""
    return parse_rules(_text(path), str(path), path.stem.replace("_", "-"))


def rules_in(path: Path) -> tuple[tuple[Rule, ...], list[RuleError]]:
    """
    The rules in the file at `path` and all that is wrong with their types.

    Raises RuleError for a file that does not parse.
    """
    return read_rules(_text(path), str(path))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SardonyxError(f"{path}: cannot be read: {reason}") from error
    except UnicodeDecodeError as error:
        raise SardonyxError(f"{path}: cannot be read: {error}") from error


def parse_rules(text: str, file: str = "rules", name: str = "rules") -> RuleSet:
    """
    The rules in `text`, type-checked; `file` is what errors call it.

    Raises RuleError for the first fault.
    """
    rules, found = read_rules(text, file)
    if found:
        raise found[0]
    return RuleSet(name, _heading(text), rules)


def read_rules(text: str, file: str) -> tuple[tuple[Rule, ...], list[RuleError]]:
    """
    The rules in `text` and all that is wrong with their types.

    Raises RuleError for a text that does not parse.
    """
    source = Source(file, text)
    try:
        tree: Branch = cast(Any, _parser()).parse(text)
    except UnexpectedInput as error:
        raise _unexpected(source, error) from error
    rules = tuple(_Reader(source).rule(_tree(child)) for child in tree.children)
    seen: set[str] = set()
    found: list[RuleError] = []
    for rule in rules:
        if rule.name in seen:
            message = f"found a second rule {rule.name!r}, wanted each name once"
            found.append(rule.error(rule.place, message))
        seen.add(rule.name)
        found.extend(faults(rule))
    return rules, found


def _heading(text: str) -> str:
    lines: list[str] = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("#").strip())
    return "\n".join(lines).strip()


def _unexpected(source: Source, error: UnexpectedInput) -> RuleError:
    told = cast(Any, error)
    line, column = told.line, told.column
    if line < 1:
        lines = source.text.splitlines() or [""]
        line, column = len(lines), len(lines[-1]) + 1
    place = Place(line, column)
    if isinstance(error, UnexpectedCharacters):
        found, wanted = repr(told.char), set[str](told.allowed or ())
    elif isinstance(error, UnexpectedToken):
        ended = told.token.type == "$END"
        found = "the end" if ended else repr(str(told.token))
        wanted = set[str](told.accepts or told.expected)
    else:
        found, wanted = "the end", set[str]()
    return RuleError(source, place, f"found {found}, wanted {_choices(wanted)}")


def _choices(terminals: set[str]) -> str:
    texts = {
        t.name: repr(t.pattern.value)
        for t in _parser().terminals
        if isinstance(t.pattern, PatternStr)
    }
    if "COMPARE" in terminals:
        # After an expression any operator may stand: what else may is of interest.
        terminals = terminals - _OPERATORS | {"COMPARE"}
    words = {_WORDS.get(t) or texts.get(t, t.lower()) for t in terminals}
    return " or ".join(sorted(words))


_OPERATORS = frozenset(
    [
        *("PLUS", "MINUS", "TIMES", "DIVIDE", "POWER", "COMPARE"),
        *("OR", "AND", "IN", "NOT", "DOT", "LSQB"),
    ]
)


def _place(twig: Twig) -> Place:
    if isinstance(twig, Token):
        return Place(twig.line or 1, twig.column or 1)
    meta = twig.meta
    return NOWHERE if meta.empty else Place(meta.line, meta.column)


def _tree(twig: Twig) -> Branch:
    assert isinstance(twig, Tree), "the grammar puts a rule here"
    return twig


def _number(text: str) -> int | float:
    return int(text) if text.isdigit() else float(text)


class _Reader:
    """Turns the trees of one file into syntax."""

    def __init__(self, source: Source):
        self.source = source
        self.bound: dict[str, Part] = {}
        self.depth = 0

    def error(self, twig: Twig, message: str) -> RuleError:
        return RuleError(self.source, _place(twig), message)

    # --- rules ---

    def rule(self, tree: Branch) -> Rule:
        self.bound = {}
        parts = [child for child in tree.children if isinstance(child, Tree)]
        (name,) = [child for child in tree.children if isinstance(child, Token)]
        exact, doc, *rest = parts
        by_kind: dict[str, list[Branch]] = {}
        for part in rest:
            by_kind.setdefault(str(part.data), []).append(part)
        for part in by_kind.get("binding", ()):
            self.binding(part)
        (pattern,) = by_kind.get("node", []) + by_kind.get("named_node", [])
        root = (
            self.named(pattern) if pattern.data == "named_node" else self.node(pattern)
        )
        wheres = by_kind.get("where", [])
        conditions = [self.condition(_tree(c)) for w in wheres for c in w.children]
        (results,) = by_kind["results"]
        return Rule(
            name=str(name),
            doc=" ".join(str(token)[1:-1].strip() for token in doc.children),
            exact=any(cast(Sequence[Token | None], exact.children)),
            root=root,
            conditions=tuple(conditions),
            examples=tuple(
                tuple(self.given(_tree(g)) for g in example.children)
                for example in by_kind.get("example", ())
            ),
            lets=tuple(self.let(part) for part in by_kind.get("let", ())),
            results=tuple(map(self.expression, results.children)),
            source=self.source,
            place=_place(name),
        )

    # --- the left side ---

    def binding(self, tree: Branch) -> None:
        names, node = tree.children
        self.name_results(self.node(_tree(node)), _tree(names))

    def named(self, tree: Branch) -> Node:
        names, node = tree.children
        return self.name_results(self.node(_tree(node)), _tree(names))

    def name_results(self, node: Node, names: Branch) -> Node:
        words = tuple(map(str, names.children))
        if node.results:
            raise self.error(
                names, f"found {words[0]!r} and {node.results[0]!r}, wanted one name"
            )
        named = replace(node, results=words)
        self.remember(named, names)
        return named

    def remember(self, node: Node, twig: Twig) -> None:
        for place, name in enumerate(node.results):
            if name in self.bound:
                message = f"found {name!r} a second time, wanted another name"
                raise self.error(twig, message)
            self.bound[name] = Part(node, place)

    def node(self, tree: Branch) -> Node:
        op, *parts = tree.children
        operands: list[Operand] = []
        node = Node(self.op(op), (), place=_place(op))
        for part in parts:
            match part.data if isinstance(part, Tree) else part:
                case "tests":
                    node = self.tested(node, _tree(part))
                case "once":
                    node = replace(node, once=True)
                case "ordered":
                    node = replace(node, ordered=True)
                case "alias":
                    node = replace(node, results=(str(_tree(part).children[0]),))
                case _:
                    operands.append(self.operand(part))
        node = replace(node, operands=tuple(operands))
        self.remember(node, tree)
        return node

    def op(self, token: Twig) -> str:
        text = str(token)
        return text if "." in text else f"onnx.{text}"

    def tested(self, node: Node, tree: Branch) -> Node:
        tests: list[AttributeTest] = []
        opened = False
        for child in map(_tree, tree.children):
            if child.data == "open_test":
                opened = True
                continue
            name, wanted = child.children
            content = str(wanted) if child.data == "capture_test" else None
            tests.append(
                AttributeTest(
                    str(name),
                    self.literal(wanted) if content is None else content,
                    _place(name),
                )
            )
        return replace(node, tests=tuple(tests), open=opened)

    def operand(self, twig: Twig) -> Operand:
        tree = _tree(twig)
        place = _place(tree)
        match tree.data:
            case "node":
                return Part(self.node(tree), 0, place)
            case "capture":
                name = str(tree.children[0])
                part = self.bound.get(name)
                return Capture(name, False, place) if part is None else part
            case "optional":
                return Capture(str(tree.children[0]), True, place)
            case "rest":
                return Rest(str(tree.children[0]), place)
            case "absent":
                return Absent(place)
            case "near":
                return replace(self.literal(tree.children[0]), near=True)
            case _:
                return self.literal(tree)

    def literal(self, twig: Twig) -> Literal:
        return Literal(self.plain(_tree(twig)), False, _place(twig))

    def plain(self, tree: Branch) -> Plain:
        match tree.data:
            case "number":
                sign, digits = tree.children
                value = _number(str(digits))
                return value if cast(Token | None, sign) is None else -value
            case "text":
                return str(tree.children[0])[1:-1]
            case "true" | "false":
                return tree.data == "true"
            case _:
                items = [c for c in tree.children if cast(Twig | None, c) is not None]
                return tuple(self.plain(_tree(item)) for item in items)

    # --- conditions and examples ---

    def condition(self, tree: Branch) -> Condition:
        (inner,) = tree.children
        meta = tree.meta
        text = " ".join(self.source.text[meta.start_pos : meta.end_pos].split())
        return Condition(self.expression(inner), text)

    def given(self, tree: Branch) -> Given:
        name, *rest = tree.children
        if tree.data == "given_value":
            value = self.plain(_tree(rest[0]))
            return Given(str(name), value=value, place=_place(name))
        dtype, *dims = cast(Sequence[Token | Branch | None], rest)
        sizes = [d for d in dims if isinstance(d, Tree)]
        shape = tuple(
            int(str(d.children[0])) if d.data == "fixed_dim" else str(d.children[0])
            for d in sizes
        )
        kind = None if dtype is None else str(dtype)
        return Given(str(name), kind, shape, place=_place(name))

    # --- the right side ---

    def let(self, tree: Branch) -> Let:
        names, value = tree.children
        words = tuple(map(str, _tree(names).children))
        return Let(words, self.expression(value), _place(names))

    def expression(self, twig: Twig) -> Expression:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(twig, f"found more than {MAX_DEPTH} levels, wanted fewer")
        found = self.expression_of(_tree(twig))
        self.depth -= 1
        return found

    def expression_of(self, tree: Branch) -> Expression:
        place, parts = _place(tree), tree.children
        match tree.data:
            case "numeral":
                return Literal(_number(str(parts[0])), False, place)
            case "text" | "true" | "false":
                return Literal(self.plain(tree), False, place)
            case "name":
                return Name(str(parts[0]), place)
            case "listing":
                return Listing(self.each(parts), place)
            case "function":
                return Function(str(parts[0]), self.each(parts[1:]), place)
            case "call":
                return self.call(tree)
            case _:
                return self.operation(tree)

    def operation(self, tree: Branch) -> Expression:
        place, parts = _place(tree), tree.children
        match tree.data:
            case "binary":
                left, operator, right = parts
                pair = self.expression(left), self.expression(right)
                return Binary(str(operator), *pair, place)
            case "not_in":
                left, _, right = parts
                return Binary(
                    "not in", self.expression(left), self.expression(right), place
                )
            case "negation":
                return Unary("not", self.expression(parts[0]), place)
            case "minus":
                return Unary("-", self.expression(parts[1]), place)
            case "field":
                return Field(self.expression(parts[0]), str(parts[1]), place)
            case "index":
                of, index = map(self.expression, parts)
                return Index(of, index, place)
            case other:
                assert other == "slice", f"no reading of {other}"
                of, *bounds = cast(Sequence[Twig | None], parts)
                start, stop = (
                    None if b is None else self.expression(b) for b in bounds
                )
                return Slice(self.expression(cast(Twig, of)), start, stop, place)

    def each(self, parts: Sequence[Twig]) -> tuple[Expression, ...]:
        given = [p for p in cast(Sequence[Twig | None], parts) if p is not None]
        return tuple(map(self.expression, given))

    def call(self, tree: Branch) -> Call:
        op, *parts = cast(Sequence[Twig | None], tree.children)
        operands: list[Expression | Rest | Absent] = []
        attributes: list[tuple[str, Expression]] = []
        spread: list[Name] = []
        for part in parts:
            if part is None:
                continue
            branch = _tree(part)
            match branch.data:
                case "attributes":
                    for entry in map(_tree, branch.children):
                        if entry.data == "spread":
                            name = entry.children[0]
                            spread.append(Name(str(name), _place(name)))
                        else:
                            key, value = entry.children
                            attributes.append((str(key), self.expression(value)))
                case "rest":
                    operands.append(Rest(str(branch.children[0]), _place(branch)))
                case "absent":
                    operands.append(Absent(_place(branch)))
                case _:
                    operands.append(self.expression(branch))
        name = self.op(cast(Token, op))
        return Call(
            name, tuple(operands), tuple(attributes), tuple(spread), _place(tree)
        )
