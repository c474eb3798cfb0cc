"""Control flow that is known beforehand is written out."""

from typing import Any

import pytest

SPEC = "inline-control-flow,dce"
IF = (
    "y = If(c) <then_branch = t () => (float[n,4] p) {{ p = Relu(x) }},"
    "else_branch = e () => (float[n,4] q) {{ q = Neg(x) }}>"
)


def branches(condition: str) -> str:
    return (
        f"g (float[n,4] x) => (float[n,4] y) <bool c = {{{condition}}}>"
        f"{{ {IF.format()} }}"
    )


@pytest.mark.parametrize(("condition", "left"), [("1", "Relu"), ("0", "Neg")])
def test_if(condition: str, left: str, rewritten: Any) -> None:
    assert left in rewritten(branches(condition), SPEC).ops
    assert "If" not in rewritten(branches(condition), SPEC).ops


def loop(trips: str, goes_on: str = "Identity(ci)", start: str = "c") -> str:
    return (
        "g (float[n] x, int64 m) => (float[n] y, float[r,n] s) "
        f"<int64 three = {{3}}, int64 zero = {{0}}, bool c = {{1}}> {{ y, s = Loop"
        f"({trips}, {start}, x) <body = b (int64 i, bool ci, float[n] v) =>"
        "(bool co, float[n] w, float[n] u) "
        f"{{ co = {goes_on} f = Cast <to = 1> (i) w = Add(v, f) u = Mul(w, x) }}> }}"
    )


def test_loop(rewritten: Any) -> None:
    made = rewritten(loop("three"), SPEC)
    assert "Loop" not in made.ops
    assert made.ops.count("Add") == 3
    assert made.ops.count("Concat") == 1


@pytest.mark.parametrize(
    ("text", "spec", "reason"),
    [
        (
            f"g (float[n,4] x, bool c) => (float[n,4] y) {{ {IF.format()} }}",
            SPEC,
            "the condition is not constant",
        ),
        (loop("m"), SPEC, "the number of rounds is not constant"),
        (loop("three", "Not(ci)"), SPEC, "the loop may end early"),
        (
            loop("three", start="h").replace("int64 m)", "int64 m, bool h)"),
            SPEC,
            "the loop may not begin",
        ),
        (loop("three"), "inline-control-flow{max_ops=9}", "it would become 15 ops"),
        (loop("zero"), SPEC, "what no round gives has no size"),
    ],
)
def test_declines(text: str, spec: str, reason: str, rewritten: Any) -> None:
    made = rewritten(text, spec)
    assert reason in made.reasons
    assert {"If", "Loop"} & set(made.ops)


def test_dead_outputs_of_branches(rewritten: Any) -> None:
    made = rewritten(
        "g (float[n] x, bool c) => (float[n] y) { y, z = If(c) <then_branch = t () =>"
        "(float[n] p, float[n] r) { p = Relu(x) r = Exp(x) }, else_branch = e () =>"
        "(float[n] q, float[n] s) { q = Neg(x) s = Sqrt(x) }> }",
        SPEC,
    )
    assert sorted(made.ops) == ["If", "Neg", "Relu"]
