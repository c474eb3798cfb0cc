"""The opset that an export states: the lowest that says what the model means."""

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import defs
from onnx.backend.test import loader
from sardonyx.compiler.exporter.forms import OLDEST, ir_version
from sardonyx.compiler.importer import ModelError, import_model
from sardonyx.compiler.importer.upgrades import UNCHANGED

NEWEST = defs.onnx_opset_version()

X = ("FLOAT", [2, 3, 4, 5])
AXES = np.array([1])


def opset_of(model: onnx.ModelProto) -> int:
    return next(entry.version for entry in model.opset_import if not entry.domain)


@pytest.mark.parametrize(
    ("op_type", "inputs", "attributes", "wanted"),
    [
        # What says nothing new is said in the oldest opset.
        ("Add", {"a": X, "b": X}, {}, OLDEST),
        ("Relu", {"x": X}, {}, OLDEST),
        ("Cast", {"x": X}, {"to": onnx.TensorProto.INT8}, OLDEST),
        ("Identity", {"x": X}, {}, OLDEST),
        # A form is needed for its types,
        ("Add", {"a": ("INT8", [2]), "b": ("INT8", [2])}, {}, 14),
        ("Neg", {"x": ("BFLOAT16", [2])}, {}, 13),
        ("Tanh", {"x": ("BFLOAT16", [2])}, {}, 13),
        ("Sin", {"x": ("BFLOAT16", [2])}, {}, 22),
        ("Clip", {"x": ("BFLOAT16", [2])}, {}, 13),
        ("HardSwish", {"x": ("BFLOAT16", [2])}, {}, 22),
        ("Cast", {"x": X}, {"to": onnx.TensorProto.FLOAT8E5M2}, 19),
        ("Cast", {"x": X}, {"to": onnx.TensorProto.INT4}, 21),
        ("Cast", {"x": X}, {"to": onnx.TensorProto.FLOAT4E2M1}, 23),
        ("Identity", {"x": ("UINT4", [2])}, {}, 21),
        # for an attribute that it brought,
        ("Shape", {"x": X}, {"start": 1}, 15),
        ("Reshape", {"x": X, "s": ("INT64", [2])}, {"allowzero": 1}, 14),
        ("AveragePool", {"x": X}, {"kernel_shape": [2, 2], "dilations": [2, 1]}, 19),
        ("LpPool", {"x": X}, {"kernel_shape": [2, 2], "dilations": [2, 1]}, 18),
        # for a value of an attribute,
        ("Pad", {"x": X, "p": ("INT64", [8])}, {"mode": "edge"}, OLDEST),
        ("Pad", {"x": X, "p": ("INT64", [8])}, {"mode": "wrap"}, 19),
        ("ScatterND", {"x": X, "i": ("INT64", [1, 1]), "u": ("FLOAT", [1, 3, 4, 5])},
         {"reduction": "add"}, 16),
        ("ScatterND", {"x": X, "i": ("INT64", [1, 1]), "u": ("FLOAT", [1, 3, 4, 5])},
         {"reduction": "max"}, 18),
        ("ScatterElements", {"x": X, "i": ("INT64", [2, 3, 4, 5]), "u": X},
         {"reduction": "min", "axis": 1}, 18),
        # for an input,
        ("Pad", {"x": X, "p": np.array([1, 1]), "v": ("FLOAT", []), "a": AXES}, {}, 18),
        ("ReduceSum", {"x": X, "a": AXES}, {}, OLDEST),
        ("ReduceMax", {"x": X, "a": AXES}, {}, 18),
        ("ReduceMean", {"x": X}, {}, 18),
        ("ReduceLogSum", {"x": X, "a": AXES}, {}, 18),
        ("ReduceLogSumExp", {"x": X, "a": AXES}, {}, 18),
        ("OptionalHasElement", {"x": X}, {}, 18),
        ("OptionalHasElement", {}, {}, 18),
        # or for its meaning.
        ("GroupNormalization", {"x": X, "s": ("FLOAT", [3]), "b": ("FLOAT", [3])},
         {"num_groups": 3}, 21),
        ("Attention", {"q": X, "k": X, "v": X, "m": ("FLOAT", [4, 4])}, {}, 23),
        ("Attention", {"q": X, "k": X, "v": X, "m": ("FLOAT", [4, 1])}, {}, 24),
        ("Attention", {"q": X, "k": X, "v": X, "m": ("FLOAT", [4, "n"])}, {}, 24),
        # A window that begins in the padding behind was counted once.
        ("MaxPool", {"x": ("FLOAT", [1, 1, 4, 4])},
         {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}, OLDEST),
        ("MaxPool", {"x": ("FLOAT", [1, 1, 2, 2])},
         {"kernel_shape": [1, 1], "strides": [2, 2], "ceil_mode": 1}, 22),
    ],
)  # fmt: skip
def test_lowest_opset(
    op_type: str,
    inputs: dict[str, Any],
    attributes: dict[str, Any],
    wanted: int,
    one_node: Callable[..., onnx.ModelProto],
    round_trip: Any,
) -> None:
    model = one_node(op_type, inputs, **attributes)
    assert opset_of(round_trip(model)) == wanted


def test_one_node_can_make_a_model_newer(program: Any, round_trip: Any) -> None:
    text = "g (float[2,3] x) => (float[2,3] y) {{ a = Exp(x) b = {}(a) y = Neg(b) }}"
    assert opset_of(round_trip(program(text.format("Sqrt"), NEWEST))) == OLDEST
    assert opset_of(round_trip(program(text.format("Mish"), NEWEST))) == 18


