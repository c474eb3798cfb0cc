"""Products and elementwise ops become regions that mean the same everywhere."""

from typing import Any

import numpy as np
import onnx
import pytest
from sardonyx.compiler.context import make_context
from sardonyx.compiler.debug.diff import diff
from sardonyx.compiler.debug.why import explain
from sardonyx.compiler.driver import compile_model, load
from sardonyx.compiler.exporter import to_proto
from sardonyx.compiler.inspect import inspected
from sardonyx.compiler.pipelines import count_ops, run_pipeline, spec_of
from sardonyx.dialects.fusion import LEAVES, RegionOp
from sardonyx.dialects.onnx.provenance import node_names
from xdsl.parser import Parser

SPEC = "fuse-regions"
IMAGE = "(float[batch,2,5,5] x, float[3,2,3,3] w, float[3] b"
ROWS = "(float[batch,4] x, float[4,4] w"
OUT = "=> (float[batch,3,3,3] y)"
ROWS_OUT = "=> (float[batch,4] y)"


def regions(model: Any) -> list[str]:
    """What the regions of a model compute, in their order."""
    return [op.label for op in model.module.walk() if isinstance(op, RegionOp)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f"a {IMAGE}) {OUT} {{ c = Conv(x, w, b) y = Relu(c) }}", ["Conv+Relu"]),
        (
            f"a {IMAGE}, float[batch,3,3,3] r) {OUT}"
            "{ c = Conv(x, w, b) s = Sum(r, c) y = Relu(s) }",
            ["Conv+Sum+Relu"],
        ),
        # The second convolution's sum is in the region of the first.
        (
            f"a {IMAGE}) {OUT} {{ c = Conv(x, w, b) d = Conv(x, w)"
            "s = Add(c, d) y = LeakyRelu <alpha = 0.1> (s) }",
            ["Conv+Add+LeakyRelu"],
        ),
        # What only the epilogue reads joins it.
        (
            f"a {IMAGE}, float[batch,3,3,3] r) {OUT}"
            "{ n = Neg(r) c = Conv(x, w, b) y = Sub(c, n) }",
            ["Neg+Conv+Sub"],
        ),
        (
            f"a {IMAGE}, float[3,1,1] slope) {OUT}"
            "{ c = Conv(x, w, b) y = PRelu(c, slope) }",
            ["Conv+PRelu"],
        ),
        (
            "a (float[batch,3,3,3] x, float[3,2,3,3] w) => (float[batch,2,5,5] y)"
            "<float low = {-0.5}, float high = {0.5}>"
            "{ c = ConvTranspose(x, w) y = Clip(c, low, high) }",
            ["ConvTranspose+Clip"],
        ),
        # A value that is used twice, by ops that meet again.
        (
            f"a {ROWS}) {ROWS_OUT}{{ c = MatMul(x, w) s = Sigmoid(c) y = Mul(s, c) }}",
            ["MatMul+Sigmoid+Mul"],
        ),
        (
            f"a {ROWS}) {ROWS_OUT}"
            "{ c = MatMul(x, w) s = Softplus(c) t = Tanh(s) y = Div(c, t) }",
            ["MatMul+Softplus+Tanh+Div"],
        ),
        (
            f"a {ROWS}, float[4] b) {ROWS_OUT}"
            "{ c = Gemm <transB = 1> (x, w, b) d = HardSwish(c) y = Tanh(d) }",
            ["Gemm+HardSwish+Tanh"],
        ),
        # What gives the product's operand its shape.
        (
            "a (float[batch,2,2] x, float[4,3] w, float[3] b) => (float[batch,3] y)"
            "{ f = Flatten(x) g = Gemm(f, w, b) y = Relu(g) }",
            ["Flatten+Gemm+Relu"],
        ),
        (
            "a (float[2,3] x, float[4,2] w) => (float[3,4] y)"
            "{ u = Transpose <perm = [1, 0]> (x) v = Transpose <perm = [1, 0]> (w)"
            "y = MatMul(u, v) }",
            ["Transpose+Transpose+MatMul"],
        ),
        (
            "a (float[2,3,2] x, float[6,3] w) => (float[2,3] y)"
            "<int64[2] shape = {2, 6}>"
            "{ u = Transpose <perm = [0, 2, 1]> (x) f = Reshape(u, shape)"
            "g = MatMul(f, w) y = Add(g, g) }",
            ["Transpose+Reshape+MatMul+Add"],
        ),
        # Too much to copy on the way: that has its place in the plan.
        (
            "a (float[1,300,300] x, float[90000,1] w) => (float[1,1] y)"
            "<int64[2] shape = {1, 90000}>"
            "{ u = Transpose <perm = [0, 2, 1]> (x) f = Reshape(u, shape)"
            "g = MatMul(f, w) y = Neg(g) }",
            ["MatMul+Neg"],
        ),
        # Elementwise ops alone, a tree of them.
        (
            f"a {ROWS}) => (float[batch,4] y) <float two = {{2}}>"
            "{ c = MatMul(x, w) r = ReduceMean <keepdims = 1> (c)"
            "d = Mul(x, two) e = Exp(x) f = Sub(d, e) y = Max(f, r, x) }",
            ["Mul+Exp+Sub+Max"],
        ),
        (
            "a (float[batch,3,4] x, float[3] s, float[3] b, float[3] m) "
            "=> (float[batch,3,4] y)"
            "{ v = Exp(s) c = BatchNormalization(x, s, b, m, v) y = Relu(c) }",
            ["BatchNormalization+Relu"],
        ),
        (
            "a (float[batch,4] x, bool[batch,4] c) => (float[batch,4] y)"
            "{ a = Abs(x) b = Sqrt(a) y = Where(c, b, x) }",
            ["Abs+Sqrt+Where"],
        ),
    ],
)
def test_gathers(text: str, wanted: list[str], rewritten: Any) -> None:
    # NumPy, and ONNX Runtime on the export, give what the model gives.
    made = rewritten(text, SPEC, 8)
    assert regions(made.model) == wanted
    left = [op.name for op in made.model.module.walk()]
    assert len(left) - count_ops(made.model) > 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            f"a {ROWS}) => (float[batch,4] y, float[batch,4] c)"
            "{ c = MatMul(x, w) y = Relu(c) }",
            "its result is an output",
        ),
        (
            f"a {ROWS}) {ROWS_OUT} {{ c = MatMul(x, w) y = Softmax(c) }}",
            "Softmax uses its result, which is not elementwise",
        ),
        (
            "a (float[4] x, float[4,4] w, float[1,4] b) => (float[1,4] y)"
            "{ c = MatMul(x, w) y = Add(c, b) }",
            "Add, which uses its result, gives another shape or type",
        ),
        (
            "a (int32[batch,4] x, int32[4,4] w) => (int32[batch,4] y)"
            "{ c = MatMul(x, w) y = Relu(c) }",
            "its result is int32, not float32 or float64",
        ),
        (
            "a (float[4] x, float[4] w) => (float y) { c = MatMul(x, w) y = Relu(c) }",
            "its result is a scalar",
        ),
        (
            f"a {ROWS}) {ROWS_OUT} {{ c = MatMul(x, w) y = Max(c) }}",
            "Max gives its operand",
        ),
        (
            f"a {ROWS}) {ROWS_OUT} {{ c = MatMul(x, w) y = Clip(c) }}",
            "Clip gives its operand",
        ),
        (
            f"a {ROWS}, bool k) {ROWS_OUT} {{ c = MatMul(x, w)"
            "y = If (k) <then_branch = t () => (float[batch,4] u) { u = Relu(c) },"
            "else_branch = e () => (float[batch,4] v) { v = Neg(c) }> }",
            "a subgraph uses its result",
        ),
        (
            f"a {IMAGE}) {OUT} {{ c = Conv(x, w, b) d = Conv(x, w) y = Add(c, d) }}",
            "what uses its result is in a region already",
        ),
    ],
)
def test_declines(text: str, reason: str, rewritten: Any) -> None:
    assert reason in rewritten(text, SPEC).reasons


