"""Image files as arrays, by Pillow (``pip install pillow``)."""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any


def image_decoder(xp: Any, encoded: Array, pixel_format: str = "RGB") -> Array:
    """
    The image in the bytes `encoded`, uint8 (H, W, C), channels as `pixel_format` says.

    What no decoder understands gives an empty array, as ONNX has it. Raises
    ModuleNotFoundError without Pillow.
    """
    modes = {"RGB": "RGB", "BGR": "RGB", "Grayscale": "L"}
    if pixel_format not in modes:
        raise ValueError(f"pixel_format is {pixel_format!r}, not one of {[*modes]}")
    pillow = importlib.import_module("PIL.Image")
    content = io.BytesIO(np.asarray(encoded, np.uint8).tobytes())
    try:
        with pillow.open(content) as image:
            pixels = np.asarray(image.convert(modes[pixel_format]))
    except (OSError, SyntaxError, ValueError):
        return xp.zeros((0, 0, 0), np.uint8)
    if pixel_format == "Grayscale":
        pixels = pixels[..., None]
    return xp.asarray(pixels[..., ::-1] if pixel_format == "BGR" else pixels)


KERNELS: dict[str, Callable[..., Any]] = {"ImageDecoder": image_decoder}
STATIC: dict[str, tuple[int, ...]] = {"ImageDecoder": (0,)}
