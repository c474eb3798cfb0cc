"""Products of integers, QDQ and few-bit weights, beside ONNX Runtime."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx.parser
import pytest
from sardonyx.backends.numpy import TABLE
from sardonyx.compiler.driver import load
from sardonyx.compiler.exporter import to_proto
from sardonyx.dialects.errors import SardonyxError
from sardonyx.dialects.quant import Format, Granularity, Scheme
from sardonyx.dialects.quant.numbers import rounded, signal_to_noise
from sardonyx.passes.fold_constants import constant_of
from sardonyx.passes.quantize.calibration import Calibration
from sardonyx.passes.quantize.schemes import schemes_in

X = {"x": np.random.default_rng(9).standard_normal((5, 3, 4, 4)).astype(np.float32)}
STATIC = "quantize-static{calibration=CALIBRATION}"


def parsed(text: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 21]> {text}')


@pytest.mark.parametrize(
    ("spec", "decibels", "kinds"),
    [
        ("quantize-dynamic", 34, {"MatMulInteger": 2, "ConvInteger": 1}),
        ("quantize-dynamic{per_channel=false}", 31, {"MatMulInteger": 2}),
        ('quantize-dynamic{per="row"}', 35, {"MatMulInteger": 2, "Conv": 1}),
        (STATIC, 33, {"QuantizeLinear": 3, "DequantizeLinear": 6, "Conv": 1}),
        (f"{STATIC},fuse-qdq,dce", 33, {"MatMulInteger": 2, "ConvInteger": 1}),
        ('quantize-static{calibration=CALIBRATION method="min-max"}', 33, {}),
        ('quantize-static{calibration=CALIBRATION method="percentile"}', 33, {}),
        ('quantize-static{calibration=CALIBRATION activations="int8"}', 31, {}),
        ('quantize-static{calibration=CALIBRATION weights="int4"}', 15, {"Gemm": 1}),
        ('quantize-static{calibration=CALIBRATION weights="e4m3"}', 24, {}),
        ("quantize-static{calibration=CALIBRATION per_channel=false}", 31, {}),
        ("quantize-weights", 16, {"MatMulNBits": 2, "Add": 1}),
        ("quantize-weights{symmetric=true}", 15, {"MatMulNBits": 2}),
        ("quantize-weights{least_error=true}", 16, {"MatMulNBits": 2}),
        ("quantize-weights{bits=8}", 40, {"MatMulNBits": 2}),
        ("quantize-weights{bits=2 group=16}", 4, {"MatMulNBits": 2}),
        ("gptq{calibration=CALIBRATION}", 18, {"MatMulNBits": 2}),
        ("gptq{calibration=CALIBRATION bits=8 group=64}", 40, {"MatMulNBits": 2}),
        (
            "gptq{calibration=CALIBRATION activation_order=false symmetric=true}",
            16,
            {"MatMulNBits": 2},
        ),
    ],
)
def test_it_is_near_the_original_and_onnxruntime_s(
    spec: str, decibels: float, kinds: Any, quantized: Any, assert_close: Any
) -> None:
    done = quantized(spec)
    wanted, found, theirs = done.results(X)
    assert decibels < signal_to_noise(found, wanted) < decibels + 16
    # A sum in another order may fall on the other side of a rounding.
    assert_close(found, theirs, factor=8 if "int" not in spec else 2e3)
    assert {kind: done.kinds[kind] for kind in kinds} == kinds
    again = load(to_proto(done.model))
    again.module.verify()
    (back,) = type(done)(done.before, again, []).results(X)[1:2]
    assert_close(back, found, factor=8 if "static" not in spec else 2e3)


def test_the_weight_is_the_nearest_code(quantized: Any) -> None:
    done = quantized("quantize-weights{bits=4 group=16}")
    schemes = [str(s) for _, s in schemes_in(done.model.module)]
    assert schemes == ["uint4 affine, group 0 16"] * 2
    eye = np.eye(48, dtype=np.float32)
    op = [op for op, _ in schemes_in(done.model.module)][1]
    store = done.model.context.store
    arrays = [constant_of(value, store) for value in op.operands[1:4]]
    y = TABLE[op.name](np, eye, *(a() for a in arrays), K=48, N=5, block_size=16)
    weight = onnx.numpy_helper.to_array(
        next(w for w in to_proto(done.before).graph.initializer if w.dims == [48, 5])
    )
    scheme = Scheme(Format("uint4", False), Granularity(0, 16))
    np.testing.assert_allclose(y, rounded(weight, scheme), atol=1e-6)


def test_static_rounds_as_its_formats_say(quantized: Any) -> None:
    done = quantized(STATIC)
    (found,) = done.results(X)[1:2]
    schemes = [str(scheme) for _, scheme in schemes_in(done.model.module)]
    assert schemes == ["int8, axis 0", "int8, axis 1", "int8, axis 1"]
    fused = quantized(f"{STATIC},fuse-qdq,cse,dce")
    assert [str(s) for _, s in schemes_in(fused.model.module)] == schemes
    assert signal_to_noise(fused.results(X)[1], found) > 60


def test_a_row_has_a_scale_of_its_own(quantized: Any) -> None:
    weight = ", ".join(str(v) for v in (np.eye(8) * 127).reshape(-1))
    proto = parsed(
        f"small (float[n,8] x) => (float[n,8] y) <float[8,8] w = {{{weight}}}>"
        "{ y = MatMul(x, w) }"
    )
    x = {"x": np.float32([[127, 0, 1, 2, 0, 0, 0, 0], [0.127, 0, 0, 0, 1e-3, 0, 0, 0]])}
    done = quantized('quantize-dynamic{per="row"}', proto)
    np.testing.assert_allclose(done.results(x)[1], x["x"] * 127, rtol=1e-5)
    zeros = {"x": np.zeros((1, 8), np.float32)}
    np.testing.assert_array_equal(done.results(zeros)[1], zeros["x"])
    plain = quantized("quantize-dynamic", proto)
    assert not np.allclose(plain.results(x)[1][1], x["x"][1] * 127, rtol=0.1)


def test_codes_take_their_bits(quantized: Any) -> None:
    done = quantized("quantize-weights{bits=4 group=32}")
    sizes = {
        done.model.context.store[op.operands[1].owner.properties["value"].data].size
        for op, _ in schemes_in(done.model.module)
    }
    assert sizes == {64 * 48 // 2, 5 * 64 // 2}


@pytest.mark.parametrize("spec", ["quantize-dynamic", "quantize-weights", STATIC])
def test_nodes_are_chosen_by_name(spec: str, quantized: Any) -> None:
    name, _, options = spec.partition("{")
    options = options.replace("}", " ")
    only = quantized(f'{name}{{{options}only="last"}}')
    assert len(list(schemes_in(only.model.module))) == 1
    assert "the option `only` does not name it" in only.reasons
    rest = quantized(f'{name}{{{options}exclude="gemm","conv"}}')
    assert len(list(schemes_in(rest.model.module))) == 1
    assert "the option `exclude` names it" in rest.reasons


NUMBERS = ", ".join(map(str, range(16)))
GEMM = f"small (float[n,4] x) => (float[n,4] y) <float[4,4] w = {{{NUMBERS}}}>"


@pytest.mark.parametrize(
    ("text", "spec", "reason"),
    [
        (
            f"{GEMM} {{ y = Gemm<alpha = 2.0>(x, w) }}",
            "quantize-weights{group=16}",
            "the Gemm scales or transposes its rows",
        ),
        (
            "small (float[4,4] x) => (float[4,4] y) { y = Gemm(x, x) }",
            "quantize-dynamic",
            "its weight is not constant",
        ),
        (
            "small (double[n,4] x) => (double[n,4] y) "
            "<double[4,1] w = {1, 2, 3, 4}> { y = MatMul(x, w) }",
            "quantize-dynamic",
            "its weight is not of float32",
        ),
        (
            "small (float16[n,4] x) => (float16[n,1] y) "
            "<float16[4,1] w = {1, 2, 3, 4}> { y = MatMul(x, w) }",
            "quantize-dynamic",
            "its weight is not of float32",
        ),
        (
            "small (float[2,n,4] x) => (float[2,n,1] y) "
            "<float[2,4,1] w = {1, 2, 3, 4, 5, 6, 7, 8}> { y = MatMul(x, w) }",
            "quantize-dynamic",
            "it is no product of matrices with a weight",
        ),
        (
            "small (float[1,1,4] x) => (float[1,1,3] y) "
            "<float[1,1,2] w = {1, 2}> { y = Conv(x, w) }",
            "quantize-weights",
            "MatMulNBits is no convolution",
        ),
        (
            "small (float[1,1,4] x) => (float[1,1,3] y) "
            "<float[1,1,2] w = {1, 2}> { y = Conv(x, w) }",
            'quantize-dynamic{per="row"}',
            "a convolution has no rows with scales of their own",
        ),
        (
            "small (float[n,4] x) => (float[n,4] y) <float s = {0.5},"
            "int8[4,4] w = {1,2,3,4,5,6,7,8,9,8,7,6,5,4,3,2}>"
            "{ d = DequantizeLinear(w, s) y = MatMul(x, d) }",
            "fuse-qdq",
            "an operand is not dequantized",
        ),
        (
            "small (int16[n,4] x) => (float[n,4] y) <float s = {0.5},"
            "int8[4,4] w = {1,2,3,4,5,6,7,8,9,8,7,6,5,4,3,2}>"
            "{ d = DequantizeLinear(w, s) e = DequantizeLinear(x, s)"
            "y = MatMul(e, d) }",
            "fuse-qdq",
            "an operand's codes are not of 8 bits",
        ),
        (
            "small (int8[n,4] x, int8[4,4] w) => (float[n,4] y) <float s = {0.5}>"
            "{ d = DequantizeLinear(w, s) e = DequantizeLinear(x, s)"
            "y = MatMul(e, d) }",
            "fuse-qdq",
            "its weight is not constant",
        ),
        (
            "small (int8[n,4] x) => (float[n,4] y) <float s = {0.5}, int8 z = {1},"
            "int8[4,4] w = {1,2,3,4,5,6,7,8,9,8,7,6,5,4,3,2}>"
            "{ d = DequantizeLinear(w, s, z) e = DequantizeLinear(x, s) "
            "y = MatMul(e, d) }",
            "fuse-qdq",
            "its weight has zero points",
        ),
        (
            "small (int8[n,4] x) => (float[n,4] y) <float s = {0.5},"
            "float[4] t = {1, 2, 3, 4},"
            "int8[4,4] w = {1,2,3,4,5,6,7,8,9,8,7,6,5,4,3,2}>"
            "{ d = DequantizeLinear<axis = 0>(w, t) e = DequantizeLinear(x, s) "
            "y = MatMul(e, d) }",
            "fuse-qdq",
            "its weight's scales are not those of its columns",
        ),
        (
            "small (int8[n,4] x) => (float[n,4] y) <float s = {0.5},"
            "float[4] t = {1, 2, 3, 4},"
            "int8[4,4] w = {1,2,3,4,5,6,7,8,9,8,7,6,5,4,3,2}>"
            "{ d = DequantizeLinear(w, s) e = DequantizeLinear<axis = 1>(x, t) "
            "y = MatMul(e, d) }",
            "fuse-qdq",
            "its activation has more than one scale",
        ),
    ],
)
def test_it_declines(text: str, spec: str, reason: str, quantized: Any) -> None:
    done = quantized(spec, parsed(text))
    assert done.reasons == {reason}
    assert str(done.model.module) == str(done.before.module)


def test_a_product_that_was_not_measured_stays(quantized: Any, tmp_path: Path) -> None:
    none = tmp_path / "none.npz"
    Calibration().save(none)
    for name in ("quantize-static", "gptq"):
        done = quantized(f'{name}{{calibration="{none}" exclude="conv"}}')
        assert "calibration did not measure its activation" in done.reasons
    again = quantized(f"{STATIC},{STATIC}")
    assert again.reasons == {"its weight is not constant"}


def test_second_moments_are_asked_for(quantized: Any, tmp_path: Path) -> None:
    full = quantized("gptq{calibration=CALIBRATION}")
    path = tmp_path / "calibration.npz"
    known = Calibration.load(path).values
    plain = {name: replace(s, second=None) for name, s in known.items()}
    Calibration(plain).save(path)
    done = quantized(f'gptq{{calibration="{path}" exclude="conv"}}')
    assert "calibration did not keep second moments" in done.reasons
    narrow = {n: replace(s, second=np.eye(3, dtype="f")) for n, s in known.items()}
    Calibration(narrow).save(path)
    done = quantized(f'gptq{{calibration="{path}" exclude="conv"}}')
    assert "calibration measured another number of channels" in done.reasons
    assert full.kinds["MatMulNBits"] == 2


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("quantize-static", "quantize-static: found no calibration, wanted"),
        ("gptq", "gptq: found no calibration, wanted"),
        ('quantize-static{calibration="none.npz"}', "none.npz: cannot be read"),
        ('quantize-static{method="x"}', "found method 'x', wanted min-max, percentile"),
        ('quantize-static{weights="int9"}', "found format 'int9'"),
        ('quantize-static{weights="int5"}', "wanted one that ONNX has"),
        ('quantize-dynamic{per="head"}', "found per='head', wanted 'tensor' or 'row'"),
        ("quantize-weights{bits=3}", "found bits=3, wanted 2, 4 or 8"),
        ("quantize-weights{group=48}", "found group=48, wanted a power of 2"),
        ("gptq{bits=5}", "gptq: found bits=5, wanted 2, 4 or 8"),
    ],
)
def test_refusals(spec: str, message: str, quantized: Any) -> None:
    with pytest.raises(SardonyxError, match=message):
        quantized(spec)


def test_imported_qdq_becomes_integers(quantized: Any, assert_close: Any) -> None:
    rng = np.random.default_rng(3)
    text = """small (uint8[n,4] x) => (float[n,3] y)
        <float s = {0.5}, uint8 z = {7}, float[3] t = {0.25, 2, 3},
         int8[3,4] w = {1, -2, 3, 127, -127, 5, 0, 9, 11, -50, 60, -70},
         float[3] b = {1, 2, 3}>
        { d = DequantizeLinear<axis = 0>(w, t) e = DequantizeLinear(x, s, z)
          y = Gemm<transB = 1>(e, d, b) }"""
    proto = parsed(text)
    done = quantized("fuse-qdq,cse,dce", proto)
    x = {"x": rng.integers(0, 256, (6, 4)).astype(np.uint8)}
    wanted, found, theirs = done.results(x)
    assert_close(found, wanted)
    assert_close(found, theirs)
    assert set(done.kinds) == {"MatMulInteger", "Cast", "Mul", "Add"}


def test_narrow_floats_are_ml_dtypes_s(quantized: Any) -> None:
    done = quantized('quantize-static{calibration=CALIBRATION weights="e5m2"}')
    weights = [
        onnx.numpy_helper.to_array(w) for w in to_proto(done.model).graph.initializer
    ]
    assert sum(w.dtype == ml_dtypes.float8_e5m2 for w in weights) == 3
