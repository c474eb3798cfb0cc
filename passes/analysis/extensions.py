"""The work of operators of other domains: channels last, few bits, ONNX Runtime's."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from ...dialects.onnx import Dim
from ...dialects.onnx.dims import product
from .contractions import centred, matmul, matmul_integer
from .node import Node, Work, plus, times


def convolution_last(node: Node) -> Work:
    """As `contractions.convolution`, of a weight ``[kh, kw, c / group, m]``."""
    window = product(node.shape(1)[:-1])
    each = plus(times(2, window), int(node.present(2)))
    return Work(times(each, node.result_size()))


def by_spectra(node: Node) -> Work:
    """
    A product of spectra, and the transforms of images to them and back.

    One of n real points takes ``2.5 n log2 n``; see Frigo and Johnson (2005).
    """
    lengths, spectra = node.attribute("lengths"), node.shape(1)
    points = math.prod(lengths)
    each = round(2.5 * points * math.log2(points))
    images = plus(times(*node.shape(0)[:2]), times(*node.result()[:2]))
    # Of numbers that are real and imaginary, each counted.
    products = times(4, product(spectra), node.shape(0)[0])
    bias = node.result_size() if node.present(2) else Dim(())
    return Work(plus(times(each, images), products, bias))


def batch_normalization_last(node: Node) -> Work:
    """As ONNX's, whose statistics are given."""
    count, channels = node.size(0), node.size(1)
    return Work(plus(times(3, count), times(2, channels)), channels)


def few_bits(node: Node) -> Work:
    """A product with a matrix in blocks, each element of which is scaled once."""
    depth, columns = node.count("K"), node.count("N")
    bias = node.result_size() if node.present(5) else Dim(())
    moved = times(2 if node.present(3) else 1, depth, columns)
    return Work(plus(times(2, depth, node.result_size()), bias, moved))


def integers_to_floats(node: Node) -> Work:
    """``(a - a_zero) (b - b_zero)``, scaled by both and with a bias."""
    size = node.result_size()
    bias = size if node.present(6) else Dim(())
    product_only = matmul(node) + centred(node, (0, 4), (1, 5))
    return product_only + Work(plus(times(2, size), bias))


def dynamically_quantized(node: Node) -> Work:
    """As `integers_to_floats`, `a` quantized first: its bounds, and 5 an element."""
    size = node.result_size()
    bias = size if node.present(4) else Dim(())
    taken = plus(times(2, size), bias, times(7, node.size(0)))
    return matmul_integer_part(node) + Work(taken)


def matmul_integer_part(node: Node) -> Work:
    """The product alone, whose zero points are both subtracted."""
    return matmul(node) + Work(plus(node.size(0), node.size(1)))


def gathered(node: Node) -> Work:
    """A product of what each group of outputs keeps."""
    kept = node.shape(1)[1]
    return Work(times(2, kept, node.result_size()))


def expanded(node: Node) -> Work:
    """A product with all of a weight, of which each element is taken or 0."""
    depth = node.count("K")
    whole = times(depth, node.shape(2)[0])
    return Work(plus(times(2, depth, node.result_size()), whole))


WORK: Mapping[str, Callable[[Node], Work]] = {
    "fourier.Conv": by_spectra,
    "microsoft.DynamicQuantizeMatMul": dynamically_quantized,
    "microsoft.FusedMatMul": matmul,
    "microsoft.MatMulInteger16": matmul_integer,
    "microsoft.MatMulIntegerToFloat": integers_to_floats,
    "microsoft.MatMulNBits": few_bits,
    "nhwc.BatchNormalization": batch_normalization_last,
    "nhwc.Conv": convolution_last,
    "sparse.BitmapMatMul": expanded,
    "sparse.MatMul": gathered,
}
"""Rules by the op's name."""

PLAIN = {f"nhwc.{name}": f"onnx.{name}" for name in ("AveragePool", "LRN", "MaxPool")}
"""Operators whose formula is another's: where channels stand does not matter."""
