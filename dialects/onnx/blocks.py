"""How many channels ONNX Runtime puts in a block of its blocked tensors."""

from __future__ import annotations

BLOCK = "block"
"""What an import notes at a convolution in blocks whose weight's sizes do not tell."""

LARGER, SMALLER = 16, 8
"""What a processor with AVX-512 takes, and what others do."""


def block_size(outputs: int, inputs: int) -> int:
    """
    The number of channels in a block of a weight: 16 where the sizes allow it, else 8.

    Where they allow both, the weight does not tell. A first or depthwise convolution
    has fewer inputs than a block, not filled up. Raises ValueError if they allow none.
    """
    if outputs % LARGER == 0 and (inputs < LARGER or inputs % LARGER == 0):
        return LARGER
    if outputs % SMALLER:
        raise ValueError(f"found {outputs} output channels, wanted whole blocks")
    return SMALLER
