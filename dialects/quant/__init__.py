"""
How tensors are quantized: formats, what shares a scale, and their arithmetic.

`formats` are plain values, `attributes` what the IR says of them; `numbers` and
`packing` compute on arrays.
"""

from xdsl.ir import Dialect

from .attributes import FormatAttr, GranularityAttr, SchemeAttr
from .formats import Format, Granularity, Scheme

__all__ = [
    "Format",
    "FormatAttr",
    "Granularity",
    "GranularityAttr",
    "Quant",
    "Scheme",
    "SchemeAttr",
]

Quant = Dialect("quant", [], [FormatAttr, GranularityAttr, SchemeAttr])
