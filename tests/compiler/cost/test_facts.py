"""What a cost model is told of ops, and what a roofline and features make of it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from onnx import parser
from sardonyx.compiler import compile_model
from sardonyx.compiler.cost.dataset import program_facts
from sardonyx.compiler.cost.facts import OpFacts, facts_from_json
from sardonyx.compiler.cost.features import (
    CLASSES,
    OP_FEATURES,
    class_of,
    op_vector,
    stacked,
)
from sardonyx.compiler.cost.roofline import program_roofline, roofline_seconds
from sardonyx.passes.analysis.targets import Rates

RATES = Rates(1e11, 1e10, 4e10, 1e6, 1e9, 1e-6, 2e-6)
NET = """<ir_version: 10, opset_import: ["": 21]>
g (float[1,3,16,16] x, float[8,3,3,3] w, float[n,64] z) =>
  (float[1,8,14,14] y, float[n,64] u)
{
  [conv] c = Conv <strides = [1, 1]> (x, w)
  [relu] y = Relu(c)
  [one] s = Sigmoid(z)
  [two] u = Mul(z, s)
}"""


@pytest.fixture(name="facts")
def facts_fixture() -> dict[str, OpFacts]:
    found = program_facts(
        compile_model(parser.parse_model(NET), "numpy", "O0"), {"n": 5}
    )
    return {one.op: one for one in found}


def test_an_op_has_its_work_and_its_neighbours(facts: dict[str, OpFacts]) -> None:
    conv = facts["Conv"]
    assert conv.text == "Conv(1x3x16x16xf32, 8x3x3x3xf32, none) -> 1x8x14x14xf32"
    assert conv.flops == 2 * 27 * 8 * 14 * 14
    assert conv.bytes_written == 4 * 8 * 14 * 14
    assert (conv.window, conv.stride, conv.group) == (9, 1, 1)
    assert (conv.producer, conv.consumer, conv.users) == ("", "Relu", 1)
    assert facts["Relu"].producer == "Conv"
    assert facts["Relu"].is_only_user
    # Both ops read z.
    assert not facts["Sigmoid"].is_only_user
    assert facts["Sigmoid"].transcendentals == 5 * 64


def test_symbolic_sizes_are_those_given(facts: dict[str, OpFacts]) -> None:
    assert facts["Mul"].shapes == (((5, 64), (5, 64)), (5, 64))


STACK = """<ir_version: 10, opset_import: ["": 23]>
g (float[2,4,8,16] a, float[2,4,16,8] b, float[2,8,64] q) =>
  (float[2,4,8,8] y, float[2,8,64] z)
{
  y = MatMul(a, b)
  z = Attention <q_num_heads = 4, kv_num_heads = 4> (q, q, q)
}"""


def test_matrices_that_are_multiplied_one_after_the_other_are_counted() -> None:
    ops = program_facts(compile_model(parser.parse_model(STACK), "numpy", "O0"))
    found = {one.op: stacked(one) for one in ops}
    assert found == {"MatMul": 2 * 4, "Attention": 2 * 4}
    one = replace(ops[0], text="MatMul(8x16xf32, 16x8xf32) -> 8x8xf32")
    assert stacked(one) == 1


def test_a_program_has_an_arena_or_not() -> None:
    text = """<ir_version: 10, opset_import: ["": 21]>
    g (float[8,8] x) => (float[8,8] y)
    { a = MatMul(x, x) b = Softmax(a) y = MatMul(b, x) }"""
    for spec, wanted in (("O2", True), ("cse", False)):
        ops = program_facts(compile_model(parser.parse_model(text), "numpy", spec))
        assert {one.is_planned for one in ops} == {wanted}


def test_a_region_is_its_product_and_what_is_fused() -> None:
    model = compile_model(parser.parse_model(NET), "numpy", "O2")
    (conv,) = (f for f in program_facts(model, {"n": 5}) if f.op.endswith("Conv"))
    assert conv.fused >= 1
    assert conv.window == 9
    # It has no bias: the products and sums, and the Relu's comparisons.
    assert conv.flops == 2 * 27 * 8 * 14 * 14 + 8 * 14 * 14
    assert conv.is_known


@pytest.mark.parametrize("size", ["0", "n"])
def test_work_on_nothing_is_none(size: str) -> None:
    """A sum of no elements is n - m = -1 operations by the formula."""
    head = '<ir_version: 9, opset_import: ["": 18]>'
    text = f"t (float[{size}] x) => (float y) {{ y = ReduceSum<keepdims = 0>(x) }}"
    program = compile_model(parser.parse_model(head + text), "numpy", "O3")
    (found,) = program_facts(program, {"n": 0})
    assert (found.flops, found.bytes_read) == (0, 0)
    assert np.isfinite(op_vector(found, RATES)).all()


def test_json_and_back(facts: dict[str, OpFacts]) -> None:
    for one in facts.values():
        assert facts_from_json(json.loads(json.dumps(one.as_json()))) == one
    with pytest.raises(ValueError, match="found 2 facts, wanted"):
        facts_from_json([1, 2])


def test_the_roofline_is_the_longer_of_both(facts: dict[str, OpFacts]) -> None:
    conv = facts["Conv"]
    moved = conv.bytes_read + conv.bytes_written
    assert roofline_seconds(conv, RATES) == pytest.approx(
        max(conv.flops / 1e11, moved / 4e10) + 1e-6
    )
    large = replace(conv, bytes_read=10**8)
    assert roofline_seconds(large, RATES) == pytest.approx(
        (10**8 + conv.bytes_written) / 1e10 + 1e-6
    )
    whole = sum(roofline_seconds(one, RATES) for one in facts.values())
    assert program_roofline(facts.values(), RATES) == pytest.approx(whole + 2e-6)


def test_more_work_is_not_faster(facts: dict[str, OpFacts]) -> None:
    conv = facts["Conv"]
    for name in ("flops", "bytes_read", "bytes_written", "transcendentals"):
        more = replace(conv, **{name: 4 * getattr(conv, name) + 10**7})
        assert roofline_seconds(more, RATES) >= roofline_seconds(conv, RATES)


def test_what_a_backend_merges_moves_nothing(facts: dict[str, OpFacts]) -> None:
    merges = replace(RATES, fuses=True)
    one = replace(facts["Mul"], producer="Sigmoid", is_only_user=True)
    assert roofline_seconds(one, merges) < roofline_seconds(one, RATES) / 100
    # What a product gives is written all the same.
    assert roofline_seconds(facts["Relu"], merges) == roofline_seconds(
        facts["Relu"], RATES
    )


def test_features_are_as_many_as_their_names(facts: dict[str, OpFacts]) -> None:
    for one in facts.values():
        assert len(op_vector(one, RATES)) == len(OP_FEATURES)
    assert CLASSES[class_of("MatMul")] == "product"
    assert CLASSES[class_of("NoSuchOp")] == "other"


def test_channels_are_columns_in_either_layout(facts: dict[str, OpFacts]) -> None:
    first = facts["Conv"]
    last = replace(
        first,
        op="nhwc.Conv",
        text="nhwc.Conv(1x16x16x3xf32, 3x3x3x8xf32) -> 1x14x14x8xf32",
    )
    one, other = (
        dict(zip(OP_FEATURES, op_vector(facts, RATES), strict=True))
        for facts in (first, last)
    )
    for name in ("columns", "rows", "columns_before", "width", "unfolded"):
        assert one[name] == other[name], name
    assert 2 ** one["columns"] - 1 == pytest.approx(8)
    assert 2 ** one["columns_before"] - 1 == pytest.approx(3)
    assert 2 ** one["width"] - 1 == pytest.approx(14)
    assert [one["is_nhwc"], other["is_nhwc"]] == [0, 1]


def test_what_a_region_begins_with(facts: dict[str, OpFacts]) -> None:
    text = "Reshape+Transpose+MatMul+Gelu(4x8xf32, 8x8xf32) -> 4x8xf32"
    region = replace(facts["Conv"], op="MatMul", text=text)
    found = dict(zip(OP_FEATURES, op_vector(region, RATES), strict=True))
    named = ("moves", "curves", "begins_with_move")
    assert [found[name] for name in named] == [2, 1, 1]
