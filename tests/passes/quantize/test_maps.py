"""Commuting maps and the passes on them: the function stays, outliers go."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from sardonyx.compiler.driver import load
from sardonyx.compiler.exporter import to_proto
from sardonyx.compiler.quantize.report import report_of
from sardonyx.dialects.errors import SardonyxError
from sardonyx.dialects.quant.numbers import signal_to_noise
from sardonyx.passes.patterns import Declined
from sardonyx.passes.quantize.calibration import Calibration
from sardonyx.passes.quantize.maps import (
    Diagonal,
    LinearMap,
    MapError,
    Orthogonal,
    Partition,
    Permutation,
    edges,
    insert,
    takes_in,
)
from sardonyx.passes.quantize.smooth_quant import factors

SIZE = 24


def block(
    producer: str, dtype: Any = np.float64, other: bool = False
) -> onnx.ModelProto:
    """A value of 24 channels that two products take, and what gives it."""
    rng = np.random.default_rng(2)
    weights = {
        "gain": rng.uniform(0.5, 2, SIZE),
        "shift": rng.standard_normal(SIZE),
        "w": rng.standard_normal((SIZE, SIZE)),
        "wt": rng.standard_normal((SIZE, SIZE)),
        "q": rng.standard_normal((SIZE, 7)),
        "k": rng.standard_normal((5, SIZE)),
        "kb": rng.standard_normal(5),
    }
    made = {
        "layer": helper.make_node("LayerNormalization", ["x", "gain", "shift"], ["h"]),
        "rms": helper.make_node("RMSNormalization", ["x", "gain"], ["h"]),
        "matmul": helper.make_node("MatMul", ["x", "w"], ["h"]),
        "gemm": helper.make_node("Gemm", ["x", "wt", "shift"], ["h"], transB=1),
        "tanh": helper.make_node("Tanh", ["x"], ["h"]),
        "input": helper.make_node("Identity", ["x"], ["i"]),
    }[producer]
    h = "x" if producer == "input" else "h"
    nodes = [
        made,
        helper.make_node("MatMul", [h, "q"], ["y"], "first"),
        helper.make_node("Gemm", [h, "k", "kb"], ["z"], "second", transB=1),
    ]
    outputs = {"y": 7, "z": 5} | ({"o": SIZE} if other else {})
    if other:
        nodes.append(helper.make_node("Neg", [h], ["o"]))
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "block",
        [helper.make_tensor_value_info("x", kind, ["n", SIZE])],
        [helper.make_tensor_value_info(n, kind, ["n", s]) for n, s in outputs.items()],
        [
            numpy_helper.from_array(w.astype(dtype), n)
            for n, w in weights.items()
            if n in used
        ],
    )
    imports = [helper.make_opsetid("", 23)]
    return helper.make_model(graph, opset_imports=imports, ir_version=11)


def random_map(kind: str, seed: int = 0) -> LinearMap:
    rng = np.random.default_rng(seed)
    if kind == "diagonal":
        return Diagonal(np.exp(rng.standard_normal(SIZE) * 3))
    if kind == "permutation":
        return Permutation(rng.permutation(SIZE))
    return Orthogonal(np.linalg.qr(rng.standard_normal((SIZE, SIZE)))[0])


PRODUCERS = ["layer", "rms", "matmul", "gemm", "tanh", "input"]
KINDS = ["diagonal", "permutation", "orthogonal"]


@pytest.mark.parametrize("producer", PRODUCERS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", [False, True])
def test_the_function_stays(producer: str, kind: str, other: bool, run: Any) -> None:
    proto = block(producer, other=other)
    model = load(proto)
    x = {"x": np.random.default_rng(8).standard_normal((9, SIZE))}
    wanted = run(model, x)
    store = model.context.store
    edge = edges(list(model.module.walk()), store)[-1]
    by = random_map(kind)
    taken = takes_in(edge, by, store) is None
    insert(edge, by, store, model.context.journal)
    model.module.verify()
    for found, right in zip(run(model, x), wanted, strict=True):
        assert np.abs(found - right).max() <= 1e-10 * np.abs(right).max()
    written = {"diagonal": "Mul", "permutation": "Gather", "orthogonal": "MatMul"}
    count = sum(op.name == f"onnx.{written[kind]}" for op in model.module.walk())
    before = sum(node.op_type == written[kind] for node in proto.graph.node)
    # A Gemm's product stays one, and the two that take the value.
    assert count == before + (not taken)
    absorbs = {"matmul", "gemm"} | ({"layer", "rms"} if kind == "diagonal" else set())
    assert taken == (producer in absorbs and not other)


@pytest.fixture(name="run")
def run_fixture() -> Any:
    """``run(model, inputs)``: the outputs on NumPy, in the types of the model."""
    from sardonyx.compiler.driver import compile_model

    return lambda model, x: compile_model(model, backend="numpy", pipeline="O0")(**x)


@pytest.mark.parametrize("kind", KINDS)
def test_a_map_is_a_matrix(kind: str) -> None:
    by = random_map(kind)
    rng = np.random.default_rng(1)
    x, weight = rng.standard_normal((3, SIZE)), rng.standard_normal((SIZE, 4))
    matrix = by.mapped(np.eye(SIZE))
    np.testing.assert_allclose(by.mapped(x), x @ matrix, rtol=1e-12, atol=1e-12)
    inverse = np.linalg.inv(matrix)
    np.testing.assert_allclose(by.undone(weight), inverse @ weight, rtol=1e-9)
    by.check()


@pytest.mark.parametrize(
    "by",
    [
        Diagonal(np.r_[0.0, np.ones(SIZE - 1)]),
        Diagonal(np.full(SIZE, np.nan)),
        Permutation(np.zeros(SIZE, int)),
        Orthogonal(np.eye(SIZE) * 1.0001),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_map_that_is_not_undone_is_refused(by: LinearMap) -> None:
    model = load(block("layer"))
    (edge,) = edges(list(model.module.walk()), model.context.store)
    before = str(model.module)
    with pytest.raises(MapError, match="found an inverse that leaves"):
        insert(edge, by, model.context.store, model.context.journal)
    assert str(model.module) == before


def test_other_refusals() -> None:
    model = load(block("tanh"))
    store = model.context.store
    (edge,) = edges(list(model.module.walk()), store)
    with pytest.raises(MapError, match="found a map of 3 channels, wanted 24"):
        insert(edge, Diagonal(np.ones(3)), store, model.context.journal)
    with pytest.raises(MapError, match="no partition of 4 channels"):
        Partition((np.array([0, 1]), np.array([1, 2, 3]))).check(4)
    reason = takes_in(edge, random_map("diagonal"), store)
    assert reason == Declined("what gives it is no normalization and no product")
    (norm,) = edges(list(load(block("rms")).module.walk()), store)
    assert norm.alone


# --- SmoothQuant ---


def data(planted: float, count: int = 200) -> dict[str, Any]:
    rows = np.random.default_rng(6).standard_normal((count, SIZE))
    return {"x": rows.astype(np.float32) * np.where(np.arange(SIZE) == 3, planted, 1)}


def planted_block(factor: float) -> onnx.ModelProto:
    """The block of a normalization, one channel's gain times `factor` and undone."""
    model = load(block("rms", np.float32))
    (edge,) = edges(list(model.module.walk()), model.context.store)
    by = Diagonal(np.where(np.arange(SIZE) == 3, factor, 1.0))
    insert(edge, by, model.context.store, model.context.journal)
    return to_proto(model)