def test_a_node_within_a_body_counts(program: Any, round_trip: Any) -> None:
    model = program(
        """g (bool c, float[2] x) => (float[2] y) {
          y = If (c) <
            then_branch = t () => (float[2] a) { a = Mish(x) },
            else_branch = e () => (float[2] b) { b = Neg(x) }>
        }"""
    )
    assert opset_of(round_trip(model)) == 18


def test_a_domain_states_its_own_opset(round_trip: Any) -> None:
    node = onnx.helper.make_node("Binarizer", ["x"], ["y"], domain="ai.onnx.ml")
    graph = onnx.helper.make_graph(
        [node],
        "g",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [2])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [2])],
    )
    opsets = [
        onnx.helper.make_opsetid("", 21),
        onnx.helper.make_opsetid("ai.onnx.ml", 4),
    ]
    proto = round_trip(onnx.helper.make_model(graph, opset_imports=opsets))
    assert {e.domain: e.version for e in proto.opset_import} == {
        "": OLDEST,
        "ai.onnx.ml": 1,
    }


def test_older_forms_have_the_defaults_of_the_newest() -> None:
    """
    A missing attribute says the newest form's default, and means that in older ones.
    """
    compared = 0
    for op_type, versions in UNCHANGED.items():
        domain = "" if defs.has(op_type) else "ai.onnx.ml"
        newest = defs.get_schema(op_type, domain=domain)
        for version in versions:
            older = defs.get_schema(op_type, version, domain)
            if version < OLDEST and not domain:
                continue
            for name in older.attributes.keys() & newest.attributes.keys():
                a, b = older.attributes[name], newest.attributes[name]
                assert (a.type, a.required) == (b.type, b.required), op_type
                assert a.default_value == b.default_value, op_type
                compared += 1
    assert compared > 50


# --- IR versions ---


@pytest.mark.parametrize(
    ("opset", "element", "wanted"),
    [
        (13, "FLOAT", 8),
        (17, "BFLOAT16", 8),
        (19, "FLOAT", 9),
        (13, "FLOAT8E4M3FN", 9),
        (21, "FLOAT", 10),
        (13, "UINT4", 10),
        (23, "FLOAT", 11),
        (21, "FLOAT4E2M1", 11),
        (21, "FLOAT8E8M0", 12),
        (21, "INT2", 13),
    ],
)
def test_ir_version(opset: int, element: str, wanted: int) -> None:
    number = onnx.TensorProto.DataType.Value(element)
    found = ir_version({"": opset}, [onnx.TensorProto.FLOAT, number])
    assert found == wanted


@pytest.mark.parametrize(("element", "wanted"), [("INT8", 8), ("INT2", 13)])
def test_an_element_type_that_no_operator_tells_of(
    element: str, wanted: int, model_of: Any, value_info: Any, round_trip: Any
) -> None:
    number = onnx.TensorProto.DataType.Value(element)
    weight = onnx.helper.make_tensor("w", number, [2], [1, -1])
    proto = round_trip(model_of([], [], [value_info("w", [2], element)], [weight]))
    assert opset_of(proto) == OLDEST
    assert proto.ir_version == wanted


# --- every operator ---

PARTS = 2

WRONG_BEFORE = {
    "test_loop16_seq_none": "an optional state that the body makes a sequence",
}
"""Official tests that no export can pass, and why."""


@cache
def official_tests() -> tuple[Any, ...]:
    """The first and the last official node test of every operator."""
    # ONNX makes its tests as they load, with overflows on purpose.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = loader.load_model_tests(kind="node")
    first: dict[Any, Any] = {}
    last: dict[Any, Any] = {}
    for case in cases:
        nodes = case.model.graph.node
        key = nodes[0].op_type, len(nodes) > 1
        if case.name not in WRONG_BEFORE:
            first.setdefault(key, case)
            last[key] = case
    chosen = {case.name: case for case in (*first.values(), *last.values())}
    return tuple(chosen.values())


@pytest.mark.parametrize("part", range(PARTS))
def test_official_tests(part: int, round_trip: Any, evaluate: Any) -> None:
    ran = 0
    for case in official_tests()[part::PARTS]:
        try:
            import_model(case.model)
        except ModelError:
            # What cannot be imported, the importer's tests know.
            continue
        proto = round_trip(case.model)
        infos, given = case.model.graph.input, case.data_sets[0][0]
        inputs = dict(zip((info.name for info in infos), given, strict=True))
        found, wanted = evaluate(proto, inputs), evaluate(case.model, inputs)
        random = {node.op_type for node in proto.graph.node} & RANDOM
        if found is None or wanted is None or random:
            continue
        assert equal(found, wanted, case), case.name
        ran += 1
    assert ran > 50


RANDOM = {"Bernoulli", "Multinomial", "RandomNormalLike", "RandomUniformLike"}


def equal(found: Any, wanted: Any, case: Any) -> bool:
    """Whether two values agree within the official tolerance of `case`."""
    if isinstance(wanted, list):
        same = isinstance(found, list) and len(found) == len(wanted)
        return same and all(
            equal(a, b, case) for a, b in zip(found, wanted, strict=True)
        )
    if wanted is None:
        return found is None
    a, b = np.asarray(found), np.asarray(wanted)
    if a.dtype.kind in "OUS" or a.dtype != b.dtype or a.shape != b.shape:
        return a.dtype.kind == b.dtype.kind and a.tolist() == b.tolist()
    if a.tobytes() == b.tobytes():
        return True
    a, b = a.astype(np.complex128), b.astype(np.complex128)
    return np.allclose(a, b, case.rtol, case.atol, equal_nan=True)