def chain(length: int) -> str:
    steps = " ".join(f"v{i + 1} = Tanh(v{i})" for i in range(length - 1))
    return f"a (float[batch,4] v0) {ROWS_OUT} {{ {steps} y = Tanh(v{length - 1}) }}"


def test_a_region_has_a_largest_size(rewritten: Any) -> None:
    made = rewritten(chain(5), "fuse-regions{max_ops=3}")
    assert regions(made.model) == ["Tanh+Tanh+Tanh", "Tanh+Tanh"]
    assert count_ops(made.model) == 2


def test_products_or_chains_alone(rewritten: Any) -> None:
    text = (
        f"a {ROWS}) {ROWS_OUT} {{ e = Exp(x) f = Neg(e) c = MatMul(f, w) y = Relu(c) }}"
    )
    assert regions(rewritten(text, SPEC).model) == ["Exp+Neg", "MatMul+Relu"]
    only = rewritten(text, "fuse-regions{chains=false}")
    assert regions(only.model) == ["MatMul+Relu"]
    only = rewritten(text, "fuse-regions{products=false}")
    assert regions(only.model) == ["Exp+Neg"]


MODEL = (
    '<ir_version: 9, opset_import: ["": 18]>\n'
    "a (float[batch,2,5,5] x) => (float[batch,3,3,3] y)"
    "<float[3,2,3,3] w = {" + ", ".join(str(n % 7 - 3) for n in range(54)) + "},"
    "float zero = {0}, float six = {6}>"
    "{ [first] c = Conv(x, w) [second] d = Clip(c, zero, six) [third] y = Add(d, d) }"
)


