"""
Symbolic dimensions: integer expressions over named sizes, in a canonical form.

A dimension is a polynomial with integer coefficients over *atoms*: named symbols
(``batch``), and the quotients, maxima and minima that do not simplify away. Two
expressions are equal if their canonical forms are; the text of an expression parses
back to it. Symbols stand for sizes and are therefore never negative.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, reduce
from itertools import zip_longest

MAX_TERMS = 64
MAX_COEFFICIENT = 1 << 80
"""No model's sizes need more; a hostile one would have us multiply out for ever."""
MAX_TOKENS = 500
"""How long the text of an expression may be: what is printed is also read."""
MAX_DEPTH = 20
"""How deep calls and parentheses may stand within each other."""


class DimError(ValueError):
    """An expression that is larger than any model's sizes need."""


@dataclass(frozen=True, order=True)
class Symbol:
    """A named size, such as ``batch``."""

    name: str

    def __str__(self) -> str:
        if _PLAIN.fullmatch(self.name) and self.name not in _FUNCTIONS:
            return self.name
        return json.dumps(self.name)


@dataclass(frozen=True)
class Call:
    """An operation that no polynomial expresses: floordiv, mod, max or min."""

    function: str
    left: Dim
    right: Dim

    def __str__(self) -> str:
        return f"{self.function}({self.left}, {self.right})"

    @cached_property
    def tokens(self) -> int:
        """How many tokens its text has: name, parentheses, comma and operands."""
        return 4 + self.left.tokens + self.right.tokens

    @cached_property
    def depth(self) -> int:
        """How many calls stand within each other."""
        return 1 + max(self.left.depth, self.right.depth)


Monomial = tuple[Symbol | Call, ...]


