"""
Weights in a few bits per group, rounded so that later rows make up for earlier errors.

    MatMul(x, w)  ->  microsoft.MatMulNBits(x, codes, scales, zero points)

The codes are those of the second-order solver on the second moments of the activations
that calibration measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

from ...dialects.onnx import OnnxBuilder, OnnxOp, store_of
from ...dialects.onnx.types import Array
from ..patterns import Declined, OnnxPattern, journal_of, rewrite_module
from .calibration import Calibration, required
from .names import value_names
from .nbits import group_scheme, is_matrix, product_of_nbits
from .products import ROOTS, Product, Selection, chosen
from .second_order import Solver
from .speed import Speed


@dataclass(frozen=True)
class Correlated:
    """A product and the second moments of its inputs."""

    product: Product
    second: Array


@dataclass(frozen=True)
class SolvedProduct(OnnxPattern[Correlated]):
    """Solves for the codes of a weight."""

    names: Mapping[SSAValue, str]
    calibration: Calibration
    selection: Selection
    solver: Solver

    name = "solved-product-of-few-bits"
    roots = ROOTS

    def decide(self, op: OnnxOp) -> Correlated | Declined:
        product = chosen(op, self.store, self.selection)
        if isinstance(product, Declined):
            return product
        if (reason := is_matrix(product)) is not None:
            return reason
        known = self.calibration.values.get(self.names.get(product.x, ""))
        if known is None:
            return Declined("calibration did not measure its activation")
        if known.second is None:
            return Declined("calibration did not keep second moments")
        if known.second.shape[0] != product.shape[0]:
            return Declined("calibration measured another number of channels")
        return Correlated(product, known.second)

    def rewrite(
        self, op: OnnxOp, found: Correlated, builder: OnnxBuilder
    ) -> list[SSAValue | None]:
        product = found.product
        codes, fitted = self.solver.solve(product.source(), found.second)
        scheme = self.solver.scheme
        return [product_of_nbits(product, scheme, fitted, lambda: codes, builder)]


@dataclass(frozen=True)
class GptqPass(ModulePass):
    """
    Store weights of matrix products in `bits` bits by the second-order solver (GPTQ).

    `calibration` is a file that ``sardonyx quantize`` wrote of the model as it is here,
    with second moments. With `activation_order` the rows of the largest inputs are
    rounded first; with `least_error` a group's range is where its error is least.

    Products whose form is estimated slower than float32 on the backend `only_faster`,
    if it names one, stay as they are; `target` says of what hardware.
    """

    name = "gptq"

    calibration: str = ""
    bits: int = 4
    group: int = 32
    symmetric: bool = False
    activation_order: bool = True
    least_error: bool = True
    damping: float = 0.01
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    only_faster: str = ""
    target: str = "host-cpu"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        scheme = group_scheme(self.name, self.bits, self.group, self.symmetric)
        store = store_of(ctx)
        if store is None:
            return
        solver = Solver(scheme, self.damping, self.activation_order, self.least_error)
        table = required(self.calibration, self.name)
        speed = Speed.of("few bits", self.only_faster, self.target)
        selection = Selection(self.only, self.exclude, speed)
        pattern = SolvedProduct(
            store, journal_of(ctx), value_names(op), table, selection, solver
        )
        rewrite_module(op, pattern, recursively=False)

    @classmethod
    def schedule_space(cls, ctx: Context, module_op: ModuleOp) -> tuple[GptqPass, ...]:
        # Without a calibration there is nothing to choose.
        return ()
