"""The work of convolutions, matrix products, attention and recurrent operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ...dialects.onnx import Dim
from ...dialects.onnx.dims import product
from .elementwise import ACTIVATIONS
from .node import Node, Sizes, UnknownSize, Work, constant, plus, times

# --- matrix products ---


def matmul(node: Node, a: int = 0) -> Work:
    """2 K for each element of the result, K the contracted size."""
    return Work(times(2, node.shape(a)[-1], node.result_size()))


def gemm(node: Node) -> Work:
    """``alpha a b + beta c``."""
    shape = node.shape(0)
    depth = shape[0] if node.attribute("transA") else shape[1]
    beta = node.attribute("beta")
    extra = int(node.attribute("alpha") != 1)
    if node.present(2) and beta != 0:
        extra += 1 + (beta != 1)
    return Work(times(plus(times(2, depth), extra), node.result_size()))


def matmul_integer(node: Node) -> Work:
    return matmul(node) + centred(node, (0, 2), (1, 3))


def qlinear_matmul(node: Node) -> Work:
    return matmul(node, 0) + centred(node, (0, 2), (3, 5)) + requantized(node)


def centred(node: Node, *pairs: tuple[int, int]) -> Work:
    """``x - zero_point`` for the operands x whose zero points are there."""
    sizes = [node.size(x) for x, zero_point in pairs if node.present(zero_point)]
    return Work(plus(*sizes))


def requantized(node: Node) -> Work:
    """The product with the scales' ratio, rounding, the zero point, two bounds."""
    return Work(times(5, node.result_size()))


# --- einsum ---


def einsum(node: Node) -> Work:
    """
    The operands are contracted from left to right, an index as soon as it can be.

    A step over indices of sizes n, m … takes ``n m …`` products, and as many additions
    if an index is summed over.
    """
    shapes = [node.shape(index) for index in range(len(node.op.operands))]
    terms, output, sizes = _parsed(node.attribute("equation"), shapes)
    if not output <= sizes.keys():
        raise UnknownSize
    flops = Dim(())
    held = terms[0]
    if len(terms) == 1:
        summed = _product(held, sizes) - _product(held & output, sizes)
        return Work(summed)
    for place, term in enumerate(terms[1:], 1):
        later = output.union(*terms[place + 1 :])
        steps = _product(held | term, sizes)
        adds = not (held | term) <= later
        flops = plus(flops, times(1 + adds, steps))
        held = (held | term) & later
    return Work(flops)


def _product(indices: frozenset[str], sizes: Mapping[str, Dim]) -> Dim:
    return product(sizes[index] for index in sorted(indices))


