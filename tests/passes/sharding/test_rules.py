"""
Each operator's sharding rule: what devices compute from their parts is what the
reference evaluator computes from the whole.
"""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from sardonyx.compiler.driver import Executable, lower
from sardonyx.compiler.importer import import_model
from sardonyx.compiler.pipelines import run_pipeline
from sardonyx.dialects.onnx import OnnxOp
from sardonyx.dialects.onnx.provenance import location
from sardonyx.passes.sharding.layouts import main_of
from sardonyx.passes.sharding.rules import rule_of

A: dict[str, Any] = {}

# The operator, the shapes of its inputs (an array for a constant), its attributes, how
# many outputs, and its rule.
CASES: dict[str, tuple[str, list[Any], dict[str, Any], int, str]] = {
    "add": ("Add", [(4, 6), (6,)], A, 1, "([d0, d1], [d1])->([d0, d1])"),
    "ones": ("Mul", [(4, 1), (1, 6)], A, 1, "([d0, ], [, d1])->([d0, d1])"),
    "where": ("Where", [np.eye(4) > 0, (4, 4), ()], A, 1, ""),
    "matmul": ("MatMul", [(4, 6), (6, 8)], A, 1, "([m, k], [k, n])->([m, n])"),
    "batched": ("MatMul", [(2, 4, 6), (6, 8)], A, 1, ""),
    "outer batch": ("MatMul", [(2, 1, 4, 6), (4, 6, 8)], A, 1, ""),
    "vector": ("MatMul", [(6,), (6, 8)], A, 1, ""),
    "gemm": ("Gemm", [(4, 6), (6, 8)], A, 1, "([m, k], [k, n], none)->([m, n])"),
    "gemm bias": ("Gemm", [(6, 4), (8, 6), (8,)], {"transA": 1, "transB": 1}, 1, ""),
    "transpose": ("Transpose", [(2, 4, 6)], {"perm": [2, 0, 1]}, 1, ""),
    "merge": (
        "Reshape",
        [(4, 6, 8), np.array([24, 8])],
        A,
        1,
        "([d0, d1, d2], [])->([(d0 d1), d2])",
    ),
    "divide": ("Reshape", [(4, 48), np.array([4, 6, 8])], A, 1, ""),
    "blocks": ("Reshape", [(6, 4), np.array([4, 6])], A, 1, ""),
    "flatten": ("Flatten", [(4, 2, 6)], {"axis": 2}, 1, ""),
    "unsqueeze": ("Unsqueeze", [(4, 6), np.array([1])], A, 1, ""),
    "softmax": ("Softmax", [(4, 6)], A, 1, "([d0, ])->([d0, ])"),
    "layer norm": ("LayerNormalization", [(4, 2, 6), (6,)], A, 1, ""),
    "rms norm": ("RMSNormalization", [(4, 2, 6), (6,)], {"axis": -1}, 1, ""),
    "sum": ("ReduceSum", [(4, 6), np.array([1])], {"keepdims": 0}, 1, ""),
    "mean": ("ReduceMean", [(4, 6), np.array([1])], A, 1, "([d0, ], [])->([d0, ])"),
    "gather": ("Gather", [(6, 4), np.array([[0, 5], [2, 3]])], A, 1, ""),
    "gather columns": ("Gather", [(4, 6), np.array([1, 3])], {"axis": 1}, 1, ""),
    "concat": ("Concat", [(4, 2), (4, 6)], {"axis": 1}, 1, ""),
    "split": ("Split", [(4, 6)], {"axis": 1, "num_outputs": 2}, 2, ""),
    "slice": ("Slice", [(4, 6), *map(np.array, ([5], [0], [1], [-1]))], A, 1, ""),
    "expand": ("Expand", [(4, 1), np.array([2, 4, 6])], A, 1, ""),
    "conv": ("Conv", [(2, 4, 5, 5), (6, 4, 3, 3)], A, 1, ""),
    "conv bias": ("Conv", [(2, 4, 5, 5), (6, 4, 3, 3), (6,)], A, 1, ""),
    "grouped": ("Conv", [(2, 4, 5, 5), (4, 2, 3, 3)], {"group": 2}, 1, ""),
    "pool": ("AveragePool", [(2, 4, 5, 5)], {"kernel_shape": [2, 2]}, 1, ""),
    "attention": ("Attention", [(2, 4, 8, 6)] * 3, A, 1, ""),
    "causal": ("Attention", [(2, 4, 8, 6)] * 3, {"is_causal": 1}, 1, ""),
    "packed": (
        "Attention",
        [(2, 8, 24), (2, 8, 12), (2, 8, 12)],
        {"q_num_heads": 4, "kv_num_heads": 2},
        1,
        "([b, s, h], [b, , h], [b, , h], none, none, none, none)"
        "->([b, s, h], none, none, none)",
    ),
    "masked": ("Attention", [(2, 4, 8, 6)] * 3 + [(2, 1, 8, 8)], A, 1, ""),
    "rotary": (
        "RotaryEmbedding",
        [(2, 8, 24), (2, 8, 3), (2, 8, 3)],
        {"num_heads": 4},
        1,
        "",
    ),
}


