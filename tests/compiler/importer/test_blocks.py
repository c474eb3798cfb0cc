"""
Convolutions in ONNX Runtime's blocks: written with 8 or with 16 channels a block.

The oracle is ONNX Runtime on the same convolutions without blocks; what it writes
itself depends on its processor, so the blocks are made here.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from sardonyx.compiler import compile_model
from sardonyx.compiler.exporter import export_model
from sardonyx.compiler.importer import import_model

BLOCKED = "com.microsoft.nchwc"
SAME = {"pads": [1, 1, 1, 1]}


def weights_of(*channels: int) -> list[Any]:
    rng = np.random.default_rng(0)
    pairs = zip(channels[1:], channels, strict=False)
    return [rng.standard_normal((m, c, 3, 3)).astype(np.float32) for m, c in pairs]


def model_of(nodes: Any, weights: Any, channels: int, outputs: int) -> onnx.ModelProto:
    infos = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, n, 6, 5])]
        for name, n in (("x", channels), ("y", outputs))
    ]
    held = [numpy_helper.from_array(w, f"w{i}") for i, w in enumerate(weights)]
    graph = helper.make_graph(nodes, "blocks", *infos, held)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(BLOCKED, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def plain(weights: list[Any]) -> onnx.ModelProto:
    names = ["x", *(f"y{i}" for i in range(1, len(weights))), "y"]
    nodes = [
        helper.make_node("Conv", [names[i], f"w{i}"], [names[i + 1]], **SAME)
        for i in range(len(weights))
    ]
    return model_of(nodes, weights, weights[0].shape[1], weights[-1].shape[0])


def padded(size: int, block: int) -> int:
    return -(-size // block) * block


def in_blocks(weight: Any, block: int) -> Any:
    """As ``OIHWBo``, or as ``OIHWBiBo`` if the image has a whole block of channels."""
    m, c, *kernel = weight.shape
    inputs = c if c < block else padded(c, block)
    whole = np.zeros((padded(m, block), inputs, *kernel), np.float32)
    whole[:m, :c] = weight
    rows = len(whole) // block
    if c < block:
        parts = whole.reshape(rows, block, c, *kernel).transpose(0, 2, 3, 4, 1)
    else:
        parts = whole.reshape(rows, block, inputs // block, block, *kernel)
        parts = parts.transpose(0, 2, 4, 5, 3, 1)
    return np.ascontiguousarray(parts).reshape(whole.shape)


def blocked(weights: list[Any], block: int) -> onnx.ModelProto:
    """As ONNX Runtime writes it: an image of less than a block is not reordered."""
    nodes: list[Any] = []
    value, held = "x", "plain"
    for i, weight in enumerate(weights):
        m, c = weight.shape[:2]
        wanted = "plain" if c < block else "blocks"
        if held != wanted:
            name = "ReorderInput" if wanted == "blocks" else "ReorderOutput"
            said = {} if wanted == "blocks" else {"channels": c}
            nodes.append(
                helper.make_node(name, [value], [f"r{i}"], domain=BLOCKED, **said)
            )
            value = f"r{i}"
        nodes.append(
            helper.make_node(
                "Conv", [value, f"w{i}"], [f"c{i}"], domain=BLOCKED, **SAME
            )
        )
        value, held = f"c{i}", "blocks"
    nodes.append(
        helper.make_node("ReorderOutput", [value], ["y"], domain=BLOCKED, channels=m)
    )
    parts = [in_blocks(weight, block) for weight in weights]
    return model_of(nodes, parts, weights[0].shape[1], m)


CASES = [
    # The blocks, and the channels: an image's, then those that each convolution gives.
    (8, (3, 8)),
    (8, (3, 16, 24, 16)),
    (8, (3, 8, 16)),
    (8, (16, 16, 8)),
    (8, (20, 32, 32)),
    (16, (3, 16, 16)),
    (16, (3, 8, 16)),
    (16, (12, 16, 24)),
    (16, (20, 32, 32)),
]


@pytest.mark.parametrize(("block", "channels"), CASES)
def test_the_whole_model_tells_its_blocks(
    assert_close: Any, tmp_path: Path, block: int, channels: tuple[int, ...]
) -> None:
    weights = weights_of(*channels)
    x = np.random.default_rng(1).standard_normal((1, channels[0], 6, 5))
    feeds = {"x": x.astype(np.float32)}
    session = onnxruntime.InferenceSession(plain(weights).SerializeToString())
    (wanted,) = session.run(None, feeds)
    model = blocked(weights, block)
    export_model(import_model(model), tmp_path / "again.onnx")
    for form in (model, tmp_path / "again.onnx"):
        for backend in ("numpy", "jax"):
            (found,) = compile_model(form, backend=backend)(**feeds)
            assert_close(np.asarray(found), wanted, 10)


def test_what_is_noted_is_seen_and_stays_out_of_onnx(tmp_path: Path) -> None:
    model = import_model(blocked(weights_of(3, 16, 24), 8))
    assert str(model.module).count("block = 8") == 2
    export_model(model, tmp_path / "again.onnx")
    nodes = onnx.load(tmp_path / "again.onnx").graph.node
    assert all(a.name != "block" for node in nodes for a in node.attribute)
    silent = import_model(blocked(weights_of(3, 16, 32), 16))
    assert "block =" not in str(silent.module)
