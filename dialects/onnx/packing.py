"""
Element types by name, and how files pack them.

Programs that run without us read their weights with these functions: the emitters paste
them, so they use only NumPy, ml_dtypes and the standard library.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np

Array: TypeAlias = Any


def dtype_of(name: str) -> np.dtype[Any]:
    """The NumPy dtype of an element type: ``bfloat16`` and its like from ml_dtypes."""
    return np.dtype(object if name == "string" else getattr(ml_dtypes, name, name))  # pyright: ignore[reportUnknownVariableType]


# The element types of which several share a byte in files, and their width in bits.
BITS = {
    "int4": 4,
    "uint4": 4,
    "float4_e2m1fn": 4,
    "int2": 2,
    "uint2": 2,
    "float6_e2m3fn": 6,
    "float6_e3m2fn": 6,
}


def file_bytes(element: str, shape: tuple[int, ...]) -> int:
    """The bytes that a tensor takes in a file, elements of less than 8 bits packed."""
    count = math.prod(shape)
    if element in BITS:
        return (count * BITS[element] + 7) // 8
    return count * dtype_of(element).itemsize


def pack(array: Array, element: str) -> memoryview:
    """The bytes of `array` as a file has them: the first element in the lowest bits."""
    codes = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    if element in BITS:
        each = np.unpackbits(codes[:, None], 1, bitorder="little")
        codes = np.packbits(each[:, : BITS[element]], bitorder="little")
    return memoryview(codes.data).cast("B")


def unpack(content: Any, element: str, shape: tuple[int, ...]) -> Array:
    """
    The tensor in the bytes of a file; a view of them unless its elements are packed.

    An element of less than 8 bits takes a byte, as ml_dtypes has it.
    """
    dtype = dtype_of(element)
    if element not in BITS:
        return np.frombuffer(content, dtype).reshape(shape)
    bits = BITS[element]
    each = np.unpackbits(np.frombuffer(content, np.uint8), bitorder="little")
    each = each[: math.prod(shape) * bits].reshape(-1, bits)
    codes = np.packbits(each, 1, bitorder="little").reshape(-1)
    if element.startswith("int"):
        # ml_dtypes' integers have their sign in all the bits above.
        sign = 1 << (bits - 1)
        codes = ((codes ^ np.uint8(sign)).astype(np.int8) - np.int8(sign)).astype(dtype)
    return codes.view(dtype).reshape(shape)
