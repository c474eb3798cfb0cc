"""Arithmetic that changes nothing goes."""

from typing import Any

import pytest

SPEC = "remove-neutral,dce"
C = "float[4] z = {0, 0, 0, 0}, float o = {1}, float[4] a = {0, 0, 0, 1}"


@pytest.mark.parametrize(
    "step",
    [
        "Add(x, z)",
        "Add(z, x)",
        "Sub(x, z)",
        "Mul(x, o)",
        "Mul(o, x)",
        "Div(x, o)",
        "Pow(x, o)",
    ],
)
def test_removes(step: str, rewritten: Any) -> None:
    text = f"g (float[n,4] x) => (float[n,4] y) <{C}> {{ d = {step} y = Abs(d) }}"
    assert rewritten(text, SPEC).ops == ["Abs"]


@pytest.mark.parametrize(("name", "constant"), [("And", 1), ("Or", 0)])
def test_truth(name: str, constant: int, rewritten: Any) -> None:
    text = (
        f"g (bool[n] x) => (bool[n] y) <bool c = {{{constant}}}>"
        f"{{ d = {name}(c, x) y = Not(d) }}"
    )
    assert rewritten(text, SPEC).ops == ["Not"]


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ("Sub(z, x)", "no operand is neutral"),
        ("Div(o, x)", "no operand is neutral"),
        ("Add(x, a)", "no operand is neutral"),
        ("Mul(x, z)", "no operand is neutral"),
        ("Add(x, w)", "the neutral operand broadcasts the other"),
    ],
)
def test_declines(step: str, reason: str, rewritten: Any) -> None:
    wide = "float[3,1,1] w = {0, 0, 0}"
    text = f"g (float[n,4] x) => (float[k,n,4] y) <{C}, {wide}> {{ y = {step} }}"
    if "w" not in step:
        text = text.replace("float[k,n,4] y", "float[n,4] y")
    made = rewritten(text, SPEC)
    assert reason in made.reasons
    assert len(made.ops) == 1