def made(name: str) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """A model of one node, and values for its inputs; constants are no inputs."""
    op_type, given, attributes, outputs, _ = CASES[name]
    random = np.random.default_rng(0)
    names = [f"x{n}" for n in range(len(given))]
    feeds, constants = dict[str, Any](), list[Any]()
    for key, value in zip(names, given, strict=True):
        if isinstance(value, np.ndarray):
            constants.append(numpy_helper.from_array(value, key))
        else:
            feeds[key] = random.standard_normal(value).astype(np.float32)
    results = [f"y{n}" for n in range(outputs)]
    graph = helper.make_graph(
        [helper.make_node(op_type, names, results, **attributes)],
        name,
        [
            helper.make_tensor_value_info(n, TensorProto.FLOAT, v.shape)
            for n, v in feeds.items()
        ],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in results],
        constants,
    )
    opsets = [helper.make_opsetid("", 24)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=11), feeds


def factors(name: str) -> list[str]:
    return sorted(rule(name).sizes)


def rule(name: str) -> Any:
    model = import_model(made(name)[0])
    kind = f"onnx.{CASES[name][0]}"
    op = next(o for o in model.main.body.block.ops if o.name == kind)
    assert isinstance(op, OnnxOp)
    return rule_of(op, model.context.store)


@pytest.mark.parametrize("name", CASES)
def test_parts_give_the_whole(name: str) -> None:
    """Every factor of an even size, divided by two, operand by operand."""
    proto, feeds = made(name)
    wanted = ReferenceEvaluator(proto).run(None, feeds)
    found = rule(name)
    assert found.sizes, "a rule without factors says nothing"
    tried = 0
    for factor, size in found.sizes.items():
        if size % 2:
            continue
        for place, dims in enumerate(found.operands):
            if dims is None or f"x{place}" not in feeds:
                continue
            # No two dimensions of a tensor share a factor.
            axis = [n for n, names in enumerate(dims) if names[:1] == (factor,)]
            if not axis:
                continue
            layout = ["x" if n == axis[0] else "_" for n in range(len(dims))]
            tried += 1
            sides = [*found.operands, *found.results]
            places = [
                names for dims in sides for names in dims or () if factor in names
            ]
            free = all(names[0] == factor for names in places)
            check(proto, feeds, wanted, f"x{place}={','.join(layout)}", free)
    assert tried


def check(
    proto: onnx.ModelProto, feeds: dict[str, Any], wanted: Any, value: str, free: bool
) -> None:
    model = import_model(proto)
    spec = f'shard-values{{mesh="x=2" values="{value}"}}'
    run_pipeline(model, f"{spec},propagate-shardings,partition")
    main = main_of(model.module)
    gathers = [o for o in main.walk() if o.name == "sdy.all_gather"]
    # A faster factor of a merged dimension cannot be divided alone.
    assert bool(gathers) != free, "what the rule divides, nobody brings together"
    program = lower(model, "numpy")
    executable = Executable(model, "numpy", spec, program)
    for one, other in zip(executable(**feeds), wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5, err_msg=value)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_result_is_divided_as_somebody_says(place: int) -> None:
    """Also along what was the faster part of one dimension: each device cuts that."""
    proto, feeds = made("divide")
    wanted = ReferenceEvaluator(proto).run(None, feeds)
    model = import_model(proto)
    node = next(o for o in model.main.body.block.ops if o.name == "onnx.Reshape")
    node.location = location("cut")
    layout = ",".join("x" if n == place else "_" for n in range(3))
    spec = f'shard-values{{mesh="x=2" values="cut={layout}"}}'
    run_pipeline(model, f"{spec},propagate-shardings,partition")
    executable = Executable(model, "numpy", spec, lower(model, "numpy"))
    np.testing.assert_array_equal(executable(**feeds)[0], wanted[0])


@pytest.mark.parametrize("name", [n for n, case in CASES.items() if case[4]])
def test_text(name: str) -> None:
    assert str(rule(name)).partition(" {")[0] == CASES[name][4]


def test_a_bias_is_added_once() -> None:
    """A Gemm with a bias is not divided along what it sums over."""
    assert "k" not in rule("gemm bias").sizes
    assert "c" not in rule("conv bias").sizes
    assert "k" in rule("gemm").sizes


def test_positions_keep_a_sequence_whole() -> None:
    assert "s" in rule("attention").sizes
    assert "s" not in rule("causal").sizes