def first(proto: onnx.ModelProto) -> onnx.ModelProto:
    """`proto` with its first output alone."""
    del proto.graph.output[1:]
    return proto


TENSOR = "quantize-static{calibration=CALIBRATION per_channel=false}"


def test_factors_are_the_paper_s() -> None:
    found = factors(np.float32([4, 0, 1e-30, 9]), np.float32([1, 2, 1, 4]), 0.5)
    np.testing.assert_allclose(found, [2, 1, 1e-5, 1.5])
    np.testing.assert_allclose(factors(np.float32([8]), np.float32([2]), 1.0), [8])


def test_smoothing_undoes_planted_outliers(quantized: Any, run: Any) -> None:
    x = {k: v.astype(np.float32) for k, v in data(1).items()}
    proto = first(planted_block(60.0))
    plain = quantized(TENSOR, proto, [x])
    smooth = quantized("smooth-quant{calibration=CALIBRATION},dce", proto, [x])
    wanted, found, theirs = smooth.results(x)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(theirs, wanted, rtol=1e-4, atol=1e-4)
    assert smooth.kinds["Mul"] == 0
    after = quantized(TENSOR, to_proto(smooth.model), [x])
    noise = [signal_to_noise(q.results(x)[1], wanted) for q in (plain, after)]
    assert noise[1] > noise[0] + 15
    assert noise[1] > 30


