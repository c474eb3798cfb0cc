"""
Parts of networks that are drawn at random: a few ops each, of sizes far and wide.

`cost_models` draws whole networks, which are alike in their sizes; what a part takes
tells of its ops alone. Each family is a kind of part.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from cost_models import (
    Family,
    Net,
    attention,
    gelu,
    rms,
)

Drawn = tuple[str, tuple[int, ...]]
MOST_FLOPS = 4e9
"""Of one convolution: VGG has such."""
MOST_WEIGHTS = 40e6
"""Of one product, in numbers: AlexNet has such."""
SIDES = (224, 112, 111, 56, 55, 28, 27, 14, 13, 7)


def _between(net: Net, least: float, most: float, multiple: int = 1) -> int:
    """A number whose logarithm is drawn evenly."""
    drawn = math.exp(net.draw.uniform(math.log(least), math.log(most)))
    return max(multiple, round(drawn / multiple) * multiple)


def _channels(net: Net, most: int = 512) -> int:
    return min(most, _between(net, 12, most, net.draw.choice([8, 8, 16, 32])))


def windows(net: Net) -> Drawn:
    """Convolutions in a row, of any width at any side."""
    while True:
        side, kernel = net.draw.choice(SIDES), net.draw.choice([1, 1, 3, 3, 3, 5])
        widths = [_channels(net) for _ in range(net.draw.randint(2, 3))]
        work = sum(a * b for a, b in itertools.pairwise(widths))
        if 2 * work * (side * kernel) ** 2 < MOST_FLOPS:
            break
    y = "x"
    for before, after in itertools.pairwise(widths):
        y = net.op("Relu", net.conv(y, before, after, kernel))
    if net.draw.random() < 0.3:
        y = net.pool(y, net.draw.choice(["MaxPool", "AveragePool"]))
    return y, (1, widths[0], side, side)


def walls(net: Net) -> Drawn:
    """Large convolutions, one or two, as the middle of deep networks has them."""
    while True:
        side, kernel = net.draw.choice(SIDES), net.draw.choice([1, 3, 3, 3, 3, 5])
        widths = [net.draw.choice([64, 96, 128, 192, 256, 384, 512]) for _ in range(3)]
        widths = widths[: net.draw.randint(2, 3)]
        work = sum(a * b for a, b in itertools.pairwise(widths))
        if MOST_FLOPS / 16 < 2 * work * (side * kernel) ** 2 < MOST_FLOPS:
            break
    y = "x"
    for before, after in itertools.pairwise(widths):
        y = net.op("Relu", net.conv(y, before, after, kernel, norm=side % 2 == 0))
    return y, (1, widths[0], side, side)


def stems(net: Net) -> Drawn:
    """The first layers on an image."""
    side, width = (
        net.draw.choice([64, 96, 128, 224, 224]),
        net.draw.choice([16, 24, 32, 64, 96]),
    )
    kernel = net.draw.choice([3, 3, 5, 7, 11, 16])
    stride = 16 if kernel == 16 else net.draw.choice([1, 2, 2, 4])
    y = net.op("Relu", net.conv("x", 3, width, kernel, stride))
    if net.draw.random() < 0.4:
        y = net.op("LRN", y, size=5, alpha=1e-4, beta=0.75)
    if kernel < 16 and net.draw.random() < 0.6:
        y = net.pool(y)
    return y, (1, 3, side, side)


def heads(net: Net) -> Drawn:
    """Products of few rows with weights that no cache holds."""
    rows = net.draw.choice([1, 1, 1, 1, 2, 4])
    while True:
        widths = [_between(net, 64, 16384, 32) for _ in range(net.draw.randint(2, 3))]
        if sum(a * b for a, b in itertools.pairwise(widths)) < MOST_WEIGHTS:
            break
    y = "x"
    for before, after in itertools.pairwise(widths):
        y = net.op("Gemm", y, net.weight(before, after), net.weight(after))
        if net.draw.random() < 0.7:
            y = net.op("Relu", y)
    if net.draw.random() < 0.3:
        y = net.op("Softmax", y, axis=-1)
    return y, (rows, widths[0])


def products(net: Net) -> Drawn:
    """Dense layers of any size, and what follows them."""
    while True:
        rows, width = _between(net, 4, 2048), _between(net, 16, 2048, 16)
        wide = _between(net, 16, 3072, 16)
        if rows * width * wide < 1e9:
            break
    y, shape = "x", (net.draw.choice([1, 1, 2]), rows, width)
    for before, after in ((width, wide), (wide, width))[: net.draw.randint(1, 2)]:
        y = net.linear(y, before, after)
        kind = net.draw.choice(["", "Relu", "Gelu", "Tanh", "Sigmoid"])
        if kind == "Gelu":
            y = gelu(net, y)
        elif kind:
            y = net.op(kind, y)
    return y, shape


def modules(net: Net) -> Drawn:
    """Branches that are joined: fire modules, and Inception's."""
    while True:
        side, channels = net.draw.choice(SIDES[3:]), _channels(net)
        inner, outer = _channels(net, 128), _channels(net, 384)
        if 2 * (channels * inner + 10 * inner * outer) * side**2 < MOST_FLOPS / 4:
            break
    shape, y = (1, channels, side, side), "x"
    for _ in range(net.draw.randint(1, 2)):
        y = net.op("Relu", net.conv(y, channels, inner, 1))
        one = net.op("Relu", net.conv(y, inner, outer, 1))
        two = net.op("Relu", net.conv(y, inner, outer, net.draw.choice([3, 3, 5])))
        y = net.op("Concat", one, two, axis=1)
        channels = 2 * outer
    if net.draw.random() < 0.3:
        y = net.op("GlobalAveragePool", y)
    return y, shape


