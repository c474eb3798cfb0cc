"""
Weights that are stored without their zeros, and products with them.

`encodings` are plain values, `attributes` what the IR says of them; `arrays` packs and
unpacks; `ops` multiplies.
"""

from xdsl.ir import Dialect

from .attributes import EncodingAttr
from .encodings import NM, Bitmap, Block, Encoding, EncodingError, GroupShared
from .ops import BITMAP, MATMUL, NOTE, OPS, SparseOp

__all__ = [
    "BITMAP",
    "MATMUL",
    "NM",
    "NOTE",
    "OPS",
    "Bitmap",
    "Block",
    "Encoding",
    "EncodingAttr",
    "EncodingError",
    "GroupShared",
    "Sparse",
    "SparseOp",
]

Sparse = Dialect("sparse", [*OPS.values()], [EncodingAttr])
"""Products with ``#sparse.encoding<group_shared 128 512>`` and its like."""