def test_smoothing_is_written_where_nothing_takes_it(quantized: Any) -> None:
    x = {"x": data(20)["x"].astype(np.float32)}
    spec = "smooth-quant{calibration=CALIBRATION%s},cse,dce"
    done = quantized(spec % "", first(block("tanh", np.float32, other=True)), [x])
    wanted, found, _ = done.results(x)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
    assert done.kinds["Mul"] == 1
    kept = quantized(
        "smooth-quant{calibration=CALIBRATION written=false}",
        first(block("tanh", np.float32)),
        [x],
    )
    assert kept.reasons == {"what gives it is no normalization and no product"}


def test_products_one_after_another(quantized: Any) -> None:
    x = {"x": data(20)["x"].astype(np.float32)}
    done = quantized(
        "smooth-quant{calibration=CALIBRATION written=false},dce",
        first(block("gemm", np.float32)),
        [x],
    )
    wanted, found, _ = done.results(x)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-3)
    assert len(done.runs[0].journal.rewrites) == 1
    both = quantized(
        "smooth-quant{calibration=CALIBRATION},dce", block("matmul", np.float32), [x]
    )
    assert len(both.runs[0].journal.rewrites) == 2
    assert both.kinds["Mul"] == 1


# --- LLM.int8() ---


def test_outliers_are_taken_apart(quantized: Any) -> None:
    x = {"x": data(1)["x"].astype(np.float32)}
    proto = first(planted_block(60.0))
    plain = quantized('quantize-dynamic{per="row"}', proto)
    done = quantized("llm-int8{calibration=CALIBRATION},cse,dce", proto, [x])
    wanted, found, theirs = done.results(x)
    assert signal_to_noise(found, theirs) > 60
    noise = signal_to_noise(plain.results(x)[1], wanted)
    assert signal_to_noise(found, wanted) > noise + 15
    assert done.kinds["Gather"] == 2
    assert done.kinds["MatMulInteger"] == done.kinds["MatMul"] == 1


def test_what_stays_float_is_counted(quantized: Any) -> None:
    x = {"x": data(1)["x"].astype(np.float32)}
    proto = first(planted_block(60.0))
    done = quantized("llm-int8{calibration=CALIBRATION},cse,dce", proto, [x])
    layer = report_of(done.before, done.model).layers[0]
    assert layer.stored == "int8, axis 1 + float32"
    codes, scales, floats, places = (SIZE - 1) * 7, 7 * 4, 7 * 4, SIZE * 8
    assert layer.bytes_after == codes + scales + floats + places


def test_without_outliers_all_is_in_integers(quantized: Any) -> None:
    x = {"x": data(1)["x"].astype(np.float32)}
    spec = "llm-int8{calibration=CALIBRATION threshold=1000.0},cse,dce"
    done = quantized(spec, first(planted_block(1.0)), [x])
    rows = quantized('quantize-dynamic{per="row"},cse,dce', first(planted_block(1.0)))
    np.testing.assert_array_equal(done.results(x)[1], rows.results(x)[1])
    assert done.kinds == rows.kinds


def test_few_channels_are_apart() -> None:
    from sardonyx.passes.quantize.llm_int8 import LlmInt8Pass

    channels = np.float32([9, 1, 7, 8, 2, 2, 2, 2, 2, 2])
    assert LlmInt8Pass(limit=0.2).outliers(channels) == (0, 3)
    assert LlmInt8Pass(limit=0.9).outliers(channels) == (0, 2, 3)
    assert LlmInt8Pass(limit=0.05).outliers(channels) == ()


@pytest.mark.parametrize("name", ["llm-int8", "smooth-quant"])
def test_what_was_not_measured_stays(name: str, quantized: Any, tmp_path: Any) -> None:
    none = tmp_path / "none.npz"
    Calibration().save(none)
    done = quantized(f'{name}{{calibration="{none}"}}', block("rms", np.float32))
    assert done.reasons == {"calibration did not measure its activation"}
    assert str(done.model.module) == str(done.before.module)


def test_a_limit_is_a_part() -> None:
    model = load(block("rms", np.float32))
    from sardonyx.passes.quantize.llm_int8 import LlmInt8Pass

    with pytest.raises(SardonyxError, match=r"found limit=1\.5, wanted 0 to 1"):
        LlmInt8Pass(limit=1.5).apply(model.context, model.module)
