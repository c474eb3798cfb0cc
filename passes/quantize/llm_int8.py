"""
Products of 8-bit integers but for the few channels with outliers, which stay float32.

    MatMul(x, w)  ->  x[rest] w[rest] in int8  +  MatMul(x[outliers], w[outliers])

Rows of `x` and columns of `w` have a scale each (Dettmers et al., "LLM.int8()", 2022,
arXiv:2208.07339). Which channels have outliers is what calibration saw, so that sizes
are fixed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from ...dialects.errors import SardonyxError
from ...dialects.onnx import OnnxBuilder, OnnxOp, store_of
from ...dialects.onnx.types import Array
from ...dialects.quant import Format
from ..patterns import Declined, OnnxPattern, journal_of, rewrite_module
from .calibration import Calibration, required
from .integers import fitted_weight, integer_product, weight_codes, weight_scheme
from .maps import Partition
from .names import value_names
from .products import MATRICES, Product, Selection, chosen
from .quantize_dynamic import by_rows
from .speed import Speed


@dataclass(frozen=True)
class Decomposed:
    """A product, and its channels with outliers, in order."""

    product: Product
    outliers: tuple[int, ...]


@dataclass(frozen=True)
class ProductOfParts(OnnxPattern[Decomposed]):
    """Takes the channels with outliers apart."""

    names: Mapping[SSAValue, str]
    calibration: Calibration
    options: LlmInt8Pass
    selection: Selection

    name = "product-of-parts"
    roots = MATRICES

    def decide(self, op: OnnxOp) -> Decomposed | Declined:
        product = chosen(op, self.store, self.selection)
        if isinstance(product, Declined):
            return product
        known = self.calibration.values.get(self.names.get(product.x, ""))
        if known is None:
            return Declined("calibration did not measure its activation")
        if known.channels.shape != (product.shape[0],):
            return Declined("calibration measured another number of channels")
        return Decomposed(product, self.options.outliers(known.channels))

    def rewrite(
        self, op: OnnxOp, found: Decomposed, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        product = found.product
        apart = np.array(found.outliers, np.int64)
        if not apart.size:
            return [_of_integers(product, builder)]
        rest = np.setdiff1d(np.arange(product.shape[0]), apart)
        parts = Partition((rest, apart))
        parts.check(product.shape[0])
        few, many = parts.pieces(product.x, builder)[::-1]
        whole = product.source()
        weight = builder.constant(np.ascontiguousarray(whole[apart]), "outliers")
        exact = builder.value("onnx.MatMul", few, weight)
        shape = (len(rest), product.shape[1])
        regular = replace(
            product, x=many, shape=shape, source=_rows(product.source, rest)
        )
        return [builder.value("onnx.Add", _of_integers(regular, builder), exact)]


def _rows(source: Callable[[], Array], rows: Array) -> Callable[[], Array]:
    return lambda: source()[rows]


def _of_integers(product: Product, builder: OnnxBuilder) -> SSAValue:
    scheme = weight_scheme(product, Format("int8"), True)
    fitted = fitted_weight(product, scheme)
    codes = weight_codes(product, scheme, fitted, builder)
    x = by_rows(product.x, builder)
    return integer_product(product, x, codes, fitted.scale, builder)


@dataclass(frozen=True)
class LlmInt8Pass(ModulePass):
    """
    Make matrix products of 8-bit integers, channels with outliers apart (LLM.int8()).

    `calibration` is a file that ``sardonyx quantize`` wrote of the model as it is here.
    A channel has outliers if a magnitude reached `threshold`; at most the part `limit`
    of the channels is taken apart, those of the largest magnitudes.

    Products whose form is estimated slower than float32 on the backend `only_faster`,
    if it names one, stay as they are; `target` says of what hardware.
    """

    name = "llm-int8"

    calibration: str = ""
    threshold: float = 6.0
    limit: float = 0.1
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    only_faster: str = ""
    target: str = "host-cpu"

    def outliers(self, channels: Array) -> tuple[int, ...]:
        """The channels with outliers, in order, by the largest magnitudes of all."""
        most = int(self.limit * len(channels))
        largest = np.argsort(-channels, kind="stable")[:most]
        return tuple(sorted(int(c) for c in largest if channels[c] >= self.threshold))

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if not 0 <= self.limit < 1:
            raise SardonyxError(f"llm-int8: found limit={self.limit}, wanted 0 to 1")
        store = store_of(ctx)
        if store is None:
            return
        table = required(self.calibration, self.name)
        speed = Speed.of("integers", self.only_faster, self.target)
        selection = Selection(self.only, self.exclude, speed)
        names, journal = value_names(op), journal_of(ctx)
        pattern = ProductOfParts(store, journal, names, table, self, selection)
        rewrite_module(op, pattern, recursively=False)

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[LlmInt8Pass, ...]:
        # Without a calibration there is nothing to choose.
        return ()
