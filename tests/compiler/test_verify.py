"""Verification: what counts as equal, what is judged, and that a mismatch is found."""

import json
import math
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import helper, numpy_helper
from sardonyx.backends.numpy import TABLE
from sardonyx.compiler import oracle
from sardonyx.compiler.driver import InputError
from sardonyx.compiler.oracle import OracleError
from sardonyx.compiler.verify import TOLERANCE, Verification, compare, verify
from sardonyx.dialects.errors import SardonyxError

NAN, INF = math.nan, math.inf


def beside(found: Any, wanted: Any, tolerance: float | None = None) -> Any:
    return compare("t", "output", "n", found, wanted, tolerance)


def floats(*values: float, dtype: Any = np.float32) -> Any:
    return np.array(values, dtype)


# --- two arrays ---


@pytest.mark.parametrize("dtype", [*TOLERANCE])
def test_equal_is_equal(dtype: str) -> None:
    kind = np.dtype(getattr(ml_dtypes, dtype, dtype))
    array = np.array([1.5, -2, 0, NAN, INF, -INF], kind)
    found = beside(array, array.copy())
    assert found.ok
    assert (found.absolute, found.relative, found.ulp) == (0, 0, 0)
    assert found.tolerance == TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_the_limit_is_on_both_sides(dtype: str) -> None:
    kind = np.dtype(getattr(ml_dtypes, dtype, dtype))
    wanted = np.array([1.0, 0.5], kind)
    limit = TOLERANCE[dtype]
    assert beside((wanted.astype(float) * (1 + limit / 2)).astype(kind), wanted).ok
    assert not beside((wanted.astype(float) * (1 + limit * 2)).astype(kind), wanted).ok


def test_errors_are_of_the_largest_element() -> None:
    found = beside(floats(1, 102, 3), floats(1, 100, 4))
    assert found.absolute == 2
    assert found.relative == pytest.approx(0.02)
    assert not found.ok


@pytest.mark.parametrize(
    ("dtype", "next_one"),
    [
        (np.float32, np.nextafter(np.float32(1), np.float32(2))),
        (np.float64, np.nextafter(1.0, 2)),
        (np.float16, np.nextafter(np.float16(1), np.float16(2))),
        (ml_dtypes.bfloat16, 1 + 2.0**-7),
    ],
)
def test_ulp_counts_neighbours(dtype: Any, next_one: Any) -> None:
    wanted = np.array([1, 4], dtype)
    assert beside(np.array([next_one, 4], dtype), wanted).ulp == 1
    assert beside(np.array([1, 4], dtype), wanted).ulp == 0
    twice = 1 + 2 * (float(next_one) - 1)
    assert beside(np.array([twice, 4], dtype), wanted).ulp == 2


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (floats(1, NAN), floats(1, 2)),
        (floats(1, 2), floats(1, NAN)),
        (floats(1, INF), floats(1, 2)),
        (floats(1, 2), floats(1, INF)),
        (floats(1, -INF), floats(1, INF)),
        (floats(1, NAN), floats(1, INF)),
        (floats(1, 1e-30), floats(0, 0)),
    ],
)
def test_what_is_not_finite_must_match(found: Any, wanted: Any) -> None:
    judged = beside(found, wanted, 1e30)
    assert not judged.ok
    assert judged.relative == INF


def test_infinities_aside_the_rest_is_measured() -> None:
    assert beside(floats(INF, NAN, 1), floats(INF, NAN, 1.00001)).ok
    assert not beside(floats(INF, NAN, 1), floats(INF, NAN, 1.1)).ok


def test_all_zero_and_empty() -> None:
    assert beside(floats(0, -0.0), floats(0, 0)).ok
    assert not beside(floats(0, 1e-9), floats(0, 0)).ok
    assert beside(floats(), floats()).ok
    assert beside(np.zeros(0, np.int64), np.zeros(0, np.int64)).ok


def test_complex() -> None:
    wanted = np.array([1 + 1j, 2], np.complex64)
    assert beside((wanted * np.complex64(1 + 1e-6)), wanted).ok
    assert not beside((wanted * np.complex64(1 + 1e-2j)), wanted).ok


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint64", "bool", "int4", "uint2"])
def test_integers_are_exact(dtype: str) -> None:
    kind = np.dtype(getattr(ml_dtypes, dtype, dtype))
    wanted = np.array([0, 1, 1], kind)
    assert beside(wanted.copy(), wanted).ok
    for tolerance in (None, 1e9):
        judged = beside(np.array([0, 1, 0], kind), wanted, tolerance)
        assert not judged.ok
        assert judged.absolute > 0


