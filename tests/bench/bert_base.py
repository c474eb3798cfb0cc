"""
BERT-base's shapes with random weights, where PyTorch is not there to write the model.

Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers", 2019: twelve
layers of 768 channels, 12 heads, 3072 channels between, 30522 words; 128 tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LAYERS, WIDTH, INNER, WORDS, TOKENS, HEADS = 12, 768, 3072, 30522, 128, 12


@dataclass
class _Graph:
    nodes: list[Any] = field(default_factory=list)
    tensors: list[Any] = field(default_factory=list)
    rng: Any = field(default_factory=lambda: np.random.default_rng(0))

    def weight(self, name: str, *shape: int, about: float = 0.0) -> str:
        drawn = self.rng.standard_normal(shape, np.float32)
        return self.constant(name, np.float32(about) + drawn * np.float32(0.02))

    def constant(self, name: str, value: Any) -> str:
        self.tensors.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, op: str, takes: list[str], name: str, **given: Any) -> str:
        self.nodes.append(helper.make_node(op, takes, [name], name, **given))
        return name

    def linear(self, x: str, name: str, takes: int, gives: int) -> str:
        matrix = self.weight(f"{name}.weight", takes, gives)
        product = self.node("MatMul", [x, matrix], f"{name}.product")
        return self.node("Add", [product, self.weight(f"{name}.bias", gives)], name)

    def norm(self, x: str, name: str) -> str:
        gain = self.weight(f"{name}.weight", WIDTH, about=1.0)
        takes = [x, gain, self.weight(f"{name}.bias", WIDTH)]
        return self.node("LayerNormalization", takes, name, axis=-1, epsilon=1e-12)

    def heads(self, x: str, name: str, perm: list[int]) -> str:
        apart = self.node("Reshape", [x, "heads"], f"{name}.apart")
        return self.node("Transpose", [apart], f"{name}.heads", perm=perm)

    def layer(self, x: str, name: str, mask: str) -> str:
        q, k, v = (self.linear(x, f"{name}.{p}", WIDTH, WIDTH) for p in "qkv")
        rows, columns = [0, 2, 1, 3], [0, 2, 3, 1]
        q, v = (self.heads(x, x, rows) for x in (q, v))
        k = self.heads(k, k, columns)
        scores = self.node("MatMul", [q, k], f"{name}.scores")
        scaled = self.node("Mul", [scores, "scale"], f"{name}.scaled")
        masked = self.node("Add", [scaled, mask], f"{name}.masked")
        shares = self.node("Softmax", [masked], f"{name}.shares", axis=-1)
        mixed = self.node("MatMul", [shares, v], f"{name}.mixed")
        back = self.node("Transpose", [mixed], f"{name}.back", perm=rows)
        flat = self.node("Reshape", [back, "flat"], f"{name}.flat")
        out = self.linear(flat, f"{name}.out", WIDTH, WIDTH)
        seen = self.norm(self.node("Add", [out, x], f"{name}.seen"), f"{name}.norm1")
        wide = self.linear(seen, f"{name}.up", WIDTH, INNER)
        bent = self.node("Gelu", [wide], f"{name}.gelu")
        down = self.linear(bent, f"{name}.down", INNER, WIDTH)
        return self.norm(self.node("Add", [down, seen], f"{name}.sum"), f"{name}.norm2")


def write_bert_base(path: Path) -> Path:
    """Write the model, 436 MB, and give its path."""
    made = _Graph()
    made.constant("heads", np.array([1, TOKENS, HEADS, WIDTH // HEADS]))
    made.constant("flat", np.array([1, TOKENS, WIDTH]))
    made.constant("scale", np.float32((WIDTH // HEADS) ** -0.5))
    words = made.weight("words", WORDS, WIDTH)
    places = made.weight("places", 1, TOKENS, WIDTH)
    looked_up = made.node("Gather", [words, "input_ids"], "words.of")
    x = made.norm(made.node("Add", [looked_up, places], "embedded"), "embedded.norm")
    seen = made.node("Cast", ["attention_mask"], "mask.float", to=TensorProto.FLOAT)
    unseen = made.node("Sub", [made.constant("one", np.float32(1)), seen], "unseen")
    low = made.node("Mul", [unseen, made.constant("low", np.float32(-1e4))], "mask.low")
    axes = made.constant("axes", np.array([1, 2]))
    mask = made.node("Unsqueeze", [low, axes], "mask")
    for number in range(LAYERS):
        x = made.layer(x, f"layer{number}", mask)
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, [1, TOKENS])
        for name in ("input_ids", "attention_mask")
    ]
    output = helper.make_tensor_value_info(x, TensorProto.FLOAT, [1, TOKENS, WIDTH])
    graph = helper.make_graph(made.nodes, "bert-base", inputs, [output], made.tensors)
    opsets = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), str(path))
    return path