def mobiles(net: Net) -> Drawn:
    """Inverted residuals, small ones."""
    side, channels = (
        net.draw.choice([96, 56, 48, 28, 24, 14, 12, 7, 6]),
        _channels(net, 160),
    )
    shape, y = (1, channels, side, side), "x"
    curve = net.draw.choice(["Relu", "Clip", "HardSwish"])

    def curved(value: str) -> str:
        if curve == "Clip":
            return net.op("Clip", value, net.scalar(0.0), net.scalar(6.0))
        return net.op(curve, value)

    for _ in range(net.draw.randint(1, 3)):
        inner, stride = (
            channels * net.draw.choice([2, 4, 6]),
            net.draw.choice([1, 1, 2]),
        )
        z = curved(net.conv(y, channels, inner, 1, norm=True))
        z = curved(net.conv(z, inner, inner, 3, stride, inner, norm=True))
        wider = channels if stride == 1 else _channels(net, 160)
        z = net.conv(z, inner, wider, 1, norm=True)
        y = net.op("Add", z, y) if stride == 1 else z
        channels = wider
    return y, shape


def shuffles(net: Net) -> Drawn:
    """Grouped convolutions whose channels are shuffled."""
    group, side = net.draw.choice([2, 3, 4, 8]), net.draw.choice([56, 28, 14, 7])
    channels = group * _between(net, 8, 96, 4)
    shape, y = (1, channels, side, side), "x"
    for _ in range(net.draw.randint(1, 2)):
        z = net.op("Relu", net.conv(y, channels, channels, 1, group=group, norm=True))
        parts = net.integers(1, group, channels // group, side, side)
        z = net.op("Transpose", net.op("Reshape", z, parts), perm=[0, 2, 1, 3, 4])
        z = net.op("Reshape", z, net.integers(1, channels, side, side))
        z = net.conv(z, channels, channels, 3, 1, channels, norm=True)
        z = net.conv(z, channels, channels, 1, group=group, norm=True)
        y = net.op("Relu", net.op("Add", z, y))
    return y, shape


def _tokens(net: Net) -> tuple[str, int, int]:
    """A value of tokens: itself, the batch, and how many each has."""
    batch, tokens = net.draw.choice([1, 1, 2, 4]), _between(net, 4, 256)
    return "x", batch, tokens


def transformers(net: Net) -> Drawn:
    """A layer of a transformer, of the least to middle size."""
    heads = net.draw.choice([1, 2, 4, 8])
    width = heads * net.draw.choice([8, 16, 16, 32, 32, 64])
    y, batch, tokens = _tokens(net)
    root, mask = net.draw.random() < 0.5, net.draw.random() < 0.5
    if mask:
        held = np.triu(np.full((1, 1, tokens, tokens), -1e9, np.float32), 1)
        mask_name = net.held(held)
    for _ in range(net.draw.randint(1, 2)):
        z = rms(net, y, width) if root else net.layer_norm(y, width)
        given = (mask_name,) if mask else ()
        y = net.op("Add", y, attention(net, z, batch, tokens, width, heads, *given))
        z = rms(net, y, width) if root else net.layer_norm(y, width)
        wide = net.draw.choice([2, 4]) * width
        z = net.linear(z, width, wide)
        z = net.op("Mul", z, net.op("Sigmoid", z)) if root else gelu(net, z)
        y = net.op("Add", y, net.linear(z, wide, width))
    return y, (batch, tokens, width)


def norms(net: Net) -> Drawn:
    """Normalizations, softmax and reductions, of any size."""
    rows, width = _between(net, 4, 2048), _between(net, 16, 1024, 8)
    y, shape = "x", (1, rows, width)
    for _ in range(net.draw.randint(1, 3)):
        kind = net.draw.choice(["layer", "root", "softmax", "gelu", "mean", "add"])
        if kind == "layer":
            y = net.layer_norm(y, width)
        elif kind == "root":
            y = rms(net, y, width)
        elif kind == "softmax":
            y = net.op("Softmax", y, axis=-1)
        elif kind == "gelu":
            y = gelu(net, y)
        elif kind == "mean":
            mean = net.op("ReduceMean", y, net.integers(-1), keepdims=1)
            y = net.op("Sub", y, mean)
        else:
            y = net.op("Mul", net.op("Add", y, net.weight(width)), net.weight(width))
    return y, shape


def tables(net: Net) -> Drawn:
    """Rows of a table, and a layer on them."""
    size, width = _between(net, 100, 32000), _between(net, 16, 768, 16)
    count = _between(net, 8, 512)
    places = net.op("Cast", "x", to=7)
    places = net.op("Clip", places, net.integer(0), net.integer(size - 1))
    y = net.op("Gather", net.weight(size, width), places, axis=0)
    y = net.op("Add", y, net.weight(count, width))
    if net.draw.random() < 0.5:
        y = net.layer_norm(y, width)
    wide = _between(net, 16, 1024, 16)
    y = net.linear(y, width, wide)
    return y, (1, count)


def signals(net: Net) -> Drawn:
    """Convolutions along one axis, and normalizations of them."""
    length, channels = _between(net, 64, 4000), _between(net, 4, 256, 4)
    shape, y = (1, channels, length), "x"
    for _ in range(net.draw.randint(1, 2)):
        wider, kernel = _between(net, 8, 384, 8), net.draw.choice([3, 5, 10, 16])
        group = math.gcd(channels, wider) if net.draw.random() < 0.2 else 1
        while 2 * channels * wider * kernel * length / group > MOST_FLOPS / 4:
            wider = max(8, wider // 2)
            group = math.gcd(channels, wider) if group > 1 else 1
        weight = net.weight(wider, channels // group, kernel)
        y = net.op(
            "Conv",
            y,
            weight,
            net.weight(wider),
            kernel_shape=[kernel],
            group=group,
            strides=[net.draw.choice([1, 1, 2, 5])],
            pads=[kernel // 2, kernel - 1 - kernel // 2],
        )
        if net.draw.random() < 0.3:
            y = net.op("InstanceNormalization", y, net.weight(wider), net.weight(wider))
        y = gelu(net, y) if net.draw.random() < 0.6 else net.op("Relu", y)
        channels = wider
    if net.draw.random() < 0.4:
        y = net.op("Transpose", y, perm=[0, 2, 1])
        y = net.layer_norm(y, channels)
    return y, shape


def movements(net: Net) -> Drawn:
    """Tensors that are moved, cut, joined and added."""
    channels, side = _channels(net, 256), net.draw.choice(SIDES[2:])
    y, shape = "x", (1, channels, side, side)
    for _ in range(net.draw.randint(2, 4)):
        kind = net.draw.choice(["pool", "add", "norm", "join", "turn", "add", "lrn"])
        if kind == "pool":
            y = net.op(
                net.draw.choice(["MaxPool", "AveragePool"]),
                y,
                kernel_shape=[3, 3],
                strides=[1, 1],
                pads=[1, 1, 1, 1],
            )
        elif kind == "norm":
            y = net.op("Relu", net.norm(y, channels))
        elif kind == "join" and channels < 512:
            y = net.op("Concat", y, net.op("Relu", y), axis=1)
            channels *= 2
        elif kind == "turn":
            y = net.op("Transpose", y, perm=[0, 2, 3, 1])
            y = net.op("Mul", y, net.weight(channels))
            y = net.op("Transpose", y, perm=[0, 3, 1, 2])
        elif kind == "lrn" and side < 60:
            y = net.op("LRN", y, size=5, alpha=1e-4, beta=0.75)
        else:
            y = net.op("Relu", net.op("Add", y, net.weight(channels, 1, 1)))
    if net.draw.random() < 0.4:
        y = net.op("GlobalAveragePool", y)
    return y, shape


def digits(net: Net) -> Drawn:
    """Whole networks for small images: convolutions, pools, and a dense layer."""
    side, channels = _between(net, 16, 48, 4), net.draw.choice([1, 1, 3])
    shape, y = (1, channels, side, side), "x"
    for _ in range(net.draw.randint(1, 3)):
        wider, kernel = _between(net, 4, 64, 4), net.draw.choice([3, 3, 5])
        y = net.conv(y, channels, wider, kernel)
        if net.draw.random() < 0.5:
            # A bias of its own, as some exporters write it.
            y = net.op("Add", y, net.weight(wider, 1, 1))
        y = net.op("Relu", y)
        size = net.draw.choice([2, 2, 3])
        if side >= 2 * size:
            y = net.op("MaxPool", y, kernel_shape=[size, size], strides=[size, size])
            side = (side - size) // size + 1
        channels = wider
    y = net.op("Reshape", y, net.integers(1, channels * side * side))
    y = net.op("MatMul", y, net.weight(channels * side * side, 10))
    return net.op("Add", y, net.weight(1, 10)), shape


def sequences(net: Net) -> Drawn:
    """Recurrent layers, in one direction or both, and a dense one on them."""
    steps, batch = _between(net, 4, 64), net.draw.choice([1, 1, 2, 8])
    width, hidden = _between(net, 8, 256, 8), _between(net, 8, 256, 8)
    kind, gates = net.draw.choice([("LSTM", 4), ("LSTM", 4), ("GRU", 3)])
    ways = net.draw.choice([1, 2])
    direction = "bidirectional" if ways == 2 else "forward"
    weights = (
        net.weight(ways, gates * hidden, width),
        net.weight(ways, gates * hidden, hidden),
        net.weight(ways, 2 * gates * hidden),
    )
    y = net.op(kind, "x", *weights, hidden_size=hidden, direction=direction)
    y = net.op("Transpose", y, perm=[0, 2, 1, 3])
    y = net.op("Reshape", y, net.integers(steps, batch, ways * hidden))
    y = net.linear(y, ways * hidden, _between(net, 8, 128, 8))
    return y, (steps, batch, width)


PARTS: dict[str, Family] = {
    family.__name__: family
    for family in (
        windows,
        walls,
        stems,
        heads,
        products,
        modules,
        mobiles,
        shuffles,
        transformers,
        norms,
        tables,
        signals,
        sequences,
        movements,
        digits,
    )
}