def test_large_integers_are_exact() -> None:
    wanted = np.array([2**62], np.int64)
    assert not beside(wanted + 1, wanted).ok


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float4_e2m1fn"])
def test_narrow_floats_are_exact_and_nan_is_nan(dtype: str) -> None:
    kind = np.dtype(getattr(ml_dtypes, dtype))
    wanted = np.array([0.5, 1, 2], kind)
    assert beside(wanted.copy(), wanted).ok
    assert not beside(np.array([0.5, 1, 3], kind), wanted).ok
    if dtype == "float8_e4m3fn":
        holes = np.array([NAN, 1], kind)
        assert beside(holes.copy(), holes).ok


def test_strings() -> None:
    wanted = np.array(["a", "b"], object)
    assert beside(np.array(["a", "b"], object), wanted).ok
    assert not beside(np.array(["a", "c"], object), wanted).ok


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (floats(1), floats(1, dtype=np.float64)),
        (floats(1), np.array([1])),
        (floats(1, 1), floats(1)),
        (np.ones((1, 2), "f"), np.ones((2, 1), "f")),
        (np.ones((), "f"), np.ones(1, "f")),
        (np.array([1], np.int32), np.array([1], np.int64)),
    ],
)
def test_dtype_and_shape_must_match(found: Any, wanted: Any) -> None:
    judged = beside(found, wanted, 1e30)
    assert not judged.ok
    assert judged.absolute == judged.relative == judged.ulp == INF


def test_a_tolerance_of_the_user_s() -> None:
    found, wanted = floats(1.01), floats(1)
    assert not beside(found, wanted).ok
    assert beside(found, wanted, 0.1).ok
    assert not beside(floats(1.0001), wanted, 1e-6).ok


def test_sequences() -> None:
    pair = [floats(1), floats(2, 3)]
    assert beside([floats(1), floats(2, 3)], pair).ok
    assert not beside([floats(1), floats(2, 4)], pair).ok
    assert beside([floats(1), floats(2, 4)], pair).absolute == 1
    assert not beside([floats(1)], pair).ok
    assert not beside(None, pair).ok
    assert beside([], []).ok
    assert beside(None, None).ok


def test_json_holds_what_is_not_finite() -> None:
    judged = beside(floats(NAN), floats(1))
    assert json.loads(json.dumps(judged.as_json(), allow_nan=False))["ulp"] == "inf"


# --- models ---


