"""Convolutions of what is joined, as sums of those of the parts."""

from typing import Any

import pytest

SPEC = "split-concats"
IMAGES = "float[n,4,5,6] a, float[n,6,5,6] b"


@pytest.mark.parametrize(
    ("images", "body", "left"),
    [
        (
            f"{IMAGES}, float[2,10,1,1] w0",
            "c = Concat<axis = 1>(a, b) y = Conv(c, w0)",
            ["Conv", "Conv", "Add"],
        ),
        (
            f"{IMAGES}, float[2,10,1,1] w0, float[2] w1",
            "c = Concat<axis = -3>(a, b)"
            "y = Conv<strides = [2, 1], pads = [1, 0, 0, 0]>(c, w0, w1)",
            ["Conv", "Conv", "Add"],
        ),
        (
            f"{IMAGES}, float[2,10,1,1] w0, float[2] w1",
            "c = Concat<axis = 1>(a, b) d = Relu(c)"
            "e = MaxPool<kernel_shape = [3, 2], strides = [2, 1]>(d)"
            "y = Conv(e, w0, w1)",
            ["Relu", "MaxPool", "Conv"] * 2 + ["Add"],
        ),
        (
            f"{IMAGES}, float[n,8,5,6] d, float[2,18,1,1] w0",
            "c = Concat<axis = 1>(b, d, a) y = Conv(c, w0)",
            ["Conv", "Conv", "Add", "Conv", "Add"],
        ),
        (
            "float[n,4,9] a, float[n,5,9] b, float[2,9,1] w0, float[2] w1",
            "c = Concat<axis = 1>(a, b) y = Conv(c, w0, w1)",
            ["Conv", "Conv", "Add"],
        ),
    ],
)
def test_what_a_convolution_of_parts_is(
    images: str, body: str, left: list[str], lowered: Any
) -> None:
    kind = "float[n,m,l]" if "9]" in images else "float[n,m,h,v]"
    found, _ = lowered(f"t ({images}) => ({kind} y) {{ {body} }}", SPEC)
    assert sorted(found) == sorted(left)


@pytest.mark.parametrize(
    ("images", "body", "reason"),
    [
        (
            "float[3,10,1,1] w0",
            "c = Concat<axis = 1>(a, b) y = Conv(c, w0)",
            "10 channels are joined, 3 would be added",
        ),
        (
            "float[2,10,3,1] w0",
            "c = Concat<axis = 1>(a, b) y = Conv(c, w0)",
            "its kernel is not 1x1, or it has groups",
        ),
        (
            "float[2,5,1,1] w0",
            "c = Concat<axis = 1>(a, b) y = Conv<group = 2>(c, w0)",
            "its kernel is not 1x1, or it has groups",
        ),
        (
            "float[2,10,1,1] w0",
            "c = Concat<axis = 1>(a, b) d = Conv(c, w0) e = Relu(c)"
            "f = ReduceSum(e, w9) y = Add(d, f)",
            "what is joined has other uses",
        ),
        (
            "float[1,4,1,1] w0",
            "c = Concat<axis = 2>(a, a) y = Conv(c, w0)",
            "no channels are joined",
        ),
        (
            "float[2,10,1,1] v",
            "c = Concat<axis = 1>(a, b) y = Conv(c, v)",
            "its weight is not constant",
        ),
    ],
)
def test_what_stays_joined(images: str, body: str, reason: str, lowered: Any) -> None:
    body = body.replace("ReduceSum(e, w9)", "ReduceMax<keepdims = 1>(e)")
    whole = f"t ({IMAGES}, {images}) => (float[n,m,h,v] y) {{ {body} }}"
    found, reasons = lowered(whole, SPEC)
    assert reason in reasons
    assert "Concat" in found
