"""Convolution and pooling pad their operand themselves."""

from typing import Any

import pytest

SPEC = "fuse-pads,dce"
X = "(float[batch,2,6,5] x) => (float[batch,2,h,w] y)"
K = "float[2,2,2,2] k = {1, 2, 3, 4, 5, 6, 7, 8, -1, -2, -3, -4, 0, 1, 0, 2}"
P = "int64[8] p = {0, 0, 1, 0, 0, 0, 2, 1}"
LOW = "float low = {-inf}"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (
            f"a {X} <{K}, {P}> {{ d = Pad(x, p) y = Conv <pads = [0,1,1,0]> (d, k) }}",
            "Conv",
        ),
        (
            f"a {X} <{K}, int64[2] p = {{1, 2}}, int64[1] axes = {{-1}},"
            "float z = {0}>"
            "{ d = Pad(x, p, z, axes) y = Conv(d, k) }",
            "Conv",
        ),
        (
            f"a {X} <{P}> {{ d = Pad(x, p)"
            "y = AveragePool <kernel_shape = [3, 3]> (d) }",
            "AveragePool",
        ),
    ],
)
def test_fuses(text: str, left: str, rewritten: Any) -> None:
    assert rewritten(text, SPEC).ops == [left]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            f"a {X} <{K}, {P}> {{ d = Pad(x, p) e = Conv(d, k)"
            "f = AveragePool <kernel_shape = [2, 2]> (d) y = Add(e, f) }",
            "the padded data have other uses",
        ),
        (
            f"a {X} <{K}, {P}, float one = {{1}}>"
            "{ d = Pad(x, p, one) y = Conv(d, k) }",
            "it is padded with another number than 0",
        ),
        (
            f"a {X} <{P}> {{ d = Pad(x, p) y = MaxPool <kernel_shape = [3, 3]> (d) }}",
            "it is padded with another number than -inf",
        ),
        (
            f'a {X} <{K}, {P}> {{ d = Pad <mode = "reflect"> (x, p) y = Conv(d, k) }}',
            "it is not padded with a constant",
        ),
        (
            "a (float[batch,2,6,5] x, int64[8] p) => (float[batch,2,h,w] y) "
            "{ d = Pad(x, p) y = AveragePool <kernel_shape = [2, 2]> (d) }",
            "the amounts are not known",
        ),
        (
            f"a {X} <{K}, int64[8] p = {{0, 0, -1, 0, 0, 0, 0, 0}}>"
            "{ d = Pad(x, p) y = Conv(d, k) }",
            "a negative amount crops",
        ),
        (
            "a (float[batch,1,6,5] x) => (float[batch,2,h,w] y) "
            f"<{K}, int64[8] p = {{0, 1, 0, 0, 0, 0, 0, 0}}>"
            "{ d = Pad(x, p) y = Conv(d, k) }",
            "batch or channels are padded",
        ),
        (
            f"a {X} <{K}, {P}> {{ d = Pad(x, p)"
            'y = Conv <auto_pad = "SAME_UPPER"> (d, k) }',
            "it pads to a size of its own",
        ),
        (
            f"a {X} <{P}> {{ d = Pad(x, p)"
            "y = AveragePool <kernel_shape = [2, 2], pads = [0, 0, 1, 1]> (d) }",
            "it does not count its own padding",
        ),
        (
            f"a {X} <{P}> {{ d = Pad(x, p)"
            "y = AveragePool <kernel_shape = [2, 2]> (d) }",
            "it would pad by a whole window",
        ),
        (
            f"a {X} <{P}> {{ d = Pad(x, p)"
            "y = AveragePool <kernel_shape = [3, 3], ceil_mode = 1> (d) }",
            "it counts windows that are not full",
        ),
    ],
)
def test_declines(text: str, reason: str, rewritten: Any) -> None:
    made = rewritten(text, SPEC)
    assert reason in made.reasons
    assert "Pad" in made.ops
