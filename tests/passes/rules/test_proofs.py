"""Shipped rules hold, wrong ones are caught: proofs on random inputs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sardonyx.compiler.rule_proofs import difference, prove
from sardonyx.passes import rules as package
from sardonyx.passes.rules import Rule, load_rules, parse_rules

SHIPPED = [
    rule
    for path in sorted(Path(package.__file__ or "").parent.glob("*.rules"))
    for rule in load_rules(path).rules
]
SAMPLES = 5


def only(text: str) -> Rule:
    (rule,) = parse_rules(text).rules
    return rule


@pytest.mark.parametrize("rule", SHIPPED, ids=lambda rule: rule.name)
def test_shipped_rules_hold(rule: Rule) -> None:
    proof = prove(rule, SAMPLES)
    assert proof.ok, str(proof)
    assert proof.held == SAMPLES
    assert proof.by_oracle >= SAMPLES // 2, "the reference must have a say"
    assert rule.doc


WRONG = {
    "operands": "rule r Sub(x, y) => Sub(y, x)",
    "order": """exact rule r
        Transpose(Transpose(x) {perm: p}) {perm: q}
        where given(x), rank(x) == 3
        example p = [1, 2, 0], q = [1, 0, 2]
        => Transpose(x) {perm: q[p]}""",
    "copied sizes": "exact rule r Reshape(Reshape(x, s) {...}, t) => Reshape(x, t)",
    "bounds": """exact rule r
        Clip(Clip(x, a, b), c, d)
        where constant(a, b, c, d)
        => Clip(x, cast(max(item(a), item(c)), dtype(x)),
                cast(min(item(b), item(d)), dtype(x)))""",
    "nan": "exact rule r Sub(x, x) => Expand(cast(0, dtype(x)), Shape(x))",
    "infinity": "exact rule r Mul(x, 0) => Expand(cast(0, dtype(x)), Shape(x))",
    "narrow": "exact rule r Cast(Cast(x) {to: t}) {to: u} => Cast(x) {to: u}",
    "axis": "rule r Softmax(x) {axis: a} => Softmax(x)",
    "attribute": "rule r LeakyRelu(x) {...} => LeakyRelu(x)",
    "signed": "exact rule r Div(Neg(x), Neg(y)) => Div(x, y)",
    "inverse": """exact rule r
        Div(x, c) where constant(c), dtype(c) in floats, all(c != 0)
        => Mul(x, 1 / c)""",
    "dtype of a size": "exact rule r Relu(x) => Abs(x)",
    "second result": """rule r
        a, b = TopK(x, k) {...}
        => let v, i = TopK(x, k)
           v, i""",
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG.keys())
def test_wrong_rules_are_caught(text: str) -> None:
    proof = prove(only(text))
    assert not proof.ok
    assert proof.wrong is not None, str(proof)
    told = str(proof)
    assert told.startswith(("wrong: the sides differ: left ", "wrong: the right side"))
    assert "\n  left: " in told
    assert "\n  right: " in told
    # The left side is what the oracle says it is: the rule is to blame.
    sides = proof.wrong.sides
    assert sides.oracle is None or difference(sides.left, sides.oracle, False) is None


def test_the_counterexample_is_the_input() -> None:
    """What is told of it are the values that the sides were run on."""
    proof = prove(only('rule r "Wrong." Sub(x, y) => Sub(y, x)'))
    assert proof.wrong is not None
    sample, sides = proof.wrong.sample, proof.wrong.sides
    assert [name for name, _ in sample.given] == ["x", "y"]
    shapes = {str(list(array.shape)) for array in sample.inputs}
    assert any(
        text.partition(" = ")[0].endswith(tuple(shapes)) for _, text in sample.given
    )
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(-sides.left[0], sides.right[0])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("rule r Relu(x) where rank(x) == 9 => x", "wanted rank(x) == 9, found "),
        ("rule r Add(x, 0) where x.to == 1 => x", ""),
        ("rule r Relu(x) where uses(x) == 7 => x", "wanted uses(x) == 7, found "),
    ],
)
def test_a_rule_that_never_applies_is_told(text: str, reason: str) -> None:
    if not reason:
        with pytest.raises(Exception, match="wanted that of a named op"):
            only(text)
        return
    proof = prove(only(text), tries=50)
    assert not proof.ok
    assert str(proof).startswith("no input of 50 tries satisfies the conditions")
    assert reason in str(proof)


def test_the_same_seed_gives_the_same_proof() -> None:
    rule = only("rule r Neg(Neg(x)) => x")
    first, second = (prove(rule, 6, seed=3) for _ in range(2))
    assert (first.tried, first.dtypes) == (second.tried, second.dtypes)
    assert prove(rule, 6, seed=4).dtypes != first.dtypes


def test_an_inexact_rule_is_held_to_its_tolerance() -> None:
    text = "rule r Mul(x, c) where constant(c), dtype(c) == float32 => Mul(x, c * {})"
    assert prove(only(text.format("1.0000001")), 8).ok
    assert prove(only(text.format("1.5")), 8).wrong is not None
    exact = only("exact " + text.format("1.0001"))
    assert prove(exact, 8).wrong is not None


@pytest.mark.parametrize(
    ("left", "right", "exact", "reason"),
    [
        (np.float32(1), np.float32(1), True, None),
        (np.float32(0), np.float32(-0.0), True, None),
        (np.float32(np.nan), np.float32(np.nan), True, None),
        (np.float32(np.inf), np.float32(-np.inf), False, "left is inf, right -inf"),
        (np.float32(np.nan), np.float32(1), False, "left is nan, right 1.0"),
        (np.float32(1), np.float32(1.000001), False, None),
        (np.float32(1), np.float32(1.000001), True, "left is 1.0, right 1.00000"),
        (np.float32(1), np.float64(1), False, "left gives float32[], right float64[]"),
        (np.zeros(2), np.zeros((1, 2)), False, "left gives float64[2], right "),
        (np.arange(3), np.array([0, 1, 3]), False, "left is 2, right 3 at [2]"),
    ],
)
def test_differences(left: Any, right: Any, exact: bool, reason: str | None) -> None:
    found = difference([left], [right], exact)
    assert (found is None) == (reason is None)
    assert (found or "").startswith(reason or "")
