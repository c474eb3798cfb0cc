"""The language of rules: what is read, and what is refused with its place."""

from pathlib import Path

import pytest
from sardonyx.dialects.errors import SardonyxError
from sardonyx.passes.rules import RuleError, load_rules, parse_rules
from sardonyx.passes.rules.reading import MAX_DEPTH, rules_in
from sardonyx.passes.rules.syntax import (
    AttributeTest,
    Call,
    Capture,
    Literal,
    Name,
    Part,
    Rest,
    nodes_of,
)
from sardonyx.passes.rules.typing import attributes_of, constants_of

FUSION = """
# The head of the file
# is what its pass does.

# not this

exact rule conv-of-batch-norm
  "Folds the scale"
  "into the weights."
  let c = Conv(x, w, b?) {group: 1, pads: p, ...} once
  BatchNormalization(c, s, o, m, u) {epsilon: e}
  where constant(w, b), rank(x)
        ==  4
  example x: float32[n, 3, 5], w = [1, -2]
  => let v = w * 2
     Conv(x, v) {...c, group: 1}
"""


def test_a_rule_is_what_it_says() -> None:
    ruleset = parse_rules(FUSION.lstrip(), "f.rules", "my-rules")
    (rule,) = ruleset.rules
    assert ruleset.name == "my-rules"
    assert ruleset.doc == "The head of the file\nis what its pass does."
    assert rule.name == "conv-of-batch-norm"
    assert rule.doc == "Folds the scale into the weights."
    assert rule.exact
    conv, norm = nodes_of(rule.root)
    assert norm is rule.root
    assert conv.op == "onnx.Conv"
    assert conv.operands == (Capture("x"), Capture("w"), Capture("b", optional=True))
    assert conv.tests == (
        AttributeTest("group", Literal(1)),
        AttributeTest("pads", "p"),
    )
    assert conv.open
    assert conv.once
    assert conv.results == ("c",)
    assert norm.operands[0] == Part(conv, 0)
    assert not norm.open
    assert [c.text for c in rule.conditions] == ["constant(w, b)", "rank(x) == 4"]
    (example,) = rule.examples
    assert [(g.name, g.dtype, g.shape, g.value) for g in example] == [
        ("x", "float32", ("n", 3, 5), None),
        ("w", None, None, (1, -2)),
    ]
    assert rule.lets[0].names == ("v",)
    (call,) = rule.results
    assert isinstance(call, Call)
    assert call.spread == (Name("c"),)
    assert call.attributes == (("group", Literal(1)),)
    assert constants_of(rule) == {"w", "b"}
    assert attributes_of(rule)["e"] == (norm, "epsilon")


def test_operands_of_every_kind() -> None:
    (rule,) = parse_rules(
        'rule r Concat(...a, Clip(x, ~0.5, none), Where(true, "t", [[1, -2.5]])) '
        "{axis: i} => x"
    ).rules
    rest, clip, where = rule.root.operands
    assert rest == Rest("a")
    assert isinstance(clip, Part)
    assert clip.node.operands[1] == Literal(0.5, near=True)
    assert isinstance(where, Part)
    assert where.node.operands == (
        Literal(True),
        Literal("t"),
        Literal(((1, -2.5),)),
    )