def gathered() -> Any:
    model = load(onnx.parser.parse_model(MODEL))
    run_pipeline(model, SPEC)
    assert regions(model) == ["Conv+Clip+Add"]
    return model


@pytest.mark.parametrize("seed", range(6))
def test_inlining_gives_the_ops_back(seed: int, random_model: Any) -> None:
    proto, inputs = random_model(seed)
    model, plain = load(proto), load(proto)
    run_pipeline(model, "O2,fuse-regions")
    run_pipeline(plain, "O2")
    assert regions(model)
    found = compile_model(model, backend="numpy", pipeline="O0")(**inputs)
    wanted = compile_model(plain, backend="numpy", pipeline="O0")(**inputs)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    again = Parser(make_context(), model.text()).parse_module()
    again.verify()
    run_pipeline(model, "inline-regions")
    assert not regions(model)
    kinds = [
        sorted(op.name for op in one.module.walk() if op.name not in LEAVES)
        for one in (model, plain)
    ]
    assert kinds[0] == kinds[1]


def test_jax_runs_what_is_in_a_region(assert_close: Any) -> None:
    x = np.random.default_rng(0).standard_normal((2, 2, 5, 5)).astype(np.float32)
    (wanted,) = compile_model(load(onnx.parser.parse_model(MODEL)), "numpy", "O0")(x)
    (found,) = compile_model(gathered(), backend="jax", pipeline="O0")(x)
    assert_close(np.asarray(found), wanted, 8, "jax")


def test_an_export_has_no_regions() -> None:
    model = gathered()
    proto = to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    assert [node.op_type for node in proto.graph.node] == ["Conv", "Clip", "Add"]
    assert [node.name for node in proto.graph.node] == ["first", "second", "third"]
    # The model keeps its own.
    assert regions(model)


def test_sizes_reach_into_regions() -> None:
    model = gathered()
    run_pipeline(model, 'specialize-dims{dims="batch=7"},infer-types')
    model.module.verify()
    (region,) = (op for op in model.module.walk() if isinstance(op, RegionOp))
    shapes = [op.results[0].type.get_shape() for op in region.ops]
    assert {shape[0] for shape in shapes} == {7}
    assert region.outputs[0].type == region.ops[-1].results[0].type


def test_the_names_of_all_nodes_are_kept() -> None:
    (region,) = (op for op in gathered().module.walk() if isinstance(op, RegionOp))
    assert node_names(region) == ("first", "second", "third")


def test_a_region_costs_what_is_in_it() -> None:
    plain, model = load(onnx.parser.parse_model(MODEL)), gathered()
    before, after = inspected(plain, 18, ""), inspected(model, 18, "")
    for name in ("flops", "transcendentals"):
        assert before.total.amounts[name] == after.total.amounts[name]
    assert after.total.parameters == before.total.parameters == 54
    assert [(row.label, row.count) for row in after.rows] == [("Conv+Clip+Add", 1)]
    # What the convolution and the Clip hand on is neither written nor read again.
    assert str(after.total.amounts["bytes_written"]) == "108*batch"
    assert str(before.total.amounts["bytes_written"]) == "324*batch"
    # The input, and the result in whose memory all is done.
    assert str(after.peaks[0].bytes) == "308*batch"


def test_why_and_diff_see_regions() -> None:
    told = explain(load(onnx.parser.parse_model(MODEL)), SPEC, ops=["second"])
    assert [one.nodes for one in told.applied] == [("first", "second", "third")]
    seen = diff(load(onnx.parser.parse_model(MODEL)), gathered(), run=False)
    assert [note.op for note in seen.added] == ["Conv+Clip+Add"]
    # Seen through, the ops are the same as before, at their places.
    assert (seen.removed, seen.changed, seen.moved) == ((), (), ())


def test_a_spared_node_is_left_alone() -> None:
    model = load(onnx.parser.parse_model(MODEL))
    runs = run_pipeline(model, 'spare{nodes="second" passes="fuse-regions"}')
    assert not regions(model)
    assert "its node is spared" in runs[-1].journal.reasons()


def test_numpy_programs_have_them_and_jax_programs_not() -> None:
    assert "fuse-regions" in spec_of("O2", "numpy").split(",")
    assert "fuse-regions" not in spec_of("O2", "jax").split(",")