def changed(proto: onnx.ModelProto, name: str, factor: float) -> onnx.ModelProto:
    """A copy with one element of one weight, its largest, multiplied."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    weight = next(t for t in copy.graph.initializer if t.name == name)
    array = numpy_helper.to_array(weight).copy()
    flat = array.reshape(-1)
    flat[np.abs(flat).argmax()] *= factor
    weight.CopyFrom(numpy_helper.from_array(array, name))
    return copy


BACKENDS = pytest.mark.parametrize("backend", ["numpy", "jax"])


@BACKENDS
@pytest.mark.parametrize("against", ["onnxruntime", "reference"])
@pytest.mark.parametrize("pipeline", ["O0", "O2"])
def test_a_model_agrees(
    mlp_proto: onnx.ModelProto, backend: str, against: str, pipeline: str
) -> None:
    found = verify(mlp_proto, backend, pipeline, against, {"batch": 3}, per_op=True)
    assert found.ok
    assert found.first_divergence is None
    outputs = [c for c in found.comparisons if c.kind == "output"]
    assert [(c.name, c.shape) for c in outputs] == [("y", (3, 4)), ("hidden", (3, 6))]
    assert all(c.relative < 1e-6 for c in found.comparisons if c.kind != "output")
    ops = [c.name for c in found.comparisons if c.kind == "op"]
    # At -O2 the product and the sum behind it are one Gemm.
    product = ["xw"] if pipeline == "O0" else []
    assert ops == [*product, "sum", "hidden", "logits", "y"]


@BACKENDS
@pytest.mark.parametrize("weight", ["w", "b", "v"])
@pytest.mark.parametrize("against", ["onnxruntime", "reference"])
def test_one_weight_off_by_a_hundredth_is_a_mismatch(
    mlp_proto: onnx.ModelProto, backend: str, weight: str, against: str
) -> None:
    options = {"backend": backend, "against": against, "dims": {"batch": 8}}
    wrong = changed(mlp_proto, weight, 1.01)
    found = verify(wrong, original=mlp_proto, per_op=True, **options)
    assert not found.ok
    node = {"w": "first, shift", "b": "first, shift", "v": "second"}[weight]
    assert found.first_divergence is not None
    assert found.first_divergence.node == node
    same = changed(mlp_proto, weight, 1.0)
    assert verify(same, original=mlp_proto, **options).ok


BY_HAND = """
builtin.module {
  func.func @main(%x: tensor<2x4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>) {
    %a = onnx.NAME(%x) : (tensor<2x4xf32>) -> tensor<2x4xf32>
    %b = onnx.Neg(%a) : (tensor<2x4xf32>) -> tensor<2x4xf32>
    func.return %a, %b : tensor<2x4xf32>, tensor<2x4xf32>
  }
}
"""


@pytest.mark.parametrize("per_op", [False, True])
def test_a_module_without_names_is_compared_place_by_place(
    model_of: Any, value_info: Any, tmp_path: Path, per_op: bool
) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["y"], name="gate"),
        helper.make_node("Neg", ["y"], ["z"], name="flip"),
    ]
    ends = [value_info(name, [2, 4]) for name in "xyz"]
    proto = model_of(nodes, ends[:1], ends[1:])
    right, wrong = tmp_path / "right.mlir", tmp_path / "wrong.mlir"
    right.write_text(BY_HAND.replace("NAME", "Relu"), encoding="utf-8")
    wrong.write_text(BY_HAND.replace("NAME", "Abs"), encoding="utf-8")
    options = {"backend": "numpy", "original": proto, "per_op": per_op}
    found = verify(right, **options)
    assert found.ok
    assert [c.name for c in found.comparisons if c.kind == "output"] == ["y", "z"]
    assert not verify(wrong, **options).ok
    # One of two names, that of the other output.
    named = "tensor<2x4xf32>, tensor<2x4xf32> {onnx.name = "
    for name, fits in (("z", True), ("y", False)):
        partly = tmp_path / f"{name}.mlir"
        text = right.read_text(encoding="utf-8")
        before = "-> (tensor<2x4xf32>, tensor<2x4xf32>) {"
        partly.write_text(text.replace(before, f'-> ({named}"{name}"}}) {{'), "utf-8")
        if fits:
            assert verify(partly, **options).ok
            continue
        with pytest.raises(SardonyxError, match='named "y", wanted "z" there'):
            verify(partly, **options)
    proto.graph.output.pop()
    with pytest.raises(SardonyxError, match=r"found 2 outputs, .* wanted 1 as"):
        verify(right, **options)


def test_the_first_divergence_is_the_op_that_errs(
    mlp_proto: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TABLE, "onnx.Relu", TABLE["onnx.Abs"])
    found = verify(mlp_proto, "numpy", dims={"batch": 4}, per_op=True)
    assert not found.ok
    first = found.first_divergence
    assert first is not None
    assert (first.name, first.node) == ("hidden", "gate")
    kinds = {c.name: c.ok for c in found.comparisons if c.kind == "op"}
    assert kinds["sum"]
    assert not kinds["logits"]
    assert verify(mlp_proto, "numpy").first_divergence is None, "without per_op"


def test_a_divergence_that_no_output_sees_is_no_failure(
    model_of: Any, value_info: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = [
        helper.make_node("Neg", ["x"], ["n"], name="flip"),
        helper.make_node("Abs", ["n"], ["y"], name="size"),
    ]
    model = model_of(nodes, [value_info("x", [9])], [value_info("y", [9])])
    monkeypatch.setitem(TABLE, "onnx.Neg", TABLE["onnx.Identity"])
    found = verify(model, "numpy", per_op=True)
    assert found.ok
    assert found.first_divergence is not None
    assert found.first_divergence.node == "flip"


def saturated(model_of: Any, value_info: Any, tensor_proto: Any, scale: float) -> Any:
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((8, 4)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["z"], name="product"),
        helper.make_node("Mul", ["z", "scale"], ["logits"], name="scaled"),
        helper.make_node("Softmax", ["logits"], ["y"], name="soft"),
    ]
    weights = [tensor_proto("w", weight), tensor_proto("scale", np.float32(scale))]
    outputs = [value_info("y", [4, 4])]
    return model_of(nodes, [value_info("x", [4, 8])], outputs, weights)


def test_behind_a_softmax_the_logits_are_judged(
    model_of: Any, value_info: Any, tensor_proto: Any
) -> None:
    proto = saturated(model_of, value_info, tensor_proto, 300)
    found = verify(proto, "numpy")
    kinds = {c.kind: c for c in found.comparisons}
    assert kinds["logits"].name == "logits"
    assert kinds["logits"].tolerance == TOLERANCE["float32"]
    assert kinds["output"].tolerance > 100 * TOLERANCE["float32"]
    wrong = verify(changed(proto, "w", 1.01), "numpy", original=proto)
    judged = {c.kind: c for c in wrong.comparisons}
    assert not judged["logits"].ok
    assert not wrong.ok


def test_with_small_logits_the_output_keeps_its_tolerance(
    model_of: Any, value_info: Any, tensor_proto: Any
) -> None:
    proto = saturated(model_of, value_info, tensor_proto, 1e-3)
    output = verify(proto, "numpy").comparisons[0]
    assert output.tolerance == TOLERANCE["float32"]


def test_inputs_of_the_user_s(pair_proto: onnx.ModelProto) -> None:
    a = np.full((2, 3), 7, np.float32)
    found = verify(pair_proto, "numpy", inputs={"a": a}, dims={"n": 2})
    assert found.ok
    with pytest.raises(InputError, match="'a': found dtype float64"):
        verify(pair_proto, "numpy", inputs={"a": a.astype(float)})


def test_verification_without_ops_needs_all_its_values() -> None:
    good, bad = beside(floats(1), floats(1)), beside(floats(1), floats(2))
    assert Verification((good,), "numpy", "", "x").ok
    assert not Verification((good, bad), "numpy", "", "x").ok


# --- oracles that refuse ---


def test_an_oracle_that_refuses_says_so_in_one_line(
    mlp_proto: onnx.ModelProto,
) -> None:
    mlp_proto.ir_version = 99
    with pytest.raises(OracleError, match="onnxruntime refuses") as caught:
        verify(mlp_proto, "numpy")
    assert "\n" not in str(caught.value)


def test_unknown_oracle(mlp_proto: onnx.ModelProto) -> None:
    with pytest.raises(OracleError, match="found oracle 'torch', wanted onnxruntime"):
        verify(mlp_proto, "numpy", against="torch")


def test_ir_alone_is_not_enough() -> None:
    with pytest.raises(SardonyxError, match=r"x\.mlir: found IR"):
        verify("x.mlir")


# --- an oracle that saturates ---

PRODUCT = """
<ir_version: 8, opset_import: ["": 17]> product (uint8[1,2] a) => (int32[1,1] y)
<int8[2,1] b = {127, 127}> { [whole] y = MatMulInteger(a, b) }
"""


def nothing(xp: Any, a: Any, b: Any, *_: Any) -> Any:
    """A wrong kernel."""
    return xp.zeros((a.shape[0], b.shape[1]), xp.int32)


@pytest.mark.parametrize("narrow", [False, True])
def test_a_mismatch_says_when_the_oracle_saturates(
    monkeypatch: pytest.MonkeyPatch, narrow: bool
) -> None:
    model = onnx.parser.parse_model(PRODUCT)
    inputs = {"a": np.uint8([[1, 2]])}
    monkeypatch.setattr(oracle, "saturates", lambda: narrow)
    assert not verify(model, "numpy", inputs=inputs).doubt
    monkeypatch.setitem(TABLE, "onnx.MatMulInteger", nothing)
    found = verify(model, "numpy", inputs=inputs)
    assert not found.ok
    assert ("which saturate (node 'whole')" in found.doubt) == narrow
    found = verify(model, "numpy", inputs=inputs, against="reference")
    assert not found.ok
    assert not found.doubt


def test_a_processor_saturates_or_is_right() -> None:
    model = onnx.parser.parse_model(PRODUCT)
    found = verify(model, "numpy", inputs={"a": np.uint8([[255, 255]])})
    assert found.ok != oracle.saturates()
    assert bool(found.doubt) == oracle.saturates()