def _parsed(
    equation: str, shapes: Sequence[Sizes]
) -> tuple[list[frozenset[str]], frozenset[str], dict[str, Dim]]:
    """The indices of the operands and the result, and their sizes."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    labels = [_labels(t, len(s)) for t, s in zip(left.split(","), shapes, strict=True)]
    sizes: dict[str, Dim] = {}
    for names, shape in zip(labels, shapes, strict=True):
        for name, dim in zip(names, shape, strict=True):
            # A size of 1 is stretched.
            if sizes.get(name, Dim.of(1)) == Dim.of(1):
                sizes[name] = dim
    if arrow:
        dotted = [name for name in sizes if name.isdigit()]
        kept = frozenset([*right.replace(".", ""), *(dotted if "." in right else ())])
    else:
        every = [name for names in labels for name in names]
        kept = frozenset(n for n in every if n.isdigit() or every.count(n) == 1)
    return [frozenset(names) for names in labels], kept, sizes


def _labels(term: str, rank: int) -> list[str]:
    """A name for every axis; those of an ellipsis are numbered from the right."""
    before, dots, after = term.partition("...")
    if not dots:
        return list(term)
    count = rank - len(before) - len(after)
    return [*before, *(str(n) for n in reversed(range(count))), *after]


# --- convolutions ---


def convolution(node: Node, w: int = 1, bias: int = 2) -> Work:
    """2 products of input channels and window for each element of the result."""
    window = product(node.shape(w)[1:])
    each = plus(times(2, window), int(node.present(bias)))
    return Work(times(each, node.result_size()))


def conv_integer(node: Node) -> Work:
    product_only = convolution(node, bias=len(node.op.operands))
    return product_only + centred(node, (0, 2), (1, 3))


def qlinear_conv(node: Node) -> Work:
    return convolution(node, 3, 8) + centred(node, (0, 2), (3, 5)) + requantized(node)


def conv_transpose(node: Node) -> Work:
    """2 products of output channels and window for each element of the input."""
    flops = times(2, node.size(0), *node.shape(1)[1:])
    bias = node.result_size() if node.present(2) else Dim(())
    return Work(flops + bias)


def deform_conv(node: Node) -> Work:
    """As a convolution; a sample is bilinear (8), and takes 1 for its mask."""
    shape, window = node.shape(0), node.shape(1)[2:]
    samples = times(*shape[:2], *window, *node.result()[2:])
    each = 8 + node.present(4)
    return convolution(node, bias=3) + Work(times(each, samples))


def causal_convolution(node: Node) -> Work:
    """Depthwise, along the last axis; with an activation x sigmoid(x)."""
    size = node.result_size()
    window = node.shape(1)[-1]
    activated = node.attribute("activation") not in (None, "none", "")
    each = plus(times(2, window), node.present(2) + 4 * activated)
    return Work(times(each, size), size if activated else Dim(()))


# --- attention ---


def attention(node: Node) -> Work:
    """
    ``softmax(scale q k^T + mask) v``, every score computed.

    A score takes 1 for its scale, 1 for each mask, and what a softmax does.
    """
    query, depth = _queries(node)
    keys, value_depth = _keys(node)
    scores = times(query, keys)
    extra = node.present(3) + bool(node.attribute("is_causal"))
    softcap = bool(node.attribute("softcap"))
    each = plus(times(2, depth), times(2, value_depth), 4 + 1 + extra + 2 * softcap)
    flops = plus(times(each, scores), times(-2, query))
    return Work(flops, times(1 + softcap, scores))


def _queries(node: Node) -> tuple[Dim, Dim]:
    """How many queries there are in all batches and heads, and their size."""
    shape = node.shape(0)
    if len(shape) == 4:
        return product(shape[:3]), shape[3]
    heads = node.count("q_num_heads")
    return times(heads, *shape[:2]), shape[2] // Dim.of(heads)


def _keys(node: Node) -> tuple[Dim, Dim]:
    """How many keys a query meets, past ones included, and the size of a value."""
    value = node.shape(2)
    if len(value) == 4:
        length, depth = value[2], value[3]
    else:
        length, depth = value[1], value[2] // Dim.of(node.count("kv_num_heads"))
    past = node.shape(4)[2] if node.present(4) else Dim(())
    return length + past, depth


# --- recurrent ---


def lstm(node: Node) -> Work:
    # f c + i c~ and o tanh(c'); a peephole is a product and a sum.
    peepholes = 6 if node.present(7) else 0
    return recurrent(node, 4 + peepholes, (("Sigmoid", 3), ("Tanh", 1), ("Tanh", 1)))


def gru(node: Node) -> Work:
    # r h, and (1 - z) h~ + z h.
    return recurrent(node, 5, (("Sigmoid", 2), ("Tanh", 1)))


def rnn(node: Node) -> Work:
    return recurrent(node, 0, (("Tanh", 1),))


def recurrent(
    node: Node, pointwise: int, activations: Sequence[tuple[str, int]]
) -> Work:
    """
    The steps of a recurrent operator, over the whole length of every sequence.

    A step multiplies the input and the state with the gates' matrices, adds both and
    two biases, does `pointwise` operations for each element of the state, and applies
    each of `activations` (or what the node names instead) so many times.
    """
    directions, rows, inputs = node.shape(1)
    hidden = node.shape(2)[2]
    steps = times(*node.shape(0)[:2])
    sums = 3 if node.present(3) else 1
    each = plus(times(2, rows, plus(inputs, hidden)), times(sums, rows))
    both = times(directions, plus(each, times(pointwise, hidden)))
    if constant(directions) not in (1, 2):
        raise UnknownSize
    curves = _curves(node, constant(directions), activations)
    flops = times(steps, plus(both, times(curves[0], hidden)))
    return Work(flops, times(steps, curves[1], hidden))


def _curves(
    node: Node, directions: int, activations: Sequence[tuple[str, int]]
) -> tuple[int, int]:
    """The work of the activations of all directions on an element of the state."""
    counts = [count for _, count in activations] * directions
    # What RNN states as its default is meant for two directions.
    named = (node.attribute("activations") or ())[: len(counts)]
    names = named or [name for name, _ in activations] * directions
    if len(names) != len(counts) or not ACTIVATIONS.keys() >= set(names):
        raise UnknownSize
    works = [ACTIVATIONS[name] for name in names]
    return (
        sum(n * work[0] for n, work in zip(counts, works, strict=True)),
        sum(n * work[1] for n, work in zip(counts, works, strict=True)),
    )


CONTRACTIONS: Mapping[str, Callable[[Node], Work]] = {
    "Attention": attention,
    "CausalConvWithState": causal_convolution,
    "Conv": convolution,
    "ConvInteger": conv_integer,
    "ConvTranspose": conv_transpose,
    "DeformConv": deform_conv,
    "Einsum": einsum,
    "GRU": gru,
    "Gemm": gemm,
    "LSTM": lstm,
    "MatMul": matmul,
    "MatMulInteger": matmul_integer,
    "QLinearConv": qlinear_conv,
    "QLinearMatMul": qlinear_matmul,
    "RNN": rnn,
}
