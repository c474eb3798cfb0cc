"""Modules as text: the text parses back to itself, and what it says runs bit-equal."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from sardonyx.compiler import compile_model, import_model
from sardonyx.compiler.text import read_text, write_text


def bit_equal(found: Any, wanted: Any) -> bool:
    return len(found) == len(wanted) and all(
        a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
        for a, b in zip(map(np.asarray, found), map(np.asarray, wanted), strict=True)
    )


def test_programs(case: Any, tmp_path: Path) -> None:
    path = tmp_path / "m.mlir"
    model = import_model(case.model())
    write_text(model, path)
    parsed = read_text(path)
    assert parsed.text() == path.read_text() == model.text()
    for backend in ("numpy", "jax"):
        ours = compile_model(model, backend=backend)
        theirs = compile_model(path, backend=backend)
        assert ours.source == theirs.source
        for inputs in case.inputs:
            assert bit_equal(theirs(**inputs), ours(**inputs))


def test_bit_equality_can_fail() -> None:
    x = np.ones(3, np.float32)
    assert bit_equal([x], [x.copy()])
    assert not bit_equal([x], [x + np.float32(1e-7)])
    assert not bit_equal([x], [x.astype(np.float64)])


NUMBERS = [
    name
    for name, number in TensorProto.DataType.items()
    if number not in (TensorProto.UNDEFINED, TensorProto.STRING)
]

PACKED = {
    **dict.fromkeys(("INT2", "UINT2"), 2),
    **dict.fromkeys(("INT4", "UINT4", "FLOAT4E2M1"), 4),
    **dict.fromkeys(("FLOAT6E2M3", "FLOAT6E3M2"), 6),
}
"""The bits of the elements that share a byte."""


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("count", [7, 141], ids=["small", "large"])
def test_every_element_type(tmp_path: Path, name: str, count: int) -> None:
    # The bytes are random: nan, infinities and denormals are among the values.
    element = TensorProto.DataType.Value(name)
    kind = helper.tensor_dtype_to_np_dtype(element)
    raw = np.random.default_rng(5).integers(0, 256, 16 * count, np.uint8)
    bits = PACKED.get(name, 8 * kind.itemsize)
    size = -(-count * bits // 8)
    content = (raw & 1 if kind == np.bool_ else raw)[:size].tobytes()
    tensor = TensorProto(name="w", data_type=element, dims=[count], raw_data=content)
    output = helper.make_tensor_value_info("w", element, [count])
    graph = helper.make_graph([], "g", [], [output], [tensor])
    opset = helper.make_opsetid("", 21)
    model = import_model(helper.make_model(graph, opset_imports=[opset]))
    path = tmp_path / "m.mlir"
    write_text(model, path)
    assert path.with_suffix(".safetensors").exists() == (count > 16)
    assert read_text(path).text() == path.read_text() == model.text()
    found = compile_model(path, backend="numpy", pipeline="O0")()
    assert bit_equal(found, compile_model(model, backend="numpy", pipeline="O0")())
    assert bit_equal(found, [numpy_helper.to_array(tensor)])


NASTY = ("a\nb", 'q"uo"te', "back\\slash", '"""', "</script>", "..", "é\x00", "%x", "#")


def nasty_model() -> onnx.ModelProto:
    """Every name, doc and string holds what a text could stumble over."""
    rng = np.random.default_rng(0)
    nodes, weights = [], []
    last = "x"
    for place, text in enumerate(NASTY):
        array = rng.standard_normal((40, 40) if place % 2 else 40).astype(np.float32)
        weights.append(numpy_helper.from_array(array, f"w {text}"))
        nodes.append(
            helper.make_node("Add", [last, f"w {text}"], [text], name=f"node {text}")
        )
        last = text
    strings = TensorProto(
        data_type=TensorProto.STRING,
        dims=[len(NASTY)],
        string_data=[text.encode() for text in NASTY],
    )
    nodes.append(helper.make_node("Constant", [], ["s"], value=strings))
    graph = helper.make_graph(
        nodes,
        "".join(NASTY),
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["a\nb", 40])],
        [
            helper.make_tensor_value_info(last, TensorProto.FLOAT, None),
            helper.make_tensor_value_info("s", TensorProto.STRING, [9]),
        ],
        weights,
        doc_string="".join(NASTY),
    )
    opset = helper.make_opsetid("", 21)
    model = helper.make_model(graph, opset_imports=[opset], producer_name=NASTY[0])
    helper.set_model_props(model, dict(zip(NASTY, NASTY, strict=True)))
    return model


def test_names_that_no_text_can_hold(tmp_path: Path) -> None:
    model = import_model(nasty_model())
    path = tmp_path / "m.mlir"
    write_text(model, path)
    parsed = read_text(path)
    assert parsed.text() == path.read_text()
    assert [o.name for o in parsed.outputs] == [NASTY[-1], "s"]
    assert parsed.name == "".join(NASTY)
    x = np.ones((40, 40), np.float32)
    found = compile_model(path, backend="numpy")(x)
    wanted = compile_model(nasty_model(), backend="numpy")(x)
    assert bit_equal(found[:1], wanted[:1])
    assert found[1].tolist() == wanted[1].tolist() == list(NASTY)


def test_a_changed_weight_is_another_result(tmp_path: Path) -> None:
    path = tmp_path / "m.mlir"
    write_text(import_model(nasty_model()), path)
    weights = path.with_suffix(".safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    x = np.ones((40, 40), np.float32)
    wanted = compile_model(nasty_model(), backend="numpy")(x)
    assert not bit_equal(compile_model(path, backend="numpy")(x)[:1], wanted[:1])
