"""
How much an element of a weight matters: by its magnitude, or by its inputs' too.

    magnitude   |w|
    Wanda       |w| |x|^power

(Sun et al., "A Simple and Effective Pruning Approach for Large Language Models", 2023,
arXiv:2306.11695, has the power 1; Zhang et al., "Plug-and-Play: An Efficient
Post-training Pruning Method for Large Language Models", ICLR 2024, take 0.5.) Squares
are told: they add up over what is kept together. SparseGPT's is Wanda's of power 1
where one is asked for before pruning.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

from ...dialects.errors import SardonyxError
from ...dialects.onnx.types import Array
from ..patterns import Declined
from ..quantize.calibration import Calibration, required
from ..quantize.names import value_names
from .weights import Weighted

METHODS = ("magnitude", "wanda", "sparsegpt")

POWER = 0.5
"""
Of the inputs' norm, unless told otherwise. With 1 the error of one layer's result is
less, the perplexity of a language model mostly more: see docs/sparsity.md.
"""


@dataclass(frozen=True)
class Judged:
    """Calibration, and where to find what it says of a product's inputs."""

    method: str
    names: Mapping[SSAValue, str]
    calibration: Calibration

    @classmethod
    def of(cls, who: str, method: str, path: str, module: ModuleOp) -> Judged:
        """
        What pass `who` judges by; SardonyxError for no such method or calibration.
        """
        check_method(who, method)
        if method == "magnitude":
            return cls(method, {}, Calibration())
        return cls(method, value_names(module), required(path, who))

    def moments(self, product: Weighted) -> Array | Declined | None:
        """The second moments of the inputs; None by magnitude, which needs none."""
        if self.method == "magnitude":
            return None
        known = self.calibration.values.get(self.names.get(product.x, ""))
        if known is None:
            return Declined("calibration did not measure its activation")
        if known.second is None:
            return Declined("calibration did not keep second moments")
        if product.left or known.second.shape[0] != product.shape[0]:
            return Declined("calibration measured another number of channels")
        return known.second


def check_method(who: str, method: str) -> None:
    """Raise SardonyxError, in the name of pass `who`, for a method there is not."""
    if method not in METHODS:
        raise SardonyxError(
            f"{who}: found method {method!r}, wanted {', '.join(METHODS)}"
        )


def check_power(who: str, power: float) -> None:
    """Raise SardonyxError, in the name of pass `who`, for what is no power."""
    if not 0 <= power < math.inf:
        raise SardonyxError(f"{who}: found power {power:g}, wanted 0 or more")


def importance(weight: Array, second: Array | None, power: float) -> Array:
    """The importance of every element of ``[K, N]``, in float64."""
    squared = np.square(weight.astype(np.float64))
    if second is None:
        return squared
    inputs = np.diagonal(second).astype(np.float64)
    return squared * np.power(inputs, power)[:, None]
