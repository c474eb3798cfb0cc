"""
Buckets: the few sizes to which a dimension is padded, so that few shapes are compiled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..backends.program import Buckets
from ..dialects.errors import SardonyxError
from ..passes.analysis.padding import padding
from .model import Model

MAX_BUCKET = 1 << 16
"""The largest size that a bucket may have."""


def buckets_of(model: Model, wanted: Mapping[str, Sequence[int]]) -> Buckets:
    """
    How inputs of `model` are padded to the sizes `wanted` of each dimension.

    Raises SardonyxError for sizes that are none, and PaddingRefused, naming the node,
    for a dimension that cannot be padded without changing results.
    """
    sizes = {name: _checked(name, given) for name, given in wanted.items()}
    ones = {
        name: padding(model.main, model.context.store, name, ascending[-1]).ones
        for name, ascending in sizes.items()
    }
    masked = [name for name, places in ones.items() if places]
    if len(masked) > 1:
        # Padding one would have the masks of the other begin with zeros.
        found = " and ".join(masked)
        raise SardonyxError(f"found masks along {found}, wanted buckets of one of them")
    return Buckets(sizes, ones)


def _checked(name: str, given: Sequence[int]) -> tuple[int, ...]:
    if not given or not all(1 <= size <= MAX_BUCKET for size in given):
        found = ", ".join(map(str, given)) or "none"
        raise SardonyxError(
            f"bucket {name}: found sizes {found}, wanted some from 1 to {MAX_BUCKET}"
        )
    return tuple(sorted(set(given)))
