"""Biases and Relus behind the pooling that they stood before."""

from typing import Any

import onnx
import onnx.parser
import pytest
from sardonyx.compiler.driver import load
from sardonyx.compiler.pipelines import run_pipeline
from sardonyx.dialects.onnx.types import is_none

SPEC = "pool-early"
HALVES = "kernel_shape = [2, 2], strides = [2, 2]"
GIVEN = "float[n,3,5,6] x, float[4,3,1,1] w0, float[4] w1"


@pytest.mark.parametrize(
    ("given", "body", "left"),
    [
        (GIVEN, f"c = Conv(x, w0, w1) r = Relu(c) y = MaxPool<{HALVES}>(r)", "AR"),
        (GIVEN, f"c = Conv(x, w0) r = Relu(c) y = MaxPool<{HALVES}>(r)", "R"),
        ("float[n,3,5,6] x", f"r = Relu(x) y = MaxPool<{HALVES}>(r)", "R"),
        (
            GIVEN,
            "c = Conv(x, w0, w1) r = Relu(c) y = MaxPool<kernel_shape = [3, 3],"
            "strides = [2, 1], pads = [2, 1, 0, 2]>(r)",
            "AR",
        ),
        (
            GIVEN,
            "c = Conv(x, w0, w1) r = Relu(c) y = MaxPool<kernel_shape = [3, 3],"
            'strides = [2, 2], auto_pad = "SAME_LOWER">(r)',
            "AR",
        ),
        (
            # Something else sees the convolution: its bias stays.
            GIVEN,
            f"c = Conv(x, w0, w1) r = Relu(c) p = MaxPool<{HALVES}>(r)"
            "s = ReduceMax<keepdims = 1>(c) y = Add(p, s)",
            "R",
        ),
        (
            "float[n,3,9] x, float[4,3,2] w0, float[4] w1",
            "c = Conv(x, w0, w1) r = Relu(c)"
            "y = MaxPool<kernel_shape = [3], strides = [3]>(r)",
            "AR",
        ),
    ],
)
def test_what_waits(given: str, body: str, left: str, lowered: Any) -> None:
    kind = "float[n,m,l]" if "9]" in given else "float[n,m,h,v]"
    found, _ = lowered(f"t ({given}) => ({kind} y) {{ {body} }}", SPEC)
    behind = found[found.index("MaxPool") + 1 :]
    names = [name[0] for name in behind if name in ("Add", "Relu")]
    assert "".join(names).startswith(left)
    assert "Relu" not in found[: found.index("MaxPool")]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            f"r = Relu(x) p = MaxPool<{HALVES}>(r) s = ReduceMax<keepdims = 1>(r)"
            "y = Add(p, s)",
            "its Relu has other uses",
        ),
        (
            "r = Relu(x) y = MaxPool<kernel_shape = [2, 2]>(r)",
            "its windows overlap: it may leave as many elements",
        ),
        (
            f"r = Relu(x) y = MaxPool<{HALVES}, ceil_mode = 1>(r)",
            "a window may lie in the padding alone",
        ),
        (
            f"r = Relu(x) y = MaxPool<{HALVES}, dilations = [2, 1]>(r)",
            "a window may lie in the padding alone",
        ),
        (
            f"r = Relu(x) p, i = MaxPool<{HALVES}>(r) j = Cast<to = 1>(i)y = Add(p, j)",
            "where its largest elements are is wanted",
        ),
    ],
)
def test_what_stays_before(body: str, reason: str, lowered: Any) -> None:
    given = "float[n,3,5,6] x"
    found, reasons = lowered(f"t ({given}) => (float[n,m,h,v] y) {{ {body} }}", SPEC)
    assert reason in reasons
    assert found.index("Relu") < found.index("MaxPool")


def test_a_bias_of_16_bits_is_added_before_rounding() -> None:
    text = f"""
        <ir_version: 9, opset_import: ["": 18]>
        t (float16[1,3,5,6] x) => (float16[1,4,2,3] y)
        <float16[4,3,1,1] w = {{{", ".join("1" * 12)}}}, float16[4] b = {{1, 2, 3, 4}}>
        {{ c = Conv(x, w, b) r = Relu(c) y = MaxPool<{HALVES}>(r) }}
    """
    model = load(onnx.parser.parse_model(text))
    run_pipeline(model, f"{SPEC},dce")
    ops = [op for op in model.main.body.block.ops if op.name.startswith("onnx.")]
    found = [op.name for op in ops if op.name != "onnx.Constant"]
    assert found == ["onnx.Conv", "onnx.MaxPool", "onnx.Relu"]
    (conv,) = (op for op in ops if op.name == "onnx.Conv")
    assert not is_none(conv.operands[2].type)
