"""Symbolic dimensions against the integers that they stand for."""

import json
import operator
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sardonyx.dialects.onnx.dims import Dim, apply, product

SIZES = {"a": 3, "batch": 1, "n": 0, "seq_len": 17, "x.y": 2}
NAMES = st.sampled_from(sorted(SIZES))
BINDINGS = st.fixed_dictionaries({name: st.integers(0, 40) for name in SIZES})
ARITHMETIC = {
    "+": (operator.add, operator.add),
    "-": (operator.sub, operator.sub),
    "*": (operator.mul, operator.mul),
    "max": (Dim.maximum, max),
    "min": (Dim.minimum, min),
    "//": (operator.floordiv, operator.floordiv),
    "%": (operator.mod, operator.mod),
}

Evaluate = Any


def expressions() -> st.SearchStrategy[tuple[Dim, Evaluate]]:
    """A dimension, and a function from bindings to the integer it must be."""

    def leaf(item: int | str) -> tuple[Dim, Evaluate]:
        return Dim.of(item), lambda sizes: sizes[item] if item in SIZES else item

    def combined(parts: Any) -> tuple[Dim, Evaluate]:
        name, (left, of_left), (right, of_right) = parts
        symbolic, plain = ARITHMETIC[name]
        if name in ("//", "%") and not right.terms:
            name, symbolic, plain = "+", operator.add, operator.add
        return symbolic(left, right), lambda s: plain(of_left(s), of_right(s))

    leaves = st.one_of(NAMES, st.integers(-9, 9)).map(leaf)
    return st.recursive(
        leaves,
        lambda inner: st.tuples(st.sampled_from(sorted(ARITHMETIC)), inner, inner).map(
            combined
        ),
        max_leaves=8,
    )


def integer(evaluate: Evaluate, sizes: Mapping[str, int]) -> int | None:
    """What the plain arithmetic gives; None where it divides by zero."""
    try:
        return evaluate(sizes)
    except ZeroDivisionError:
        return None


@settings(max_examples=400)
@given(expressions(), BINDINGS)
def test_arithmetic_is_that_of_integers(expression: Any, sizes: dict[str, int]) -> None:
    dim, evaluate = expression
    wanted = integer(evaluate, sizes)
    if wanted is not None:
        assert dim.substitute(sizes).constant == wanted


@settings(max_examples=300)
@given(expressions())
def test_text_parses_back(expression: Any) -> None:
    dim = expression[0]
    assert Dim.parse(str(dim)) == dim


@settings(max_examples=400)
@given(expressions(), expressions(), BINDINGS)
def test_bounds_and_comparisons_are_sound(
    one: Any, other: Any, sizes: dict[str, int]
) -> None:
    (a, of_a), (b, of_b) = one, other
    x, y = integer(of_a, sizes), integer(of_b, sizes)
    if x is None or y is None:
        return
    if a.lower_bound is not None:
        assert a.lower_bound <= x
    if a.at_most(b):
        assert x <= y
    if a.equals(b) is not None:
        assert a.equals(b) == (x == y)
    exact = a.divided_by(b)
    if exact is not None and y != 0:
        assert exact.substitute(sizes).constant == x // y
        assert x % y == 0


@settings(max_examples=200)
@given(expressions(), expressions())
def test_canonical_form(one: Any, other: Any) -> None:
    a, b = one[0], other[0]
    assert a + b == b + a
    assert a * b == b * a
    assert a - a == Dim.of(0)
    assert a.maximum(b) == b.maximum(a)
    assert (a + b) * a == a * a + b * a
    assert hash(a + b) == hash(b + a)


@given(expressions(), st.sampled_from(sorted(SIZES)), BINDINGS)
def test_substitution_in_steps(
    expression: Any, first: str, sizes: dict[str, int]
) -> None:
    dim, evaluate = expression
    if integer(evaluate, sizes) is None:
        return
    step = dim.substitute({first: sizes[first]})
    assert first not in step.symbols
    assert step.substitute(sizes) == dim.substitute(sizes)


HOSTILE = [
    "",
    " ",
    "a b",
    "max",
    "floordiv",
    "min(a, b)",
    "1",
    "-1",
    "?",
    "a+b",
    '"',
    '"quoted"',
    "back\\slash",
    "\\n",
    "new\nline",
    "tab\t",
    "é",
    "形状",
    "\U0001f600",
    "\udcff",
    "</script>",
    "..",
    "#onnx.dims<2>",
    "None",
    "_",
    "0x10",
    "²",
    "٣",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_is_a_symbol(name: str) -> None:
    dim = Dim.of(name)
    assert dim.symbols == {name}
    assert Dim.parse(str(dim)) == dim
    assert Dim.parse(str(dim + Dim.of(1))) == dim + Dim.of(1)
    assert dim.substitute({name: 4}).constant == 4


@given(st.text())
def test_any_text_parses(text: str) -> None:
    dim = Dim.parse(text)
    assert Dim.parse(str(dim)) == dim


@given(st.text())
def test_any_text_is_a_name(name: str) -> None:
    assert Dim.parse(str(Dim.of(name))) == Dim.of(name)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("batch", "batch"),
        ("n + n", "2*n"),
        ("2*(a + b) - a", "a + 2*b"),
        ("seq + 1 - seq", "1"),
        ("floordiv(2*n, 2)", "n"),
        ("n // 1", "n"),
        ("n % n", "0"),
        ("floordiv(7, 2)", "3"),
        ("max(n, 0)", "n"),
        ("min(n + 1, n)", "n"),
        ("max(a, b)", "max(a, b)"),
        ("max(b, a)", "max(a, b)"),
        ("-a", "-a"),
        ("3 - a", "-a + 3"),
        ("1 - 1", "0"),
        # What is no expression is one name.
        ("a b", '"a b"'),
        ("a +", '"a +"'),
        ("max(a)", json.dumps("max(a)")),
        ("(" * 300, json.dumps("(" * 300)),
    ],
)
def test_text(text: str, wanted: str) -> None:
    assert str(Dim.parse(text)) == wanted


def test_division_by_zero_stays_symbolic() -> None:
    assert (Dim.of("n") // Dim.of(0)).constant is None
    assert (Dim.of(4) % Dim.of(0)).constant is None
    assert Dim.parse("4 // 0") == Dim.of(4) // Dim.of(0)


def test_questions() -> None:
    n, m = Dim.of("n"), Dim.of("m")
    assert (n + Dim.of(1)).lower_bound == 1
    assert (n - m).lower_bound is None
    assert n.equals(n + Dim.of(1)) is False
    assert n.equals(m) is None
    assert n.minimum(m).at_most(m)
    assert not n.at_most(m)
    assert (n * m).divided_by(n) == m
    assert (n + m).divided_by(n) is None
    assert product([]) == Dim.of(1)
    assert product([n, m, Dim.of(2)]) == Dim.parse("2*n*m")
    assert apply("mod", Dim.of(-1), Dim.of(4)).constant == 3


def test_a_wrong_simplification_is_caught() -> None:
    # As if max(n, 3) were n: right for most sizes, wrong for some.
    with pytest.raises(AssertionError):
        test_arithmetic_is_that_of_integers.hypothesis.inner_test(
            (Dim.of("n"), lambda sizes: max(sizes["n"], 3)), SIZES
        )
