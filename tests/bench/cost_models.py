"""
Models that are drawn at random, for the cost model to learn from.

    drawn(FAMILIES, "encoder", seed=0, place=3)

Each family is a way of building networks (plain and residual convolutions, separable
and grouped ones, encoders, decoders …); what is drawn is sizes. The weights are random.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnx.shape_inference
from onnx import TensorProto, helper, numpy_helper


@dataclass
class Net:
    """A graph being built; every method gives the name of what it adds."""

    draw: random.Random
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.generator = np.random.default_rng(self.draw.randrange(1 << 30))

    def weight(self, *shape: int) -> str:
        scale = 1 / math.sqrt(max(1, math.prod(shape[1:])))
        array = self.generator.standard_normal(shape, np.float32) * np.float32(scale)
        return self.held(array)

    def integers(self, *values: int) -> str:
        return self.held(np.array(values, np.int64))

    def integer(self, value: int) -> str:
        return self.held(np.array(value, np.int64))

    def scalar(self, value: float) -> str:
        return self.held(np.array(value, np.float32))

    def held(self, array: np.ndarray) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def op(self, kind: str, *inputs: str, **attributes: object) -> str:
        name = f"v{len(self.nodes)}"
        node = helper.make_node(
            kind, inputs, [name], f"n{len(self.nodes)}", **attributes
        )
        self.nodes.append(node)
        return name

    def conv(
        self,
        x: str,
        before: int,
        after: int,
        kernel: int = 3,
        stride: int = 1,
        group: int = 1,
        norm: bool = False,
    ) -> str:
        weight = self.weight(after, before // group, kernel, kernel)
        half = kernel // 2
        y = self.op(
            "Conv",
            x,
            weight,
            *([] if norm else [self.weight(after)]),
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[half, half, kernel - 1 - half, kernel - 1 - half],
            group=group,
        )
        return self.norm(y, after) if norm else y

    def norm(self, x: str, channels: int) -> str:
        ones = np.ones(channels, np.float32)
        zeros = np.zeros(channels, np.float32)
        statistics = [self.held(a) for a in (ones, zeros, zeros, ones)]
        return self.op("BatchNormalization", x, *statistics)

    def pool(self, x: str, kind: str = "MaxPool") -> str:
        return self.op(kind, x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])

    def head(self, x: str, channels: int) -> str:
        y = self.op("Flatten", self.op("GlobalAveragePool", x))
        classes = self.draw.choice([10, 100, 1000])
        return self.op("Gemm", y, self.weight(channels, classes), self.weight(classes))

    def linear(self, x: str, before: int, after: int) -> str:
        y = self.op("MatMul", x, self.weight(before, after))
        return self.op("Add", y, self.weight(after))

    def layer_norm(self, x: str, width: int) -> str:
        return self.op(
            "LayerNormalization", x, self.weight(width), self.weight(width), axis=-1
        )

    def finished(self, name: str, result: str, *shape: int) -> onnx.ModelProto:
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
        y = helper.make_tensor_value_info(result, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, name, [x], [y], self.weights)
        opset = helper.make_opsetid("", 18)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=10)
        return onnx.shape_inference.infer_shapes(model)


Family = Callable[[Net], tuple[str, tuple[int, ...]]]
"""Builds on the input ``x``; gives the result and the input's shape."""


def _image(net: Net) -> tuple[int, int, int, str]:
    """Channels and side behind a stem, the image's side, and the value."""
    side = net.draw.choice([64, 96, 112, 160, 224])
    width = net.draw.choice([16, 24, 32, 48, 64])
    kernel = net.draw.choice([3, 5, 7])
    y = net.op("Relu", net.conv("x", 3, width, kernel, 2, norm=net.draw.random() < 0.5))
    half = (side + 1) // 2
    if net.draw.random() < 0.6:
        return width, (half + 1) // 2, side, net.pool(y)
    return width, half, side, y


def plain(net: Net) -> tuple[str, tuple[int, ...]]:
    channels, _, side, y = _image(net)
    for _ in range(net.draw.randint(2, 6)):
        wider = min(512, int(channels * net.draw.choice([1, 1, 1.5, 2])))
        kernel = net.draw.choice([1, 3, 3, 3, 5])
        stride = net.draw.choice([1, 1, 2])
        y = net.op("Relu", net.conv(y, channels, wider, kernel, stride))
        channels = wider
    return net.head(y, channels), (1, 3, side, side)


