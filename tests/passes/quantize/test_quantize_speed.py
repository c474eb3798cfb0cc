"""Passes that decline what their estimate says is slower, and say so."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from sardonyx.compiler.driver import load
from sardonyx.compiler.model import Model
from sardonyx.compiler.pipelines import run_pipeline
from sardonyx.dialects.errors import SardonyxError
from sardonyx.passes.analysis.targets import TargetError, read_target
from sardonyx.passes.quantize.speed import FORMS, Speed

ENGINE = read_target("host-cpu").engines[0]


def product(rows: Any, depth: int, columns: int, kernel: int = 0) -> Model:
    """A product of that size, or a convolution with so large a kernel."""
    shape = (columns, depth, kernel, kernel) if kernel else (depth, columns)
    weight = np.zeros(shape, np.float32)
    weight.flat[0] = 1
    given = [1, depth, rows, rows] if kernel else [rows, depth]
    op = "Conv" if kernel else "MatMul"
    graph = helper.make_graph(
        [helper.make_node(op, ["x", "w"], ["y"], "the-product")],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, given)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weight, "w")],
    )
    return load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)]))


def reasons(model: Model, spec: str) -> list[str]:
    (run,) = run_pipeline(model, spec)
    return [miss.reason for miss in run.journal.misses]


@pytest.mark.parametrize(
    ("rows", "depth", "columns"),
    # Measured on two cores: 0.75, 0.73 and 0.89 of float32's time on JAX.
    [(1024, 1024, 1024), (2048, 768, 3072), (128, 768, 3072)],
)
def test_products_of_many_rows_pay_on_jax(rows: int, depth: int, columns: int) -> None:
    model = product(rows, depth, columns)
    assert not reasons(model, 'quantize-dynamic{only-faster="jax"}')
    assert "onnx.MatMulInteger" in model.text()


@pytest.mark.parametrize(
    ("rows", "depth", "columns"), [(1, 1024, 4096), (24, 384, 1536)]
)
def test_those_of_few_do_not(rows: int, depth: int, columns: int) -> None:
    model = product(rows, depth, columns)
    (reason,) = reasons(model, 'quantize-dynamic{only-faster="jax"}')
    assert reason.startswith("it would be slower on jax: an estimated ")
    assert "onnx.MatMulInteger" not in model.text()


@pytest.mark.parametrize(
    "spec", ["quantize-dynamic", "quantize-weights", "split-quant"]
)
def test_on_numpy_nothing_pays(spec: str) -> None:
    model = product(1024, 1024, 1024)
    before = model.text()
    (reason,) = reasons(model, f'{spec}{{only-faster="numpy"}}')
    assert "slower on numpy" in reason
    assert model.text() == before
    # Unless that is not what it is for.
    assert not reasons(model, spec)
    assert model.text() != before


@pytest.mark.parametrize("name", ["quantize-static", "gptq", "llm-int8"])
def test_calibrated_passes_ask_too(name: str, quantized: Any) -> None:
    sizes = 'specialize-dims{dims="batch=64"}'
    faster = quantized(f'{sizes}|{name}{{calibration=CALIBRATION only-faster="numpy"}}')
    # LLM.int8() is of matrices alone.
    assert len(faster.reasons) == (2 if name == "llm-int8" else 3)
    assert all("slower on numpy" in reason for reason in faster.reasons)
    assert faster.kinds["Conv"] == faster.kinds["Gemm"] == faster.kinds["MatMul"] == 1
    assert "slower" not in str(quantized(f"{name}{{calibration=CALIBRATION}}").reasons)


def test_integers_of_convolutions_are_floats_everywhere() -> None:
    (reason,) = reasons(product(64, 64, 64, 3), 'quantize-dynamic{only-faster="jax"}')
    assert "slower on jax" in reason


def test_free_sizes_are_not_guessed() -> None:
    (reason,) = reasons(
        product("batch", 1024, 1024), 'quantize-dynamic{only-faster="jax"}'
    )
    assert reason == "its time on jax is not known: its sizes are free"


def test_the_estimate_is_the_formula() -> None:
    rows, depth, columns = 24, 384, 1536
    model = product(rows, depth, columns)
    speed = Speed.of("few bits", "jax", "host-cpu")
    assert speed is not None
    op = next(op for op in model.main.body.block.ops if op.name == "onnx.MatMul")
    reason = speed.reason(op, model.context.store)
    flops = 2 * rows * depth * columns
    moved = 4 * (rows * depth + depth * columns + rows * columns)
    plain = max(flops / ENGINE.flops["float32"], moved / ENGINE.bandwidth)
    plain += ENGINE.launch_seconds
    more = FORMS["jax"]["few bits"].weight * depth * columns / ENGINE.bandwidth
    found = [float(word) for word in str(reason).split() if word[0].isdigit()]
    assert found == [
        pytest.approx(1e6 * (plain + more), rel=0.01),
        pytest.approx(1e6 * plain, rel=0.01),
    ]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ('only-faster="tpu"', SardonyxError, "found 'tpu', wanted numpy or jax"),
        ('only-faster="jax" target="abacus"', TargetError, "target 'abacus'"),
    ],
)
def test_what_is_refused(options: str, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        run_pipeline(product(8, 8, 8), f"quantize-dynamic{{{options}}}")


def test_the_command(sardonyx: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = [("wide", 1024), ("narrow", 8)]
    weights = [
        numpy_helper.from_array(rng.standard_normal((1024, n), np.float32), w)
        for w, n in names
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "wide"], ["h"], "first"),
        helper.make_node("MatMul", ["h", "narrow"], ["y"], "second"),
    ]
    graph = helper.make_graph(
        nodes,
        "two",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [512, 1024])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [512, 8])],
        weights,
    )
    source = tmp_path / "two.onnx"
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    onnx.save(made, source)
    words = ["quantize", source, "-o", tmp_path / "q.onnx", "--scheme", "w8a8-dynamic"]
    done = sardonyx(*words, "-b", "jax", "--only-faster")
    assert done.code == 0, done.err
    assert "left as it was: node 'second' (MatMul)" in done.out
    assert "slower on jax" in done.out
    kinds = [node.op_type for node in onnx.load(tmp_path / "q.onnx").graph.node]
    assert (kinds.count("MatMulInteger"), kinds.count("MatMul")) == (1, 1)
    assert "left as it was" not in sardonyx(*words).out
