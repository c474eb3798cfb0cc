"""ONNX Runtime's operators: the table beside its schemas, the lookup, the import."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, defs, helper
from onnxruntime.capi.onnxruntime_pybind11_state import get_all_operator_schema
from sardonyx.compiler import import_model
from sardonyx.compiler.importer.files import ModelError
from sardonyx.dialects.onnx.contrib import contrib_schemas, parse
from sardonyx.dialects.onnx.ops import OPS
from sardonyx.dialects.onnx.schemas import find, get, is_contrib, newest_opset
from sardonyx.dialects.onnx.types import static_shape, tensor
from xdsl.dialects.builtin import bf16, f32, i32

SCHEMAS = {(s.domain, s.name): s for s in contrib_schemas()}
THEIRS = {
    (s.domain, s.name): s for s in get_all_operator_schema() if s.since_version == 1
}


def theirs_default(attribute: Any) -> Any:
    content = attribute._default_value
    proto = onnx.AttributeProto.FromString(content) if content else None
    if proto is None or not proto.type:
        return None
    return helper.get_attribute_value(proto)


def ours_default(attribute: Any) -> Any:
    if not attribute.default_value.type:
        return None
    return helper.get_attribute_value(attribute.default_value)


def last_word(value: Any) -> str:
    return str(value).rpartition(".")[2]


def test_the_table_has_the_operators() -> None:
    assert len(SCHEMAS) == len(contrib_schemas()) > 130
    names = {name for domain, name in THEIRS if domain == "com.microsoft"}
    missing = names - {name for domain, name in SCHEMAS if domain == "com.microsoft"}
    # Those with graphs, with another compiler's artifacts, or random ones of training.
    assert missing == {
        *("BeamSearch", "GreedySearch", "Sampling", "WhisperBeamSearch"),
        *("BiasDropout", "BitmaskBiasDropout", "BitmaskDropout"),
        *("BifurcationDetector", "EPContext", "SampleOp", "Snpe"),
    }


@pytest.mark.parametrize("key", SCHEMAS, ids=str)
def test_an_entry_is_what_onnx_runtime_says(key: tuple[str, str]) -> None:
    ours, theirs = SCHEMAS[key], THEIRS[key]
    for mine, wanted in ((ours.inputs, theirs.inputs), (ours.outputs, theirs.outputs)):
        assert [(p.name, last_word(p.option), p.is_homogeneous) for p in mine] == [
            (p.name, last_word(p.option), p.isHomogeneous) for p in wanted
        ]
        for one, other in zip(mine, wanted, strict=True):
            assert set(one.types) == set(other.types), one.name
    counts = ("min_input", "max_input", "min_output", "max_output")
    for count in counts:
        assert getattr(ours, count) == getattr(theirs, count), count
    assert ours.attributes.keys() == theirs.attributes.keys()
    for name, attribute in ours.attributes.items():
        wanted = theirs.attributes[name]
        assert last_word(attribute.type) == last_word(wanted.type), name
        assert attribute.required == wanted.required, name
        assert ours_default(attribute) == theirs_default(wanted), name


def test_a_line_that_states_nothing() -> None:
    with pytest.raises(ValueError, match="'Foo' starts no entry of three parts"):
        list(parse("[x]\n\nFoo\n  a:T -> b:T\n"))
    entry = "[x]\n\nFoo: bar\n  {} -> b:T\n  | {}\n  | T=float\n"
    with pytest.raises(ValueError, match="found 'a', wanted name:type"):
        list(parse(entry.format("a", "")))
    with pytest.raises(ValueError, match="found 'k', wanted name=default"):
        list(parse(entry.format("a:T", "k")))


# --- the lookup ---


def test_lookup() -> None:
    assert find("Gelu", "com.microsoft") is OPS["microsoft.Gelu"].schema()
    assert find("Gelu", "").since_version == defs.get_schema("Gelu").since_version
    assert find("Gelu", "", 19) is None
    assert find("Softmax", "", 11).since_version == 11
    assert find("Gelu", "com.nobody") is None
    assert newest_opset("com.microsoft") == 1
    assert newest_opset("") == defs.onnx_opset_version()
    with pytest.raises(ValueError, match=r"no operator 'Foo' in domain 'ai\.onnx'"):
        get("Foo", "")
    with pytest.raises(ValueError, match=r"found domain 'com\.nobody', wanted"):
        newest_opset("com.nobody")
    assert is_contrib(get("SimplifiedLayerNormalization", ""))
    assert not is_contrib(get("LayerNormalization", ""))


def test_onnx_runtime_writes_layer_normalization_before_its_opset() -> None:
    newest = defs.get_schema("LayerNormalization").since_version
    assert find("LayerNormalization", "", 12).since_version == newest


def test_the_registry_of_the_process_stays_as_it_is() -> None:
    assert not defs.has("QuickGelu", "com.microsoft")
    assert not defs.has("SimplifiedLayerNormalization")


# --- the import ---


def model_of(
    op_type: str, shapes: list[Any], opset: int = 1, **attributes: Any
) -> onnx.ModelProto:
    names = [f"x{i}" for i in range(len(shapes))]
    node = helper.make_node(
        op_type, names, ["y"], "one", domain="com.microsoft", **attributes
    )
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in zip(names, shapes, strict=True)
    ]
    output = onnx.ValueInfoProto(name="y")
    output.type.tensor_type.elem_type = TensorProto.FLOAT
    graph = helper.make_graph([node], "g", inputs, [output])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def test_import_infers_and_parses_back(tmp_path: Any) -> None:
    proto = model_of("FusedMatMul", [["n", 4, 3], ["n", 4, 5]], transA=1)
    model = import_model(proto)
    assert "microsoft.FusedMatMul" in model.text()
    assert '#onnx.dims<"n", 3, 5>' in model.text()


def test_layers_and_heads_keep_symbolic_sizes() -> None:
    shapes = [["b", "s", 8]] * 3
    text = import_model(model_of("MultiHeadAttention", shapes, num_heads=2)).text()
    assert '-> (tensor<?x?x8xf32, #onnx.dims<"b", "s", 8>>' in text


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        (
            model_of("MultiHeadAttention", [[1, 2, 8]] * 3),
            r"node 'one' \(MultiHeadAttention\): attribute 'num_heads' is missing",
        ),
        (
            model_of("QuickGelu", [[2]], beta=1.0),
            r"node 'one' \(QuickGelu\): QuickGelu has no attribute 'beta'",
        ),
        (
            model_of("BiasGelu", [[2]]),
            r"node 'one' \(BiasGelu\): found 1 inputs, wanted 2",
        ),
        (
            model_of("Flatten", [[2]]),
            r"no operator 'Flatten' in domain 'com.microsoft'",
        ),
        (
            model_of("QuickGelu", [[2]], opset=7),
            r"found opset 7 of domain 'com.microsoft', wanted 1 to 1",
        ),
    ],
)
def test_refusals(proto: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        import_model(proto)


# --- result types ---


@pytest.mark.parametrize(
    ("name", "types", "attributes", "wanted"),
    [
        ("Gelu", [tensor(bf16, ["n", 3])], {}, tensor(bf16, ["n", 3])),
        (
            "FusedConv",
            [tensor(f32, ["n", 3, 8, 8]), tensor(f32, [6, 3, 3, 3])],
            {"strides": [2, 2], "activation": "Relu"},
            tensor(f32, ["n", 6, 3, 3]),
        ),
        (
            "MatMulNBits",
            [
                tensor(f32, ["n", 32]),
                tensor(i32, None),
                tensor(f32, [8]),
            ],
            {"N": 8, "K": 32, "block_size": 32},
            tensor(f32, ["n", 8]),
        ),
        ("BiasSplitGelu", [tensor(f32, [2, "s", 8])] * 2, {}, tensor(f32, [2, "s", 4])),
        (
            "RelativePositionBias",
            [tensor(f32, [32, 4]), tensor(i32, []), tensor(i32, [])],
            {"max_distance": 4},
            tensor(f32, [1, 4, None, None]),
        ),
        ("Inverse", [tensor(f32, None)], {}, tensor(f32, None)),
    ],
)
def test_result_types(
    workbench: Any, name: str, types: Any, attributes: Any, wanted: Any
) -> None:
    bench = workbench(*types)
    found = bench.builder.value(f"microsoft.{name}", *bench.args, **attributes)
    assert found.type == wanted


def test_every_operator_has_a_type(workbench: Any) -> None:
    """Without shapes, too; what nothing tells of is unranked."""
    kind = tensor(f32, None)
    bench = workbench(kind)
    for key in ("Gelu", "SkipLayerNormalization", "Rfft", "CDist", "FusedGemm"):
        schema = SCHEMAS["com.microsoft", key]
        operands = [bench.args[0]] * schema.min_input
        value = bench.builder.value(f"microsoft.{key}", *operands)
        assert static_shape(value.type) is None


def test_static_values_give_sizes(workbench: Any) -> None:
    bench = workbench(tensor(f32, [8, 3]))
    length = bench.builder.constant(np.array([5]))
    value = bench.builder.value(
        "microsoft.RelativePositionBias", *bench.args, length, length, max_distance=4
    )
    assert static_shape(value.type) == (1, 3, 5, 5)
