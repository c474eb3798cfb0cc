"""
How ``com.microsoft.MatMulNBits`` stores codes of 2, 4 or 8 bits.

The weight ``[K, N]`` lies transposed in blocks of `block_size` rows, ``[N, blocks,
block_size * bits / 8]``, the first code of a byte in its lowest bits; zero points lie
so too, ``[N, ceil(blocks * bits / 8)]``.
"""

from __future__ import annotations

import numpy as np

from ..onnx.types import Array

WIDTHS = (2, 4, 8)
"""The widths of codes that the operator takes."""


def packed_codes(codes: Array, bits: int, block_size: int) -> Array:
    """
    Unsigned codes ``[N, K]`` as bytes ``[N, blocks, block_size * bits / 8]``.

    Raises ValueError for another width, or blocks that are no power of two from 16 on.
    """
    if block_size < 16 or block_size & (block_size - 1):
        raise ValueError(f"found blocks of {block_size}, wanted a power of 2 from 16")
    rows, depth = codes.shape
    blocks = -(-depth // block_size)
    whole = np.zeros((rows, blocks * block_size), np.uint8)
    whole[:, :depth] = codes
    return packed_rows(whole, bits).reshape(rows, blocks, -1)


def packed_rows(codes: Array, bits: int) -> Array:
    """Unsigned codes ``[N, n]`` as bytes ``[N, ceil(n * bits / 8)]``, row by row."""
    if bits not in WIDTHS:
        raise ValueError(f"found codes of {bits} bits, wanted one of {list(WIDTHS)}")
    if codes.size and int(codes.max()) >= 2**bits:
        raise ValueError(f"found code {int(codes.max())}, wanted less than {2**bits}")
    each = 8 // bits
    whole = np.zeros((codes.shape[0], -(-codes.shape[1] // each) * each), np.uint8)
    whole[:, : codes.shape[1]] = codes
    parts = whole.reshape(codes.shape[0], -1, each)
    packed = np.zeros(parts.shape[:2], np.uint8)
    for place in range(each):
        packed |= parts[:, :, place] << np.uint8(place * bits)
    return packed


def unpacked_rows(packed: Array, bits: int, count: int) -> Array:
    """The first `count` codes of each row, as `packed_rows` took them."""
    mask = np.uint8(2**bits - 1)
    shifts = range(0, 8, bits)
    codes = np.stack([(packed >> np.uint8(s)) & mask for s in shifts], -1)
    return codes.reshape(packed.shape[0], -1)[:, :count]
