"""Units of ShuffleNet whose shuffle moves blocks of channels."""

from typing import Any

import pytest

SPEC = "block-shuffles,assign-layout,cse"


def unit(
    channels: int,
    filters: int,
    group: int,
    *,
    turns: int = 0,
    after: int = 0,
    activation: str = "Relu",
    window: str = "pads = [1, 1, 1, 1]",
    bias: bool = True,
    rest: str = "y = Identity(g)",
) -> str:
    """A unit of `group` groups, that shuffles `turns`, and ends in `after` groups."""
    turns, after = turns or group, after or group
    w = [
        f"float[{filters},{channels // group},1,1] w0, float[{filters}] w1",
        f"float[{filters},1,3,3] w2, float[{filters}] w3",
        f"float[{channels},{filters // after},1,1] w4, float[{channels}] w5",
    ]
    given = [f", w{place}" if bias else "" for place in (1, 3, 5)]
    apart = f"{turns}, {filters // turns}"
    relu = f"b = {activation}(a)" if activation else "b = Identity(a)"
    return (
        f"t (float[n,{channels},6,7] x, {', '.join(w)}) => (float[n,c,h,v] y) {{"
        f"a = Conv<group = {group}>(x, w0{given[0]}) {relu}"
        f"s = Constant<value = int64[5] {{-1, {apart}, 6, 7}}>()"
        "c = Reshape(b, s) d = Transpose<perm = [0, 2, 1, 3, 4]>(c)"
        f"t = Constant<value = int64[4] {{-1, {filters}, 6, 7}}>()"
        "e = Reshape(d, t)"
        f"f = Conv<group = {filters}, {window}>(e, w2{given[1]})"
        f"g = Conv<group = {after}>(f, w4{given[2]}) {rest} }}"
    )


SUM = "h = Add(g, x) y = Relu(h)"


@pytest.mark.parametrize(
    "text",
    [
        unit(32, 32, 2, rest=SUM),
        # Groups of 12 channels are not divided by 3 or 5: blocks end in zeros.
        unit(48, 36, 3, rest=SUM),
        unit(60, 36, 3, turns=9),
        unit(96, 24, 4, turns=2, after=3),
        unit(66, 24, 2, after=6, bias=False),
        unit(32, 32, 2, activation="", window="strides = [2, 2]"),
        unit(32, 32, 2, activation="HardSwish", window="pads = [0, 2, 1, 1]"),
        unit(32, 32, 2, window="dilations = [2, 1], pads = [2, 0, 2, 0]"),
        # Few channels: a product of all of them.
        unit(8, 36, 4, rest=SUM),
        unit(8, 24, 2, turns=3, bias=False, activation="LeakyRelu"),
    ],
)
def test_a_unit_computes_the_same(text: str, lowered: Any) -> None:
    found, _ = lowered(text, SPEC)
    assert found.count("MatMul") == 2
    assert found.count("Conv") == 1


def test_a_sum_and_the_next_product_take_groups(lowered: Any) -> None:
    following = (
        f"{SUM.replace('y =', 'i =')} j = Conv<group = 2>(i, w0, w1) k = Relu(j)"
        "l = Reshape(k, s) m = Transpose<perm = [0, 2, 1, 3, 4]>(l) o = Reshape(m, t)"
        "p = Conv<group = 32>(o, w2, w3) q = Conv<group = 2>(p, w4) y = Relu(q)"
    )
    found, _ = lowered(unit(32, 32, 2, rest=following), SPEC)
    assert found.count("MatMul") == 4
    # Two to move blocks; two to take the second products' images apart. At the ends,
    # channels come last and groups first, and the other way round.
    assert found.count("Transpose") == 2 + 2 + 2 + 2


def test_what_is_element_by_element_stands_behind_its_product(lowered: Any) -> None:
    following = f"{SUM.replace('y =', 'i =')} y = Relu(i)"
    found, _ = lowered(unit(32, 32, 2, rest=following), SPEC)
    first, second = (place for place, name in enumerate(found) if name == "MatMul")
    assert found[first + 1 : first + 4] == ["Add", "Relu", "Reshape"]
    # The image that is added comes from outside: it is made rows first.
    chain = [name for name in found[second + 1 :] if name != "Reshape"]
    assert chain[:4] == ["Add", "Add", "Relu", "Relu"]
    assert found[-2:] == ["Reshape", "Transpose"]


def test_a_stack_of_unknown_height_is_left_as_it_is(lowered: Any) -> None:
    found, _ = lowered(
        "t (float[4,q,8] x) => (float[1,32,h,2] y) {"
        "s = Constant<value = int64[5] {4, 1, -1, 2, 8}>() a = Reshape(x, s)"
        "b = Transpose<perm = [1, 2, 3, 0, 4]>(a)"
        "t = Constant<value = int64[4] {0, 0, 0, 32}>() c = Reshape(b, t)"
        "d = Transpose<perm = [0, 3, 1, 2]>(c) y = Relu(d) }",
        "assign-layout,cse,dce",
    )
    assert found.index("Reshape") < found.index("Relu") < found.index("Transpose")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            unit(32, 32, 2, activation="Exp"),
            "what is shuffled is no product, or has other uses",
        ),
        (
            unit(32, 32, 2, rest="z = ReduceMax<keepdims = 1>(a) y = Add(g, z)"),
            "what is shuffled is no product, or has other uses",
        ),
        (
            unit(32, 32, 2, window='auto_pad = "SAME_UPPER"'),
            "before it no channels are each by themselves",
        ),
    ],
)
def test_what_is_no_unit(text: str, reason: str, lowered: Any) -> None:
    found, reasons = lowered(text, "block-shuffles")
    assert "MatMul" not in found
    near = reason != "before it no channels are each by themselves"
    assert (reason in reasons) is near