@dataclass(frozen=True)
class Dim:
    """The sum of ``coefficient * product of atoms`` over `terms`, sorted by text."""

    terms: tuple[tuple[Monomial, int], ...]

    # --- construction ---

    @staticmethod
    def of(value: int | str | Dim) -> Dim:
        """The dimension of an integer, of a symbol's name, or itself."""
        if isinstance(value, Dim):
            return value
        if isinstance(value, str):
            return Dim((((Symbol(value),), 1),))
        return Dim((((), value),)) if value else Dim(())

    @staticmethod
    @lru_cache(maxsize=4096)
    def parse(text: str) -> Dim:
        """The expression that `text` says; a text that is none becomes one symbol."""
        try:
            return _Parser(text).whole()
        except ValueError:
            return Dim.of(text)

    # --- questions ---

    @property
    def constant(self) -> int | None:
        """The integer that this is, or None if it depends on a symbol."""
        if not self.terms:
            return 0
        if len(self.terms) == 1 and not self.terms[0][0]:
            return self.terms[0][1]
        return None

    @property
    def symbol(self) -> str | None:
        """The name, if this is one symbol and nothing else."""
        if len(self.terms) != 1 or self.terms[0][1] != 1 or len(self.terms[0][0]) != 1:
            return None
        atom = self.terms[0][0][0]
        return atom.name if isinstance(atom, Symbol) else None

    @cached_property
    def symbols(self) -> frozenset[str]:
        """The names that this depends on."""
        names: set[str] = set()
        for monomial, _ in self.terms:
            for atom in monomial:
                if isinstance(atom, Symbol):
                    names.add(atom.name)
                else:
                    names |= atom.left.symbols | atom.right.symbols
        return frozenset(names)

    @cached_property
    def tokens(self) -> int:
        """How many tokens its text has at most."""
        # A sign and a coefficient for each term, an operator for each atom.
        return sum(2 + sum(1 + _tokens(a) for a in m) for m, _ in self.terms) or 1

    @cached_property
    def depth(self) -> int:
        """How many calls stand within each other."""
        atoms = (atom for monomial, _ in self.terms for atom in monomial)
        return max((a.depth for a in atoms if isinstance(a, Call)), default=0)

    @property
    def lower_bound(self) -> int | None:
        """A value this never falls below, or None if none is known."""
        bound = 0
        for monomial, coefficient in self.terms:
            if not monomial:
                bound += coefficient
            elif coefficient < 0 or not all(map(_never_negative, monomial)):
                return None
        return bound

    def equals(self, other: Dim) -> bool | None:
        """Whether both are equal for all sizes; None if it depends on the sizes."""
        difference = self - other
        if difference.constant is not None:
            return difference.constant == 0
        for side in (difference, -difference):
            if side.lower_bound is not None and side.lower_bound > 0:
                return False
        return None

    def substitute(self, sizes: Mapping[str, int | Dim]) -> Dim:
        """This with the symbols named in `sizes` replaced."""
        if not self.symbols & sizes.keys():
            return self
        total = Dim(())
        for monomial, coefficient in self.terms:
            factors = [_substitute(atom, sizes) for atom in monomial]
            total = total + reduce(Dim.__mul__, factors, Dim.of(coefficient))
        return total

    # --- arithmetic ---

    def __add__(self, other: Dim) -> Dim:
        return _collect((*self.terms, *other.terms))

    def __neg__(self) -> Dim:
        return Dim(tuple((monomial, -value) for monomial, value in self.terms))

    def __sub__(self, other: Dim) -> Dim:
        return self + -other

    def __mul__(self, other: Dim) -> Dim:
        return _collect(
            (tuple(sorted((*m, *n), key=str)), a * b)
            for m, a in self.terms
            for n, b in other.terms
        )

    def __floordiv__(self, other: Dim) -> Dim:
        exact = self.divided_by(other)
        if exact is not None:
            return exact
        a, b = self.constant, other.constant
        if a is not None and b:
            return Dim.of(a // b)
        return _call("floordiv", self, other)

    def __mod__(self, other: Dim) -> Dim:
        if self.divided_by(other) is not None:
            return Dim(())
        a, b = self.constant, other.constant
        if a is not None and b:
            return Dim.of(a % b)
        return _call("mod", self, other)

    def maximum(self, other: Dim) -> Dim:
        """The larger of both."""
        return self._extreme("max", other)

    def minimum(self, other: Dim) -> Dim:
        """The smaller of both."""
        return self._extreme("min", other)

    def _extreme(self, function: str, other: Dim) -> Dim:
        for larger, smaller in ((self, other), (other, self)):
            if smaller.at_most(larger):
                return larger if function == "max" else smaller
        left, right = sorted((self, other), key=str)
        return _call(function, left, right)

    def at_most(self, other: Dim) -> bool:
        """Whether this is known never to exceed `other`."""
        bound = (other - self).lower_bound
        if bound is not None and bound >= 0:
            return True
        return self.minimum_with(other) is not None

    def minimum_with(self, other: Dim) -> Dim | None:
        """The dimension whose minimum with `other` this is, if it is written so."""
        if len(self.terms) != 1 or len(self.terms[0][0]) != 1 or self.terms[0][1] != 1:
            return None
        atom = self.terms[0][0][0]
        if not isinstance(atom, Call) or atom.function != "min":
            return None
        if other not in (atom.left, atom.right):
            return None
        return atom.right if other == atom.left else atom.left

    def divided_by(self, other: Dim) -> Dim | None:
        """``self / other`` where the division leaves no rest for all sizes."""
        if len(other.terms) != 1:
            return Dim.of(1) if self == other and self.terms else None
        ((divisor, scale),) = other.terms
        quotient: list[tuple[Monomial, int]] = []
        for monomial, value in self.terms:
            rest = list(monomial)
            for atom in divisor:
                if atom not in rest:
                    return None
                rest.remove(atom)
            if value % scale:
                return None
            quotient.append((tuple(rest), value // scale))
        return _collect(quotient)

    # --- text ---

    def __str__(self) -> str:
        if not self.terms:
            return "0"
        text = " + ".join(_term_text(*term) for term in self.terms)
        return text.replace("+ -", "- ")


def product(dims: Iterable[Dim]) -> Dim:
    """The product of `dims`; one if there are none."""
    return reduce(Dim.__mul__, dims, Dim.of(1))


_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_FUNCTIONS = {"floordiv", "mod", "max", "min"}
_TOKEN = re.compile(
    r'\s*(?:(\d+)|([A-Za-z_][A-Za-z0-9_.]*)|("(?:[^"\\]|\\.)*")|(//|[-+*/%(),]))'
)


def broadcast(shapes: Sequence[tuple[Dim | None, ...]]) -> tuple[Dim | None, ...]:
    """The shape that `shapes` broadcast to, by ONNX's (NumPy's) rule."""
    columns = zip_longest(*(reversed(shape) for shape in shapes), fillvalue=Dim.of(1))
    return tuple(reduce(_broadcast_dim, column) for column in columns)[::-1]


def _broadcast_dim(a: Dim | None, b: Dim | None) -> Dim | None:
    for one, other in ((a, b), (b, a)):
        if one is not None and one.constant == 1:
            return other
        if one is not None and one.constant is not None:
            return one
    if a is None or b is None:
        return None
    return b if _covers(b, a) else a if _covers(a, b) else None


def _covers(wide: Dim, narrow: Dim) -> bool:
    """Whether both, where they broadcast, always give `wide`."""
    # A size that never exceeds the other is equal to it, or is the 1 that is stretched,
    # or is 0 beside a 1, and then the result is 0.
    if not narrow.at_most(wide):
        return False
    if (narrow.lower_bound or 0) >= 1 or wide.divided_by(narrow) is not None:
        return True
    rest = narrow.minimum_with(wide)
    return rest is not None and (rest.lower_bound or 0) >= 1


def _never_negative(atom: Symbol | Call) -> bool:
    if isinstance(atom, Symbol):
        return True
    left, right = atom.left.lower_bound, atom.right.lower_bound
    if left is None or right is None:
        return False
    return left >= 0 and right >= 0


def _tokens(atom: Symbol | Call) -> int:
    return 1 if isinstance(atom, Symbol) else atom.tokens


def _call(function: str, left: Dim, right: Dim) -> Dim:
    return _small_enough(Dim((((Call(function, left, right),), 1),)))


def _small_enough(dim: Dim) -> Dim:
    # Calls share what they hold: looking at it as a text would take for ever.
    if dim.tokens > MAX_TOKENS or dim.depth >= MAX_DEPTH:
        raise DimError("a size's expression is too large")
    return dim


def _substitute(atom: Symbol | Call, sizes: Mapping[str, int | Dim]) -> Dim:
    if isinstance(atom, Symbol):
        return Dim.of(sizes.get(atom.name, atom.name))
    return apply(
        atom.function, atom.left.substitute(sizes), atom.right.substitute(sizes)
    )


def apply(function: str, left: Dim, right: Dim) -> Dim:
    """The operation named `function` (floordiv, mod, max, min) on two dimensions."""
    match function:
        case "floordiv":
            return left // right
        case "mod":
            return left % right
        case "max":
            return left.maximum(right)
        case _:
            return left.minimum(right)


def _collect(terms: Iterable[tuple[Monomial, int]]) -> Dim:
    totals: dict[Monomial, int] = {}
    for monomial, value in terms:
        totals[monomial] = totals.get(monomial, 0) + value
        large = abs(value) > MAX_COEFFICIENT or len(monomial) > MAX_TERMS
        if large or len(totals) > MAX_TERMS:
            raise DimError("a size's expression is too large")
    kept = ((m, v) for m, v in totals.items() if v)
    # Symbols first, the constant last: `seq + 1`.
    terms = sorted(kept, key=lambda t: (not t[0], _monomial_text(t[0])))
    return _small_enough(Dim(tuple(terms)))


def _monomial_text(monomial: Monomial) -> str:
    return "*".join(map(str, monomial))


def _term_text(monomial: Monomial, value: int) -> str:
    if not monomial:
        return str(value)
    if value == 1:
        return _monomial_text(monomial)
    if value == -1:
        return f"-{_monomial_text(monomial)}"
    return f"{value}*{_monomial_text(monomial)}"


class _Parser:
    """Recursive descent over sums, products and calls; ValueError on anything else."""

    def __init__(self, text: str):
        self.tokens: list[str] = []
        position = 0
        text = text.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None or len(self.tokens) > MAX_TOKENS:
                raise ValueError(text)
            self.tokens.append(match[0].strip())
            position = match.end()
        self.depth = 0

    def whole(self) -> Dim:
        value = self.sum()
        if self.tokens:
            raise ValueError("trailing text")
        return value

    def next(self) -> str:
        if not self.tokens:
            raise ValueError("text ends early")
        return self.tokens.pop(0)

    def accept(self, *wanted: str) -> str | None:
        return self.tokens.pop(0) if self.tokens and self.tokens[0] in wanted else None

    def sum(self) -> Dim:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ValueError("nested too deeply")
        value = -self.product() if self.accept("-") else self.product()
        while sign := self.accept("+", "-"):
            right = self.product()
            value = value + right if sign == "+" else value - right
        self.depth -= 1
        return value

    def product(self) -> Dim:
        value = self.atom()
        while operator := self.accept("*", "//", "/", "%"):
            right = self.atom()
            if operator == "*":
                value = value * right
            else:
                value = value % right if operator == "%" else value // right
        return value

    def atom(self) -> Dim:
        token = self.next()
        if token == "(":
            return self.closed(self.sum())
        if token.isdigit():
            return Dim.of(int(token))
        if token.startswith('"'):
            return Dim.of(str(json.loads(token)))
        if not _PLAIN.fullmatch(token):
            raise ValueError(token)
        if token in _FUNCTIONS and self.accept("("):
            left = self.sum()
            if self.next() != ",":
                raise ValueError("expected a comma")
            return self.closed(apply(token, left, self.sum()))
        return Dim.of(token)

    def closed(self, value: Dim) -> Dim:
        if self.next() != ")":
            raise ValueError("expected a closing parenthesis")
        return value
