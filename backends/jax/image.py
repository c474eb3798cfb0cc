"""Image kernels that loop as often as their data says."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import jax.numpy as jnp
from jax import lax

from ..kernels.image import is_half_pixel, pooled_regions

Array: TypeAlias = Any


def counted_loop(step: Callable[..., Array], counts: Array, total: Array) -> Array:
    """Every sample of a bin, one after another, though their number is traced."""
    tallest, widest = (jnp.max(n).astype(jnp.int64) for n in (counts[0], counts[1]))
    turn = partial(step, jnp.maximum(widest, 1))
    return lax.fori_loop(  # pyright: ignore
        0, tallest * widest, turn, total
    )


def roi_align(
    xp: Any,
    x: Array,
    rois: Array,
    batch_indices: Array,
    coordinate_transformation_mode: str = "half_pixel",
    mode: str = "avg",
    output_height: int = 1,
    output_width: int = 1,
    sampling_ratio: int = 0,
    spatial_scale: float = 1.0,
) -> Array:
    """Regions ``(x1, y1, x2, y2)`` pooled at bilinear samples (arXiv:1703.06870)."""
    half_pixel = is_half_pixel(coordinate_transformation_mode)
    rule = (half_pixel, mode, (output_height, output_width))
    operands = (x, rois, batch_indices)
    return pooled_regions(
        xp, counted_loop, *operands, *rule, sampling_ratio, spatial_scale
    )


KERNELS: dict[str, Callable[..., Any]] = {"RoiAlign": roi_align}