def rule(left: str, right: str = "x", where: str = "") -> str:
    condition = f" where {where}" if where else ""
    return f"rule r\n  {left}{condition}\n  => {right}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1:1: found the end, wanted 'exact' or 'rule'"),
        ("rule R", "1:6: found 'R', wanted a rule's name (fold-scale)"),
        ("rule r\n  Neg(x\n", "found the end, wanted ')' or ',' or '?', in: Neg(x"),
        (rule("Neg(X)"), "2:8: found ')', wanted '(', in: Neg(X)"),
        (rule("Neg(x)", ""), "found the end, wanted "),
        (rule("Neg(x)", "x", "rank(x) 3"), "2:24: found '3', wanted "),
        (rule("Neg(x)", "x", "@"), "2:16: found '@', wanted "),
        (rule("Negg(x)"), "2:3: found operator 'Negg', wanted one of ONNX's"),
        (rule("If(x) {...}"), "2:3: found onnx.If with a graph, wanted an operator"),
        (rule("Neg(x, y)"), "2:3: found 2 operands of Neg, wanted 1"),
        (rule("Clip()"), "2:3: found 0 operands of Clip, wanted 1 to 3"),
        (rule("Concat() {axis: 1}"), "found 0 operands of Concat, wanted at least 1"),
        (rule("Neg(...x)"), "2:7: found ...x, wanted one operand X"),
        (rule("Neg(x?)"), "2:7: found an optional X of Neg, wanted one that is always"),
        (rule("Neg(none)"), "2:7: found an optional X of Neg"),
        (
            rule("Neg(x) {axis: 1}"),
            "found attribute 'axis' of Neg, wanted one of: none",
        ),
        (rule('Softmax(x) {axis: "t"}'), "found 't' for axis of Softmax, wanted int"),
        (rule("Softmax(x) {axis: x}"), "found 'x' as a value, wanted a number again"),
        (rule("Neg(float32)"), "found 'float32' as a name, wanted one that is not"),
        (
            rule("a, b = Neg(x)"),
            "found 2 names for the results of Neg, wanted at most 1",
        ),
        (rule("a = Neg(Neg(x) as a)"), "found 'a' a second time, wanted another name"),
        (rule("a = Neg(x) as b"), "found 'a' and 'b', wanted one name"),
        (rule("Neg(x)", "y"), "3:6: found 'y', wanted a name that the left side binds"),
        (rule("Neg(x)", "x, x"), "found 2 results on the right, wanted 1 as on the"),
        (rule("Neg(x)", "3"), "found a number, wanted a value (full(…) or cast(…)"),
        (rule("Neg(x)", "Neg(x) {to: 1}"), "found attribute 'to' of Neg"),
        (rule("Neg(x)", "Cast(x)"), "found Cast without 'to', wanted it: it is"),
        (rule("Neg(x)", "Cast(x) {to: 1}"), "found a number for to, wanted a dtype"),
        (rule("Neg(x)", "Neg(x) {...x}"), "found ...x, wanted a named op's name"),
        (rule("Neg(x)", "Sum(...x)"), "found ...x, wanted a ...name of the left"),
        (rule("Sum(...x)", "Neg(x)"), "found x, wanted ...x"),
        (
            rule("Neg(x)", "Neg(x * 2)"),
            "found 'x' to compute with, wanted the condition",
        ),
        (rule("Neg(x)", "let a, b = rank(x) x"), "found 2 names, wanted one"),
        (rule("Neg(x)", "let x = Neg(x) x"), "found 'x' a second time, wanted a new"),
        (rule("Neg(x)", "x", "rank(x)"), "found a number, wanted a condition"),
        (rule("Neg(x)", "x", "foo(x)"), "found function 'foo', wanted one of: abs, "),
        (rule("Neg(x)", "x", "rank(x, x) == 1"), "found 2 arguments of rank, wanted 1"),
        (rule("Neg(x)", "x", "rank() == 1"), "found 0 arguments of rank, wanted 1"),
        (rule("Neg(x)", "x", "rank(1) == 1"), "found a number, wanted a value"),
        (rule("Neg(x)", "x", "rank(x)[0] == 1"), "found a number, wanted a list"),
        (rule("Neg(x)", "x", "1 in rank(x)"), "found a number, wanted a list"),
        (rule("Neg(x)", "x", "x.to == 1"), "found an attribute 'to' of something else"),
        (rule("Neg(x) as y", "x", "y.to == 1"), "found attribute 'to' of Neg"),
        (rule("Neg(x)", "x", "all(Neg(x))"), "found an operator, wanted a function"),
        (
            "rule r Neg(x) example y: [1] => x",
            "1:23: found 'y', wanted a name that the left side binds",
        ),
        ("rule r Neg(x) example x: foo[1] => x", "found dtype 'foo', wanted one of"),
        (
            "rule r Cast(x) {to: t} example t: [1] => x",
            "found a shape of a dtype, wanted t = …",
        ),
        (rule("Neg(x)") * 2, "4:6: found a second rule 'r', wanted each name once"),
    ],
)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(RuleError) as caught:
        parse_rules(text, "my.rules")
    told = str(caught.value)
    assert told.startswith("my.rules:")
    assert message in told
    assert len(told.splitlines()) == 1
    line, mark = caught.value.excerpt.split("\n")
    place = caught.value.place
    assert mark == " " * (place.column - 1) + "^"
    assert line == (text.splitlines() or [""])[place.line - 1]


def test_nesting_has_an_end() -> None:
    deep = "(" * 5 + "-" * MAX_DEPTH + "1" + ")" * 5
    with pytest.raises(RuleError, match="levels, wanted fewer"):
        parse_rules(rule("Neg(x)", "x", f"{deep} == 1"))


def test_all_faults_are_told(tmp_path: Path) -> None:
    path = tmp_path / "two.rules"
    path.write_text("rule a Neg(x, y) => x\nrule b Negg(x) => x\n")
    rules, faults = rules_in(path)
    assert [r.name for r in rules] == ["a", "b"]
    assert [(f.place.line, f.place.column) for f in faults] == [(1, 8), (2, 8)]


def test_a_file_is_called_as_its_pass(tmp_path: Path) -> None:
    path = tmp_path / "my_rules.rules"
    path.write_text(rule("Neg(Neg(x))"))
    assert load_rules(path).name == "my-rules"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SardonyxError, match="cannot be read: no such file"):
        load_rules(tmp_path / "none.rules")
    binary = tmp_path / "binary.rules"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(SardonyxError, match="cannot be read"):
        load_rules(binary)
