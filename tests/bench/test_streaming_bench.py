"""What the script that measures a limit on weights says of a model made for it."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

WIDTH, LAYERS = 512, 8
MATRIX = 4 * WIDTH * WIDTH


@pytest.fixture(name="streaming")
def streaming_fixture(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    for name in ("streaming", "bert_base"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import streaming

    return streaming


@pytest.fixture(name="tower")
def tower_fixture(
    tmp_path: Path, model_of: Any, value_info: Any, tensor_proto: Any
) -> Path:
    """Products one after another, a megabyte each."""
    rng = np.random.default_rng(0)
    nodes, weights = [], []
    for n in range(LAYERS):
        matrix = rng.standard_normal((WIDTH, WIDTH), np.float32) / 20
        weights.append(tensor_proto(f"w{n}", matrix))
        nodes.append(helper.make_node("MatMul", [f"h{n}", f"w{n}"], [f"p{n}"], f"m{n}"))
        nodes.append(helper.make_node("Tanh", [f"p{n}"], [f"h{n + 1}"], f"t{n}"))
    inputs = [value_info("h0", [4, WIDTH])]
    model = model_of(nodes, inputs, [value_info(f"h{LAYERS}", [4, WIDTH])], weights)
    onnx.save(model, str(tmp_path / "tower.onnx"))
    return tmp_path / "tower.onnx"


def test_what_a_limit_holds_and_costs(streaming: ModuleType, tower: Path) -> None:
    limit = 3 * MATRIX
    found = streaming.streamed(tower, limit, {}, seconds=0.3)
    assert found.weights == LAYERS * MATRIX
    assert found.whole_resident > 0.9 * found.weights
    assert 0 < found.window_resident <= limit + MATRIX
    assert 0 < found.whole_seconds < 10
    assert 0 < found.window_seconds < 10
    assert found.ratio > 0
    assert len(found.row()) == len(streaming.HEADER)
    assert found.row()[:3] == ["tower", "8.4", "3.1"]


def test_other_outputs_are_an_error(streaming: ModuleType, tmp_path: Path) -> None:
    for name, value in (("a", 1.0), ("b", 1.0), ("c", 2.0)):
        np.savez(tmp_path / f"{name}.npz", np.float32(value))
    streaming._same(tmp_path / "a.npz", tmp_path / "b.npz")
    with pytest.raises(AssertionError):
        streaming._same(tmp_path / "a.npz", tmp_path / "c.npz")