def residual(net: Net) -> tuple[str, tuple[int, ...]]:
    channels, _, side, y = _image(net)
    for _ in range(net.draw.randint(2, 4)):
        wider = min(1024, channels * net.draw.choice([2, 4]))
        inner = max(16, wider // 4)
        stride = net.draw.choice([1, 2])
        short = net.conv(y, channels, wider, 1, stride, norm=True)
        for block in range(net.draw.randint(1, 2)):
            z = net.op("Relu", net.conv(y, channels, inner, 1, norm=True))
            step = stride if block == 0 else 1
            z = net.op("Relu", net.conv(z, inner, inner, 3, step, norm=True))
            z = net.conv(z, inner, wider, 1, norm=True)
            y = net.op("Relu", net.op("Add", z, short if block == 0 else y))
            channels = wider
    return net.head(y, channels), (1, 3, side, side)


def separable(net: Net) -> tuple[str, tuple[int, ...]]:
    channels, _, side, y = _image(net)
    curve = net.draw.choice(["Relu", "HardSwish", "Relu"])
    for _ in range(net.draw.randint(3, 7)):
        wider = min(640, int(channels * net.draw.choice([1, 1, 2])))
        inner = channels * net.draw.choice([1, 4, 6])
        kernel, stride = net.draw.choice([3, 3, 5]), net.draw.choice([1, 1, 2])
        z = y
        if inner > channels:
            z = net.op(curve, net.conv(z, channels, inner, 1, norm=True))
        z = net.op(curve, net.conv(z, inner, inner, kernel, stride, inner, norm=True))
        z = net.conv(z, inner, wider, 1, norm=True)
        same = wider == channels and stride == 1
        y = net.op("Add", z, y) if same else z
        channels = wider
    return net.head(y, channels), (1, 3, side, side)


def branching(net: Net) -> tuple[str, tuple[int, ...]]:
    channels, _, side, y = _image(net)
    for _ in range(net.draw.randint(2, 4)):
        widths = [net.draw.choice([16, 32, 64, 96, 128]) for _ in range(3)]
        inner = net.draw.choice([16, 32, 64])
        one = net.op("Relu", net.conv(y, channels, widths[0], 1))
        three = net.op("Relu", net.conv(y, channels, inner, 1))
        three = net.op("Relu", net.conv(three, inner, widths[1], 3))
        other = net.op(
            net.draw.choice(["MaxPool", "AveragePool"]),
            y,
            kernel_shape=[3, 3],
            strides=[1, 1],
            pads=[1, 1, 1, 1],
        )
        other = net.op("Relu", net.conv(other, channels, widths[2], 1))
        y = net.op("Concat", one, three, other, axis=1)
        channels = sum(widths)
        if net.draw.random() < 0.4:
            y = net.pool(y)
    return net.head(y, channels), (1, 3, side, side)


def grouped(net: Net) -> tuple[str, tuple[int, ...]]:
    group = net.draw.choice([2, 3, 4, 8])
    channels = 24 * group
    side = net.draw.choice([28, 56])
    y = "x"
    for _ in range(net.draw.randint(2, 5)):
        inner = channels // net.draw.choice([1, 2]) // group * group
        z = net.op("Relu", net.conv(y, channels, inner, 1, group=group, norm=True))
        shape = net.integers(1, group, inner // group, side, side)
        z = net.op("Transpose", net.op("Reshape", z, shape), perm=[0, 2, 1, 3, 4])
        z = net.op("Reshape", z, net.integers(1, inner, side, side))
        z = net.conv(z, inner, inner, 3, 1, inner, norm=True)
        z = net.conv(z, inner, channels, 1, group=group, norm=True)
        y = net.op("Relu", net.op("Add", z, y))
    return net.head(y, channels), (1, 24 * group, side, side)


def dense(net: Net) -> tuple[str, tuple[int, ...]]:
    channels, _, side, y = _image(net)
    growth = net.draw.choice([12, 24, 32, 48])
    for _ in range(net.draw.randint(3, 8)):
        z = net.op("Relu", net.norm(y, channels))
        z = net.op("Relu", net.conv(z, channels, 4 * growth, 1, norm=True))
        z = net.conv(z, 4 * growth, growth, 3)
        y = net.op("Concat", y, z, axis=1)
        channels += growth
        if net.draw.random() < 0.25:
            half = channels // 2
            y = net.op("Relu", net.conv(y, channels, half, 1))
            y, channels = net.pool(y, "AveragePool"), half
    return net.head(y, channels), (1, 3, side, side)


def _heads(
    net: Net, y: str, tokens: int, heads: int, size: int, perm: list[int]
) -> str:
    shape = net.integers(0, tokens, heads, size)
    return net.op("Transpose", net.op("Reshape", y, shape), perm=perm)


def attention(
    net: Net, y: str, batch: int, tokens: int, width: int, heads: int, mask: str = ""
) -> str:
    size = width // heads
    q = _heads(net, net.linear(y, width, width), tokens, heads, size, [0, 2, 1, 3])
    k = _heads(net, net.linear(y, width, width), tokens, heads, size, [0, 2, 3, 1])
    v = _heads(net, net.linear(y, width, width), tokens, heads, size, [0, 2, 1, 3])
    scores = net.op("Div", net.op("MatMul", q, k), net.scalar(math.sqrt(size)))
    if mask:
        scores = net.op("Add", scores, mask)
    out = net.op("MatMul", net.op("Softmax", scores, axis=-1), v)
    out = net.op("Transpose", out, perm=[0, 2, 1, 3])
    out = net.op("Reshape", out, net.integers(batch, tokens, width))
    return net.linear(out, width, width)


def _transformer(net: Net) -> tuple[int, int, int, int]:
    """Batch, tokens, width and heads."""
    heads = net.draw.choice([2, 4, 6, 8, 12])
    width = heads * net.draw.choice([16, 32, 64])
    tokens = net.draw.choice([8, 16, 32, 50, 64, 128, 197, 256])
    return net.draw.choice([1, 1, 2, 4]), tokens, width, heads


def gelu(net: Net, y: str) -> str:
    erf = net.op("Erf", net.op("Div", y, net.scalar(math.sqrt(2))))
    wide = net.op("Mul", y, net.op("Add", erf, net.scalar(1)))
    return net.op("Mul", wide, net.scalar(0.5))


def rms(net: Net, y: str, width: int) -> str:
    square = net.op("Mul", y, y)
    mean = net.op("ReduceMean", square, net.integers(-1), keepdims=1)
    root = net.op("Sqrt", net.op("Add", mean, net.scalar(1e-6)))
    return net.op("Mul", net.op("Div", y, root), net.weight(width))


def encoder(net: Net) -> tuple[str, tuple[int, ...]]:
    batch, tokens, width, heads = _transformer(net)
    y, first = "x", net.draw.random() < 0.5
    wide = width * net.draw.choice([2, 4])
    for _ in range(net.draw.randint(1, 4)):
        before = net.layer_norm(y, width) if first else y
        y = net.op("Add", y, attention(net, before, batch, tokens, width, heads))
        y = y if first else net.layer_norm(y, width)
        z = net.linear(net.layer_norm(y, width) if first else y, width, wide)
        z = gelu(net, z)
        y = net.op("Add", y, net.linear(z, wide, width))
        y = y if first else net.layer_norm(y, width)
    return net.layer_norm(y, width) if first else y, (batch, tokens, width)


def decoder(net: Net) -> tuple[str, tuple[int, ...]]:
    batch, tokens, width, heads = _transformer(net)
    mask = np.triu(np.full((1, 1, tokens, tokens), -1e9, np.float32), 1)
    net.weights.append(numpy_helper.from_array(mask, "mask"))
    y, wide = "x", int(width * net.draw.choice([2, 8 / 3, 4])) // 16 * 16

    for _ in range(net.draw.randint(1, 4)):
        part = attention(net, rms(net, y, width), batch, tokens, width, heads, "mask")
        y = net.op("Add", y, part)
        z = rms(net, y, width)
        gate = net.op("MatMul", z, net.weight(width, wide))
        gate = net.op("Mul", gate, net.op("Sigmoid", gate))
        up = net.op("MatMul", z, net.weight(width, wide))
        down = net.op("MatMul", net.op("Mul", gate, up), net.weight(wide, width))
        y = net.op("Add", y, down)
    return rms(net, y, width), (batch, tokens, width)


def layers(net: Net) -> tuple[str, tuple[int, ...]]:
    rows, width = net.draw.choice([1, 8, 32, 128, 512]), net.draw.choice([64, 256, 784])
    shape, y = (rows, width), "x"
    for _ in range(net.draw.randint(2, 5)):
        wider = net.draw.choice([32, 128, 256, 512, 1024, 2048])
        y = net.op("Gemm", y, net.weight(width, wider), net.weight(wider))
        y = net.op(net.draw.choice(["Relu", "Tanh", "Sigmoid"]), y)
        width = wider
    return y, shape


def recurrent(net: Net) -> tuple[str, tuple[int, ...]]:
    steps, batch = net.draw.choice([8, 16, 32, 64]), net.draw.choice([1, 2, 8])
    width, hidden = net.draw.choice([32, 64, 128]), net.draw.choice([32, 64, 128, 256])
    kind, gates = net.draw.choice([("LSTM", 4), ("GRU", 3)])
    shape, y = (steps, batch, width), "x"
    for _ in range(net.draw.randint(1, 2)):
        weights = (
            net.weight(1, gates * hidden, width),
            net.weight(1, gates * hidden, hidden),
            net.weight(1, 2 * gates * hidden),
        )
        y = net.op(kind, y, *weights, hidden_size=hidden)
        y, width = net.op("Squeeze", y, net.integers(1)), hidden
    return net.linear(y, width, net.draw.choice([8, 64])), shape


def waves(net: Net) -> tuple[str, tuple[int, ...]]:
    length = net.draw.choice([2000, 4000, 8000])
    channels, y = 1, "x"
    for place in range(net.draw.randint(2, 5)):
        wider = net.draw.choice([16, 32, 64, 128])
        kernel, stride = net.draw.choice([(10, 5), (8, 4), (3, 2), (3, 1)])
        weight, bias = net.weight(wider, channels, kernel), net.weight(wider)
        y = net.op("Conv", y, weight, bias, kernel_shape=[kernel], strides=[stride])
        y = gelu(net, y)
        channels = wider
        if place >= 3:
            break
    return y, (1, 1, length)


def pointwise(net: Net) -> tuple[str, tuple[int, ...]]:
    rows, width = net.draw.choice([16, 64, 256, 1024]), net.draw.choice([64, 512, 2048])
    values = ["x"]
    for _ in range(net.draw.randint(4, 14)):
        kind = net.draw.choice(
            [
                "Add",
                "Mul",
                "Sub",
                "Relu",
                "Exp",
                "Tanh",
                "Sigmoid",
                "Sqrt",
                "Abs",
                "Max",
                "Neg",
                "Softmax",
                "Sum",
            ]
        )
        y = net.draw.choice(values[-3:])
        if kind in ("Add", "Mul", "Sub", "Max", "Sum"):
            other = net.draw.choice([*values, net.weight(width)])
            values.append(net.op(kind, y, other))
        elif kind == "Sqrt":
            values.append(net.op("Sqrt", net.op("Abs", y)))
        elif kind == "Exp":
            values.append(net.op("Exp", net.op("Neg", net.op("Abs", y))))
        else:
            values.append(net.op(kind, y))
    kept = net.op("Sum", *values[-2:])
    reduced = net.op("ReduceMean", kept, net.integers(-1), keepdims=1)
    return net.op("Sub", kept, reduced), (rows, width)


FAMILIES: dict[str, Family] = {
    family.__name__: family
    for family in (
        plain,
        residual,
        separable,
        branching,
        grouped,
        dense,
        encoder,
        decoder,
        layers,
        recurrent,
        waves,
        pointwise,
    )
}


def drawn(
    families: Mapping[str, Family], family: str, seed: int, place: int
) -> onnx.ModelProto:
    """The model of a family that is drawn at `place`."""
    net = Net(random.Random(f"{seed} {family} {place}"))
    result, shape = families[family](net)
    return net.finished(name_of(family, seed, place), result, *shape)


def name_of(family: str, seed: int, place: int) -> str:
    """What the model is called that `drawn` gives."""
    return f"{family}-{seed}-{place}"
